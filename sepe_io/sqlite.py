"""Opening SQLite safely, and the one way to write to it.

Durability: journal WAL with synchronous=FULL, so a commit that returned survives a power cut. SQLite 3.7.0 to
3.51.2 has a race in WAL mode: a checkpoint on one connection beside a commit on another can lose the commit
(sqlite.org, release notes of 3.51.3). Several processes share our files, so below 3.51.3 we fall back to a
rollback journal, which is slower and safe. The dependency pysqlite3 bundles a newer SQLite on every platform;
the gate is for machines where somebody replaced it.

``sqlite_utils`` begins deferred, and a block that reads and then writes can fail at once with
SQLITE_BUSY_SNAPSHOT. `transaction` begins IMMEDIATE: it waits for its turn first, then never fails for it.

A disk that fails once is not asked again. After a failed fsync the kernel calls the lost pages clean, so the next
fsync succeeds and proves nothing ("fsyncgate", PostgreSQL 2018). The connection that met an I/O error in a write
therefore takes no more work, and a mark is left beside the file. The next program that opens the file moves the
whole journal into the database and syncs that, from the pages as they are in memory, before it takes work again:
a disk that recovered needs no command, one that did not says so at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pysqlite3.dbapi2 as sqlite3

from sepe.errors import SepeError, TransientError

if TYPE_CHECKING:
    from sqlite_utils import Database

WAL_SAFE_SINCE = (3, 51, 3)
BUSY_TIMEOUT_MS = 10_000
# pysqlite3 drops the least used compiled statement when its cache is full, so that of two new ones each drops the
# other, for ever: after a migration had filled the default of 128, every statement of a recording was compiled
# anew, half of its time. So many never come together on one connection.
STATEMENTS_KEPT = 1_024

# Beside a database whose disk failed, until an opening has proven the disk.
SUSPECT_SUFFIX = "-suspect"
_SQLITE_IOERR = 10
# What the triggers say that guard data which was moved away.
MOVED = "hub_moved"

Connection = Any  # pysqlite3 carries no types; its connection is sqlite3.Connection in all but name.


class StorageFullError(TransientError):
    """The disk is full. The transaction was rolled back; nothing of it is stored, all before it is."""


class StorageBusyError(TransientError):
    """Another process held the write lock for longer than the busy timeout; nothing was written."""


class StorageDamagedError(SepeError):
    """The file is not a database any more, or the disk refuses to read or write it. A person must act."""


class StorageMovedError(TransientError):
    """The data was moved to another database (`hub copy`); what is left here takes no more."""


class DiskFailedError(StorageDamagedError):
    """The disk failed under this connection, which takes no more work; see the top of the module.

    A program that goes on for days ends with this error: whoever supervises it starts it again, and that start
    proves the disk or says what is wrong with it.
    """


class _Guarded(sqlite3.Connection):  # type: ignore[misc]
    """What we know of a connection besides.

    Attributes:
        failure: what the disk said when it failed; ``""`` while all is well.
        passing: names of attached databases that `transaction` lets go of at its end. It cannot be done later:
            BEGIN IMMEDIATE reads from every database that is attached, and what is read from stays attached.
    """

    failure = ""
    suspect_mark = Path()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.passing: set[str] = set()

    def disk_failed(self) -> None:
        """From now on `transaction` refuses, here and after the next opening unless the disk is well by then."""
        self.failure = (
            f"the disk failed while {self.suspect_mark.name.removesuffix(SUSPECT_SUFFIX)} was written, so no more "
            "work is taken. Look at the disk (dmesg, smartctl), then start the program again"
        )
        # Best effort: the disk that failed may take no file either, and then the next opening fails too.
        with suppress(OSError):
            self.suspect_mark.touch()


def wal_is_safe(version: tuple[int, ...] = tuple(sqlite3.sqlite_version_info)) -> bool:
    """Whether this SQLite may use WAL with several connections."""
    return version >= WAL_SAFE_SINCE


def connect(path: Path, *, read_only: bool = False, page_bytes: int = 0) -> Connection:
    """An autocommit connection with our settings; use `transaction` to write.

    Args:
        page_bytes: the size of a page in a file that is still empty; 0: SQLite's own, 4,096. Any other file keeps
            the size that it was made with.

    Raises:
        StorageDamagedError: the file cannot be opened, is not a database, or its disk failed and still does.
        StorageBusyError: another process is switching its journal mode.
    """
    with translated():
        uri = f"{path.resolve().as_uri()}{'?mode=ro' if read_only else ''}"
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000, check_same_thread=False,
            cached_statements=STATEMENTS_KEPT, factory=_Guarded,
        )  # fmt: skip
        connection.suspect_mark = path.with_name(path.name + SUSPECT_SUFFIX)
        try:
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            if not read_only:
                if page_bytes:
                    connection.execute(f"PRAGMA page_size={page_bytes}")
                connection.execute(f"PRAGMA journal_mode={'WAL' if wal_is_safe() else 'PERSIST'}")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA journal_size_limit=67108864")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA temp_store=MEMORY")
            if not read_only and connection.suspect_mark.exists():
                _prove_disk(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def as_database(connection: Connection) -> Database:
    """The same connection for sqlite-utils: schema, migrations and cold paths."""
    # Imported when needed: it takes 0.2 s, and `sepe node record` runs at a desk all day.
    from sqlite_utils import Database

    return Database(connection)


def transaction(connection: Connection) -> AbstractContextManager[None]:
    """A write transaction: waits for its turn first, commits durably at the end, rolls back on any error.

    Raises:
        StorageFullError, StorageBusyError, StorageDamagedError: nothing of the block is stored.
        DiskFailedError: the block may be stored or not, as after a crash, and nothing after it will be.
    """
    if isinstance(connection, sqlite3.Connection):
        return _Transaction(connection)
    # Another engine's, which knows how: `hub.engine.postgres`.
    its_own: AbstractContextManager[None] = connection.transaction()
    return its_own


class _Transaction:  # A generator as context takes thrice as long, and every recording makes one.
    __slots__ = ("_connection",)

    def __init__(self, connection: _Guarded) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        if self._connection.failure:
            raise DiskFailedError(self._connection.failure)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except BaseException as exc:
            self._undo(exc)

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if exc is not None:
            self._undo(exc)
        try:
            self._connection.execute("COMMIT")
        except BaseException as failed:
            self._undo(failed)
        if self._connection.passing:
            _let_go(self._connection)

    def _undo(self, exc: BaseException) -> NoReturn:
        connection = self._connection
        try:
            with translated():
                # SQLite has already rolled back by itself after SQLITE_FULL and most of SQLITE_IOERR.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if _is_disk_error(exc) or _is_disk_error(exc.__cause__):
                    connection.disk_failed()
                    raise DiskFailedError(connection.failure) from exc
                raise exc
        finally:
            _let_go(connection)


def _let_go(connection: _Guarded) -> None:
    for name in tuple(connection.passing):
        # Somebody may still read from it; then it goes at the end of the next transaction.
        with suppress(sqlite3.OperationalError):
            connection.execute(f"DETACH DATABASE {name}")
            connection.passing.discard(name)


@contextmanager
def translated() -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        text = str(exc)
        if "full" in text:
            raise StorageFullError("the disk is full") from exc
        if "locked" in text or "busy" in text:
            raise StorageBusyError("another process holds the database") from exc
        if any(word in text for word in ("disk I/O", "readonly", "unable to open", "malformed")):
            raise StorageDamagedError(text) from exc
        raise
    except sqlite3.IntegrityError as exc:
        if MOVED in str(exc):
            raise StorageMovedError("the hub's data was moved to another database") from exc
        raise
    except sqlite3.DatabaseError as exc:
        if "malformed" in str(exc) or "not a database" in str(exc):
            raise StorageDamagedError(str(exc)) from exc
        raise


def _is_disk_error(exc: BaseException | None) -> bool:
    return isinstance(exc, sqlite3.OperationalError) and exc.sqlite_errorcode & 0xFF == _SQLITE_IOERR


def _prove_disk(connection: Connection) -> None:
    """Bring everything that the journal holds into the database file and sync it; then forget the suspicion.

    Another process that is at work in the file has not met the failure and writes over what failed, so nothing is
    to be proven then; the mark stays for the next opening.
    """
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if not busy:
        connection.suspect_mark.unlink(missing_ok=True)


def migrate(connection: Connection, steps: Sequence[str]) -> int:
    """Bring the schema up to ``len(steps)``; return the version it had.

    sqlite-utils runs the steps and notes each with its time in ``_sqlite_migrations``; all that are due run in one
    transaction together with the new ``user_version``, so a kill in between leaves the old schema whole and the
    next start resumes.

    Raises:
        SepeError: the file is of a newer program; it is left alone.
    """
    found = _schema_version(connection)
    if found > len(steps):
        raise SepeError(
            f"the database has schema {found} and this program knows {len(steps)}: "
            "it was written by a newer Sepe. Install that version; nothing was changed"
        )
    if found < len(steps):
        from sqlite_utils import Migrations

        migrations = Migrations("sepe")
        for number, script in enumerate(steps, start=1):
            migrations(name=f"{number:04}")(_runner(script))
        with transaction(connection):
            # Another process may have done it while we waited for the lock; then nothing is pending.
            migrations.apply(as_database(connection))
            connection.execute(f"PRAGMA user_version={len(steps)}")
    return found


def _schema_version(connection: Connection) -> int:
    with translated():
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _runner(script: str) -> Callable[[Database], None]:
    def run(database: Database) -> None:
        for statement in statements(script):
            database.execute(statement)

    return run


def statements(script: str) -> list[str]:
    """A script's statements, each ending a line; ``executescript`` would commit our transaction."""
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if pending.strip() and sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    assert not pending.strip(), f"unfinished statement: {pending!r}"
    return found
