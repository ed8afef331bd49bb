"""The database of one office machine: its outbox, and the ground the desk and the print ledger stand on.

Several processes use the file at once (a command at the desk while the node runs), so nothing is remembered
between transactions: seq, stamp and chain are read and extended inside one BEGIN IMMEDIATE. A store belongs to
one thread at a time; further threads open their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from node.outbox.plan import Page, Row, next_page, sound_page
from node.settings import DATABASE_NAME, NodeSettings, load_settings
from node.storage import damage, outbox, prune, schema
from node.storage.bell import Ringer, RingingTransaction
from node.storage.position import ClockView, Position, Tail
from sepe import codec, hlc
from sepe.antientropy import find_faults
from sepe.errors import InvalidInputError
from sepe.events import Draft
from sepe.ids import EventId
from sepe_io import sqlite
from sepe_io.sqlite import Connection, StorageDamagedError

# How many rows at the end of the outbox every opening verifies; `doctor` verifies all.
TAIL_ROWS = 8
# A wall clock beyond this (year 4199) is not believed; it also keeps stamps inside SQLite's signed 64 bits.
CLOCK_MS_MAX = (1 << 46) - 1
LINK_FRESH_MS = 20_000
# A recording writes the same few pages as the one before it, so a journal of 16 MB instead of 4 moves each of them
# into the database a quarter as often.
_CHECKPOINT = "PRAGMA wal_autocheckpoint=4000"
_PART = nullcontext()

# In meta until the hub was asked what an earlier machine of this name did: node/outbox/predecessor.py.
PREDECESSOR_KEY = "predecessor"


class NodeStore:
    """One node directory, opened."""

    def __init__(
        self, folder: Path, settings: NodeSettings, connection: Connection, *, is_read_only: bool = False
    ) -> None:
        self._is_read_only = is_read_only
        self.folder = folder
        self.settings = settings
        self.node = settings.node
        self.connection = connection
        self._ringer = Ringer(folder)

    @classmethod
    def create(cls, folder: Path, settings: NodeSettings, *, now_ms: int) -> NodeStore:
        """Make the database of a new machine, with its first epoch; a database that is there is kept."""
        connection = sqlite.connect(folder / DATABASE_NAME)
        sqlite.migrate(connection, schema.STEPS)
        store = cls(folder, settings, connection)
        connection.execute(_CHECKPOINT)
        with store.transaction():
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('node', ?)", (settings.node,))
            if connection.execute("SELECT count(*) FROM epoch").fetchone()[0] == 0:
                outbox.insert_epoch(connection, "created", now_ms, stamp_floor=0)
                store.put(PREDECESSOR_KEY, "unasked")
        return store

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> NodeStore:
        """Open a node directory, bring its schema up to date and check the end of the outbox.

        An end that is not what was written is noted, and recording goes on; see `node.storage.damage`.

        Raises:
            InvalidInputError: no node directory, or one whose settings and database name different nodes.
            StorageDamagedError: the database cannot be read.
        """
        settings = load_settings(folder)
        path = folder / DATABASE_NAME
        if not path.is_file():
            raise StorageDamagedError(f"{DATABASE_NAME} is missing from {folder}; restore it from a backup")
        connection = sqlite.connect(path, read_only=read_only)
        store = cls(folder, settings, connection, is_read_only=read_only)
        try:
            if not read_only:
                connection.execute(_CHECKPOINT)
                sqlite.migrate(connection, schema.STEPS)
            store._check_identity()
            store._check_tail()
        except BaseException:
            connection.close()
            raise
        return store

    def close(self) -> None:
        """Release the database; a second call does nothing."""
        self._ringer.close()
        self.connection.close()

    def transaction(self) -> AbstractContextManager[None]:
        """A durable write transaction; inside another one of this store, a part of that."""
        return _PART if self.connection.in_transaction else RingingTransaction(self.connection, self._ringer)

    # Outbox: write

    def append(self, drafts: Sequence[Draft], now_ms: int, tail: Tail | None = None) -> list[EventId]:
        """Write events to the outbox, in order; return their names.

        Stamps rise whatever the wall clock does. Inside `transaction` they commit with it.

        Args:
            tail: what `tail` said in this transaction, if nothing was written to the outbox since.

        Raises:
            StorageFullError, StorageBusyError: nothing was written.
        """
        with self.transaction():
            tail = tail or self.tail()
            stamp, chain, seq = tail.last_stamp, tail.last_chain, tail.last_seq
            wall_ms, seen_hub = min(now_ms, CLOCK_MS_MAX), hlc.stamp_of(tail.hub_ms)
            rows: list[tuple[int, int, int, int, int, bytes, bytes]] = []
            for draft in drafts:
                seq += 1
                stamp = hlc.next_stamp(stamp, wall_ms, seen_hub=seen_hub)
                chain = codec.chain_next(chain, draft.nik, stamp, draft.kind, draft.body)
                rows.append((tail.number, seq, draft.nik, stamp, draft.kind, draft.body, chain))
            outbox.insert(self.connection, rows)
            self._ringer.has_news = True
        return [EventId(self.node, tail.epoch, row[1]) for row in rows]

    def open_epoch(
        self, reason: str, keep_seq: int, now_ms: int, elsewhere: Collection[bytes] = frozenset()
    ) -> Position:
        """Begin a new epoch; the current one's rows above ``keep_seq`` are written again in it.

        They keep their stamps, because a fact is as old as it is whatever it is called now. The old rows stay
        readable until they are pruned. A damaged row is left out. All of it is one transaction.

        Args:
            elsewhere: `codec.fact_digest` of events that the hub holds under another name; they are left out.
        """
        with self.transaction():
            old = self.tail()
            self._note_damage(old.number, keep_seq, now_ms)
            left_out = damage.seqs_of(self.connection, old.number)
            number, epoch = outbox.insert_epoch(self.connection, reason, now_ms, stamp_floor=old.last_stamp)
            chain = codec.chain_start(self.node, epoch)
            rows: list[tuple[int, int, int, int, int, bytes, bytes]] = []
            for row in self._rows(old.number, keep_seq):
                if row.seq in left_out or outbox.is_in(elsewhere, row):
                    continue
                chain = codec.chain_next(chain, row.nik, row.stamp, row.kind, row.body)
                rows.append((number, len(rows) + 1, row.nik, row.stamp, row.kind, row.body, chain))
            outbox.insert(self.connection, rows)
            self.connection.execute(
                "UPDATE epoch SET carried_seq = ?, left_out = ? WHERE number = ?",
                (len(rows), max(old.last_seq - keep_seq, 0) - len(rows), number),
            )
            return self.position()

    def prune(self, now_ms: int, keep_ms: int = prune.KEEP_MS, keep_bytes: int = prune.KEEP_BYTES) -> int:
        """Forget rows that the hub confirmed more than ``keep_ms`` ago, or the oldest it holds of a large file.

        Only rows at or under the watermark go, and never the last one. Returns how many went; the hub may ask
        for younger ones again after a restore from its backup. Age is by the earlier of our clock and the hub's as
        last heard: a clock that jumped ten years ahead must not make everything old.
        """
        pruned = 0
        hub_ms = self.clock().hub_ms
        believed_ms = min(now_ms, hub_ms) if hub_ms else now_ms
        while True:
            with self.transaction():
                tail = self.tail()
                batch = prune.prune_batch(
                    self.connection,
                    tail.number,
                    tail.last_seq,
                    before_ms=believed_ms - keep_ms,
                    keep_bytes=keep_bytes,
                )
            if not batch:
                return pruned
            pruned += batch

    # Outbox: read

    @property
    def epoch(self) -> bytes:
        """The current epoch, 16 bytes."""
        return self.tail().epoch

    def tail(self) -> Tail:
        """Everything that the next event needs to know."""
        try:
            return outbox.tail_of(self.connection, self.node)
        except Exception:
            with sqlite.translated():
                raise

    def position(self) -> Position:
        """Where this machine's history stands, in one consistent look."""
        tail = self.tail()
        return Position(tail.epoch, tail.last_seq, tail.last_chain, tail.durable_seq)

    def page(self, after_seq: int, events_max: int = codec.EVENTS_MAX) -> Page | None:
        """The current epoch's events from ``after_seq + 1`` that fit one frame; ``None`` when there are none.

        A row that is not what was written ends the run: it is noted, and never travels.
        """
        with self.reading():
            number = self.tail().number
            chain = self._chain(number, after_seq)
            if chain is None:
                return None
            found = outbox.rows_after(self.connection, number, after_seq, max(events_max, 0)).fetchall()
            if not found:
                return None
            if (page := sound_page(chain, after_seq, found)) is not None:
                return page
            rows = damage.SoundRows(chain, after_seq, (Row(*one) for one in found))
            page = next_page(chain, after_seq, rows, events_max)
        if rows.stopped_seq:
            self._note_damage(number, after_seq, hlc.wall_ms_of(self.tail().last_stamp))
        return page

    def chain_at(self, seq: int, epoch: bytes | None = None) -> bytes | None:
        """The digest after ``seq`` of the current epoch (or ``epoch``); ``None`` when that row is not held."""
        with self.reading():
            if epoch is None:
                return self._chain(self.tail().number, seq)
            row = self._one("SELECT number FROM epoch WHERE epoch = ?", epoch)
            return None if row is None else self._chain(row[0], seq)

    def events_after(self, seq: int, epoch: bytes | None = None) -> Iterator[Row]:
        """Rows of the current epoch (or ``epoch``) above ``seq``, in order."""
        number = self.tail().number
        if epoch is not None:
            row = self._one("SELECT number FROM epoch WHERE epoch = ?", epoch)
            if row is None:
                return
            number = row[0]
        yield from self._rows(number, seq)

    def epochs(self) -> list[bytes]:
        """Every epoch of this machine, oldest first."""
        return [row[0] for row in self._all("SELECT epoch FROM epoch ORDER BY number")]

    def last_seq_of(self, epoch: bytes) -> int:
        """The highest seq held of an epoch, 0 when none is."""
        statement = "SELECT max(seq) FROM outbox WHERE epoch = (SELECT number FROM epoch WHERE epoch = ?)"
        return int(self._one(statement, epoch)[0] or 0)

    # What the hub said

    def store_durable(self, seq: int, now_ms: int, went_back: bool = False) -> None:
        """Persist the hub's watermark. It only rises, unless the hub itself ``went_back``.

        Raises:
            InvalidInputError: ``seq`` lies above the outbox's last; nothing was stored.
        """
        with self.transaction():
            tail = self.tail()
            if seq > tail.last_seq:
                raise InvalidInputError("the hub cannot hold more than was sent", field="durable_seq", value=seq)
            if seq > tail.durable_seq or went_back:
                self.connection.execute(
                    "UPDATE epoch SET durable_seq = ?, durable_ms = ? WHERE number = ?", (seq, now_ms, tail.number)
                )
                if went_back:
                    prune.forget_confirmed(self.connection, tail.number, seq)
                prune.note_confirmed(self.connection, tail.number, seq, max(now_ms, tail.hub_ms))

    def see_hub_clock(self, hub_ms: int, now_ms: int | None = None) -> None:
        """Remember the hub's clock, so that our later stamps lie above it. It only rises.

        Args:
            now_ms: our clock at that moment, for the skew; ``None`` leaves the skew alone.
        """
        if not 0 < hub_ms <= CLOCK_MS_MAX:
            return
        with self.transaction():
            self.connection.execute("UPDATE clock SET hub_ms = max(hub_ms, ?)", (hub_ms,))
            if now_ms is not None:
                self.connection.execute("UPDATE clock SET heard_ms = ?, skew_ms = ?", (now_ms, now_ms - hub_ms))

    def clock(self) -> ClockView:
        """What this machine knows of time."""
        tail = self.tail()
        return ClockView(tail.hub_ms, tail.heard_ms, tail.skew_ms, tail.last_stamp)

    def report_link(self, kind: str, now_ms: int) -> None:
        """The running node says every few seconds how it reaches the hub: ``nats``, ``grpc`` or ``offline``."""
        self.put("link", f"{now_ms} {kind}")

    def link(self, now_ms: int) -> str:
        """``nats``, ``grpc`` or ``offline``; offline too when no running node said so lately."""
        said_ms, _, kind = (self.get("link") or "0 offline").partition(" ")
        return kind if abs(now_ms - int(said_ms)) <= LINK_FRESH_MS else "offline"

    # Small things by name

    def get(self, key: str) -> str | None:
        """A remembered text, ``None`` when there is none."""
        row = self._one("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row[0])

    def put(self, key: str, value: str | None) -> None:
        """Remember a text under ``key``; ``None`` forgets it."""
        with self.transaction():
            if value is None:
                self.connection.execute("DELETE FROM meta WHERE key = ?", (key,))
            else:
                self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def data_version(self) -> int:
        """A number that changes when another connection committed; cheap enough to ask every 50 ms."""
        return int(self._one("PRAGMA data_version")[0])

    # Private

    def _check_identity(self) -> None:
        known = self.get("node")
        if known != self.node:
            raise InvalidInputError(
                f"the settings name another machine than the database ({known})",
                field="node",
                value=self.node,
                hint="A machine keeps its name; make a new directory with `sepe node init` for another one.",
            )

    def _check_tail(self) -> None:
        tail = self.tail()
        first = max(tail.last_seq - TAIL_ROWS, 0)
        chain = self._chain(tail.number, first)
        if chain is None:
            return
        rows = damage.SoundRows(chain, first, self._rows(tail.number, first))
        for _ in rows:
            pass
        if not rows.stopped_seq or self._is_read_only:
            return
        now_ms = hlc.wall_ms_of(tail.last_stamp)
        with self.transaction():
            self._note_damage(tail.number, first, now_ms)
            if rows.stopped_seq == tail.last_seq <= tail.durable_seq:
                # The next event would build on a digest that may be wrong; the hub holds all of this epoch.
                self.open_epoch("damaged", tail.last_seq, now_ms)

    def _note_damage(self, number: int, after_seq: int, now_ms: int) -> None:
        """Check the rows of an epoch above ``after_seq`` and note what is not what was written."""
        after_seq = max(after_seq, self._one("SELECT pruned_seq FROM epoch WHERE number = ?", number)[0])
        chain = self._chain(number, after_seq)
        if chain is None or self._is_read_only:
            return
        with self.transaction():
            faults = find_faults(chain, after_seq, self._rows(number, after_seq))
            damage.note(self.connection, number, list(faults), now_ms)

    def _chain(self, number: int, seq: int) -> bytes | None:
        with sqlite.translated():
            return outbox.chain_at(self.connection, self.node, number, seq)

    def _rows(self, number: int, after_seq: int) -> Iterator[Row]:
        with sqlite.translated():
            yield from (Row(*row) for row in outbox.rows_after(self.connection, number, after_seq))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Several reads of one moment."""
        if self.connection.in_transaction:
            yield
            return
        with sqlite.translated():
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                self.connection.execute("COMMIT")

    def _one(self, statement: str, *arguments: object) -> Any:
        try:
            return self.connection.execute(statement, arguments).fetchone()
        except Exception:  # The context costs as much as the query, and is needed once in a year.
            with sqlite.translated():
                raise

    def _all(self, statement: str, *arguments: object) -> list[Any]:
        with sqlite.translated():
            return list(self.connection.execute(statement, arguments).fetchall())
