"""The day the line comes back: every office drains at once while a server and a worker are killed.

Real parts: a hub and its workers as processes on PostgreSQL, three nats-servers, offices with their own databases
and links. Afterwards one SQLite hub is given the same outboxes by hand, and both must be equal to the last byte of
their digests.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hub.ingest import partitions as setting
from hub.ingest.policy import StreamPolicy, set_policy
from hub.merge import log
from hub.merge.store import HubStore
from sepe.errors import SepeError
from sepe_io.sqlite import transaction
from surge.check import Check
from surge.demo.parts import Part
from surge.drain.judge import held_against_one_hub
from surge.drain.offices import START_MS, Backlog, backlogs, enrol, make_offices
from surge.drain.quiet import quiet_office
from surge.drain.team import Teams, teams_at_work
from surge.lab.cluster import LabCluster
from surge.lab.family import cpu_s, peak_bytes

WORKERS = ("w1", "w2")
# The second machine of Oebobo, which no backlog has.
QUIET_NODE = "537104-2"
QUIET_MS_MAX = 2_000
REPLICAS = 3
# At these shares of the backlog the stream's leader dies, a worker dies, an empty server replaces the first.
BLOWS = ((0.25, "server"), (0.45, "worker"), (0.65, "empty server"))
LOOK_S = 0.1
# Nothing moved for so long: the run has failed, whatever the reason.
STUCK_S = 180.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DrainSettings:
    """What was asked for.

    Attributes:
        database: the address of an empty PostgreSQL database; ``""`` stays on SQLite.
        is_struck: kill and replace on the way. Otherwise a quiet office's waits are judged.
    """

    offices: int = 315
    events: int = 1_000_000
    database: str = ""
    partitions: int = 16
    seed: int = 1
    is_struck: bool = True


@dataclass(slots=True)
class DrainReport:
    """What came of it. Seconds are of this machine with all else that ran; memory is each process's highest.

    What a busy machine would show as well: ``cpu_s``, the seconds of a core that each process used.
    """

    settings: DrainSettings
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, int] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    story: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(one.holds for one in self.checks)

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "verdict": "kept" if self.passed else "broken",
            "offices": self.settings.offices, "events": self.settings.events, "seed": self.settings.seed,
            "storage": "postgresql" if self.settings.database else "sqlite",
            "checks": [one.document() for one in self.checks],
            "figures": self.figures, "memory_mb": self.memory_mb, "cpu_s": self.cpu_s, "story": self.story,
        }  # fmt: skip


@dataclass(slots=True)
class _Stage:
    """What runs, and who may be struck."""

    cluster: LabCluster
    hub: Part
    workers: dict[str, Part]
    dead_server: str = ""

    def processes(self) -> dict[str, int]:
        """The id of each process that still runs, by name."""
        parts = {"hub": self.hub, **{f"worker {name}": part for name, part in self.workers.items()}}
        found = {name: part.child.pid for name, part in parts.items() if part.child.returncode is None}
        found |= {f"nats-server {one.name}": one.pid for one in self.cluster.servers if one.is_running}
        return found


async def run(settings: DrainSettings, folder: Path, say: Say) -> DrainReport:
    """Play it in ``folder``, which is left as it is; every process is ended whatever happens.

    Raises:
        SepeError: a part did not start, or nothing moved for `STUCK_S`.
    """
    report = DrainReport(settings)
    made = backlogs(folder / "offices", settings.offices, settings.events, settings.seed)
    began = time.monotonic()
    _make(made, say)
    quiet = Backlog(QUIET_NODE, folder / "quiet", 0, settings.seed - 1)
    make_offices([quiet], lambda done: None, 1)
    report.figures["make_s"] = round(time.monotonic() - began, 1)
    hub_dir = folder / "hub"
    with HubStore.create(hub_dir, now_ms=START_MS, database=settings.database) as store:
        enrol(store, [*made, quiet], now_ms=START_MS)
        with transaction(store.connection):
            set_policy(store.connection, StreamPolicy(replicas=REPLICAS))
            setting.set_count(store.connection, settings.partitions)
    async with _running(folder, hub_dir, say) as stage:
        ready = stage.hub.ready
        say(f"{settings.offices} offices come back with {settings.events} events")
        lines = {"hub": str(ready["grpc"]), "nats": str(ready["nats"])}
        async with quiet_office(quiet, **lines) as waits, teams_at_work(made, folder, **lines) as teams:
            await _drain(teams, stage, report, say)
            _note(report, stage.processes() | teams.processes())
        await _end(stage, report)
    report.figures |= waits.figures()
    if not settings.is_struck:
        is_quick = report.figures["quiet_p99_ms"] <= QUIET_MS_MAX
        report.checks.append(Check(f"99 of 100 words to a quiet office within {QUIET_MS_MAX} ms", True, is_quick))
    _judge([*made, quiet], len(waits.times_ms), folder, report, say)
    return report


def _make(made: Sequence[Backlog], say: Say) -> None:
    def told(done: int) -> None:
        if done % 50 == 0 or done == len(made):
            say(f"{done} of {len(made)} offices made")

    make_offices(made, told, os.cpu_count() or 1)


@asynccontextmanager
async def _running(folder: Path, hub_dir: Path, say: Say) -> AsyncIterator[_Stage]:
    cluster = LabCluster(folder / "nats")
    async with AsyncExitStack() as stack:
        stack.callback(cluster.end)
        cluster.start()
        await cluster.until_ready()
        hub = await Part.hub(folder / "hub.log", hub_dir, "--nats", cluster.url)
        stack.push_async_callback(hub.end)
        stage = _Stage(cluster, hub, {})
        for name in WORKERS:
            log_file = folder / f"{name}.log"
            part = await Part.sepe(name, log_file, "hub", "worker", hub_dir, "--name", name, "--nats", cluster.url)
            stack.push_async_callback(part.end)
            stage.workers[name] = part
        say(f"three nats-servers, a hub and {len(WORKERS)} workers run")
        yield stage


async def _drain(teams: Teams, stage: _Stage, report: DrainReport, say: Say) -> None:
    """Until nothing is pending and every blow was struck; a late one still meets what a quiet office records."""
    began = time.monotonic()
    total = report.settings.events
    blows = list(BLOWS) if report.settings.is_struck else []
    moved_at, last, said_at = began, -1, began
    while True:
        # The hub's word may be ahead of what a relay has shown, never behind.
        all_of_them = teams.standing()
        done = all_of_them.durable
        now = time.monotonic()
        if done == total and not blows and not all_of_them.pending:
            break
        if done != last:
            moved_at, last = now, done
        elif now - moved_at > STUCK_S:
            raise SepeError(
                f"nothing moved for {STUCK_S:.0f} s; {all_of_them.waiting} offices wait, one says:"
                f" {all_of_them.reason or 'nothing'}"
            )
        if blows and done >= blows[0][0] * total:
            story = await _strike(blows.pop(0)[1], stage, report)
            report.story.append(f"at {done} events, {now - began:.1f} s: {story}")
            say(report.story[-1])
        if now - said_at > 5:
            said_at = now
            rate = done / (now - began)
            lines = f"nats {all_of_them.on_nats}, grpc {all_of_them.on_grpc}, off {all_of_them.offline}"
            say(f"{done} of {total}, {rate:.0f}/s; {lines}")
        await asyncio.sleep(LOOK_S)
    seconds = time.monotonic() - began
    report.figures |= {
        "drain_s": round(seconds, 1),
        "events_per_s": round(total / seconds, 1),
        "frames_sent": all_of_them.frames_sent,
        "bytes_per_event": round(all_of_them.bytes_sent / total, 1),
        "sessions": all_of_them.sessions,
    }
    report.checks.append(Check("events that an office still holds unconfirmed", 0, all_of_them.pending))


async def _strike(what: str, stage: _Stage, report: DrainReport) -> str:
    if what == "server":
        stage.dead_server = await stage.cluster.leader() or stage.cluster.servers[0].name
        server = stage.cluster.named(stage.dead_server)
        _note(report, {f"nats-server {server.name}": server.pid})
        server.kill()
        return f"nats-server {server.name}, the stream's leader, killed (process {server.pid})"
    if what == "worker":
        name = WORKERS[0]
        child = stage.workers[name].child
        _note(report, {f"worker {name}": child.pid})
        child.kill()
        await child.wait()
        return f"worker {name} killed (process {child.pid}); the others take its partitions"
    server = stage.cluster.named(stage.dead_server)
    server.empty()
    server.start()
    return f"an empty nats-server {server.name} takes the dead one's place"


async def _end(stage: _Stage, report: DrainReport) -> None:
    codes = {part.name: part.child.returncode for part in (stage.hub, *stage.workers.values())}
    struck = {WORKERS[0]} if report.settings.is_struck else set()
    ended = sorted(name for name, code in codes.items() if code is not None and name not in struck)
    report.checks.append(Check("processes that ended without being killed", [], ended))
    for part in (*stage.workers.values(), stage.hub):
        await part.end()


def _judge(made: Sequence[Backlog], recorded: int, folder: Path, report: DrainReport, say: Say) -> None:
    """Count at the hub, and give the same outboxes to one SQLite hub."""
    began = time.monotonic()
    with HubStore.open(folder / "hub") as store:
        report.figures["frames_logged"] = log.last_number(store.connection)
    say("now one SQLite hub is given the same outboxes")
    events = report.settings.events + recorded
    report.checks += held_against_one_hub(made, folder / "hub", folder / "reference", events)
    report.figures["judge_s"] = round(time.monotonic() - began, 1)


def _note(report: DrainReport, processes: dict[str, int]) -> None:
    """The most memory that each process ever had, MB, and the seconds of a core that it used, provers included."""
    for name, pid in processes.items():
        # One that has ended meanwhile, or waits to be collected, has no memory any more.
        with suppress(FileNotFoundError):
            report.memory_mb[name] = peak_bytes(pid) // (1024 * 1024)
            report.cpu_s[name] = round(cpu_s(pid), 1)


def text_of(report: DrainReport) -> str:
    """For people."""
    figures = report.figures
    rows = [
        f"{report.settings.events} events of {report.settings.offices} offices in {figures['drain_s']} s,"
        f" {figures['events_per_s']:.0f}/s, {figures['bytes_per_event']} bytes on the wire each",
        *(f"  {line}" for line in report.story),
        f"a quiet office meanwhile: {figures['quiet_acks']:.0f} recordings, each confirmed after"
        f" {figures['quiet_p50_ms']} ms (median), {figures['quiet_p99_ms']} (99 of 100),"
        f" {figures['quiet_max_ms']} (longest)",
        "memory, highest, MB: " + ", ".join(f"{name} {size}" for name, size in sorted(report.memory_mb.items())),
        "seconds of a core: " + ", ".join(f"{name} {seconds}" for name, seconds in sorted(report.cpu_s.items())),
        *(one.text() for one in report.checks),
    ]
    return "\n".join(rows)
