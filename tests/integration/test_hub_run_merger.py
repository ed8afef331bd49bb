"""The merger over a real store: fair turns, bounded waiting, cases brought up to date when idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import hub.ingest.merger
from hub.ingest.merger import LANE_FRAMES_MAX, Merger
from hub.ingest.writer import WriterThread
from hub.merge.store import Arrival, HubStore, Outcome
from hub.metrics import Metrics
from hub.read import status
from sepe.wire.v1 import sync_pb2
from sepe_io.tasks import end_tasks
from tests.support.live_hub import NOW_MS, make_hub, until
from tests.support.world import Node, nik_of, recorded


@dataclass(eq=False)
class Sent:
    """A delivery that notes when it was settled."""

    arrival: Arrival
    settled_in: list[str]

    def settled(self, outcome: Outcome) -> None:
        assert outcome.ack is not None
        self.settled_in.append(outcome.ack.node)

    def deferred(self, ack: sync_pb2.Ack | None, retry_after_ms: int) -> None:
        raise AssertionError("nothing is wrong with this store")


def office(name: str, events: int) -> Node:
    node = Node(name)
    node.write(*(recorded(nik_of(number, name[:6])) for number in range(events)))
    return node


@asynccontextmanager
async def merger_on(directory: Path, start: asyncio.Event | None = None) -> AsyncIterator[Merger]:
    """A merger that runs once ``start`` is set."""

    async def run() -> None:
        if start is not None:
            await start.wait()
        await merger.run()

    store, writer = HubStore.open(directory), WriterThread()
    running: list[asyncio.Task[None]] = []
    merger = Merger(store, writer, Metrics())
    try:
        running.append(asyncio.create_task(run()))
        yield merger
    finally:
        await end_tasks(running)
        writer.close()
        store.close()


async def test_an_office_that_floods_waits_behind_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.ingest.merger, "BATCH_FRAMES_MAX", 4)
    flood, calm, quiet = office("537104-1", 30), office("537105-1", 2), office("537106-1", 1)
    order: list[str] = []
    async with merger_on(make_hub(tmp_path / "hub", flood, calm, quiet)) as merger:
        for node in (flood, calm, quiet):
            for frame in node.frames(1):
                merger.offer(node.name, Sent(Arrival(frame, "nats", NOW_MS, node.name), order))
        await until(lambda: len(order) == 33)
    assert order[:5] == [flood.name, calm.name, quiet.name, flood.name, calm.name]
    assert set(order[5:]) == {flood.name}


async def test_a_full_lane_waits_and_another_does_not(tmp_path: Path) -> None:
    node = office("537104-1", LANE_FRAMES_MAX)
    order: list[str] = []
    start = asyncio.Event()
    async with merger_on(make_hub(tmp_path / "hub", node), start) as merger:
        for frame in node.frames(1):
            merger.offer("one", Sent(Arrival(frame, "grpc", NOW_MS), order))
        full = asyncio.create_task(merger.room("one"))
        await asyncio.sleep(0)
        await merger.room("other")
        assert not full.done()
        start.set()
        async with asyncio.timeout(10):
            await full
        assert order, "room came before anything was merged"
        await until(lambda: merger.waiting_frames == merger.waiting_bytes == 0)


async def test_cases_are_there_soon_after_the_last_frame(tmp_path: Path) -> None:
    one, other = Node("537104-1"), Node("537105-1")
    one.write(recorded(nik_of(1), "MARIA TAEK"))
    other.write(recorded(nik_of(1), "YOHANIS LAY"))
    directory = make_hub(tmp_path / "hub", one, other)

    def cases_open() -> int:
        with HubStore.open(directory) as store:
            return status.counts(store.connection).cases_open

    async with merger_on(directory) as merger:
        for node in (one, other):
            merger.offer(node.name, Sent(Arrival(node.frame(), "nats", NOW_MS, node.name), []))
        await until(lambda: cases_open() == 1)
