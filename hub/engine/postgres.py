"""A PostgreSQL connection with the shape of ours to SQLite: `execute`, `executemany`, `transaction`.

**Who waits for whom.** The hub's rules (a right moves once, a case is decided once) were written for one writer at
a time. Here too a `transaction` is the only one: it takes the hub's lock alone. Merging is what must scale, so
`merge_transaction` takes that lock together with other merges, and in front of everything the locks of the nodes
whose frames it holds, in one order. Two workers with frames of one node follow each other; with frames of
different nodes they go side by side and meet only in rows of residents, which every merge takes in the order of
the NIK, and new ones one worker after the other; see `hub.engine.heads`. So they never wait in a circle, and none
overwrites what another wrote. Reading takes no lock.

**A worker that was stopped** (SIGSTOP, a frozen virtual machine) in the middle of a merge is ended by the server
after `MERGE_STALLED_S`, in any other transaction after `STALLED_S`, and with it its locks; when it wakes, its
connection is gone and nothing of the transaction stays. Stopped between two transactions it holds nothing; what it
read before is read again behind the locks.

**The server may go away.** Whatever it was doing then fails with `TransientError`, and the next transaction
connects anew. A commit whose answer was lost may be stored or not; merged again, its frames are duplicates. So may
one that a synchronous standby has not confirmed: when somebody cancels the wait for it, PostgreSQL says that the
commit is done, and only warns.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg.abc import AdaptContext, DumperKey, PyFormat
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper, NumericBinaryLoader, NumericLoader
from psycopg.types.string import StrDumperUnknown

from hub.engine.dialect import SEARCH_PATH, Dialect, Statement
from hub.engine.place import ContendedError
from sepe.errors import InvalidInputError, SepeError, TransientError
from sepe_io.sqlite import (
    BUSY_TIMEOUT_MS,
    MOVED,
    StorageBusyError,
    StorageDamagedError,
    StorageFullError,
    StorageMovedError,
)

CONNECT_TIMEOUT_S = 10
# Longer than any pause between two statements of one of our transactions: a rebuild folds 100,000 events in one.
STALLED_S = 15
# A merge pauses for some 50 ms at most, to add up its heads. Half of how long others wait for its locks.
MERGE_STALLED_S = 5.0
STREAM_ROWS = 5_000
# The first number of all our advisory locks: "SEPE" and "SEPF".
_HUB_LOCKS, _NODE_LOCKS = 0x53455045, 0x53455046
_HUB_LOCK, NUMBER_LOCK, _NEW_HEADS_LOCK = 1, 2, 3

T = TypeVar("T")


class DatabaseLostError(TransientError):
    """The server does not answer. What was being committed may be stored or not; all before it is."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A value in PostgreSQL's binary form, and the number of its type."""

    kind: int
    data: bytes


class _Packed(Dumper):
    format = pq.Format.BINARY

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self.oid = 0

    def get_key(self, obj: Packed, format: PyFormat) -> DumperKey:
        return (self.cls, obj.kind)  # type: ignore[return-value]

    def upgrade(self, obj: Packed, format: PyFormat) -> Dumper:
        found = _Packed(self.cls)
        found.oid = obj.kind
        return found

    def dump(self, obj: Packed) -> bytes:
        return obj.data


class _Text(StrDumperUnknown):
    """PostgreSQL's text cannot hold a zero byte; only names that a peer invented have one."""

    def dump(self, obj: str) -> bytes:
        return bytes(super().dump(obj.replace("\x00", "\ufffd")) or b"")


class _Whole(NumericLoader):
    """Sums of whole numbers are whole numbers."""

    def load(self, data: Any) -> Any:
        return int(super().load(data))


class _WholeBinary(NumericBinaryLoader):
    def load(self, data: Any) -> Any:
        return int(super().load(data))


class PostgresConnection:
    """Autocommit outside `transaction`, as our connections to SQLite are. Used by one thread at a time."""

    is_postgres = True

    def __init__(self, url: str, dialect: Dialect, *, read_only: bool = False) -> None:
        self.url = url
        self._dialect = dialect
        self._read_only = read_only
        self._in_block = False
        self._is_warned = False
        self._raw = self._connected()

    def close(self) -> None:
        self._raw.close()

    @property
    def in_transaction(self) -> bool:
        return self._raw.info.transaction_status not in (pq.TransactionStatus.IDLE, pq.TransactionStatus.UNKNOWN)

    @property
    def backend(self) -> int:
        """The server's process that serves this connection."""
        return self._raw.info.backend_pid

    def execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        """Run one statement of the hub; the cursor gives its rows. ``BEGIN`` opens a snapshot for reading."""
        word = sql.strip().upper()
        if word == "BEGIN":
            return self.native("BEGIN ISOLATION LEVEL REPEATABLE READ")
        if word in ("COMMIT", "ROLLBACK"):
            return self.native(word)
        statement = self._translated(sql)
        if statement.order is not None:
            values = [values[place] for place in statement.order]
        return self.native(statement.text, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row, in one transaction."""
        many = list(rows)
        if many:
            statement = self._translated(sql).text
            self._try(lambda: self._raw.cursor().executemany(statement, many))

    def native(self, sql: str, values: Sequence[object] = ()) -> Any:
        """Run a statement in PostgreSQL's own words, with ``$1``."""
        if not values:
            # Several statements in one cannot be prepared, and give their rows as text.
            is_one = ";" not in sql
            return self._try(lambda: self._raw.execute(sql, prepare=None if is_one else False, binary=is_one))
        return self._try(lambda: self._raw.execute(sql, values, binary=True))

    def copy_in(self, sql: str, data: bytes | bytearray) -> None:
        """Feed ``COPY … FROM STDIN (FORMAT binary)``."""

        def feed() -> None:
            with self._raw.cursor().copy(sql) as copy:
                copy.write(data)

        self._try(feed)

    def copy_out(self, sql: str) -> Iterator[bytes]:
        """The pieces of ``COPY … TO STDOUT``."""
        with _as_ours(), self._raw.cursor().copy(sql) as copy:
            for piece in copy:
                yield bytes(piece)

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query as of one moment, some at a time, so that a large answer needs no memory."""
        mine = not self.in_transaction
        if mine:
            self.execute("BEGIN")
        try:
            self.native(f"DECLARE stream NO SCROLL CURSOR FOR {self._translated(sql).text}")
            while rows := self.native(f"FETCH {STREAM_ROWS} FROM stream").fetchall():
                yield from rows
            self.native("CLOSE stream")
        finally:
            if mine and self.in_transaction:
                self.native("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction that is alone; see the module. Any error rolls it back.

        Raises:
            StorageBusyError: others held the lock for too long; nothing was written.
            ContendedError, DatabaseLostError, StorageFullError, StorageDamagedError: see there.
        """
        with self._block(f"BEGIN; SELECT pg_advisory_xact_lock({_HUB_LOCKS}, {_HUB_LOCK})"):
            yield

    @contextmanager
    def merge_transaction(self, nodes: Iterable[str]) -> Iterator[None]:
        """A write transaction beside other merges, for frames that name these nodes."""
        begin = (
            f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = {round(MERGE_STALLED_S * 1000)};"
            f" SELECT pg_advisory_xact_lock_shared({_HUB_LOCKS}, {_HUB_LOCK})"
        )
        with self._block(begin):
            locks = sorted({_lock_of(node) for node in nodes})
            self.native(
                f"SELECT count(pg_advisory_xact_lock({_NODE_LOCKS}, one)) FROM unnest($1::int[]) AS one",
                (locks,),
            )
            yield

    def next_number(self, wanted: int) -> int:
        """The first of as many numbers for frames; call it before anything is written. See `dialect.SETTLED`."""
        return int(self.native("SELECT take_numbers($1)", (wanted,)).fetchone()[0])

    def lock_new_heads(self) -> str:
        """From here to the end of the transaction nobody else adds rows of residents.

        Returns:
            the moment behind the lock: the same text as before means that nobody committed anything since.
        """
        self.native(f"SELECT pg_advisory_xact_lock({_HUB_LOCKS}, {_NEW_HEADS_LOCK})")
        return str(self.native("SELECT pg_current_snapshot()::text").fetchone()[0])

    def _translated(self, sql: str) -> Statement:
        return self._dialect.statement(sql, not self.in_transaction)

    @contextmanager
    def _block(self, begin: str) -> Iterator[None]:
        if self._raw.closed:
            self._raw = self._connected()
        try:
            try:
                self.native(begin)
            except DatabaseLostError:
                # The server was started anew since we last asked: nothing was begun, so asking again is safe.
                self._raw.close()
                self._raw = self._connected()
                self.native(begin)
            self._in_block = True
            yield
            self._commit()
        except BaseException:
            with suppress(SepeError):
                if self.in_transaction and not self._raw.closed:
                    self.native("ROLLBACK")
            raise
        finally:
            self._in_block = False

    def _commit(self) -> None:
        self._is_warned = False
        self.native("COMMIT")
        if self._is_warned:
            raise DatabaseLostError("committed here, and not yet at the synchronous standby")

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self._is_warned |= notice.severity_nonlocalized == "WARNING"

    def _try(self, work: Callable[[], T]) -> T:
        if self._raw.closed:
            if self._in_block:
                # What was written before is gone, so nothing may follow it on another connection.
                raise DatabaseLostError("the connection was lost in the middle of a transaction")
            self._raw = self._connected()
        try:
            return work()
        except psycopg.Error as exc:
            _raise(exc, is_lost=self._raw.closed)

    def _connected(self) -> psycopg.Connection[Any]:
        with _as_ours():
            try:
                raw = psycopg.connect(
                    self.url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="sepe-hub",
                    cursor_factory=psycopg.RawCursor, keepalives_idle=30,
                )  # fmt: skip
            except psycopg.ProgrammingError as exc:
                raise unusable(self.url, "it cannot be read as a database address") from exc
        raw.add_notice_handler(self._hear)
        adapters = raw.adapters
        # One type for every number: the server infers nothing from how large it happens to be.
        adapters.register_dumper(int, Int8Dumper)
        adapters.register_dumper(int, Int8BinaryDumper)
        adapters.register_dumper(str, _Text)
        adapters.register_dumper(Packed, _Packed)
        adapters.register_loader("numeric", _Whole)
        adapters.register_loader("numeric", _WholeBinary)
        raw.execute(
            f"SET search_path = {SEARCH_PATH}; SET lock_timeout = {BUSY_TIMEOUT_MS}; SET jit = off;"
            f" SET idle_in_transaction_session_timeout = {STALLED_S * 1000}; SET client_min_messages = warning;"
            f" SET default_transaction_read_only = {'on' if self._read_only else 'off'};"
            # A commit that returned survives a power cut; a stricter setting of the server's stays.
            " SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        )
        return raw


def unusable(url: str, why: str) -> InvalidInputError:
    """The address is of no use. A password in it is not shown."""
    return InvalidInputError(
        f"this PostgreSQL database cannot be used: {why}", field="--db", value=shown_url(url),
        hint="postgresql://USER@HOST:PORT/DATABASE; see docs/reference/postgresql.md",
    )  # fmt: skip


def shown_url(url: str) -> str:
    """A database's address without a password, as a page and a log may show it."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "postgresql:"
    user = f"{parts['user']}@" if parts.get("user") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user}{parts.get('host') or ''}{port}/{parts.get('dbname') or ''}"


def _lock_of(node: str) -> int:
    """A node's lock. Two nodes may share one, and then follow each other."""
    number = zlib.crc32(node.encode("utf-8", "surrogatepass"))
    return number - (1 << 32) if number >= 1 << 31 else number


@contextmanager
def _as_ours() -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except psycopg.Error as exc:
        _raise(exc, is_lost=False)


def _raise(exc: psycopg.Error, *, is_lost: bool) -> NoReturn:
    text = str(exc).partition("\n")[0]
    if isinstance(exc, errors.DiskFull | errors.OutOfMemory):
        raise StorageFullError("the database's disk or memory is full") from exc
    if isinstance(exc, errors.DeadlockDetected | errors.SerializationFailure):
        raise ContendedError("two writers waited for each other; ours begins again") from exc
    if isinstance(exc, errors.LockNotAvailable):
        raise StorageBusyError("another process holds the database") from exc
    if isinstance(exc, errors.DataCorrupted | errors.IndexCorrupted):
        raise StorageDamagedError(f"PostgreSQL finds damage in its files: {text}") from exc
    if isinstance(exc, errors.RaiseException) and MOVED in text:
        raise StorageMovedError("the hub's data was moved to another database") from exc
    if isinstance(
        exc, errors.InvalidPassword | errors.InvalidAuthorizationSpecification | errors.InvalidCatalogName
    ):
        raise SepeError(f"PostgreSQL refuses us: {text}") from exc
    gone = psycopg.OperationalError | psycopg.InterfaceError | errors.ReadOnlySqlTransaction
    if is_lost or isinstance(exc, gone):
        raise DatabaseLostError(f"PostgreSQL does not answer: {_spoken(text)}") from exc
    raise exc


def _spoken(text: str) -> str:
    """A connection's error without what could be a value."""
    return text[:200]
