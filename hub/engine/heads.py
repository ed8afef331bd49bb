"""Head rows into PostgreSQL: residents that are known by one UPDATE, new ones by COPY.

`INSERT … ON CONFLICT` writes each row in three steps, for another could insert the same one meanwhile: half of
what the server spent. COPY writes a page of rows at a time, and fails when one of them is there. So what is there
is found by updating it, and then only new rows are left.

**Who waits for whom.** Two workers may bring the same residents. First every known row is updated, by NIK: whoever
waits there holds only lower ones. Then the lock of new heads is taken, until the commit. Behind it nobody else
adds a row, and its holder waits for no row: what another worker added since the update is taken without waiting,
or the merge begins again. So a worker waits for rows while it holds lower rows, for the lock while it holds rows,
and for nothing when it has the lock: never in a circle. COPY and commit hold the lock for some 2 µs a row.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from psycopg.errors import UniqueViolation

from hub.engine.dialect import SCHEMA
from hub.engine.place import ContendedError
from hub.engine.postgres import Packed, PostgresConnection
from hub.engine.rows import NUMBER_COLUMNS, HeadRows, Numbers
from sepe.head import HASH_MASK, REF
from sepe_io.sqlite import StorageBusyError

Chosen = NDArray[np.bool_]

_COLUMNS = ", ".join((*NUMBER_COLUMNS, "refs"))
# In the list of columns: as a table of nine functions the server would store each array once more.
_ROWS = "SELECT " + ", ".join(
    f"unnest(${place}) AS {name}" for place, name in enumerate((*NUMBER_COLUMNS, "refs"), start=1)
)
_UPDATE = (
    "WITH known AS (UPDATE {table} AS h SET events = h.events + s.events, claims = h.claims + s.claims,"
    " identity_min = LEAST(h.identity_min, s.identity_min),"
    " identity_max = GREATEST(h.identity_max, s.identity_max), prints = h.prints + s.prints,"
    " decisions = h.decisions + s.decisions,"
    f" checksum = (h.checksum + s.checksum) & {HASH_MASK}, refs = h.refs || s.refs"
    f" FROM ({_ROWS}) AS s WHERE h.nik = s.nik RETURNING h.nik)"
    " SELECT COALESCE(array_agg(nik), '{{}}'), pg_current_snapshot()::text FROM known"
)
_COPY = f"COPY {{table}} ({_COLUMNS}) FROM STDIN (FORMAT binary)"
_CAME = (
    "SELECT COALESCE(array_agg(nik), '{{}}') FROM"
    " (SELECT nik FROM {table} WHERE nik = ANY($1) FOR UPDATE NOWAIT) AS came"
)
# Row after row in their order, each by the key: the order in which they are locked is the promise above.
_PLANS = ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "material")
_IN_ORDER = "; ".join(f"SET LOCAL enable_{plan} = off" for plan in _PLANS)
_ANY_ORDER = "; ".join(f"SET LOCAL enable_{plan} TO DEFAULT" for plan in _PLANS)

# An array's binary form: one dimension, no NULL, the type of its elements, how many, counted from 1.
_ARRAY = struct.Struct(">iiiii")
_BIGINT, _BYTEA = 20, 17
BIGINTS, BYTEAS = 1016, 1001
# COPY's binary form: no flags, no extension; each row the number of its columns, each column behind its length.
_COPY_HEAD, _COPY_END = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"
_COPY_ROW = np.dtype(
    [
        ("columns", ">i2"),
        ("numbers", [("length", ">i4"), ("value", ">i8")], len(NUMBER_COLUMNS)),
        ("refs_length", ">i4"),
    ]
)
_WORD_BYTES = 2
assert _COPY_ROW.itemsize % _WORD_BYTES == 0 == REF.size % _WORD_BYTES
# What one statement holds is in memory on both sides.
ROWS_MAX = 20_000


def write_heads(connection: PostgresConnection, rows: HeadRows, table: str) -> None:
    """Add ``rows``, ascending by NIK, to those stored; in a transaction, once in a merge.

    Raises:
        ContendedError: another worker has a resident whom both met for the first time; roll back and merge again.
    """
    into = table.replace("shadow.", "pg_temp.") if table != "head" else f"{SCHEMA}.head"
    connection.native(_IN_ORDER)
    known, then = _update(connection, rows, into)
    new = rows.where(~known)
    # Other tables are their connection's own.
    if table == "head" and len(new) and connection.lock_new_heads() != then:
        new = new.where(~_update_those_that_came(connection, new, into))
    connection.native(_ANY_ORDER)
    try:
        for start in range(0, len(new), ROWS_MAX):
            connection.copy_in(_COPY.format(table=into), copied(new.part(start, start + ROWS_MAX)))
    except UniqueViolation as exc:
        # A worker of the version before knows nothing of the lock.
        raise ContendedError("another worker wrote a resident who was new to both") from exc


def _update(connection: PostgresConnection, rows: HeadRows, into: str) -> tuple[Chosen, str]:
    """Add to the rows that are there; which of ``rows`` these are, and the moment at which this began."""
    statement = _UPDATE.format(table=into)
    known: list[int] = []
    moment = ""
    for start in range(0, len(rows), ROWS_MAX):
        niks, then = connection.native(statement, arrays(rows.part(start, start + ROWS_MAX))).fetchone()
        known += niks
        moment = moment or then
    return np.isin(rows.niks, np.array(known, np.int64)), moment


def _update_those_that_came(connection: PostgresConnection, rows: HeadRows, into: str) -> Chosen:
    """Add to the rows that other workers added since; which of ``rows`` these are. Waits for nobody."""
    try:
        (niks,) = connection.native(_CAME.format(table=into), (_bigints(rows.niks),)).fetchone()
    except StorageBusyError as exc:
        raise ContendedError("another worker writes a resident who is new to both") from exc
    came = np.isin(rows.niks, np.array(niks, np.int64))
    if came.any():
        _update(connection, rows.where(came), into)
    return came


def arrays(rows: HeadRows) -> list[Packed]:
    """The columns of the rows, each as an array."""
    return [*map(_bigints, rows.numbers), _byteas(rows)]


def copied(rows: HeadRows) -> bytes:
    """The rows as COPY reads them."""
    fixed = np.empty(len(rows), _COPY_ROW)
    fixed["columns"] = len(NUMBER_COLUMNS) + 1
    fixed["numbers"]["length"] = 8
    for place, column in enumerate(rows.numbers):
        fixed["numbers"]["value"][:, place] = column
    fixed["refs_length"] = rows.ref_counts * REF.size
    sizes = np.empty((len(rows), 2), np.int64)
    sizes[:, 0], sizes[:, 1] = _COPY_ROW.itemsize // _WORD_BYTES, rows.ref_counts * (REF.size // _WORD_BYTES)
    is_fixed = np.repeat(np.tile(np.array((True, False)), len(rows)), sizes.ravel())
    words = np.empty(len(is_fixed), np.uint16)
    words[is_fixed] = np.frombuffer(fixed.tobytes(), np.uint16)
    words[~is_fixed] = np.frombuffer(rows.ref_bytes(), np.uint16)
    return _COPY_HEAD + words.tobytes() + _COPY_END


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
