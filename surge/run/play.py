"""Plays a scenario against a real hub: starts the processes, keeps the time, strikes, waits, takes the account."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sepe.errors import InvalidInputError, SepeError
from sepe.region import zone
from sepe_io.process import end_child
from sepe_io.tasks import end_tasks
from surge.run.account import SCALED, UNSCALED, Measured, result_of
from surge.run.audit import audit_local, audit_remote
from surge.run.cast import Cast, Options, cast_of, is_of_lines, struck
from surge.run.hubside import HANDLES_EACH, HubSide, check_handles
from surge.run.messages import LINE_BYTES_MAX, Row, Sample, Task, line_of
from surge.run.result import FaultRow, Result, RunInfo
from surge.scenario import Scenario
from surge.scenario.model import Blow, Fault

SAMPLES_WANTED = 300
INTERVAL_S_MIN, INTERVAL_S_MAX = 0.5, 60.0
# From the last line that the scenario gives back until whatever is not sent by then counts as unsent.
SETTLE_S_MAX = 120.0
BACK_S_MAX = 60.0
PAUSE_S = 0.1


class WorkerEndedError(SepeError):
    """A process of the generator ended; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How it stands, for a person who waits."""

    phase: str
    at_s: float = 0.0
    lasts_s: float = 0.0
    offered: int = 0
    events: int = 0
    accepted: int = 0
    lag: int = 0
    oldest_s: float = 0.0
    offices_down: int = 0
    cards: int = 0
    offices: int = 0


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run to be played.

    Attributes:
        source: what the workers load again: a scenario's name or its file.
        tokens: one-time tokens by node, for a hub whose directory is not here.
        settle_s: see `SETTLE_S_MAX`.
        is_deep: rebuild the hub's records from its log for the verdict.
        command, version, commit: for the record.
    """

    scenario: Scenario
    source: str
    options: Options
    folder: Path
    workers: int = 2
    tokens: Mapping[str, str] = field(default_factory=dict)
    settle_s: float = SETTLE_S_MAX
    is_deep: bool = True
    command: str = ""
    version: str = ""
    commit: str = ""


def checked(plan: Plan) -> Cast:
    """The cast of a plan that this machine can play.

    Raises:
        InvalidInputError: more machines than a process may have open files for, or a token is missing.
    """
    cast = cast_of(plan.scenario, plan.options)
    check_handles(-(-len(cast.seats) // plan.workers) * HANDLES_EACH)
    missing = [seat.node for seat in cast.seats if plan.tokens and seat.node not in plan.tokens]
    if missing:
        raise InvalidInputError(
            f"no token for {len(missing)} of {len(cast.seats)} machines", field="--tokens", value=missing[0],
            hint="At the hub: sepe hub enrol DIR --node NODE, one line NODE TOKEN each.",
        )  # fmt: skip
    return cast


async def play(plan: Plan, hub: HubSide, stop: asyncio.Event, on_progress: OnProgress) -> Result:
    """Play it to its end, or until ``stop`` is set; the result either way.

    The hub is stopped before the account is taken, when it was started here.

    Raises:
        WorkerEndedError: a process of the generator died.
    """
    cast = checked(plan)
    player = _Player(plan, cast, hub, stop, on_progress)
    async with AsyncExitStack() as stack:
        await player.start(stack)
        await player.run()
        rows = await player.finish()
    return await player.account(rows)


@dataclass(slots=True)
class _Part:
    """One worker process and what it has said."""

    child: asyncio.subprocess.Process
    log: Path
    said: dict[str, asyncio.Future[dict[str, Any]]]
    reading: asyncio.Task[None] | None = None

    def tell(self, kind: str, **what: Any) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(line_of(kind, **what))

    async def word(self, kind: str) -> dict[str, Any]:
        """The message of that kind, when it has come.

        Raises:
            WorkerEndedError: the process ended before.
        """
        assert self.reading is not None
        either: list[asyncio.Future[Any]] = [self.said[kind], self.reading]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self.said[kind].done():
            said = self.log.read_text(errors="replace")[-1500:]
            raise WorkerEndedError(f"a worker process ended before it was done; its log ends with:\n{said}")
        return self.said[kind].result()


class _Player:
    def __init__(self, plan: Plan, cast: Cast, hub: HubSide, stop: asyncio.Event, on_progress: OnProgress) -> None:
        self._plan, self._cast, self._hub, self._stop, self._on_progress = plan, cast, hub, stop, on_progress
        length_s = cast.ends_s / cast.faster
        self._measured = Measured(
            interval_s=min(max(length_s / SAMPLES_WANTED, INTERVAL_S_MIN), INTERVAL_S_MAX),
            started_ms=time.time_ns() // 1_000_000,
        )
        self._parts: list[_Part] = []
        self._gathering: dict[int, list[Sample]] = {}
        self._began = 0.0
        self._is_level = False
        self._is_closing = False

    # Before

    async def start(self, stack: AsyncExitStack) -> None:
        began = time.monotonic()
        self._show("making offices")
        first = self._cast.seats[0].office.code
        today = datetime.now(tz=zone(first).tzinfo).date().isoformat()
        for part in range(self._plan.workers):
            one = await self._start_worker(stack, part)
            one.tell("task", **asdict(Task(
                self._plan.source, asdict(self._plan.options), part, self._plan.workers, str(self._plan.folder),
                self._hub.addresses.grpc, self._hub.addresses.nats,
                str(self._hub.directory) if self._hub.directory else "", dict(self._plan.tokens), today,
                self._measured.interval_s,
            )))  # fmt: skip
        keys: dict[str, str] = {}
        for one in self._parts:
            keys |= (await self._word(one, "made")).get("keys", {})
        if self._hub.directory is not None and not self._plan.tokens:
            await asyncio.to_thread(self._hub.let_in, keys)
        self._show("connecting")
        for one in self._parts:
            one.tell("open")
        for one in self._parts:
            await self._word(one, "opened")
        self._measured.prepared_s = time.monotonic() - began

    async def _start_worker(self, stack: AsyncExitStack, part: int) -> _Part:
        log = self._plan.folder / f"worker-{part}.log"
        with log.open("ab") as file:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "surge.run.worker", stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=file, limit=LINE_BYTES_MAX, start_new_session=True,
            )  # fmt: skip
        loop = asyncio.get_running_loop()
        found = _Part(child, log, {kind: loop.create_future() for kind in ("made", "opened", "rows")})
        found.reading = asyncio.create_task(self._read(found))
        self._parts.append(found)
        stack.push_async_callback(self._end_worker, found)
        return found

    async def _end_worker(self, part: _Part) -> None:
        await end_child(part.child)
        if part.reading is not None:
            await end_tasks([part.reading])

    async def _word(self, part: _Part, kind: str) -> dict[str, Any]:
        return await part.word(kind)

    async def _read(self, part: _Part) -> None:
        assert part.child.stdout is not None
        while line := await part.child.stdout.readline():
            message = json.loads(line)
            kind = message.pop("kind")
            if kind == "sample":
                self._take(Sample(**message))
            elif kind in part.said:
                part.said[kind].set_result(message)

    # While it runs

    @property
    def _second(self) -> float:
        return max((time.monotonic() - self._began) * self._cast.faster, 0.0)

    async def run(self) -> None:
        """Until everybody has come and everything is settled, or nothing more is waited for."""
        if self._stop.is_set():
            self._measured.was_interrupted = True
        self._began = time.monotonic() + PAUSE_S
        for one in self._parts:
            one.tell("go", began=self._began)
        striking = asyncio.create_task(self._strike_all())
        try:
            while not await self._is_over():  # noqa: ASYNC110 - looks at plain data
                await asyncio.sleep(PAUSE_S)
        finally:
            await end_tasks([striking])
        self._measured.wall_s = time.monotonic() - self._began

    async def _is_over(self) -> bool:
        if self._stop.is_set():
            self._measured.was_interrupted = True
            return True
        for one in self._parts:
            if one.reading is not None and one.reading.done():
                await one.word("rows")  # Raises: it has ended.
        cast = self._cast
        if self._is_level and self._second >= max(cast.lasts_s, cast.prints_s):
            return True
        return self._second > cast.ends_s + self._plan.settle_s * cast.faster

    def _take(self, sample: Sample) -> None:
        found = self._gathering.setdefault(sample.number, [])
        found.append(sample)
        if len(found) < len(self._parts):
            return
        del self._gathering[sample.number]
        whole = found[0]
        for other in found[1:]:
            whole = whole.joined(other)
        own = resource.getrusage(resource.RUSAGE_SELF)
        self._measured.samples.append(whole)
        self._measured.uses.append((*self._hub.use("hub"), *self._hub.use("broker"), own.ru_utime + own.ru_stime))
        self._is_level = whole.is_level
        if not self._is_closing:
            self._show("running", whole)

    def _show(self, phase: str, sample: Sample | None = None) -> None:
        cast, offices = self._cast, len(self._cast.seats)
        if sample is None:
            self._on_progress(Progress(phase, 0.0, cast.lasts_s, 0, cast.events, offices=offices))
            return
        self._on_progress(
            Progress(
                phase, self._second, cast.lasts_s, sample.offered, cast.events, sample.accepted, sample.lag,
                sample.oldest_s, sample.offices_down, sample.cards, offices,
            )
        )  # fmt: skip

    # Faults

    async def _strike_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for fault in self._cast.scenario.faults:
                group.create_task(self._strike_in_time(fault))

    async def _strike_in_time(self, fault: Fault) -> None:
        at_s = self._cast.at_s(fault.when)
        await asyncio.sleep(max(self._began + at_s / self._cast.faster - time.monotonic(), 0))
        # What began before the first visitor came is under way by then.
        gone_s = max((self._cast.start - fault.when).total_seconds(), 0.0)
        lasts_s = max(fault.lasts_s - gone_s, 0.0)
        what, landed, target = f"{fault.blow} {fault.target}", True, ", ".join(fault.where)
        if is_of_lines(fault):
            hit = struck(fault, self._cast.seats, self._cast.seed)
            landed, target = bool(hit), target or (f"{len(hit)} offices" if fault.share < 1 else "")
            for one in self._parts:
                one.tell(
                    "strike", blow=str(fault.blow), target=fault.target, nodes=[seat.node for seat in hit],
                    lasts_s=lasts_s, back_over_s=fault.back_over_s,
                )  # fmt: skip
        row = FaultRow(at_s, what, target, lasts_s + fault.back_over_s, landed)
        self._measured.faults.append(row)
        if not is_of_lines(fault):
            landed = await self._hub.strike(str(fault.blow), fault.target, lasts_s / self._cast.faster)
            place = self._measured.faults.index(row)
            self._measured.faults[place] = FaultRow(at_s, what, target, lasts_s, landed)
            if fault.blow in (Blow.KILL, Blow.STOP):
                await self._tell_of_return()

    async def _tell_of_return(self) -> None:
        """Let the offices count from when the hub is there again."""
        ends = time.monotonic() + BACK_S_MAX
        while time.monotonic() < ends and not await self._hub.is_up():  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(PAUSE_S)
        for one in self._parts:
            one.tell("hub_back")

    # After

    async def finish(self) -> list[Row]:
        """Each office's account; the workers end with it."""
        self._show("closing")
        self._is_closing = True
        for one in self._parts:
            one.tell("finish")
        rows: list[Row] = []
        for one in self._parts:
            rows += [Row(**row) for row in (await one.word("rows"))["rows"]]
        return sorted(rows, key=lambda row: row.node)

    async def account(self, rows: Sequence[Row]) -> Result:
        """Compare the accounts and judge."""
        self._show("comparing every office's list with the hub's")
        folders = [Path(row.folder) for row in rows]
        state, storage = None, ""
        if self._hub.is_ours and self._hub.directory is not None:
            await self._hub.stop()
            accounts, state = await asyncio.to_thread(
                audit_local, self._hub.directory, folders, is_deep=self._plan.is_deep
            )
            storage = "sqlite" if (self._hub.directory / "hub.db").is_file() else "postgresql"
        else:
            accounts = await audit_remote(self._hub.addresses.grpc, folders)
        return result_of(self._cast, self._info(storage), self._measured, rows, accounts, state, self._notes(rows))

    def _info(self, storage: str) -> RunInfo:
        plan, cast, measured = self._plan, self._cast, self._measured
        return RunInfo(
            plan.version, plan.commit, measured.started_ms, round(measured.wall_s, 3),
            round(measured.prepared_s, 3), cast.seed, cast.faster, plan.workers,
            "started here" if self._hub.is_ours else self._hub.addresses.grpc, storage,
            cast.desk, measured.was_interrupted, SCALED, UNSCALED, plan.command,
        )  # fmt: skip

    def _notes(self, rows: Sequence[Row]) -> list[str]:
        notes = []
        cast, samples = self._cast, self._measured.samples
        printing = sum(bool(seat.printers) for seat in cast.seats)
        could = sum(bool(seat.office.printers) for seat in cast.seats)
        if printing < could and self._plan.options.printing < 0:
            notes.append(
                f"{printing} of {could} offices that have printers print: at this pace more cards come out than "
                "one computer can book; `sepe surge plan` reckons with all of them"
            )
        if cast.desk == "ahead":
            notes.append(
                "the desks read and decided before the clock started, and each event was committed when its "
                "person came (--desk live records in full)"
            )
        late = max((one.late_s for one in samples), default=0.0)
        if late > 1.0:
            notes.append(
                f"the generator fell {late:.1f} s behind its clock at worst: this machine is small for this load"
            )
        missed = [f"{row.what} at {row.at_s:.0f} s" for row in self._measured.faults if not row.landed]
        if missed:
            notes.append(f"nothing was there to be struck: {', '.join(missed)}")
        return notes
