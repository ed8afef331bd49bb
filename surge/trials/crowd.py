"""Some offices that record all day, and how long each of their recordings waits for the hub's word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from node.clock import now_ms
from node.outbox.office import Office, open_office
from node.outbox.view import RelayTimes, RelayView
from node.storage.store import NodeStore
from sepe.errors import SepeError
from sepe_io.tasks import end_tasks
from surge.drain.offices import Backlog, backlogs, make_offices, one_draft

# What one office types in a second is less; more would only hide a wait behind work.
EVERY_S = 0.2
LOOK_S = 0.02
# As in an office, but for the pause until a hub that was not found is tried anew: 30 s there.
TIMES = RelayTimes(retry_max_ms=5_000)


@dataclass(frozen=True, slots=True)
class Wait:
    """One recording: the phase in which it was recorded, its wait in seconds, the line on which the word came."""

    phase: str
    seconds: float
    line: str


@dataclass(slots=True)
class Crowd:
    """The offices at work.

    Attributes:
        phase: what the trial does now; whoever plays it changes this.
        waits: every recording whose confirmation was heard.
    """

    made: Sequence[Backlog]
    offices: Sequence[Office]
    phase: str = ""
    waits: list[Wait] = field(default_factory=list)
    _recorded: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)

    @property
    def views(self) -> list[RelayView]:
        return [office.relay.view for office in self.offices]

    @property
    def recorded(self) -> int:
        """How many recordings were committed in all offices."""
        return sum(map(len, self._recorded.values()))

    @property
    def unconfirmed(self) -> int:
        return self.recorded - sum(self._known.values())

    def lines(self) -> dict[str, int]:
        """How many offices use which line now."""
        found: dict[str, int] = {}
        for view in self.views:
            found[view.link] = found.get(view.link, 0) + 1
        return found

    def figures(self) -> dict[str, dict[str, object]]:
        """By phase: recordings, their waits in milliseconds, and the lines on which the words came."""
        found: dict[str, dict[str, object]] = {}
        for phase in dict.fromkeys(one.phase for one in self.waits):
            mine = [one for one in self.waits if one.phase == phase]
            times = sorted(one.seconds for one in mine)
            found[phase] = {
                "recordings": len(times),
                "p50_ms": round(times[len(times) // 2] * 1000),
                "p99_ms": round(times[min(len(times) * 99 // 100, len(times) - 1)] * 1000),
                "max_ms": round(times[-1] * 1000),
                "lines": {line: sum(one.line == line for one in mine) for line in sorted({w.line for w in mine})},
            }
        return found

    async def settled(self, timeout_s: float = 120.0) -> float:
        """Wait until every recording was confirmed; how many seconds that took.

        Raises:
            SepeError: it does not come.
        """
        began = time.monotonic()
        while self.unconfirmed or any(view.pending for view in self.views):
            if time.monotonic() - began > timeout_s:
                reasons = {view.reason or view.refusal or view.link for view in self.views if view.pending}
                raise SepeError(f"{self.unconfirmed} recordings unconfirmed after {timeout_s:.0f} s: {reasons}")
            await asyncio.sleep(LOOK_S)
        return time.monotonic() - began

    async def record(self, stop: asyncio.Event) -> None:
        """Record in every office, one after the other; a round that was begun when ``stop`` comes is finished."""
        with ThreadPoolExecutor(1) as thread:
            loop = asyncio.get_running_loop()
            stores = await loop.run_in_executor(thread, lambda: [NodeStore.open(one.folder) for one in self.made])
            try:
                while not stop.is_set():
                    for one, store in zip(self.made, stores, strict=True):
                        mine = self._recorded.setdefault(one.node, [])
                        draft = one_draft(one, len(mine))
                        await loop.run_in_executor(thread, store.append, [draft], now_ms())
                        mine.append((time.monotonic(), self.phase))
                    await asyncio.sleep(EVERY_S)
            finally:
                for store in stores:
                    await loop.run_in_executor(thread, store.close)

    async def watch(self) -> None:
        """Note each confirmation as it is heard, until cancelled."""
        while True:
            now = time.monotonic()
            for one, view in zip(self.made, self.views, strict=True):
                mine, known = self._recorded.get(one.node, []), self._known.get(one.node, 0)
                # The relay may hear the hub's word for a row before its writer has come back here.
                last = min(view.durable_seq, len(mine))
                self.waits += [Wait(phase, now - at, view.link) for at, phase in mine[known:last]]
                self._known[one.node] = max(known, last)
            await asyncio.sleep(LOOK_S)


def make_crowd(folder: Path, offices: int, seed: int) -> list[Backlog]:
    """That many kecamatan of NTT with nothing in their outboxes yet."""
    made = backlogs(folder, offices, 0, seed)
    make_offices(made, lambda done: None, 2)
    return made


@asynccontextmanager
async def at_work(made: Sequence[Backlog], *, hub: str, nats: str) -> AsyncIterator[Crowd]:
    """Offices that record and relay until the block ends; `Crowd.record` is started by the trial."""
    async with AsyncExitStack() as stack:
        offices = [
            await stack.enter_async_context(open_office(one.folder, hub=hub, nats=nats, times=TIMES))
            for one in made
        ]
        crowd = Crowd(made, offices)
        tasks = [asyncio.create_task(office.relay.run(), name=office.settings.node) for office in offices]
        tasks.append(asyncio.create_task(crowd.watch(), name="watch"))
        try:
            yield crowd
        finally:
            await end_tasks(tasks)


@asynccontextmanager
async def recording(crowd: Crowd) -> AsyncIterator[None]:
    """All offices record while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(crowd.record(stop), name="record")
    try:
        yield
        stop.set()
        await task
    finally:
        await end_tasks([task])
