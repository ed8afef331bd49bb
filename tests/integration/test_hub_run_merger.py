"""The merger over a real store: fair turns, bounded waiting, cases brought up to date when idle."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import hub.ingest.merger
from hub.ingest.merger import LANE_FRAMES_MAX, Merger
from hub.ingest.tidy import Tidy
from hub.ingest.writer import WriterThread
from hub.merge import ahead
from hub.merge.ahead import Prover
from hub.merge.proving import Proof
from hub.merge.store import Arrival, HubStore, Outcome
from hub.metrics import Metrics
from hub.read import status
from sepe.wire.v1 import sync_pb2
from sepe_io.sqlite import StorageBusyError
from sepe_io.tasks import end_tasks
from tests.support.live_hub import NOW_MS, make_hub, until
from tests.support.world import Node, nik_of, recorded


@dataclass(eq=False)
class Sent:
    """A delivery that notes when it was settled."""

    arrival: Arrival
    settled_in: list[str]
    deferrals: list[Sent] | None = None

    def settled(self, outcome: Outcome) -> None:
        assert outcome.ack is not None
        self.settled_in.append(outcome.ack.node)

    def deferred(self, ack: sync_pb2.Ack | None, retry_after_ms: int) -> None:
        assert self.deferrals is not None, "nothing is wrong with this store"
        self.deferrals.append(self)


def office(name: str, events: int) -> Node:
    node = Node(name)
    node.write(*(recorded(nik_of(number, name[:6])) for number in range(events)))
    return node


@asynccontextmanager
async def merger_on(
    directory: Path, start: asyncio.Event | None = None, *, prover_command: Sequence[str] = ()
) -> AsyncIterator[Merger]:
    """A merger that runs once ``start`` is set, beside a process that proves if there is a command for it."""

    async def run() -> None:
        if start is not None:
            await start.wait()
        await merger.run()

    store, writer = HubStore.open(directory), WriterThread()
    running: list[asyncio.Task[None]] = []
    prover = Prover(store.reader, 1, prover_command) if prover_command else None
    if prover is not None:
        prover.wait_until_ready()
    merger = Merger(store, writer, Metrics(), prover)
    try:
        running.append(asyncio.create_task(run()))
        yield merger
    finally:
        await end_tasks(running)
        writer.close()
        if prover is not None:
            prover.close()
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


async def test_batches_proven_ahead_are_merged_like_others_whatever_is_in_them_and_whenever_the_store_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.ingest.merger, "BATCH_FRAMES_MAX", 4)
    monkeypatch.setattr(hub.ingest.merger, "PAUSE_S_MIN", 0.01)
    one, other = office("537104-1", 40), office("537105-1", 12)
    poison = other.frames(1)[5]
    proofs: list[bool] = []
    busy = [False, False, True] + [False] * 100
    merge = HubStore.merge

    def noting(self: HubStore, arrivals: Sequence[Arrival], proven: Proof | None = None) -> list[Outcome]:
        if len(arrivals) > 1:
            proofs.append(proven is not None)
            if busy.pop(0):
                raise StorageBusyError("somebody else writes")
        return merge(self, arrivals, proven)

    poisonous = tmp_path / "poisonous.py"
    poisonous.write_text(f"""from hub.merge import prover
prove = prover.prove
def breaking(arrival, lookup):
    assert arrival.data != {poison!r}
    return prove(arrival, lookup)
prover.prove = breaking
prover.main()
""")
    monkeypatch.setattr(HubStore, "merge", noting)
    monkeypatch.setattr(ahead, "BYTES_MIN", 1)
    settled: list[str] = []
    deferred: list[Sent] = []
    start = asyncio.Event()
    async with merger_on(
        make_hub(tmp_path / "hub", one, other), start, prover_command=(sys.executable, str(poisonous))
    ) as merger:
        sent = [
            (node.name, Sent(Arrival(frame, "nats", NOW_MS, node.name), settled, deferred))
            for node in (one, other)
            for frame in node.frames(1)
        ]
        for lane, delivery in sent:
            merger.offer(lane, delivery)
        start.set()
        # What was busy and what was being proven behind it are deferred together, with all that waits.
        await until(lambda: len(settled) + len(deferred) == 52)
        assert len(settled) == 8
        for delivery in deferred:
            merger.offer(delivery.arrival.sender or "", delivery)
        await until(lambda: len(settled) == 52)
    assert proofs.count(True) >= 8, proofs
    assert False in proofs[3:], "the poison was proven"
    with HubStore.open(tmp_path / "hub") as store:
        assert status.counts(store.connection).events == 52


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


async def test_hints_wait_while_another_process_takes_in_frames_and_cases_do_not(tmp_path: Path) -> None:
    one, other = office("537104-1", 3), Node("537105-1")
    other.write(recorded(nik_of(0), "YOHANIS LAY"), recorded(nik_of(1), "YOHANIS LAY"))
    directory, writer = make_hub(tmp_path / "hub", one, other), WriterThread()

    def read(store: HubStore) -> tuple[int, int]:
        (seen,) = store.connection.execute("SELECT COUNT(*) FROM likeness").fetchone()
        return status.counts(store.connection).cases_open, seen

    try:
        with HubStore.open(directory) as store, HubStore.open(directory) as elsewhere:
            tidy, found = Tidy(store, writer), []
            for frame in (one.frame(), *other.frames(1), None):
                if frame is not None:
                    elsewhere.merge([Arrival(frame, "nats", NOW_MS)])
                await tidy.run(lambda: False)
                found.append(read(elsewhere))
            assert found == [(0, 0), (1, 0), (2, 0), (2, 3)]
            assert tidy.after_s is None
    finally:
        writer.close()


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
