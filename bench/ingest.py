"""Ingest: events per second from ready-made frames into a running hub, over NATS and over gRPC.

The hub runs as a process of its own, as at a regency; this process only sends bytes and counts acks. Reference:
the hub's merge alone, called in this process with the same frames, no transport and no second process.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from bench.disk import disk
from bench.people import people
from bench.table import Row
from hub.merge.store import Arrival, HubStore
from node.outbox.pace import WINDOW_MAX
from sepe import subjects
from sepe.rpc.v1 import sync_pb2, sync_pb2_grpc
from sepe.wire.v1 import sync_pb2 as wire
from sepe_io.channel import close_nats, connect_nats, grpc_channel
from sepe_io.frames import peek_header
from tests.support.live_hub import NOW_MS, make_hub
from tests.support.processes import hub_run, running
from tests.support.world import Node

OFFICES = ("537104-1", "537105-1", "537106-1", "537101-1", "537102-1", "537103-1")
EVENTS = 120_000
FRAME_EVENTS = 1000
WINDOW_FRAMES = WINDOW_MAX
MERGE_FRAMES = 8
TIMEOUT_S = 900.0


def run() -> list[Row]:
    """Rows for ``run.py bench``."""
    nodes = [_office(name, EVENTS // len(OFFICES)) for name in OFFICES]
    frames = {node.name: node.frames(FRAME_EVENTS) for node in nodes}
    with tempfile.TemporaryDirectory(prefix="sepe-bench-", dir=disk()) as scratch:
        alone = _merge_alone(Path(scratch), nodes, frames)
        by_nats = _through_hub(Path(scratch), "nats", nodes, frames)
        by_grpc = _through_hub(Path(scratch), "grpc", nodes, frames)
    reference = "the hub's merge alone, in one process"
    return [
        Row("ingest over NATS JetStream", by_nats, "events/s", reference, alone),
        Row("ingest over gRPC", by_grpc, "events/s", reference, alone),
    ]


def _office(name: str, events: int) -> Node:
    node = Node(name)
    node.write(*people(0, events, name[:6]))
    return node


def _merge_alone(scratch: Path, nodes: Sequence[Node], frames: dict[str, list[bytes]]) -> float:
    with HubStore.open(make_hub(scratch / "alone", *nodes)) as store:
        arrivals = [
            Arrival(frame, "nats", NOW_MS) for group in zip(*frames.values(), strict=True) for frame in group
        ]
        began = time.perf_counter()
        for start in range(0, len(arrivals), MERGE_FRAMES):
            store.merge(arrivals[start : start + MERGE_FRAMES])
        return EVENTS / (time.perf_counter() - began)


def _through_hub(scratch: Path, via: str, nodes: Sequence[Node], frames: dict[str, list[bytes]]) -> float:
    directory = make_hub(scratch / via, *nodes)
    with running(hub_run(directory)) as hub:
        address = hub.ready[via]

        async def all_offices() -> float:
            began = time.perf_counter()
            await asyncio.gather(
                *(
                    over_nats(address, name, sent) if via == "nats" else over_grpc(address, sent)
                    for name, sent in frames.items()
                )
            )
            return EVENTS / (time.perf_counter() - began)

        rate = asyncio.run(all_offices())
        assert hub.stop() == 0, hub.tail()
    return rate


async def over_nats(url: str, node: str, frames: Sequence[bytes], window_frames: int = WINDOW_FRAMES) -> None:
    """Send one office's frames, so many in flight; returns when the hub has committed the last."""
    last_seq = peek_header(frames[-1]).last_seq
    client = await connect_nats(url, name="bench", on_error=lambda exc: None, on_down=lambda: None)
    acked = asyncio.Event()
    durable = 0

    async def heard(message: Any) -> None:
        nonlocal durable
        ack = wire.Ack.FromString(message.data)
        assert ack.verdict == wire.VERDICT_DURABLE, ack
        durable = ack.durable_seq
        acked.set()

    await client.subscribe(subjects.ack(node), cb=heard)
    await client.flush()
    stream = client.jetstream(timeout=10)
    for frame in frames:
        while peek_header(frame).first_seq > durable + window_frames * FRAME_EVENTS:
            acked.clear()
            await acked.wait()
        await stream.publish(subjects.up(node), frame)
    while durable < last_seq:
        acked.clear()
        await acked.wait()
    await close_nats(client)


async def over_grpc(address: str, frames: Sequence[bytes], window_frames: int = WINDOW_FRAMES) -> None:
    """The same over one Push call."""
    room = asyncio.Semaphore(window_frames)

    async def requests() -> AsyncIterator[sync_pb2.PushRequest]:
        for frame in frames:
            await room.acquire()
            yield sync_pb2.PushRequest(frame=frame)

    async with grpc_channel(address) as channel:
        async for response in sync_pb2_grpc.SyncStub(channel).Push(requests(), timeout=TIMEOUT_S):
            assert response.ack.verdict == wire.VERDICT_DURABLE, response.ack
            room.release()
