"""One printer at work: gives it one card after the other and asks what became of each.

Plan, perform, record. Before the printer hears of a job its intent is committed; what the printer said is recorded
afterwards. Killed in between, the next start finds the job *reserved* and asks the printer's memory: it remembers
the job's name and says how far it came, or the job is in doubt and stays so until a person has looked.

A printer has one job at a time: a card printer that jams with five in its memory makes five doubts of one. So that
it never waits for us, the next card has its blank and is drawn while this one is printed, and the printer is asked
often around the moment at which its card should be out.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from node.printing.driver import (
    JobOutcome,
    PrintDriver,
    PrinterBusyError,
    PrinterRefusedError,
    PrinterState,
    PrinterUnreachableError,
)
from node.printing.job import Job
from node.printing.printers import Mode, Printer, Printers
from node.printing.spool import Fact, JobState
from node.printing.works import Prepared, Works
from sepe.dispatch.order import ANY, Taker
from sepe.errors import InvalidInputError, SepeError
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError

log = logger(__name__)

# Jobs per turn: a turn stays short, so that a job which someone waits for overtakes the queue soon.
FEED_JOBS_MAX = 20
DOUBT_RETRY_MS = 30_000
DRAWN_AGE_MS_MAX = 600_000
IDLE_SECONDS = 1.0
WATCH_SECONDS = 1.0
FAULT_SECONDS = 5.0
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.01, 0.25
# How long to wait before asking again: of the time until the card should be out, of the time that a card takes.
POLL_SHARE_LEFT, POLL_SHARE_CARD = 0.25, 0.01
# How much the latest card counts in what the next is expected to take.
LATEST_SHARE = 0.3


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


def poll_seconds(expected_s: float | None, elapsed_s: float) -> float:
    """How long to wait before asking about a card again: seldom while it cannot be out, often when it may be."""
    if expected_s is None:
        return min(max(elapsed_s / 20, POLL_SECONDS_MIN), POLL_SECONDS_MAX)
    wait_s = max(abs(expected_s - elapsed_s) * POLL_SHARE_LEFT, expected_s * POLL_SHARE_CARD)
    return min(max(wait_s, POLL_SECONDS_MIN), max(POLL_SECONDS_MAX, (expected_s - elapsed_s) * POLL_SHARE_LEFT))


class Lane:
    """One printer with its driver; `Works` is shared with the others.

    Attributes:
        printer: as it is set now; whoever holds the lane may replace it.
    """

    def __init__(self, works: Works, printer: Printer, driver: PrintDriver) -> None:
        self.printer = printer
        self._works = works
        self._driver = driver
        self._ahead: asyncio.Task[Prepared | None] | None = None
        self._current: Job | None = None
        self._submitted_s = 0.0
        self._asked_ms: dict[int, int] = {}
        # Since when this printer has had something to do, so that a card's time holds no idling.
        self._busy_from_ms: int | None = None
        self._expected_s: float | None = None

    async def close(self) -> None:
        """Let go of everything; what the printer has in hand goes on and is asked for by the next start."""
        await self._drop_ahead()
        await self._driver.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the printer busy until ``stop`` is set; trouble is logged and tried again.

        Raises:
            DiskFailedError: only a new start can use the database again.
        """
        loop = asyncio.get_running_loop()
        watched_s = 0.0
        while not stop.is_set():
            try:
                if loop.time() - watched_s >= WATCH_SECONDS:
                    await self.watch()
                    watched_s = loop.time()
                if self._current is not None:
                    await self._follow(self._current)
                elif not await self.feed(FEED_JOBS_MAX, is_ahead=True) and self._current is None:
                    await self._works.until_changed(IDLE_SECONDS)
            except DiskFailedError:
                raise
            except SepeError as exc:
                log.warning("press.turn_failed", error=type(exc).__name__, detail=str(exc))
                await self._works.until_changed(FAULT_SECONDS)

    async def watch(self) -> int:
        """Ask about every job that this printer may have; return how many moved."""
        works, address = self._works, self.printer.address
        states = (JobState.RESERVED, JobState.SUBMITTED, JobState.IN_DOUBT)
        jobs = await works.db(lambda: [job for job in works.ledger.in_state(*states) if job.printer == address])
        moved = 0
        current = None
        for job in jobs:
            fact = await self._look(job)
            if fact is not None:
                await self._settle(job, fact)
                moved += 1
            if fact is Fact.ACCEPTED or (fact is None and job.state is JobState.SUBMITTED):
                current = replace(job, state=JobState.SUBMITTED)
        self._current = current
        return moved

    async def feed(self, jobs_max: int, *, is_ahead: bool = False) -> int:
        """Give the printer its next jobs until it is busy; return how many moved.

        Args:
            is_ahead: prepare the next job while the printer works.
        """
        if self.printer.mode is not Mode.ON:
            await self._rest()
            return 0
        if self._current is not None or not await self._has_work() or not await self._has_room():
            return 0
        moved = 0
        while moved < jobs_max:
            prepared = await self._next()
            if prepared is None:
                break
            moved += 1
            if not await self._print(prepared):
                break
        if is_ahead and self._current is not None:
            self._ahead = self._ahead or asyncio.create_task(self._prepare_next())
        return moved

    async def _follow(self, job: Job) -> None:
        """Wait for the card in the printer, then ask once."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(poll_seconds(self._expected_s, loop.time() - self._submitted_s))
        fact = await self._look(job)
        if fact is not None:
            await self._settle(job, fact)
            self._current = None

    async def _rest(self) -> None:
        await self._drop_ahead()
        self._busy_from_ms = None
        if self.printer.mode is Mode.DRAINING and self._current is None:
            await self._works.db(Printers(self._works.store).drained, self.printer.address)

    async def _taker(self) -> Taker:
        condition = await self._works.db(self._works.condition, self.printer.address)
        # Heat spoils blanks; paper it does not.
        media = self.printer.media - {"card"} if condition.is_hot(self._works.now_ms()) else self.printer.media
        return Taker(self.printer.address, media)

    async def _has_work(self) -> bool:
        await self._works.read_queue()
        if self._ahead is None and self._works.queue.head(await self._taker()) is None:
            self._busy_from_ms = None
            return False
        self._busy_from_ms = self._busy_from_ms or self._works.now_ms()
        return True

    async def _has_room(self) -> bool:
        try:
            report = await self._driver.report()
        except PrinterUnreachableError:
            return False
        return report.accepting and report.queued == 0 and report.state is not PrinterState.STOPPED

    async def _prepare_next(self) -> Prepared | None:
        taken = await self._works.take(await self._taker())
        return None if taken is None else await self._works.prepare(*taken)

    async def _next(self) -> Prepared | None:
        """The next job, drawn: the one that was prepared, unless somebody more urgent came since."""
        taker = await self._taker()
        if self._ahead is not None:
            prepared, self._ahead = await self._ahead, None
            await self._works.read_queue()
            if prepared is not None:
                head = self._works.queue.head(taker)
                is_fresh = abs(self._works.now_ms() - prepared.drawn_ms) < DRAWN_AGE_MS_MAX
                is_ours = (
                    prepared.waiting.printer in (ANY, taker.printer) and prepared.waiting.media in taker.media
                )
                if is_fresh and is_ours and (head is None or prepared.key < head):
                    return prepared
                self._works.done_with(prepared.job.id, is_waiting=True)
        while (taken := await self._works.take(taker)) is not None:
            prepared = await self._works.prepare(*taken)
            if prepared is not None:
                return prepared
        return None

    async def _drop_ahead(self) -> None:
        """Give the prepared job back to the queue; its blank stays with it."""
        if self._ahead is not None:
            prepared, self._ahead = await self._ahead, None
            if prepared is not None:
                self._works.done_with(prepared.job.id, is_waiting=True)
                self._works.wake()

    async def _print(self, prepared: Prepared) -> bool:
        """One job to the printer; whether the printer has room for another."""
        works = self._works
        try:
            job = await works.db(self._intend, prepared)
        except InvalidInputError:
            # Somebody held, withdrew or printed it meanwhile: the ledger knows, and nothing left our hands.
            works.done_with(prepared.job.id, is_waiting=True)
            return True
        try:
            await self._driver.submit(prepared.document)
        except PrinterRefusedError as exc:
            await self._settle(job, Fact.REFUSED, str(exc))
            return True
        except PrinterBusyError as exc:
            await self._settle(job, Fact.NOT_ACCEPTED, str(exc))
            return False
        except PrinterUnreachableError as exc:
            await self._settle(job, Fact.LOST if exc.maybe_accepted else Fact.NOT_ACCEPTED, str(exc))
            return False
        self._submitted_s = asyncio.get_running_loop().time()
        fact = await self._look(job)
        # What a printer that has just taken a job does not know yet is no reason to doubt.
        fact = Fact.ACCEPTED if fact in (None, Fact.LOST) else fact
        await self._settle(job, fact)
        if fact is Fact.ACCEPTED:
            self._current = replace(job, state=JobState.SUBMITTED)
        return fact is Fact.PRINTED

    def _intend(self, prepared: Prepared) -> Job:
        ledger, job_id = self._works.ledger, prepared.job.id
        if ledger.job(job_id).name != prepared.document.job_name:
            raise InvalidInputError("another attempt was drawn for this job", field="job", value=job_id)
        if self._works.queue_store.placed(job_id).printer not in (ANY, self.printer.address):
            raise InvalidInputError("it was moved to another printer", field="job", value=job_id)
        return ledger.intend(job_id, printer=self.printer.address, now_ms=self._works.now_ms())

    async def _look(self, job: Job) -> Fact | None:
        """What the printer can say of a job."""
        now_ms = self._works.now_ms()
        if job.state is JobState.IN_DOUBT:
            if abs(now_ms - self._asked_ms.get(job.id, -DOUBT_RETRY_MS)) < DOUBT_RETRY_MS:
                return None
            self._asked_ms[job.id] = now_ms
        try:
            return reading(job.state, await self._driver.outcome(job.name))
        except PrinterUnreachableError:
            return Fact.LOST if job.state is JobState.RESERVED else None

    async def _settle(self, job: Job, fact: Fact, reason: str = "") -> None:
        works, now_ms = self._works, self._works.now_ms()
        await works.db(
            lambda: works.ledger.settle(job.id, fact, now_ms=now_ms, reason=reason or WHY.get(fact, ""))
        )
        if fact is Fact.PRINTED and self._busy_from_ms is not None and job.state is not JobState.IN_DOUBT:
            latest_s = asyncio.get_running_loop().time() - self._submitted_s
            known_s = latest_s if self._expected_s is None else self._expected_s
            self._expected_s = (1 - LATEST_SHARE) * known_s + LATEST_SHARE * latest_s
            if job.needs_blank:
                works.paces.append((self.printer.address, now_ms, max(1, now_ms - self._busy_from_ms)))
            self._busy_from_ms = now_ms
        if fact is not Fact.ACCEPTED:
            self._works.done_with(job.id, is_waiting=fact is Fact.NOT_ACCEPTED)
        log.info("press.job_moved", job=job.id, fact=str(fact))


WHY = {
    Fact.LOST: "tidak diketahui apakah kartu sudah keluar; lihat baki pencetak",
    Fact.FORGOTTEN: "pencetak lupa pekerjaan ini; lihat baki pencetak",
    Fact.CANCELED: "pencetak menyebut pekerjaan ini batal; lihat baki pencetak",
    Fact.ABORTED: "pencetak menghentikan pekerjaan ini; blangko rusak",
}
