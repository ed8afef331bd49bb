"""One process of virtual offices: ``python -m surge.run.worker``, started and told what to do by the player.

It makes its share of the machines, opens them, lets people come by the clock, and says every interval how it
stands. Offered load is a matter of the clock alone: who has come is counted whether or not a desk, the disk or the
hub keeps up, and who waits at a desk is counted as waiting.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from hub.merge.store import HubStore
from sepe.errors import SepeError
from sepe_io import handles, logs, sqlite
from sepe_io.tasks import end_tasks
from surge.run.cast import Cast, Options, cast_of
from surge.run.messages import LINE_BYTES_MAX, Row, Sample, Task, line_of
from surge.run.office import Addresses, VirtualOffice
from surge.run.printing import PrintRoom
from surge.run.visitors import visitors
from surge.scenario import load
from surge.scenario.model import Blow
from surge.scenario.visits import Visits

TICK_S = 0.05
# So many commits of desks a second over all workers: beyond it an office's people are taken together, a few
# seconds of them at a time, as a clerk types in the forms that have gathered.
DESK_BATCHES_A_SECOND = 120.0
COMMIT_THREADS, DESK_THREADS = 6, 2
CONNECT_S_MAX = 60.0
# A slowed line passes so much of what it did.
SLOW_SHARE = 0.1


class Worker:
    """See the module."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.cast: Cast = cast_of(load(task.scenario), Options(**task.options))
        mine = [seat for seat in self.cast.seats if seat.number % task.parts == task.part]
        self._commits = ThreadPoolExecutor(COMMIT_THREADS, "commits")
        self._desks = ThreadPoolExecutor(DESK_THREADS, "desks")
        self.addresses = Addresses(task.grpc, task.nats)
        self.offices = [
            VirtualOffice(seat, Path(task.folder) / seat.node, self.cast.faster, self._commits) for seat in mine
        ]
        self.rooms = [PrintRoom(office, self.cast) for office in self.offices if office.seat.printers]
        self._by_node = {office.seat.node: office for office in self.offices}
        self._every_s = max(TICK_S, len(self.cast.seats) / DESK_BATCHES_A_SECOND)
        self._began = 0.0
        self._is_going = False
        self._early = 0
        self._late_s = 0.0
        self._faults: set[asyncio.Task[None]] = set()

    # Before the clock starts

    def prepare(self) -> dict[str, str]:
        """Make every machine and whoever will come to it; the public keys by node. Blocking."""
        template = Path(self.task.folder) / f".template-{self.task.part}.db"
        keys: dict[str, str] = {}
        visits, today = Visits(self.cast.scenario), date.fromisoformat(self.task.today)
        for office in self.offices:
            now_ms = time.time_ns() // 1_000_000
            _lay_schema(template, office.folder)
            token = self.task.tokens.get(office.seat.node, "")
            keys[office.seat.node] = office.make(self.addresses, now_ms=now_ms, token=token).hex()
            office.expect(visitors(self.cast, office.seat, visits, today, now_ms))
            office.lay(office.seat.office.link)
        template.unlink(missing_ok=True)
        gc.freeze()  # What waits to come is not garbage, however often one looks.
        return keys

    async def open(self) -> int:
        """Plug in every machine; how many of them the hub has heard of when all that have a line are connected."""
        for office in self.offices:
            office.is_away = any(low <= 0 < high for low, high in office.seat.away)
        for start in range(0, len(self.offices), 20):
            await asyncio.gather(*(office.start(self.addresses) for office in self.offices[start : start + 20]))
        for index, office in enumerate(self.offices):
            office.next_desk_at = time.monotonic() + self._every_s * index / len(self.offices)
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S_MAX):
                while not all(one.is_connected or not one.has_line for one in self.offices):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        return sum(office.is_connected for office in self.offices)

    # While it runs

    def second(self) -> float:
        """Scenario time now."""
        return (time.monotonic() - self._began) * self.cast.faster

    async def go(self, began: float) -> None:
        """Let people come from ``began`` (monotonic clock) on, until `finish` is told."""
        self._began, self._is_going = began, True
        tasks = [asyncio.create_task(self._let_come()), asyncio.create_task(self._report())]
        tasks += [asyncio.create_task(self._hours(office)) for office in self.offices if office.seat.away]
        tasks += [asyncio.create_task(room.run(began)) for room in self.rooms]
        try:
            while self._is_going:
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(TICK_S)
        finally:
            await end_tasks(tasks)

    async def _let_come(self) -> None:
        while True:
            now, at_s = time.monotonic(), self.second()
            for office in self.offices:
                office.offer(at_s)
                office.work(now, self._every_s, self._desks)
            due = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            self._late_s = max(self._late_s, time.monotonic() - due)

    async def _hours(self, office: VirtualOffice) -> None:
        """Take the line away and give it back as the scenario's hours say."""
        for low, high in office.seat.away:
            await self._until(low)
            office.set_line(is_away=True)
            await self._until(high)
            office.set_line(is_away=False)

    async def _until(self, second: float) -> None:
        if second == float("inf"):
            await asyncio.Event().wait()
        await asyncio.sleep(max(self._began + second / self.cast.faster - time.monotonic(), 0))

    async def _report(self) -> None:
        number = 0
        while True:
            number += 1
            await asyncio.sleep(max(self._began + number * self.task.interval_s - time.monotonic(), 0))
            if self.task.hub_dir:
                await self._look_for_early_acks()
            say("sample", **asdict(self.sample(number)))

    async def _look_for_early_acks(self) -> None:
        """Compare what offices were told with what the hub's database shows, read after that."""
        told = {office.seat.node: office.meter.durable_seq for office in self.offices}
        with suppress(SepeError):
            held = await asyncio.to_thread(_held_by, Path(self.task.hub_dir))
            early = sum(max(seq - held.get(node, 0), 0) for node, seq in told.items())
            self._early = max(self._early, early)

    def sample(self, number: int) -> Sample:
        """How the offices stand."""
        now = time.monotonic()
        for office in self.offices:
            office.look(now)
        meters = [office.meter for office in self.offices]
        used = resource.getrusage(resource.RUSAGE_SELF)
        offered, at_desks = sum(one.offered for one in meters), sum(one.at_desk for one in self.offices)
        lag = sum(one.lag for one in meters)
        everybody = sum(len(one.arrivals) for one in self.offices)
        return Sample(
            number, offered, sum(one.accepted for one in meters), sum(one.refused for one in meters),
            sum(one.durable_seq for one in meters), at_desks, lag,
            max((one.age(now) for one in meters), default=0.0), sum(not one.has_line for one in self.offices),
            sum(one.is_catching_up for one in meters), sum(room.cards for room in self.rooms),
            sum(room.printers for room in self.rooms), sum(room.busy for room in self.rooms), self._early,
            self._late_s, used.ru_utime + used.ru_stime, _memory_bytes(),
            offered == everybody and not at_desks and not lag,
        )  # fmt: skip

    # What the player tells

    def told(self, message: dict[str, Any]) -> None:
        """Act on a message of the player's while the run goes on."""
        match message["kind"]:
            case "finish":
                self._is_going = False
            case "hub_back":
                now = time.monotonic()
                for office in self.offices:
                    if office.has_line:
                        office.meter.returned(now)
            case "strike":
                task = asyncio.create_task(self._strike(message))
                self._faults.add(task)
                task.add_done_callback(self._faults.discard)

    async def _strike(self, message: dict[str, Any]) -> None:
        """A fault of lines or machines: it lasts, then they come back, one by one if it says so."""
        offices = [self._by_node[node] for node in message["nodes"] if node in self._by_node]
        blow, lasts_s, over_s = Blow(message["blow"]), message["lasts_s"], message["back_over_s"]
        target = message["target"]
        for office in offices:
            await _hit(office, blow, target)
        ends = time.monotonic() + lasts_s / self.cast.faster
        step_s = over_s / self.cast.faster / max(len(offices), 1)
        for index, office in enumerate(offices):
            await asyncio.sleep(max(ends + step_s * index - time.monotonic(), 0))
            await _mend(office, blow, target)

    async def end(self) -> list[Row]:
        """Unplug everything; each office's account."""
        await end_tasks(list(self._faults))
        for start in range(0, len(self.offices), 50):
            await asyncio.gather(*(office.close() for office in self.offices[start : start + 50]))
        rooms = {room.node: room for room in self.rooms}
        return [self._row(office, rooms.get(office.seat.node)) for office in self.offices]

    def _row(self, office: VirtualOffice, room: PrintRoom | None) -> Row:
        meter = office.meter
        row = Row(
            office.seat.node, str(office.folder), meter.offered, meter.accepted, meter.refused, meter.durable_seq,
            meter.last_seq, meter.taken_back, meter.worst_lag,
            max(meter.worst_lag_at - self._began, 0.0) * self.cast.faster, meter.oldest_s, meter.catch_up_s,
            meter.catch_up_events, meter.is_catching_up, meter.acks.packed(), meter.acks.longest_s,
            office.shape.up.passed_bytes, office.shape.down.passed_bytes, office.bytes_sent, office.frames,
            office.sessions,
        )  # fmt: skip
        if room is not None:
            room.tell(row)
        return row


async def _hit(office: VirtualOffice, blow: Blow, target: str) -> None:
    if target == "node":
        if blow is Blow.KILL:
            office.set_line(is_down=True)
            await office.halt()
        else:
            office.set_line(is_frozen=True)
    elif blow is Blow.CUT:
        office.set_line(is_cut=True)
    elif blow is Blow.FREEZE:
        office.set_line(is_frozen=True)
    else:
        office.shape.bytes_per_second *= SLOW_SHARE


async def _mend(office: VirtualOffice, blow: Blow, target: str) -> None:
    if target == "node" and blow is Blow.KILL:
        office.is_down = False
        office.set_line()
        await office.boot()
        office.meter.returned(time.monotonic())
    elif blow is Blow.SLOW:
        office.shape.bytes_per_second /= SLOW_SHARE
    else:
        office.set_line(**{"is_cut" if blow is Blow.CUT else "is_frozen": False})


def _lay_schema(template: Path, folder: Path) -> None:
    """Put an empty database with today's schema where a machine will be made: the same steps a thousand times over
    take a minute."""
    import shutil

    from node.settings import DATABASE_NAME
    from node.storage import schema

    if not template.exists():
        with closing(sqlite.connect(template)) as connection:
            sqlite.migrate(connection, schema.STEPS)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, folder / DATABASE_NAME)


def _held_by(hub_dir: Path) -> dict[str, int]:
    """The watermark of each node's latest epoch, as the hub's database has it."""
    with HubStore.open(hub_dir) as store:
        rows = store.connection.execute("SELECT node, max(durable_seq) FROM epoch GROUP BY node").fetchall()
    return {str(node): int(seq) for node, seq in rows}


def _memory_bytes() -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def say(kind: str, **what: Any) -> None:
    """Tell the player."""
    sys.stdout.buffer.write(line_of(kind, **what))
    sys.stdout.buffer.flush()


async def main() -> None:
    """Do what the player says until it is done."""
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = json.loads(await reader.readline())
    handles.use_all()
    worker = Worker(Task(**{name: value for name, value in first.items() if name != "kind"}))
    say("made", keys=await asyncio.to_thread(worker.prepare))
    going: asyncio.Task[None] | None = None
    while line := await reader.readline():
        message = json.loads(line)
        if message["kind"] == "open":
            say("opened", connected=await worker.open())
        elif message["kind"] == "go":
            going = asyncio.create_task(worker.go(message["began"]))
        else:
            worker.told(message)
            if message["kind"] == "finish":
                break
    if going is not None:
        worker.told({"kind": "finish"})
        await going
    rows = await worker.end()
    say("rows", rows=[asdict(row) for row in rows])


if __name__ == "__main__":
    logs.set_up("ERROR")
    asyncio.run(main())
