"""The mechanics of the virtual printer: blanks in, cards out, and what goes wrong in between.

The machine makes one sheet at a time. A sheet is *fed*, then *gripped* (from there it comes out whatever
anybody cancels), then ejected into the tray. Only the tray counts as physical truth: the job list is what
the printer *says*, and a restart wipes it.

=============  =======================================  ========================================
event          the sheet in the machine                 the job
=============  =======================================  ========================================
cancel         before the grip: goes back; after: out   ``canceled`` at once, to its stop point until out
jam, cover     gripped: spoiled; else goes back         ``processing-stopped``, redone when cleared
media, ribbon  finished first                           ``processing-stopped`` until loaded
heat           finished first                           waits ``heat_pause_s``, goes on by itself
power cut      gripped: spoiled                         forgotten
=============  =======================================  ========================================
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from node.printing.ipp.registry import JobState
from surge.printer.notices import EventLog

FINISHED = frozenset({JobState.CANCELED, JobState.ABORTED, JobState.COMPLETED})
HISTORY_MAX = 1_000

JAM = "media-jam-error"
COVER = "cover-open-error"
NO_MEDIA = "media-empty-error"
NO_RIBBON = "marker-supply-empty-error"
HEAT = "fuser-over-temp-warning"
STOPPING = "processing-to-stop-point"
CANCELED_BY_USER = "job-canceled-by-user"
# With these the sheet inside is lost; with the others the machine stops between two sheets.
DESTRUCTIVE = frozenset({JAM, COVER})


@dataclass(frozen=True, slots=True)
class Mechanics:
    """How fast and how long the machine goes.

    ``grip_fraction`` of ``pace_s`` passes before a sheet can no longer be called back. ``blanks`` and
    ``ribbon`` are sheets left, None for no end. After ``heat_after`` sheets it rests ``heat_pause_s``.
    ``jobs_max`` unfinished jobs are taken; the next is told ``server-error-busy``.
    """

    pace_s: float = 0.0
    grip_fraction: float = 0.2
    blanks: int | None = None
    ribbon: int | None = None
    heat_after: int | None = None
    heat_pause_s: float = 60.0
    jobs_max: int = 1


@dataclass(slots=True)
class Job:
    """A job as the printer knows it; times are seconds of printer up-time."""

    id: int
    name: str
    user: str
    media: str
    created_s: int
    copies: int = 1
    sheets: int = 1
    octets: int = 0
    state: JobState = JobState.PENDING
    reasons: tuple[str, ...] = ("none",)
    processing_s: int | None = None
    completed_s: int | None = None
    sheets_done: int = 0
    is_incoming: bool = False

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True, slots=True)
class Sheet:
    """One physical sheet that left the machine. ``at_s``: seconds since the epoch."""

    job_name: str
    media: str
    at_s: float


@dataclass(slots=True)
class Tray:
    """What came out, in order; also as JSON lines in ``file``, so that a killed process can be audited."""

    file: Path | None = None
    sheets: list[Sheet] = field(default_factory=list)
    spoiled: list[Sheet] = field(default_factory=list)

    def drop(self, sheet: Sheet, *, is_spoiled: bool) -> None:
        if self.file is not None:
            line = {
                "job_name": sheet.job_name,
                "media": sheet.media,
                "at": sheet.at_s,
                "spoiled": is_spoiled,
            }
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
        (self.spoiled if is_spoiled else self.sheets).append(sheet)


class Engine:
    """The machine between ``power_on`` and ``power_off``; the tray outlives both."""

    def __init__(self, mechanics: Mechanics, tray: Tray) -> None:
        self.mechanics = mechanics
        self.tray = tray
        self.blanks = mechanics.blanks
        self.ribbon = mechanics.ribbon
        self.stoppers: set[str] = set()
        self.is_accepting = True
        self.is_hot = False
        self.jobs: dict[int, Job] = {}
        self.current: Job | None = None
        self.is_gripped = False
        self._queue: deque[Job] = deque()
        self._since_rest = 0
        self._last_id = 0
        self._started_s = time.monotonic()
        self.events = EventLog()
        self._changed = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    @property
    def up_time_s(self) -> int:
        """Seconds since power on, counted from 1 as IPP wants."""
        return int(time.monotonic() - self._started_s) + 1

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*sorted(self.stoppers), *((HEAT,) if self.is_hot else ())) or ("none",)

    @property
    def unfinished(self) -> list[Job]:
        """Jobs that hold a place; one whose document has not come yet holds none."""
        waiting = [job for job in self._queue if not job.is_finished]
        return [self.current, *waiting] if self.current else waiting

    @property
    def is_busy(self) -> bool:
        return len(self.unfinished) >= self.mechanics.jobs_max

    def power_on(self) -> None:
        """Start with an empty memory: job ids from 1, up-time from 1. Blanks, ribbon and tray stay."""
        self.jobs, self._queue, self._last_id = {}, deque(), 0
        self.current, self.is_gripped, self.is_hot, self._since_rest = None, False, False, 0
        self._started_s, self.events = time.monotonic(), EventLog()
        self._check_supplies()
        self._worker = asyncio.create_task(self._work(), name="virtual-printer")
        self.notify()

    async def power_off(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker
            self._worker = None
        if self.current is not None and self.is_gripped:
            self._spoil(self.current)
        self.current = None
        self.notify()

    def new_job(self, name: str, user: str, media: str) -> Job:
        """A job whose document is still to come."""
        self._last_id += 1
        job = Job(self._last_id, name, user, media, self.up_time_s, is_incoming=True)
        job.state, job.reasons = JobState.HELD, ("job-incoming",)
        self.jobs[job.id] = job
        while len(self.jobs) > HISTORY_MAX:
            del self.jobs[next(iter(self.jobs))]
        return job

    def start(self, job: Job, *, sheets: int, octets: int) -> None:
        job.sheets, job.octets, job.is_incoming = sheets, octets, False
        job.state, job.reasons = JobState.PENDING, ("none",)
        self._tell(job, "job-created")
        self._queue.append(job)
        self.notify()

    def cancel(self, job: Job) -> bool:
        """Mark the job cancelled; False if it had already ended. A gripped sheet comes out nevertheless."""
        if job.is_finished:
            return False
        is_inside = job is self.current and self.is_gripped
        self._finish(job, JobState.CANCELED, STOPPING if is_inside else CANCELED_BY_USER)
        return True

    def stop(self, reason: str, *, abort: bool = False) -> None:
        """Stop for ``reason``; with ``abort`` the printer gives the current job up instead of redoing it."""
        self.stoppers.add(reason)
        self.events.emit(("printer-stopped", "printer-state-changed"), self.up_time_s)
        if abort and self.current is not None and not self.current.is_finished:
            self._finish(self.current, JobState.ABORTED, "aborted-by-system")
        self.notify()

    def clear(self, reason: str) -> None:
        self.stoppers.discard(reason)
        self._check_supplies()
        self.notify()

    def load(self, *, blanks: int | None = None, ribbon: int | None = None) -> None:
        """Put in that many blanks or that long a ribbon; what is not named stays."""
        self.blanks = blanks if blanks is not None else self.blanks
        self.ribbon = ribbon if ribbon is not None else self.ribbon
        self._check_supplies()
        self.notify()

    def notify(self) -> None:
        """Wake everything that waits for the machine to change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until ``is_so``; it is asked again at each change of the machine."""
        while not is_so():
            await self._changed.wait()

    async def _work(self) -> None:
        while True:
            await self.until(lambda: bool(self._queue))
            job = self._queue.popleft()
            if job.is_finished:
                continue
            self.current = job
            job.processing_s = self.up_time_s
            while job.sheets_done < job.sheets and not job.is_finished:
                await self._until_ready(job)
                if not job.is_finished:
                    await self._one_sheet(job)
            if not job.is_finished:
                self._finish(job, JobState.COMPLETED, "job-completed-successfully")
            elif job.reasons == (STOPPING,):
                job.reasons = (CANCELED_BY_USER,)
            self.current = None
            self.notify()

    async def _until_ready(self, job: Job) -> None:
        if self.stoppers:
            job.state, job.reasons = JobState.STOPPED, ("printer-stopped",)
            self._tell(job, "job-stopped")
            self.notify()
            await self.until(lambda: not self.stoppers or job.is_finished)
        if not job.is_finished:
            job.state, job.reasons = JobState.PROCESSING, ("job-printing",)
            self._tell(job)
            self.notify()

    async def _one_sheet(self, job: Job) -> None:
        pace_s = self.mechanics.pace_s
        grip_s = pace_s * self.mechanics.grip_fraction
        if await self._is_interrupted(grip_s, lambda: job.is_finished or bool(self.stoppers)):
            return
        self.is_gripped = True
        self.notify()
        is_lost = await self._is_interrupted(pace_s - grip_s, lambda: bool(self.stoppers & DESTRUCTIVE))
        self.is_gripped = False
        if is_lost:
            self._spoil(job)
            return
        job.sheets_done += 1
        self.tray.drop(Sheet(job.name, job.media, time.time()), is_spoiled=False)
        self._spend()
        await self._rest(job)

    async def _rest(self, job: Job) -> None:
        self._since_rest += 1
        if self.mechanics.heat_after is not None and self._since_rest >= self.mechanics.heat_after:
            self._since_rest, self.is_hot = 0, True
            self.notify()
            # The last sheet is out: say so before the rest, as real printers do.
            if job.sheets_done >= job.sheets and not job.is_finished:
                self._finish(job, JobState.COMPLETED, "job-completed-successfully")
            await asyncio.sleep(self.mechanics.heat_pause_s)
            self.is_hot = False
        self.notify()

    async def _is_interrupted(self, seconds: float, is_so: Callable[[], bool]) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.until(is_so)
        return is_so()

    def _finish(self, job: Job, state: JobState, reason: str) -> None:
        job.state, job.reasons, job.completed_s = state, (reason,), self.up_time_s
        self._tell(job, "job-completed")
        self.notify()

    def _tell(self, job: Job, *names: str) -> None:
        """Whoever subscribed hears of the job."""
        self.events.emit((*names, "job-state-changed"), self.up_time_s, (job.id, job.state, job.reasons))

    def _spoil(self, job: Job) -> None:
        self.tray.drop(Sheet(job.name, job.media, time.time()), is_spoiled=True)
        self._spend()

    def _spend(self) -> None:
        self.blanks = None if self.blanks is None else max(0, self.blanks - 1)
        self.ribbon = None if self.ribbon is None else max(0, self.ribbon - 1)
        self._check_supplies()

    def _check_supplies(self) -> None:
        for reason, left in ((NO_MEDIA, self.blanks), (NO_RIBBON, self.ribbon)):
            (self.stoppers.add if left == 0 else self.stoppers.discard)(reason)
