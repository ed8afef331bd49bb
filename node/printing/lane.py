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
    Document,
    DocumentRefusedError,
    JobOutcome,
    PrintDriver,
    PrinterBusyError,
    PrinterRefusedError,
    PrinterReport,
    PrinterState,
    PrinterUnreachableError,
)
from node.printing.job import Job
from node.printing.memory import DOUBT_RETRY_MS, PrinterMemory
from node.printing.printers import Mode, Printer, Printers
from node.printing.spool import Fact, JobState
from node.printing.thread import URGENT
from node.printing.troubles import note_trouble
from node.printing.works import Prepared, Works
from sepe.dispatch.order import ANY, Key, Taker, Waiting
from sepe.errors import SepeError
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError

log = logger(__name__)

# Jobs per turn: a turn stays short, so that a job which someone waits for overtakes the queue soon.
FEED_JOBS_MAX = 20
DRAWN_AGE_MS_MAX = 600_000
IDLE_SECONDS = 1.0
WATCH_SECONDS = 1.0
FAULT_SECONDS = 5.0
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.01, 0.25
# How long to wait before asking again: of the time until the card should be out, of the time that a card takes.
POLL_SHARE_LEFT, POLL_SHARE_CARD, POLL_SHARE_UNKNOWN = 0.25, 0.01, 0.02
# A printer that tells when a card is out is asked all the same after so long.
QUIET_SECONDS_MAX = 20.0
# A printer that fails rests so long, twice as long each time: no job is to pay for it.
REST_SECONDS_MIN, REST_SECONDS_MAX = 5.0, 300.0
# So many cards in a row of which a printer says nothing any more, and it gets no more until somebody looked.
DOUBTS_MAX = 2
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
        return min(max(elapsed_s * POLL_SHARE_UNKNOWN, POLL_SECONDS_MIN), POLL_SECONDS_MAX)
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
        # Whether the printer says by itself what becomes of the current job.
        self._is_telling = False
        self._memory = PrinterMemory(works, driver)
        self._submitted_s = 0.0
        self._asked_ms: dict[int, int] = {}
        # Since when this printer has had something to do, so that a card's time holds no idling.
        self._busy_from_ms: int | None = None
        self._expected_s: float | None = None
        self._taken_by = Taker(printer.address, printer.media)
        self._failures = 0
        self._refused: set[int] = set()
        self._rests_until_s = 0.0
        self._doubts = 0
        # The printer took the current job and has not known it since.
        self._is_unlisted = False

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
            except Exception as exc:
                # A driver's own fault stops its printer for a while, and no other.
                log.exception("printer.failed", error=type(exc).__name__)
                await self._fail(f"{type(exc).__name__}")
                await self._works.until_changed(FAULT_SECONDS)

    async def watch(self) -> int:
        """Ask about every job that this printer may have; return how many moved."""
        works, address = self._works, self.printer.address
        states = (JobState.RESERVED, JobState.SUBMITTED, JobState.IN_DOUBT)
        jobs = await works.db(lambda: [job for job in works.ledger.in_state(*states) if job.printer == address])
        moved = 0
        current = None
        for job in jobs:
            is_told = self._is_telling and self._current is not None and job.id == self._current.id
            fact = None if is_told else await self._look(job)
            if fact is not None:
                await self._settle(job, fact)
                moved += 1
            if fact is Fact.ACCEPTED or (fact is None and job.state is JobState.SUBMITTED):
                current = replace(job, state=JobState.SUBMITTED)
        self._current = current
        return moved + await self._memory.examine(address)

    async def feed(self, jobs_max: int, *, is_ahead: bool = False) -> int:
        """Give the printer its next jobs until it is busy; return how many moved.

        Args:
            is_ahead: prepare the next job while the printer works.
        """
        if self.printer.mode is not Mode.ON:
            await self._rest()
            return 0
        if (
            self._current is not None
            or not await self._has_work()
            or self._is_resting()
            or await self._is_in_doubt()
        ):
            return 0
        if not await self._has_room():
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
        poll_s = poll_seconds(self._expected_s, loop.time() - self._submitted_s)
        self._is_telling = await self._driver.news(job.name, poll_s=poll_s, quiet_s=QUIET_SECONDS_MAX)
        fact = await self._look(job)
        self._is_unlisted = self._is_unlisted and fact is Fact.FORGOTTEN
        if fact is Fact.PRINTED and await self._change_over(job):
            return
        if fact is not None:
            await self._settle(job, fact)
            self._current = None

    async def _change_over(self, job: Job) -> bool:
        """The card is out and the next is drawn: book the one and intend the other in one commit, and go on.

        False when there is no next card or something speaks against it; then nothing was booked.
        """
        if self._ahead is None or not self._ahead.done() or self.printer.mode is not Mode.ON:
            return False
        prepared = self._ahead.result()
        if prepared is None or not self._is_next(prepared, self._taken_by) or not await self._has_room():
            return False
        if self._is_resting() or await self._is_in_doubt():
            return False
        now_ms = self._works.now_ms()
        following = await self._works.db(self._book_and_intend, job, prepared, now_ms, rank=URGENT)
        if following is None:
            return False
        self._ahead = None
        self._booked(job, Fact.PRINTED, now_ms)
        await self._submit(following, prepared.document)
        if self._current is not None:
            self._ahead = asyncio.create_task(self._prepare_next())
        return True

    def _book_and_intend(self, job: Job, prepared: Prepared, now_ms: int) -> Job | None:
        works = self._works
        with works.store.transaction():
            # Heat is judged with the card that has just come out.
            taker = self._taker_now(now_ms, more=1 if job.needs_blank else 0)
            if prepared.waiting.media not in taker.media or not self._is_wanted(prepared):
                return None
            works.ledger.settle(job.id, Fact.PRINTED, now_ms=now_ms)
            following = works.ledger.intend(prepared.job.id, printer=self.printer.address, now_ms=now_ms)
        works.witness.note_sent()
        return following

    def _is_wanted(self, prepared: Prepared) -> bool:
        """Whether the ledger still wants this attempt from this printer; in the database's thread."""
        job = self._works.ledger.job(prepared.job.id)
        return (
            job.state in (JobState.QUEUED, JobState.READY)
            and job.fence is not None
            and job.name == prepared.document.job_name
            and self._works.queue_store.placed(job.id).printer in (ANY, self.printer.address)
        )

    async def _rest(self) -> None:
        await self._drop_ahead()
        self._busy_from_ms = None
        if self.printer.mode is Mode.DRAINING and self._current is None:
            await self._works.db(Printers(self._works.store).drained, self.printer.address)

    async def _taker(self) -> Taker:
        self._taken_by = await self._works.db(self._taker_now, self._works.now_ms())
        return self._taken_by

    def _taker_now(self, now_ms: int, more: int = 0) -> Taker:
        """What this printer may be given now, ``more`` cards later; in the database's thread."""
        condition = self._works.condition(self.printer.address)
        if more:
            made = condition.cards_today + more
            condition = replace(
                condition, cards_today=made, run_cards=condition.run_cards + more, last_card_ms=now_ms
            )
        # Heat spoils blanks; paper it does not.
        is_hot = condition.is_hot(now_ms)
        return Taker(self.printer.address, self.printer.media - {"card"} if is_hot else self.printer.media)

    def _is_next(self, prepared: Prepared, taker: Taker) -> bool:
        """Whether nobody more urgent came, and the drawing is of now."""
        head = self._works.queue.head(taker)
        is_fresh = abs(self._works.now_ms() - prepared.drawn_ms) < DRAWN_AGE_MS_MAX
        is_ours = prepared.waiting.printer in (ANY, taker.printer) and prepared.waiting.media in taker.media
        return is_fresh and is_ours and (head is None or prepared.key < head)

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
        except PrinterUnreachableError as exc:
            await self._tell_trouble(str(exc))
            return False
        await self._tell_trouble(_trouble_of(report))
        return report.accepting and report.queued == 0 and report.state is not PrinterState.STOPPED

    def _is_resting(self) -> bool:
        return asyncio.get_running_loop().time() < self._rests_until_s

    async def _is_in_doubt(self) -> bool:
        """Whether it took cards and says nothing of them any more, and nobody has looked since."""
        if self._doubts < DOUBTS_MAX:
            return False
        works, address = self._works, self.printer.address
        doubts = await works.db(
            lambda: sum(job.printer == address for job in works.ledger.in_state(JobState.IN_DOUBT))
        )
        if doubts < DOUBTS_MAX:
            self._doubts = 0
        return self._doubts >= DOUBTS_MAX

    async def _fail(self, why: str) -> None:
        """The printer failed, not the job: it rests, twice as long each time in a row, and is named."""
        self._failures += 1
        rest_s = min(REST_SECONDS_MIN * 2 ** (self._failures - 1), REST_SECONDS_MAX)
        self._rests_until_s = asyncio.get_running_loop().time() + rest_s
        log.warning("printer.rests", failures=self._failures, seconds=rest_s, detail=why)
        await self._tell_trouble(why)

    async def _tell_trouble(self, why: str) -> None:
        works = self._works
        if works.troubles.get(self.printer.address, "") != why:
            works.troubles[self.printer.address] = why
            await works.db(note_trouble, works.store, self.printer.address, why, works.now_ms())

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
                if self._is_next(prepared, taker):
                    return prepared
                self._works.done_with(prepared.job.id, is_waiting=True)
        # What it refused before comes after the others: whether it takes those tells whose fault it is.
        aside: list[tuple[Key, Waiting]] = []
        try:
            while (taken := await self._works.take(taker)) is not None:
                if taken[1].job in self._refused:
                    aside.append(taken)
                elif (prepared := await self._works.prepare(*taken)) is not None:
                    return prepared
            while aside:
                prepared = await self._works.prepare(*aside.pop(0))
                if prepared is not None:
                    return prepared
            return None
        finally:
            for _, waiting in aside:
                self._works.done_with(waiting.job, is_waiting=True)

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
        job = await works.db(self._intend, prepared, rank=URGENT)
        if job is None:
            # Somebody held, withdrew or moved it meanwhile: the ledger knows, and nothing left our hands.
            works.done_with(prepared.job.id, is_waiting=True)
            return True
        return await self._submit(job, prepared.document)

    async def _submit(self, job: Job, document: Document) -> bool:
        """An intended job to the printer; whether the printer has room for another."""
        self._current = None
        refusals = self._works.refusals
        try:
            await self._driver.submit(document)
        except DocumentRefusedError as exc:
            await self._settle(job, Fact.REFUSED, str(exc))
            return True
        except PrinterRefusedError as exc:
            refused_by = refusals.setdefault(job.id, set())
            refused_by.add(self.printer.address)
            # Two printers refuse it, or this one took others meanwhile: then it is the document after all.
            is_the_document = len(refused_by) > 1 or (self._failures == 0 and job.id in self._refused)
            self._refused.add(job.id)
            await self._settle(job, Fact.REFUSED if is_the_document else Fact.NOT_ACCEPTED, str(exc))
            if not is_the_document:
                await self._fail(str(exc))
            return False
        except PrinterBusyError as exc:
            await self._settle(job, Fact.NOT_ACCEPTED, str(exc))
            return False
        except PrinterUnreachableError as exc:
            await self._settle(job, Fact.LOST if exc.maybe_accepted else Fact.NOT_ACCEPTED, str(exc))
            await self._fail(str(exc))
            return False
        self._failures = 0
        refusals.pop(job.id, None)
        self._refused.discard(job.id)
        self._submitted_s = asyncio.get_running_loop().time()
        fact = await self._look(job)
        self._is_unlisted = fact is Fact.LOST
        # What a printer that has just taken a job does not know yet is no reason to doubt.
        fact = Fact.ACCEPTED if fact in (None, Fact.LOST) else fact
        await self._settle(job, fact)
        if fact is Fact.ACCEPTED:
            self._current = replace(job, state=JobState.SUBMITTED)
        return fact is Fact.PRINTED

    def _intend(self, prepared: Prepared) -> Job | None:
        if not self._is_wanted(prepared):
            return None
        ledger, now_ms = self._works.ledger, self._works.now_ms()
        job = ledger.intend(prepared.job.id, printer=self.printer.address, now_ms=now_ms)
        self._works.witness.note_sent()
        return job

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
        why = reason or WHY.get(fact, "")
        await works.db(lambda: works.ledger.settle(job.id, fact, now_ms=now_ms, reason=why))
        self._booked(job, fact, now_ms)

    def _booked(self, job: Job, fact: Fact, now_ms: int) -> None:
        """The ledger has the fact: learn the pace from it, let go of the job."""
        if fact is Fact.PRINTED and self._busy_from_ms is not None and job.state is not JobState.IN_DOUBT:
            latest_s = asyncio.get_running_loop().time() - self._submitted_s
            known_s = latest_s if self._expected_s is None else self._expected_s
            self._expected_s = (1 - LATEST_SHARE) * known_s + LATEST_SHARE * latest_s
            if job.needs_blank:
                took_ms = max(1, now_ms - self._busy_from_ms)
                self._works.paces.append((self.printer.address, now_ms, took_ms))
            self._busy_from_ms = now_ms
        if fact is Fact.PRINTED:
            self._doubts = 0
        elif fact is Fact.FORGOTTEN and self._is_unlisted:
            # It never knew the job; one that forgot in a restart is another matter.
            self._doubts += 1
        if fact is not Fact.ACCEPTED:
            self._works.done_with(job.id, is_waiting=fact is Fact.NOT_ACCEPTED)
        log.info("press.job_moved", job=job.id, fact=str(fact))


def _trouble_of(report: PrinterReport) -> str:
    """What keeps a printer from working, in its own keywords; ``""``: nothing."""
    grave = [one for one in report.reasons if not one.endswith(("-report", "-warning"))]
    if report.state is PrinterState.STOPPED or not report.accepting:
        return " ".join(grave) or ("stopped" if report.state is PrinterState.STOPPED else "not-accepting")
    return ""


WHY = {
    Fact.LOST: "tidak diketahui apakah kartu sudah keluar; lihat baki pencetak",
    Fact.FORGOTTEN: "pencetak lupa pekerjaan ini; lihat baki pencetak",
    Fact.CANCELED: "pencetak menyebut pekerjaan ini batal; lihat baki pencetak",
    Fact.ABORTED: "pencetak menghentikan pekerjaan ini; blangko rusak",
}
