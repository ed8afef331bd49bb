"""Head rows into PostgreSQL: one COPY into a table of the session, one upsert of the whole set.

A thousand statements of one row each would cost a round trip each; a set costs two. The rows go in by their NIK,
so that neighbours share pages, and so that two workers who write the same residents take their rows in one order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from hub.engine.dialect import SCHEMA
from hub.engine.postgres import PostgresConnection
from sepe.head import HASH_MASK

_STAGE = "head_in"
_COLUMNS = "nik, events, claims, identity_min, identity_max, prints, decisions, checksum, refs"
_MAKE_STAGE = (
    f"CREATE TEMP TABLE IF NOT EXISTS {_STAGE} (nik BIGINT, events BIGINT, claims BIGINT, identity_min BIGINT,"
    " identity_max BIGINT, prints BIGINT, decisions BIGINT, checksum BIGINT, refs BYTEA) ON COMMIT DELETE ROWS"
)
_COPY = f"COPY pg_temp.{_STAGE} ({_COLUMNS}) FROM STDIN (FORMAT binary)"
_UPSERT = (
    "INSERT INTO {table} AS h (" + _COLUMNS + ") SELECT " + _COLUMNS + f" FROM pg_temp.{_STAGE} ORDER BY nik"
    " ON CONFLICT (nik) DO UPDATE SET events = h.events + excluded.events, claims = h.claims + excluded.claims,"
    " identity_min = LEAST(h.identity_min, excluded.identity_min),"
    " identity_max = GREATEST(h.identity_max, excluded.identity_max), prints = h.prints + excluded.prints,"
    " decisions = h.decisions + excluded.decisions,"
    f" checksum = (h.checksum + excluded.checksum) & {HASH_MASK}, refs = h.refs || excluded.refs"
)

# COPY's binary form: a signature, rows of counted fields, an end mark.
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"
_ROW = struct.Struct(">h" + "iq" * 8 + "i")
# A set beyond this is worth no more memory.
ROWS_MAX = 20_000


def write_heads(connection: PostgresConnection, rows: Sequence[list[Any]], table: str) -> None:
    """Add ``rows``, sorted by NIK, to those stored."""
    for start in range(0, len(rows), ROWS_MAX):
        _write(connection, rows[start : start + ROWS_MAX], table)


def _write(connection: PostgresConnection, rows: Sequence[list[Any]], table: str) -> None:
    mine = not connection.in_transaction
    if mine:
        connection.native("BEGIN")
    connection.native(_MAKE_STAGE)
    connection.copy_in(_COPY, packed(rows))
    into = table.replace("shadow.", "pg_temp.") if "." in table else table
    connection.native(_UPSERT.format(table=into if into != "head" else f"{SCHEMA}.head"))
    if mine:
        connection.native("COMMIT")
    else:
        connection.native(f"TRUNCATE pg_temp.{_STAGE}")


def packed(rows: Sequence[list[Any]]) -> bytes:
    """The rows as COPY reads them."""
    pack = _ROW.pack
    pieces = [_SIGNATURE]
    for nik, events, claims, low, high, prints, decisions, checksum, refs in rows:
        pieces.append(
            pack(9, 8, nik, 8, events, 8, claims, 8, low, 8, high, 8, prints, 8, decisions, 8, checksum, len(refs))
        )
        pieces.append(refs)
    pieces.append(_END)
    return b"".join(pieces)
