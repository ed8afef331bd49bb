"""What all printers of a machine share: the ledger in a thread of its own, the drawing thread, the queue.

SQLite commits wait for the disk and drawing takes the processor; neither may hold up the event loop, which is
where every printer waits for its next card. All database calls go through one thread and so never overlap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from node.desk.day import day_of
from node.printing.condition import Condition, Conditions
from node.printing.door import Door
from node.printing.driver import Document
from node.printing.due import DueClock
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.queue import QueueStore, load_policy
from node.printing.spool import Fact, JobState
from node.printing.thread import USUAL, DatabaseThread
from node.printing.witness import Witness
from node.storage.store import NodeStore
from sepe.dispatch.order import Key, Queue, Taker, Waiting
from sepe.dispatch.policy import Policy
from sepe.errors import InvalidInputError, SepeError
from sepe_io.logs import logger

log = logger(__name__)

T = TypeVar("T")

# After reading the queue, so many times as long nothing is read.
READ_REST = 10


class DocumentMaker(Protocol):
    """Draws a job; see `node.printing.paper.Paper`."""

    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        """Read what the document says, in the database's thread; the answer draws it, in another."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job with its blank and its document, drawn at ``drawn_ms``: all that is left is to print it."""

    key: Key
    waiting: Waiting
    job: Job
    document: Document
    drawn_ms: int


@dataclass
class Works:
    """Shared by the printers of one node directory.

    Attributes:
        in_hand: jobs that some printer took from the queue and has not given back.
        paces: (printer, when, how long) of cards that came out, not written down yet.
        refusals: which printers refused a job for reasons of their own.
        troubles: what keeps each printer from working, by address; ``""`` nothing.
        is_stale: the queue in memory must be read again before anybody takes from it.
    """

    store: NodeStore
    maker: DocumentMaker
    now_ms: Callable[[], int]
    queue: Queue = field(default_factory=Queue)
    in_hand: set[int] = field(default_factory=set)
    paces: list[tuple[str, int, int]] = field(default_factory=list)
    refusals: dict[int, set[str]] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    is_stale: bool = True

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.store)
        self.queue_store = QueueStore(self.store)
        self.witness = Witness(self.store)
        self.door, self.due = Door(self.store), DueClock(self.store)
        self.policy = Policy()
        self._changed = asyncio.Event()
        self._database = DatabaseThread("press")
        self._drawing = ThreadPoolExecutor(1, "drawing")
        self._reading = asyncio.Lock()
        self._next_read_s = 0.0

    async def close(self) -> None:
        """Wait for what the disk is doing; the store may be closed afterwards."""
        await asyncio.to_thread(self._drawing.shutdown)
        with suppress(SepeError):  # How long cards took is worth keeping, and not worth failing for.
            await self.db(self.note_paces)
        await self._database.close()

    async def db(self, call: Callable[..., T], *arguments: object, rank: int = USUAL) -> T:
        """Call it in the database's thread."""
        return await self._database.run(call, *arguments, rank=rank)

    def wake(self) -> None:
        """Tell every printer that waits that the queue is to be looked at again."""
        self.is_stale = True
        self._changed.set()
        self._changed = asyncio.Event()

    async def until_changed(self, seconds: float) -> None:
        """Wait for `wake`, but no longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def expect_change(self) -> None:
        """The queue is to be read again at once, whenever that was last done."""
        self.is_stale, self._next_read_s = True, 0.0

    async def read_queue(self) -> None:
        """Put everything that can be printed in order again, if something changed since."""
        async with self._reading:
            loop = asyncio.get_running_loop()
            if not self.is_stale or loop.time() < self._next_read_s:
                return
            self.is_stale, started_s = False, loop.time()
            now_ms = self.now_ms()

            def read() -> Policy:
                try:
                    return load_policy(self.store.folder, self.store.node)
                except InvalidInputError as exc:
                    # A slip of the pen in the file must not stop the printers.
                    log.warning("press.policy_unreadable", detail=str(exc))
                    return self.policy

            self.policy = await self.db(read)
            ranked = await self.db(self.queue_store.printable, self.policy, now_ms)
            self.queue.replace(ranked, but=self.in_hand)
            # Of a queue of 50,000 this takes a while; it must not be all that is done.
            self._next_read_s = loop.time() + READ_REST * (loop.time() - started_s)

    async def take(self, taker: Taker) -> tuple[Key, Waiting] | None:
        """The next job for this printer; give it back with `done_with`."""
        await self.read_queue()
        taken = self.queue.take(taker)
        if taken is not None:
            self.in_hand.add(taken[1].job)
        return taken

    def done_with(self, job: int, *, is_waiting: bool = False) -> None:
        """A printer let go of a job; ``is_waiting``: it is to be printed still."""
        self.in_hand.discard(job)
        self.is_stale |= is_waiting

    async def prepare(self, key: Key, waiting: Waiting) -> Prepared | None:
        """Allot the blank and draw; ``None`` when the job is not to be printed any more, or not now."""
        now_ms = self.now_ms()
        job = await self.db(self._allot, waiting.job, now_ms)
        if job is None:
            self.done_with(waiting.job)
            return None
        try:
            draw = await self.db(self.maker.prepare, job, now_ms)
            document = await asyncio.get_running_loop().run_in_executor(self._drawing, draw)
        except InvalidInputError as exc:
            reason = str(exc)
            await self.db(lambda: self.ledger.settle(job.id, Fact.REFUSED, now_ms=now_ms, reason=reason))
            self.done_with(job.id)
            return None
        return Prepared(key, waiting, job, document, now_ms)

    def _allot(self, job_id: int, now_ms: int) -> Job | None:
        with self.store.transaction():
            job = self.ledger.job(job_id)
            # The queue in memory may be older than what somebody just decided.
            if job.state not in (JobState.QUEUED, JobState.READY) or job.fence is None:
                return None
            # Whatever woke it: no card goes by this door that is not due, is disputed, doubtful or incomplete.
            job = self.door.look(job_id, today=self.due.today(now_ms), now_ms=now_ms)
            if job.state not in (JobState.QUEUED, JobState.READY):
                return None
            return self.ledger.allot(job_id, now_ms)

    def note_paces(self) -> None:
        """Write down how long cards took; in the database's thread, now and then: losing a few loses no card."""
        if self.paces:
            paces, self.paces = self.paces, []
            with self.store.transaction():
                for printer, done_ms, took_ms in paces:
                    self.queue_store.note_pace(printer, done_ms, took_ms)

    def condition(self, address: str) -> Condition:
        """A printer's condition today; in the database's thread."""
        return Conditions(self.store).of(address, day_of(self.now_ms(), self.store.node).isoformat())
