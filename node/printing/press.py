"""The press: brings ready jobs to one printer and asks it what became of them.

Plan, perform, record. The plan is the ledger's order; before the printer hears of a job its intent is committed;
what the printer said is recorded afterwards. Killed in between, the next press finds the job *reserved* and asks
the printer's memory: it remembers the job's name and says how far it came, or the job is in doubt and stays so
until a person has looked. One press at a time works in a node directory: whoever holds the file lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from filelock import FileLock, Timeout

from node.desk.day import day_of, seen_ms
from node.printing.driver import (
    Document,
    JobOutcome,
    PrintDriver,
    PrinterBusyError,
    PrinterRefusedError,
    PrinterState,
    PrinterUnreachableError,
    open_driver,
)
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.rights import RightsClient
from node.printing.spool import Fact, JobState
from node.settings import PRESS_LOCK_NAME
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError, SepeError, TransientError
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError

log = logger(__name__)

T = TypeVar("T")

# Jobs per turn: a turn stays short, so that a job which someone waits for overtakes the queue soon.
FEED_JOBS_MAX = 20
CLAIMS_MAX = 20
NO_LINE_RETRY_MS = 15_000
DENIED_RETRY_MS = 300_000
DOUBT_RETRY_MS = 30_000
IDLE_SECONDS = 1.0
STEP_SECONDS = 0.2
FAULT_SECONDS = 5.0
NO_LINE = "belum ada sambungan ke pusat untuk meminta hak cetak"


class DocumentMaker(Protocol):
    """Draws a job; see `node.printing.paper.Paper`."""

    def document(self, job: Job, now_ms: int) -> Document: ...


def press_lock(folder: Path) -> FileLock:
    """The lock that makes one press of a node directory the only one."""
    return FileLock(folder / PRESS_LOCK_NAME)


def reading(state: JobState, outcome: JobOutcome) -> Fact | None:
    """What the printer's word on a job that we handed over means; ``None``: nothing new."""
    match outcome:
        case JobOutcome.PRINTED:
            return Fact.PRINTED
        case JobOutcome.ABORTED:
            return Fact.ABORTED
        case JobOutcome.PENDING | JobOutcome.PRINTING:
            return None if state is JobState.SUBMITTED else Fact.ACCEPTED
        case JobOutcome.CANCELED:
            return None if state is JobState.IN_DOUBT else Fact.CANCELED
        case JobOutcome.UNKNOWN:
            return {JobState.RESERVED: Fact.LOST, JobState.SUBMITTED: Fact.FORGOTTEN}.get(state)


class Press:
    """One printer at work for one node directory. Hold `press_lock` while using it.

    Args:
        store: for this press alone; it is used in a thread of its own, and so is ``maker``.
        printer: the printer's address, as the ledger remembers it.
        rights: the way to the hub's rights; ``None`` when there is none.
        now_ms: the wall clock.
    """

    def __init__(
        self,
        store: NodeStore,
        driver: PrintDriver,
        maker: DocumentMaker,
        *,
        printer: str,
        rights: RightsClient | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._driver = driver
        self._maker = maker
        self._printer = printer
        self._rights = rights
        self._now_ms = now_ms
        self._ledger = Ledger(store)
        self._asked_ms: dict[int, int] = {}
        # SQLite commits wait for the disk; they must not hold up the event loop, and never overlap.
        self._thread = ThreadPoolExecutor(1, "press")

    async def close(self) -> None:
        """Wait for what the disk is doing; the store may be closed afterwards."""
        await asyncio.to_thread(self._thread.shutdown)

    async def turn(self, *, wanted_only: bool = False) -> int:
        """Watch what the printer has, fetch rights, feed the printer; return how many jobs moved.

        Raises:
            StorageFullError, StorageBusyError: what the printer was told stays told; the next turn asks it.
        """
        moved = await self._db(self._wake)
        moved += await self._watch()
        moved += await self._claim_rights()
        return moved + await self._feed(wanted_only=wanted_only)

    async def run(self, stop: asyncio.Event) -> None:
        """Take turns until ``stop`` is set; trouble is logged and tried again.

        Raises:
            DiskFailedError: only a new start can use the database again.
        """
        while not stop.is_set():
            pause = STEP_SECONDS
            try:
                if not await self.turn():
                    pause = IDLE_SECONDS
            except DiskFailedError:
                raise
            except SepeError as exc:
                log.warning("press.turn_failed", error=type(exc).__name__, detail=str(exc))
                pause = FAULT_SECONDS
            await self._pause(pause, stop)

    async def _pause(self, seconds: float, stop: asyncio.Event) -> None:
        """Wait, but not when a job was recorded or a person wants one."""
        version = await self._db(self._store.data_version)
        for _ in range(max(int(seconds / STEP_SECONDS), 1)):
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await stop.wait()
            except TimeoutError:
                if await self._db(self._store.data_version) != version:
                    return
            else:
                return

    def _wake(self) -> int:
        clock, now_ms = self._store.clock(), self._now_ms()
        believed_ms = seen_ms(now_ms, hub_ms=clock.hub_ms, last_stamp=clock.last_stamp)
        return self._ledger.wake(today=day_of(believed_ms, self._store.node).isoformat(), now_ms=now_ms)

    async def _watch(self) -> int:
        jobs = await self._db(
            lambda: self._ledger.in_state(JobState.RESERVED, JobState.SUBMITTED, JobState.IN_DOUBT)
        )
        moved = 0
        for job in jobs:
            fact = await self._look(job)
            if fact is not None:
                await self._settle(job, fact, _WHY.get(fact, ""))
                moved += 1
        return moved

    async def _look(self, job: Job) -> Fact | None:
        """What the printer can say of a job. Another printer's job is that printer's to know."""
        if job.printer != self._printer:
            return Fact.LOST if job.state is JobState.RESERVED else None
        now_ms = self._now_ms()
        if job.state is JobState.IN_DOUBT:
            if abs(now_ms - self._asked_ms.get(job.id, -DOUBT_RETRY_MS)) < DOUBT_RETRY_MS:
                return None
            self._asked_ms[job.id] = now_ms
        try:
            return reading(job.state, await self._driver.outcome(job.name))
        except PrinterUnreachableError:
            return Fact.LOST if job.state is JobState.RESERVED else None

    async def _claim_rights(self) -> int:
        now_ms = self._now_ms()
        jobs = await self._db(lambda: self._ledger.wanting_right(now_ms, CLAIMS_MAX))
        moved = 0
        for job in jobs:
            try:
                if self._rights is None:
                    raise TransientError(NO_LINE)
                answer = await self._rights.claim(job.nik, job.product, job.issue)
            except TransientError:
                retry_ms = now_ms + NO_LINE_RETRY_MS
                return moved + await self._db(
                    lambda until=retry_ms: self._ledger.await_right(NO_LINE, retry_ms=until, now_ms=now_ms)
                )
            await self._db(self._take_answer, job, answer.granted, answer.fence, answer.reason)
            moved += 1
        return moved

    def _take_answer(self, job: Job, granted: bool, fence: int, reason: str) -> None:
        now_ms = self._now_ms()
        if granted:
            self._ledger.grant(job.id, fence, now_ms)
        elif reason == "nik_conflict":
            self._ledger.settle(job.id, Fact.DISPUTED, now_ms=now_ms, reason="nik_conflict")
        else:
            self._ledger.deny(job.id, reason, retry_ms=now_ms + DENIED_RETRY_MS, now_ms=now_ms)

    async def _feed(self, *, wanted_only: bool) -> int:
        jobs = await self._db(lambda: self._ledger.next_ready(FEED_JOBS_MAX, wanted_only=wanted_only))
        if not jobs or not await self._has_room():
            return 0
        moved = 0
        for job in jobs:
            moved += 1
            if not await self._print(job):
                break
        return moved

    async def _has_room(self) -> bool:
        """One job at a time: a card printer that jams with five in its memory makes five doubts of one."""
        try:
            report = await self._driver.report()
        except PrinterUnreachableError:
            return False
        return report.accepting and report.queued == 0 and report.state is not PrinterState.STOPPED

    async def _print(self, job: Job) -> bool:
        """One job to the printer; whether the printer has room for another."""
        allotted = await self._db(self._ledger.allot, job.id, self._now_ms())
        if allotted is None:
            return True
        try:
            document = await self._db(self._maker.document, allotted, self._now_ms())
        except InvalidInputError as exc:
            await self._settle(allotted, Fact.REFUSED, str(exc))
            return True
        job = await self._db(
            lambda: self._ledger.intend(allotted.id, printer=self._printer, now_ms=self._now_ms())
        )
        try:
            await self._driver.submit(document)
        except PrinterRefusedError as exc:
            await self._settle(job, Fact.REFUSED, str(exc))
            return True
        except PrinterBusyError as exc:
            await self._settle(job, Fact.NOT_ACCEPTED, str(exc))
            return False
        except PrinterUnreachableError as exc:
            await self._settle(job, Fact.LOST if exc.maybe_accepted else Fact.NOT_ACCEPTED, str(exc))
            return False
        fact = await self._look(job) if job.state is JobState.RESERVED else None
        # What a printer that has just taken a job does not know yet is no reason to doubt.
        fact = Fact.ACCEPTED if fact in (None, Fact.LOST) else fact
        await self._settle(job, fact, _WHY.get(fact, ""))
        return fact is Fact.PRINTED

    async def _settle(self, job: Job, fact: Fact, reason: str) -> None:
        await self._db(lambda: self._ledger.settle(job.id, fact, now_ms=self._now_ms(), reason=reason))
        log.info("press.job_moved", job=job.id, fact=str(fact))

    async def _db(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*arguments))


async def keep_pressing(
    folder: Path, printer: str, *, rights: RightsClient | None, stop: asyncio.Event, now_ms: Callable[[], int]
) -> None:
    """Run the press of a node directory on the printer at ``printer`` until ``stop`` is set.

    While another process presses (a `sepe node print` at the desk), it waits for its turn. Cancelling is safe at
    any moment: a job that the printer may have is asked for at the next start.

    Raises:
        InvalidInputError: ``printer`` is no printer's address.
    """
    from node.printing.paper import Paper

    driver = open_driver(printer)
    store = NodeStore.open(folder)
    press = Press(store, driver, Paper(store), printer=printer, rights=rights, now_ms=now_ms)
    lock = press_lock(folder)
    try:
        while not stop.is_set():
            try:
                with lock.acquire(timeout=0):
                    await press.run(stop)
            except Timeout:
                await asyncio.sleep(STEP_SECONDS)
    finally:
        await press.close()
        store.close()
        await driver.close()


_WHY = {
    Fact.LOST: "tidak diketahui apakah kartu sudah keluar; lihat baki pencetak",
    Fact.FORGOTTEN: "pencetak lupa pekerjaan ini; lihat baki pencetak",
    Fact.CANCELED: "pencetak menyebut pekerjaan ini batal; lihat baki pencetak",
    Fact.ABORTED: "pencetak menghentikan pekerjaan ini; blangko rusak",
}
