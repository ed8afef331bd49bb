"""Head rows into SQLite: few by a prepared statement, many by one ``INSERT … SELECT`` from a table image."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from hub.engine.image import REFS_MAX, ROWS_MAX, TABLE, table_image
from hub.engine.rows import NUMBER_COLUMNS, HeadRows
from sepe.head import HASH_MASK
from sepe_io.sqlite import Connection, StorageBusyError, StorageDamagedError, translated

# Below it the image's three pages and its file cost more than binding the values does.
IMAGE_ROWS_MIN = 400
# SQLite attaches ten databases at most, and a check attaches one of its own.
_ALIASES = tuple(f"head_rows_{number}" for number in range(6))
# Memory, where there is a file system of it: the image holds NIK, is read at once and never again.
_MEMORY = Path("/dev/shm")

_COLUMNS = ", ".join((*NUMBER_COLUMNS, "refs"))
_VALUES = f"VALUES ({', '.join('?' * (len(NUMBER_COLUMNS) + 1))})"
# SQLite's || gives text even for two blobs, hence the cast.
_UPSERT = (
    f"INSERT INTO {{table}} ({_COLUMNS}) {{rows}} ON CONFLICT (nik) DO UPDATE SET"
    " events = events + excluded.events,"
    " claims = claims + excluded.claims,"
    " identity_min = MIN(identity_min, excluded.identity_min),"
    " identity_max = MAX(identity_max, excluded.identity_max),"
    " prints = prints + excluded.prints,"
    " decisions = decisions + excluded.decisions,"
    f" checksum = (checksum + excluded.checksum) & {HASH_MASK},"
    " refs = CAST(refs || excluded.refs AS BLOB)"
)


def write_heads(connection: Connection, rows: HeadRows, table: str) -> None:
    """Add ``rows``, ascending by NIK, to those stored in ``table``; in a transaction."""
    fits = rows.ref_counts <= REFS_MAX
    if not fits.all():
        _write_few(connection, rows.where(~fits), table)
        rows = rows.where(fits)
    for start in range(0, len(rows), ROWS_MAX):
        part = rows.part(start, start + ROWS_MAX)
        alias = _free_alias(connection) if len(part) >= IMAGE_ROWS_MIN else ""
        if not alias or not _attach(connection, table_image(part), alias):
            _write_few(connection, part, table)
            continue
        # WHERE: without it SQLite would read ON as the beginning of a join.
        connection.execute(_UPSERT.format(table=table, rows=f"SELECT {_COLUMNS} FROM {alias}.{TABLE} WHERE true"))


def _write_few(connection: Connection, rows: HeadRows, table: str) -> None:
    connection.executemany(_UPSERT.format(table=table, rows=_VALUES), rows.tuples())


def _attach(connection: Connection, image: bytes, alias: str) -> bool:
    """Have the image as a database beside ours; ``False``: there is room for it nowhere.

    Its file has no name any more when this returns. A kill in the middle may leave the name, for its owner's eyes
    alone.
    """
    for folder in (_MEMORY, Path(tempfile.gettempdir())):
        try:
            handle, name = tempfile.mkstemp(prefix="sepe-heads-", dir=folder)
        except OSError:
            continue
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(image)
            with translated():
                # Immutable: SQLite takes no locks and looks for no journal.
                connection.execute(
                    f"ATTACH DATABASE ? AS {alias}", (f"{Path(name).as_uri()}?mode=ro&immutable=1",)
                )
            connection.passing.add(alias)
            return True
        except (OSError, StorageDamagedError):
            continue
        finally:
            with suppress(OSError):
                Path(name).unlink()
    return False


def _free_alias(connection: Connection) -> str:
    """A name to attach under; ``""``: this transaction has used all.

    `sepe_io.sqlite.transaction` lets go of images at its end. Of others, what can go goes here.
    """
    for alias in tuple(connection.passing):
        with suppress(StorageBusyError), translated():
            connection.execute(f"DETACH DATABASE {alias}")
            connection.passing.discard(alias)
    return next((alias for alias in _ALIASES if alias not in connection.passing), "")
