"""Head rows into PostgreSQL: one upsert of a whole set, whose columns travel as arrays.

A thousand statements of one row each would cost a round trip each. COPY into a table of the session and an upsert
from there costs three, and a table that has to be emptied again; arrays cost one. The rows go in by their
NIK, so that neighbours share pages, and so that two workers who write the same residents take their rows in one
order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from hub.engine.dialect import SCHEMA
from hub.engine.postgres import Packed, PostgresConnection
from sepe.head import HASH_MASK

_NUMBERS = ("nik", "events", "claims", "identity_min", "identity_max", "prints", "decisions", "checksum")
_COLUMNS = ", ".join((*_NUMBERS, "refs"))
_ARRAYS = ", ".join(f"${place}" for place in range(1, len(_NUMBERS) + 2))
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
_LENGTH = struct.Struct(">i").pack
# What one statement holds is in memory on both sides.
ROWS_MAX = 20_000


def write_heads(connection: PostgresConnection, rows: Sequence[list[Any]], table: str) -> None:
    """Add ``rows``, sorted by NIK, to those stored."""
    into = table.replace("shadow.", "pg_temp.") if table != "head" else f"{SCHEMA}.head"
    statement = _UPSERT.format(table=into)
    for start in range(0, len(rows), ROWS_MAX):
        connection.native(statement, arrays(rows[start : start + ROWS_MAX]))


def arrays(rows: Sequence[list[Any]]) -> list[Packed]:
    """The columns of the rows, each as an array."""
    *numbers, refs = zip(*rows, strict=True)
    return [*(_bigints(column) for column in numbers), _byteas(refs)]


def _bigints(column: tuple[int, ...]) -> Packed:
    values = chain.from_iterable(zip(repeat(8), column))
    return Packed(BIGINTS, _head(_BIGINT, len(column)) + struct.pack(f">{'iq' * len(column)}", *values))


def _byteas(column: tuple[bytes, ...]) -> Packed:
    pieces = chain.from_iterable((_LENGTH(len(one)), one) for one in column)
    return Packed(BYTEAS, _head(_BYTEA, len(column)) + b"".join(pieces))


def _head(kind: int, count: int) -> bytes:
    return _ARRAY.pack(1, 0, kind, count, 1)
