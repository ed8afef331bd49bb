"""A virtual office: the real desk, outbox, relay and link of one machine, on a line of its own.

Its directory, database, key and epoch are what `sepe node init` makes; its relay is put together by
`node.outbox.office.open_office`, as `sepe node run` does it. Shared with the other offices of the process are the
event loop and the threads that wait for the disk.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from node.cli.setup import make_node
from node.desk.lines import BATCH_LINES_MAX, InputLine
from node.desk.record import Desk
from node.outbox.office import Office, open_office
from node.outbox.view import RelayTimes
from node.settings import KEY_NAME, NodeSettings
from node.storage.store import PREDECESSOR_KEY, NodeStore
from sepe.errors import TransientError
from sepe_io import keys
from sepe_io.address import split_address
from sepe_io.logs import logger
from sepe_io.regions import region_table
from sepe_io.tasks import end_tasks
from surge.lab.hands import SharedHands
from surge.lab.policy import print_incomplete
from surge.line import Line, Shape
from surge.run.cast import Seat
from surge.run.meter import Meter
from surge.run.visitors import Visitor
from surge.scenario.model import LinkClass

SOFTWARE = "sepe surge"
RETRY_MS_MAX = 30_000
# Programs do not get quicker with the clock of a scenario; pauses are not made shorter than this.
RETRY_MS_MIN = 1_000
_log = logger("surge.office")


@dataclass(slots=True)
class Addresses:
    """Where the hub is: ``HOST:PORT`` each, ``nats`` empty without NATS."""

    grpc: str
    nats: str


@dataclass(slots=True)
class VirtualOffice:
    """One machine of the cast.

    Attributes:
        visitors: who comes, by time; ``arrivals`` their times.
        served: how many of them have been handed to the desk.
        is_away: there is no line by the scenario's hours; ``is_cut``, ``is_frozen``: by a fault.
        is_down: the machine has no power.
    """

    seat: Seat
    folder: Path
    faster: float
    threads: Executor
    visitors: list[Visitor] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    served: int = 0
    meter: Meter = field(default_factory=Meter)
    shape: Shape = field(default_factory=Shape)
    lines: list[Line] = field(default_factory=list)
    office: Office | None = None
    clock_offset_ms: int = 0
    is_away: bool = False
    is_cut: bool = False
    is_frozen: bool = False
    is_down: bool = False
    sessions: int = 0
    frames: int = 0
    bytes_sent: int = 0
    next_desk_at: float = 0.0
    _desk_store: NodeStore | None = None
    _desk: Desk | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _boot: AsyncExitStack = field(default_factory=AsyncExitStack)
    _relay_task: asyncio.Task[None] | None = None
    _recording: asyncio.Task[None] | None = None

    def make(self, addresses: Addresses, *, now_ms: int, token: str = "") -> bytes:
        """Make the directory of the machine; return its public key. Blocking."""
        blanks = sum(self.seat.office.blanks.values()) if self.seat.printers else 0
        settings = NodeSettings(
            self.seat.node, addresses.grpc, f"nats://{addresses.nats}" if addresses.nats else ""
        )
        make_node(self.folder, settings, token=token, blanks=blanks, now_ms=now_ms)
        print_incomplete(self.folder)
        store = NodeStore.open(self.folder)
        try:
            # Machines of this week have been at work for long: what an earlier one did here was asked long ago.
            store.put(PREDECESSOR_KEY, None)
            self.meter.last_seq = store.position().last_seq
        finally:
            store.close()
        return keys.load(self.folder / KEY_NAME).public_key

    def expect(self, visitors: list[Visitor]) -> None:
        """Take in who will come."""
        self.visitors, self.arrivals = visitors, [one.at_s for one in visitors]

    # The line

    def lay(self, link: LinkClass) -> None:
        """Give the cable the character of its class; what ``faster`` does to it is told in `surge.run.words`."""
        self.shape.bytes_per_second = link.kbit_s * 125 * self.faster
        self.shape.delay_ms, self.shape.jitter_ms, self.shape.loss = link.delay_ms, link.jitter_ms, link.loss

    @property
    def has_line(self) -> bool:
        """Whether bytes can pass now."""
        return not (self.is_away or self.is_cut or self.is_frozen or self.is_down)

    def set_line(self, **states: bool) -> None:
        """Change what keeps the line away (``is_away``, ``is_cut``, ``is_frozen``, ``is_down``)."""
        had = self.has_line
        for name, value in states.items():
            setattr(self, name, value)
        for line in self.lines:
            if self.is_away or self.is_cut or self.is_down:
                line.cut()
            elif self.is_frozen:
                line.heal()
                line.freeze()
            else:
                line.heal()
        if had and not self.has_line:
            self.meter.lost_line()
        elif self.has_line and not had:
            self.meter.returned(time.monotonic())

    # Life

    async def start(self, addresses: Addresses) -> None:
        """Lay the cable and plug the machine in."""
        rng = Random(self.seat.node)
        for address in (addresses.grpc, addresses.nats):
            if address:
                host, port = split_address(address)
                self.lines.append(await self._stack.enter_async_context(Line(host, port, self.shape, rng)))
        self.set_line()
        await self.boot()

    async def boot(self) -> None:
        """Begin to relay and to record."""
        worker = partial(SharedHands, threads=self.threads, on_durable=self._durable, now_ms=self.now_ms)
        self._boot = AsyncExitStack()
        self.office = await self._boot.enter_async_context(
            open_office(
                self.folder, hub=self.lines[0].address,
                nats=f"nats://{self.lines[1].address}" if len(self.lines) > 1 else "", software=SOFTWARE,
                times=_times(self.faster), worker_of=worker,
            )
        )  # fmt: skip
        self._desk_store = NodeStore.open(self.folder)
        self._desk = Desk(self._desk_store, regions=region_table(), photo_base=self.folder)
        self._relay_task = asyncio.create_task(self._keep(self.office), name=self.seat.node)

    async def halt(self) -> None:
        """Stop relaying and recording, as when the power goes: what is on the disk stays, the rest is gone."""
        if self._recording is not None:
            await asyncio.wait({self._recording})
        if self._relay_task is not None:
            await end_tasks([self._relay_task])
            self._relay_task = None
        if self.office is not None:
            view = self.office.relay.view
            self.sessions, self.frames = self.sessions + view.sessions, self.frames + view.frames_sent
            self.bytes_sent += view.bytes_sent
            self.office = None
        await self._boot.aclose()
        if self._desk_store is not None:
            self._desk_store.close()
            self._desk_store = self._desk = None

    async def close(self) -> None:
        """Unplug it."""
        await self.halt()
        await self._stack.aclose()

    async def _keep(self, office: Office) -> None:
        """As `node.run` does: what ends the relay is noted, and it goes on."""
        while True:
            try:
                await office.relay.run()
            except Exception as exc:
                _log.error("relay.failed", error=type(exc).__name__, detail=str(exc)[:200])
            await asyncio.sleep(1)

    @property
    def is_connected(self) -> bool:
        """Whether the hub was heard and is being heard."""
        return self.office is not None and self.office.relay.view.link != "offline"

    def now_ms(self) -> int:
        """The machine's clock, which a fault may have set wrong."""
        return time.time_ns() // 1_000_000 + self.clock_offset_ms

    # Work

    def offer(self, at_s: float) -> None:
        """Everybody who has come by ``at_s`` stands at the desk, whatever the desk is doing."""
        self.meter.offered = bisect_right(self.arrivals, at_s)

    @property
    def at_desk(self) -> int:
        """Those who have come and are not recorded yet."""
        return self.meter.offered - self.meter.accepted - self.meter.refused

    def work(self, now: float, every_s: float, desks: Executor) -> None:
        """Let the desk take who stands there, unless it is at it."""
        busy = self._recording is not None and not self._recording.done()
        if self.meter.offered > self.served and not busy and self._desk is not None and now >= self.next_desk_at:
            self.next_desk_at = now + every_s
            self._recording = asyncio.create_task(self._record(desks))

    async def _record(self, desks: Executor) -> None:
        batch = self.visitors[self.served : min(self.meter.offered, self.served + BATCH_LINES_MAX)]
        call: Callable[[], tuple[int, int, int, float]] = partial(self._commit, batch)
        try:
            accepted, refused, last_seq, at = await asyncio.get_running_loop().run_in_executor(desks, call)
        except TransientError as exc:
            _log.warning("desk.deferred", reason=str(exc))  # The same people are taken again.
            return
        self.served += len(batch)
        for index in range(self.served - len(batch), self.served):
            self.visitors[index] = _SERVED
        self.meter.refused += refused
        if accepted:
            self.meter.committed(last_seq, accepted, at)
            self._nudge()

    def _commit(self, batch: list[Visitor]) -> tuple[int, int, int, float]:
        """(accepted, refused, seq of the last event, when the commit was done); in a thread."""
        assert self._desk is not None and self._desk_store is not None
        if self.seat.is_live:
            lines = [InputLine(number, one.line) for number, one in enumerate(batch)]
            answers = self._desk.record(lines, self.now_ms())
            if any(answer.status == "not_stored" for answer in answers):
                raise TransientError(next(one.error or "" for one in answers if one.status == "not_stored"))
            seqs = [int(answer.event.rpartition(":")[2]) for answer in answers if answer.event]
            return len(seqs), len(batch) - len(seqs), max(seqs, default=0), time.monotonic()
        drafts = [one.draft for one in batch if one.draft is not None]
        events = self._desk_store.append(drafts, self.now_ms()) if drafts else []
        return len(events), len(batch) - len(events), events[-1].seq if events else 0, time.monotonic()

    def _nudge(self) -> None:
        # In life the relay looks every 50 ms; a thousand offices that look would be most of the load. An office
        # without a line keeps its own pauses.
        if self.office is not None and self.is_connected:
            self.office.relay.nudge()

    def _durable(self, seq: int, went_back: bool) -> None:
        self.meter.durable(seq, time.monotonic(), went_back=went_back)

    def look(self, now: float) -> None:
        """Take notice of events that others than the desk wrote: cards that came out."""
        if self.office is not None:
            self.meter.grew(self.office.relay.view.last_seq, now)


_SERVED = Visitor(0.0)


def _times(faster: float) -> RelayTimes:
    """The relay's pauses: those that wait for a line keep step with the scenario's outages, down to a second."""
    retry = max(int(RETRY_MS_MAX / max(faster, 1.0)), RETRY_MS_MIN)
    retry = min(retry, RETRY_MS_MAX)
    return RelayTimes(poll_ms=5_000, offline_poll_ms=2_000, retry_max_ms=retry, report_ms=60_000)
