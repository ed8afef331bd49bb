"""Where a hub's data is: ``hub.db`` in its directory, or the PostgreSQL database that the file ``database`` names.

The directory stays the hub's home either way: its key, its certificates, its attachments and its addresses are
there. The file may hold a password, so only its owner reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sepe.errors import InvalidInputError, TransientError
from sepe_io import sqlite
from sepe_io.files import replace_file
from sepe_io.sqlite import Connection

DATABASE = "hub.db"
PLACE_FILE = "database"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")

# Two million residents, offices' own regions: a commit changes most pages of these regions, and half as many pages
# are half as many calls of the system (10.5 µs an event against 17 with 4,096 bytes, 12 with 16,384).
_PAGE_BYTES = 8_192
# The pages that offices' own residents share stay in memory, 64 MiB of them; and a page that many commits change
# goes from the journal into the file once for 125 MiB of journal, not for 4. At five million residents a commit of
# 32,000 events is 42 MiB of it (offices' own regions) to 170 (random NIK), so the file keeps that room. Against
# 64 MiB of both, the writer then takes 8 % less CPU in own regions, and the same with random NIK.
_WRITER_SETTINGS = (
    "PRAGMA cache_size=-65536", "PRAGMA wal_autocheckpoint=16000", f"PRAGMA journal_size_limit={192 << 20}"
)  # fmt: skip


class ContendedError(TransientError):
    """Two transactions waited for each other, and the server ended ours; nothing of it is stored. Begin again."""


def is_postgres(connection: Connection) -> bool:
    """Whether this connection leads to a PostgreSQL server."""
    return bool(getattr(connection, "is_postgres", False))


def url_of(directory: Path) -> str:
    """The address of the hub's PostgreSQL database; ``""`` when its data is ``hub.db``."""
    try:
        return (directory / PLACE_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def url_open(connection: Connection) -> str:
    """The address that a connection was opened with; ``""``: a file."""
    return str(connection.url) if is_postgres(connection) else ""


def size_bytes(directory: Path, connection: Connection) -> int:
    """What the hub's data takes on its disk."""
    if is_postgres(connection):
        return int(connection.native("SELECT pg_database_size(current_database())").fetchone()[0])
    return (directory / DATABASE).stat().st_size


def remember(directory: Path, url: str) -> None:
    """From now on the hub's data is there; ``""``: in ``hub.db``."""
    replace_file(directory / PLACE_FILE, f"{url}\n".encode())


def check_url(url: str, *, field: str = "--db") -> str:
    """``url``, when it is one that a hub can use.

    Raises:
        InvalidInputError: it names no PostgreSQL database.
    """
    if url.startswith(POSTGRES_SCHEMES):
        return url
    if url.startswith("sqlite:"):
        raise InvalidInputError(
            "the SQLite database is always hub.db in DIR", field=field, value=url, hint="Leave --db out."
        )
    raise InvalidInputError(
        "a hub stores in SQLite or in PostgreSQL", field=field, value=url.partition(":")[0],
        hint="postgresql://USER@HOST:PORT/DATABASE, or leave --db out for hub.db in DIR.",
    )  # fmt: skip


def connect(directory: Path, *, read_only: bool = False) -> Connection:
    """A connection to the data of the hub in ``directory``; its tables may not be made yet."""
    url = url_of(directory)
    if url:
        return connect_to(url, read_only=read_only)
    connection = sqlite.connect(directory / DATABASE, read_only=read_only, page_bytes=_PAGE_BYTES)
    if not read_only:
        for setting in _WRITER_SETTINGS:
            connection.execute(setting)
    return connection


def connect_to(url: str, *, read_only: bool = False) -> Any:
    """A connection to a PostgreSQL database."""
    # The driver loads only where it is used: a hub on SQLite needs none.
    from hub.engine import schema

    return schema.connect(url, read_only=read_only)


def prepare(connection: Connection) -> None:
    """Make the hub's tables, or bring them up to date."""
    from hub.merge.schema import STEPS

    if not is_postgres(connection):
        sqlite.migrate(connection, STEPS)
        return
    from hub.engine import schema

    schema.prepare(connection)


def claim(directory: Path, url: str) -> None:
    """Make an empty database the place of a new hub's data; done twice by the same hub it changes nothing.

    Raises:
        InvalidInputError: another hub's data is there.
    """
    if url_of(directory) == check_url(url):
        return
    connection = connect_to(url)
    try:
        if is_prepared(connection) and connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone():
            raise InvalidInputError(
                "there is already a hub in this database", field="--db", value="postgresql:",
                hint="Name an empty one: createdb NAME.",
            )  # fmt: skip
    finally:
        connection.close()
    remember(directory, url)


@contextmanager
def merge_transaction(connection: Connection, nodes: Iterable[str]) -> Iterator[None]:
    """A write transaction for frames that name these nodes. On PostgreSQL workers have theirs side by side."""
    with connection.merge_transaction(nodes) if is_postgres(connection) else sqlite.transaction(connection):
        yield


def stream(connection: Connection, sql: str) -> Iterable[tuple[Any, ...]]:
    """The rows of a query as of one moment, without holding them all in memory."""
    rows: Iterable[tuple[Any, ...]] = (connection.stream if is_postgres(connection) else connection.execute)(sql)
    return rows


def is_prepared(connection: Connection) -> bool:
    """Whether the hub's tables are there."""
    if not is_postgres(connection):
        return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone() is not None
    from hub.engine import schema

    return schema.is_prepared(connection)
