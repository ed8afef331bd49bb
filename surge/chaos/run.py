"""One run: set the stage, record under blows, wait until all is received, stop, judge."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from sepe.errors import InvalidInputError, SepeError
from sepe.region import zone
from surge.chaos.blows import freeze, strike_broker, strike_stream
from surge.chaos.cast import Desk, Kept, sepe
from surge.chaos.checks import judge
from surge.chaos.plan import Blow, Strike, plan
from surge.check import Check
from surge.demo.parts import run_sepe
from surge.lab.policy import print_incomplete
from surge.line import Line
from surge.look import position_of
from surge.people import NikSpace, Populace
from surge.visits import visits

OFFICES = ("537104", "537105", "537101", "537102", "537103", "537106")
TICK_S = 0.02
LOOK_S = 0.5
SAY_EVERY_S = 10.0
SLOW_BYTES_PER_SECOND = 8_000.0
REPEAT_SHARE, CONFLICT_SHARE = 0.10, 0.01


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is made of.

    Attributes:
        rate: recordings a second over all offices.
        every_s: a strike so often, on average.
        settle_s_max: how long everything may take to be received after the last strike.
    """

    seconds: float = 300.0
    rate: float = 500.0
    nodes: int = 4
    seed: int = 1
    every_s: float = 2.0
    settle_s_max: float = 120.0


@dataclass(slots=True)
class Report:
    """What became of a run; `passed` is the verdict.

    Attributes:
        unanswered: lines handed to a desk that died before it answered.
        settle_s: from the last strike until every office had everything received.
        exits: exit codes of the processes that were asked to end, by name; 0 is clean.
    """

    settings: Settings
    recorded: int = 0
    unanswered: int = 0
    refused: int = 0
    recording_s: float = 0.0
    settle_s: float = 0.0
    strikes: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    exits: dict[str, int | None] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(check.holds for check in self.checks)

    def document(self) -> dict[str, Any]:
        """As one JSON document."""
        checks = [{"check": c.name, "expected": str(c.expected), "found": str(c.found), "holds": c.holds}
                  for c in self.checks]  # fmt: skip
        return {"passed": self.passed, **asdict(self), "checks": checks}


class NotSettledError(SepeError):
    """The offices did not get everything received in time; the text names what is left."""


@dataclass(slots=True)
class _Office:
    folder: Path
    lines: tuple[Line, Line]
    node: Kept
    desk: Desk


@dataclass(slots=True)
class _Stage:
    hub_dir: Path
    hub: Kept
    offices: list[_Office]
    say: Callable[[str], None]
    strikes: Counter[str] = field(default_factory=Counter)

    @property
    def cast(self) -> list[Kept]:
        return [self.hub, *(office.node for office in self.offices), *(office.desk for office in self.offices)]


async def run(settings: Settings, folder: Path, say: Callable[[str], None] = lambda text: None) -> Report:
    """Run in ``folder``, which keeps every directory and log.

    Raises:
        NotSettledError: events were still on their way after ``settle_s_max``.
        SepeError, TimeoutError: a process did not start.
    """
    if not 1 <= settings.nodes <= len(OFFICES):
        raise InvalidInputError(f"between 1 and {len(OFFICES)}", field="nodes", value=settings.nodes)
    report = Report(settings)
    async with _stage(settings, folder, say) as stage:
        telling = asyncio.create_task(_tell(stage))
        started = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_load(settings, stage))
                group.create_task(_strike_all(settings, stage))
            report.recording_s = time.monotonic() - started
            say("no more strikes; waiting until everything is received")
            await asyncio.gather(*(office.desk.close() for office in stage.offices))
            report.settle_s = await _settled(stage, settings.settle_s_max)
        finally:
            telling.cancel()
        for kept in (*(office.node for office in stage.offices), stage.hub):
            report.exits[kept.name] = await kept.stop()
        desks = [office.desk for office in stage.offices]
        report.recorded = sum(len(desk.confirmed) for desk in desks)
        report.unanswered = sum(desk.unanswered for desk in desks)
        report.refused = sum(len(desk.refused) for desk in desks)
        report.strikes = dict(stage.strikes)
        report.restarts = {kept.name: kept.starts - 1 for kept in stage.cast}
        confirmed = [name for desk in desks for name in desk.confirmed]
        folders = [office.folder for office in stage.offices]
    say("comparing desks, outboxes and the hub's log")
    report.checks = await asyncio.to_thread(judge, folder / "hub", folders, confirmed)
    report.checks += [
        Check("lines refused at a desk", 0, report.refused),
        Check("processes that did not end cleanly", [], [name for name, code in report.exits.items() if code]),
    ]
    return report


@asynccontextmanager
async def _stage(settings: Settings, folder: Path, say: Callable[[str], None]) -> AsyncIterator[_Stage]:
    hub_dir = folder / "hub"
    await run_sepe("hub", "init", hub_dir)
    anywhere = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--nats-port", 0)
    async with AsyncExitStack() as stack:
        hub = Kept("hub", sepe(("hub", "run", hub_dir, *anywhere)), folder / "hub.log")
        stack.push_async_callback(_end, hub)
        hub.start()
        await hub.until_ready()
        # From now on it comes back where the offices know it.
        nats, http = urlsplit(hub.ready["nats"]), urlsplit(hub.ready["http"])
        fixed = ("--grpc", hub.ready["grpc"], "--http", http.netloc, "--nats-port", nats.port)
        hub.command = sepe(("hub", "run", hub_dir, *fixed))
        names = [f"{code}-1" for code in OFFICES[: settings.nodes]]
        opened = await asyncio.gather(*(_open_office(stack, folder, hub_dir, hub, name) for name in names))
        stage = _Stage(hub_dir, hub, opened, say)
        for office in stage.offices:
            office.node.start()
            office.desk.start()
        await asyncio.gather(*(office.node.until_ready() for office in stage.offices))
        say(f"hub and {settings.nodes} offices run")
        yield stage


async def _open_office(stack: AsyncExitStack, folder: Path, hub_dir: Path, hub: Kept, node: str) -> _Office:
    lines = []
    for address in (hub.ready["grpc"], urlsplit(hub.ready["nats"]).netloc):
        host, _, port = address.rpartition(":")
        lines.append(await stack.enter_async_context(Line(host, int(port))))
    token = (await run_sepe("hub", "enrol", hub_dir, "--node", node)).strip()
    home = folder / node
    addresses = ("--hub", lines[0].address, "--nats", f"nats://{lines[1].address}")
    await run_sepe("node", "init", home, "--node", node, *addresses, "--token", token)
    print_incomplete(home)
    running = Kept(node, sepe(("node", "run", home, "--http", "127.0.0.1:0")), folder / f"{node}.log")
    desk = Desk(f"desk {node}", sepe(("node", "record", home, "-")), folder / f"{node}.desk.log")
    stack.push_async_callback(_end, running)
    stack.push_async_callback(_end, desk)
    return _Office(home, (lines[0], lines[1]), running, desk)


async def _end(kept: Kept) -> None:
    kept.send(signal.SIGCONT)
    await kept.stop()


# Load


async def _load(settings: Settings, stage: _Stage) -> None:
    rng = Random(settings.seed)
    # The desks judge ages by their own calendar, so the people are of today.
    today = datetime.now(tz=zone(OFFICES[0]).tzinfo).date()
    populace = Populace(rng, kecamatan=OFFICES[0], today=today, space=NikSpace())
    total = int(settings.seconds * settings.rate)
    people = visits(populace, rng, total, repeat_share=REPEAT_SHARE, conflict_share=CONFLICT_SHARE)
    waiting = (json.dumps(visit.person.to_line(), ensure_ascii=False).encode() + b"\n" for visit in people)
    share = [total // settings.nodes + (place < total % settings.nodes) for place in range(settings.nodes)]
    async with asyncio.TaskGroup() as group:
        for office, count in zip(stage.offices, share, strict=True):
            group.create_task(_queue(office.desk, waiting, count, settings.rate / settings.nodes))


async def _queue(desk: Desk, waiting: Any, count: int, rate: float) -> None:
    """People come at a steady rate whether or not the desk is there; they wait while it is away."""
    started = time.monotonic()
    served = 0
    while served < count:
        due = min(int((time.monotonic() - started) * rate), count)
        while served < due:
            await desk.record(next(waiting))
            served += 1
        await asyncio.sleep(TICK_S)


# Blows


async def _strike_all(settings: Settings, stage: _Stage) -> None:
    strikes = plan(settings.seed, seconds=settings.seconds, offices=settings.nodes, every_s=settings.every_s)
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for strike in strikes:
            await asyncio.sleep(max(0.0, started + strike.at_s - time.monotonic()))
            group.create_task(_strike(strike, stage))


async def _strike(strike: Strike, stage: _Stage) -> None:
    office = stage.offices[strike.office]
    match strike.blow:
        case Blow.KILL_HUB:
            landed = stage.hub.send(signal.SIGKILL)
        case Blow.KILL_NODE:
            landed = office.node.send(signal.SIGKILL)
        case Blow.KILL_DESK:
            landed = office.desk.send(signal.SIGKILL)
        case Blow.FREEZE_HUB:
            landed = await freeze(stage.hub, strike.for_s)
        case Blow.FREEZE_NODE:
            landed = await freeze(office.node, strike.for_s)
        case Blow.KILL_BROKER:
            landed = await strike_broker(stage.hub)
        case Blow.FREEZE_BROKER:
            landed = await strike_broker(stage.hub, freeze_s=strike.for_s)
        case Blow.PURGE_STREAM | Blow.DELETE_STREAM:
            landed = await strike_stream(stage.hub.ready["nats"], delete=strike.blow is Blow.DELETE_STREAM)
        case Blow.CUT_LINE | Blow.FREEZE_LINE | Blow.SLOW_LINE:
            landed = await _strike_line(strike, office.lines)
    stage.strikes[strike.blow if landed else f"{strike.blow} (nothing there)"] += 1


async def _strike_line(strike: Strike, lines: tuple[Line, Line]) -> bool:
    for line in lines:
        if strike.blow is Blow.CUT_LINE:
            line.cut()
        elif strike.blow is Blow.FREEZE_LINE:
            line.freeze()
        else:
            line.shape.bytes_per_second = SLOW_BYTES_PER_SECOND
    await asyncio.sleep(strike.for_s)
    for line in lines:
        line.shape.bytes_per_second = 0.0
        line.heal()
    return True


# Looking


def _positions(stage: _Stage) -> list[tuple[int, int]]:
    """(last, durable) of each office, read as the status command reads them."""
    found = []
    for office in stage.offices:
        position = position_of(office.folder)
        found.append((position.last_seq, position.durable_seq))
    return found


async def _settled(stage: _Stage, settle_s_max: float) -> float:
    started = time.monotonic()
    while any(last != durable for last, durable in _positions(stage)):
        if time.monotonic() - started > settle_s_max:
            left = [f"{office.node.name}: {last - durable}"
                    for office, (last, durable) in zip(stage.offices, _positions(stage), strict=True)]  # fmt: skip
            raise NotSettledError(f"events not received after {settle_s_max:.0f} s: {', '.join(left)}")
        await asyncio.sleep(LOOK_S)
    return time.monotonic() - started


async def _tell(stage: _Stage) -> None:
    started = time.monotonic()
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        positions = _positions(stage)
        stage.say(
            f"{time.monotonic() - started:5.0f} s  recorded {sum(last for last, _ in positions)}, "
            f"waiting {sum(last - durable for last, durable in positions)}, strikes {stage.strikes.total()}"
        )
