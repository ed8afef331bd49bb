"""Head rows into PostgreSQL: one upsert of a whole set, whose columns travel as arrays.

A thousand statements of one row each would cost a round trip each. COPY into a table of the session and an upsert
from there costs three, and a table that has to be emptied again; arrays cost one. The rows go in by their
NIK, so that neighbours share pages, and so that two workers who write the same residents take their rows in one
order.
"""

from __future__ import annotations

import struct

import numpy as np

from hub.engine.dialect import SCHEMA
from hub.engine.postgres import Packed, PostgresConnection
from hub.engine.rows import NUMBER_COLUMNS, HeadRows, Numbers
from sepe.head import HASH_MASK, REF

_COLUMNS = ", ".join((*NUMBER_COLUMNS, "refs"))
_ARRAYS = ", ".join(f"${place}" for place in range(1, len(NUMBER_COLUMNS) + 2))
_UPSERT = (
    f"INSERT INTO {{table}} AS h ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"
    " ON CONFLICT (nik) DO UPDATE SET events = h.events + excluded.events, claims = h.claims + excluded.claims,"
    " identity_min = LEAST(h.identity_min, excluded.identity_min),"
    " identity_max = GREATEST(h.identity_max, excluded.identity_max), prints = h.prints + excluded.prints,"
    " decisions = h.decisions + excluded.decisions,"
    f" checksum = (h.checksum + excluded.checksum) & {HASH_MASK}, refs = h.refs || excluded.refs"
)

# An array's binary form: one dimension, no NULL, the type of its elements, how many, counted from 1.
_ARRAY = struct.Struct(">iiiii")
_BIGINT, _BYTEA = 20, 17
BIGINTS, BYTEAS = 1016, 1001
# What one statement holds is in memory on both sides.
ROWS_MAX = 20_000


def write_heads(connection: PostgresConnection, rows: HeadRows, table: str) -> None:
    """Add ``rows``, ascending by NIK, to those stored."""
    into = table.replace("shadow.", "pg_temp.") if table != "head" else f"{SCHEMA}.head"
    statement = _UPSERT.format(table=into)
    for start in range(0, len(rows), ROWS_MAX):
        connection.native(statement, arrays(rows.part(start, start + ROWS_MAX)))


def arrays(rows: HeadRows) -> list[Packed]:
    """The columns of the rows, each as an array."""
    return [*map(_bigints, rows.numbers), _byteas(rows)]


def _bigints(column: Numbers) -> Packed:
    found = np.empty(len(column), [("length", ">i4"), ("value", ">i8")])
    found["length"], found["value"] = 8, column
    return Packed(BIGINTS, _head(_BIGINT, len(column)) + found.tobytes())


def _byteas(rows: HeadRows) -> Packed:
    """The pointers of each row behind their length: words of four bytes, one for the length, two for a pointer."""
    sizes = np.empty((len(rows), 2), np.int64)
    sizes[:, 0], sizes[:, 1] = 1, rows.ref_counts * 2
    is_length = np.repeat(np.tile(np.array((True, False)), len(rows)), sizes.ravel())
    words = np.empty(len(is_length), "<u4")
    words[is_length] = (rows.ref_counts * REF.size).astype("<u4").byteswap()
    words[~is_length] = rows.refs.astype("<u8", copy=False).view("<u4")
    return Packed(BYTEAS, _head(_BYTEA, len(rows)) + words.tobytes())


def _head(kind: int, count: int) -> bytes:
    return _ARRAY.pack(1, 0, kind, count, 1)
