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

from hub.merge.store import Arrival, HubStore
from sepe import subjects
from sepe.rpc.v1 import sync_pb2, sync_pb2_grpc
from sepe.wire.v1 import sync_pb2 as wire
from sepe_io.channel import close_nats, connect_nats, grpc_channel
from sepe_io.frames import peek_header
from tests.support.live_hub import NOW_MS, make_hub
from tests.support.processes import hub_run, running
from tests.support.world import Node, nik_of, recorded

OFFICES = ("537104-1", "537105-1", "537106-1", "537101-1", "537102-1", "537103-1")
EVENTS = 120_000
FRAME_EVENTS = 1000
WINDOW_FRAMES = 8
MERGE_FRAMES = 8


def run() -> list[dict[str, Any]]:
    """Rows for ``run.py bench``."""
    nodes = [_office(name, EVENTS // len(OFFICES)) for name in OFFICES]
    frames = {node.name: node.frames(FRAME_EVENTS) for node in nodes}
    wire_bytes = sum(map(len, (frame for sent in frames.values() for frame in sent)))
    with tempfile.TemporaryDirectory(prefix="sepe-bench-") as scratch:
        alone = _merge_alone(Path(scratch), nodes, frames)
        over_nats = _through_hub(Path(scratch), "nats", nodes, frames)
        over_grpc = _through_hub(Path(scratch), "grpc", nodes, frames)
    reference = "the hub's merge alone, in one process"
    return [
        _row("ingest over NATS JetStream", over_nats, "events/s", reference, alone),
        _row("ingest over gRPC", over_grpc, "events/s", reference, alone),
        _row("bytes on the wire per event", wire_bytes / EVENTS, "bytes", "bytes of its body", _body_bytes(nodes)),
    ]


def _office(name: str, events: int) -> Node:
    node = Node(name)
    node.write(
        *(
            recorded(
                nik_of(number, name[:6]), f"MARIA TAEK {number}", birth_place="KUPANG",
                kk=f"{name[:6]}2501{number:06}", address=f"JL. EL TARI NO. {number % 300}", rt=f"{number % 30:03}",
                rw=f"{number % 9:03}", kelurahan="OEBUFU", religion="KATHOLIK", marital_status="BELUM KAWIN",
                occupation="PELAJAR/MAHASISWA",
                mother_name=f"YULIANA {number % 977}", operator="op-1",
            )
            for number in range(events)
        )
    )  # fmt: skip
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
        send = _over_nats if via == "nats" else _over_grpc

        async def all_offices() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(send(hub.ready[via], node, frames[node.name]) for node in nodes))
            return EVENTS / (time.perf_counter() - began)

        rate = asyncio.run(all_offices())
        assert hub.stop() == 0, hub.tail()
    return rate


async def _over_nats(url: str, node: Node, frames: Sequence[bytes]) -> None:
    client = await connect_nats(url, name="bench", on_error=lambda exc: None, on_down=lambda: None)
    acked = asyncio.Event()
    durable = 0

    async def heard(message: Any) -> None:
        nonlocal durable
        ack = wire.Ack.FromString(message.data)
        assert ack.verdict == wire.VERDICT_DURABLE, ack
        durable = ack.durable_seq
        acked.set()

    await client.subscribe(subjects.ack(node.name), cb=heard)
    await client.flush()
    stream = client.jetstream(timeout=10)
    for frame in frames:
        while peek_header(frame).first_seq > durable + WINDOW_FRAMES * FRAME_EVENTS:
            acked.clear()
            await acked.wait()
        await stream.publish(subjects.up(node.name), frame)
    while durable < node.last_seq:
        acked.clear()
        await acked.wait()
    await close_nats(client)


async def _over_grpc(address: str, node: Node, frames: Sequence[bytes]) -> None:
    room = asyncio.Semaphore(WINDOW_FRAMES)

    async def requests() -> AsyncIterator[sync_pb2.PushRequest]:
        for frame in frames:
            await room.acquire()
            yield sync_pb2.PushRequest(frame=frame)

    async with grpc_channel(address) as channel:
        async for response in sync_pb2_grpc.SyncStub(channel).Push(requests(), timeout=300):
            assert response.ack.verdict == wire.VERDICT_DURABLE, response.ack
            room.release()


def _body_bytes(nodes: Sequence[Node]) -> float:
    return sum(len(one.body) for node in nodes for one in node.drafts) / EVENTS


def _row(name: str, value: float, unit: str, reference: str, reference_value: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 1),
        "unit": unit,
        "reference": reference,
        "reference_value": round(reference_value, 1),
        "ratio": round(value / reference_value, 3),
    }
