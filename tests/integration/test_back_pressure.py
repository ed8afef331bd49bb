"""A real hub process with more coming than it can store: bounded memory, "later" with a time, and nothing lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import grpc
from pysqlite3 import dbapi2

from hub.merge.store import HubStore
from sepe.rpc.v1 import sync_pb2 as rpc
from sepe.rpc.v1.sync_pb2_grpc import SyncStub
from sepe.wire.v1 import sync_pb2
from sepe_io.channel import grpc_channel
from tests.support.live_hub import enrol, make_hub
from tests.support.processes import Program, hub_run, running
from tests.support.world import Node, nik_of, recorded

# What no hub may exceed, whatever comes.
MEMORY_MB_MAX = 400
OFFICES = 48
FRAMES = 14
FRAME_BYTES = 500_000
EVENTS = 10


def memory_mb(program: Program) -> int:
    """The most memory that the process ever had."""
    for line in Path(f"/proc/{program.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("no such process")


def heavy_office(number: int) -> Node:
    """One whose frames do not compress: photos' worth of text."""
    node = Node(f"{530101 + number}-1")
    chance = random.Random(number)
    size = FRAME_BYTES // EVENTS // 2
    node.write(*(recorded(nik_of(one), address=chance.randbytes(size).hex()) for one in range(EVENTS)))
    return node


class Flood:
    """Streams that send without waiting for an answer, and count what they are told."""

    def __init__(self, address: str, nodes: list[Node], times: int = FRAMES) -> None:
        self.told: Counter[str] = Counter()
        self.pauses_ms: list[int] = []
        self._address, self._times = address, times
        self._frames = [node.frame() for node in nodes]

    async def run(self) -> None:
        channels = [grpc_channel(self._address) for _ in range(8)]
        try:
            await asyncio.gather(
                *(
                    self._stream(SyncStub(channels[number % len(channels)]), frame)
                    for number, frame in enumerate(self._frames)
                )
            )
        finally:
            for channel in channels:
                await channel.close()

    async def _stream(self, stub: SyncStub, frame: bytes) -> None:
        call = stub.Push()

        async def send() -> None:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                for _ in range(self._times):
                    await call.write(rpc.PushRequest(frame=frame))
                await call.done_writing()

        sending = asyncio.create_task(send())
        async for answer in call:
            self.told[sync_pb2.Verdict.Name(answer.ack.verdict).removeprefix("VERDICT_")] += 1
            if answer.ack.verdict == sync_pb2.VERDICT_LATER:
                self.pauses_ms.append(answer.ack.retry_after_ms)
        await sending


async def test_flooded_while_the_disk_stands_still_a_hub_stays_small_says_later_and_loses_nothing(
    tmp_path: Path,
) -> None:
    nodes = [heavy_office(number) for number in range(OFFICES)]
    directory = make_hub(tmp_path / "hub")
    with HubStore.open(directory) as store:
        for node in nodes:
            enrol(store, node)
    with running(hub_run(directory)) as hub:
        # As a disk that takes nothing: the write lock is held while 170 MB of frames come.
        lock = dbapi2.connect(directory / "hub.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        flood = Flood(str(hub.ready["grpc"]), nodes)
        flooding = asyncio.create_task(flood.run())
        async with asyncio.timeout(60):
            while len(flood.pauses_ms) < OFFICES // 2:  # noqa: ASYNC110 - answers come on many streams
                await asyncio.sleep(0.05)
        lock.execute("ROLLBACK")
        lock.close()
        async with asyncio.timeout(90):
            await flooding
        # Every frame has its answer, and those turned away come back at different times.
        assert sum(flood.told.values()) == OFFICES * FRAMES
        assert min(flood.pauses_ms) >= 500 and len(set(flood.pauses_ms)) > len(flood.pauses_ms) // 2
        assert memory_mb(hub) < MEMORY_MB_MAX
        # Afterwards each office gets through with what it kept.
        again = Flood(str(hub.ready["grpc"]), nodes, times=1)
        async with asyncio.timeout(60):
            await again.run()
        assert again.told == {"DURABLE": OFFICES}
    with HubStore.open(directory) as store:
        (merged,) = store.connection.execute("SELECT COUNT(*) FROM epoch WHERE durable_seq = 10").fetchone()
    assert merged == OFFICES
