"""The hub's memory while a long backlog comes in: the most that its process ever held, read from the kernel.

Eight offices send at once, half of them over NATS and half over gRPC, each with as many frames in flight as a real
one on a good line; the frames are made before. Reference: the same hub just started.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.disk import disk
from bench.ingest import over_grpc, over_nats
from bench.people import people
from bench.table import Row, Target
from node.outbox.pace import WINDOW_MAX
from surge.lab.family import peak_bytes
from tests.support.live_hub import make_hub
from tests.support.processes import hub_run, running
from tests.support.world import Node

OFFICES = tuple(f"5371{number:02}-1" for number in range(1, 9))
EVENTS = 200_000
EVENTS_FULL = 1_000_000
FRAME_EVENTS = 1_000
MEGABYTE = 1_000_000


def run(full: bool = False) -> list[Row]:
    """Rows for ``run.py bench``."""
    events = EVENTS_FULL if full else EVENTS
    nodes = [Node(name) for name in OFFICES]
    frames = [_frames(node, events // len(nodes)) for node in nodes]
    with (
        tempfile.TemporaryDirectory(prefix="sepe-bench-", dir=disk()) as scratch,
        running(hub_run(make_hub(Path(scratch) / "hub", *nodes))) as hub,
    ):
        idle = peak_bytes(hub.pid)
        asyncio.run(_send(nodes, frames, hub.ready["nats"], hub.ready["grpc"]))
        peak = peak_bytes(hub.pid)
        assert hub.stop() == 0, hub.tail()
    return [
        Row(f"memory of the hub while {events:,} events come in, at most", peak / MEGABYTE, "MB",
            "the hub just started", idle / MEGABYTE, Target(value_max=400)),
    ]  # fmt: skip


def _frames(node: Node, events: int) -> list[bytes]:
    node.write(*people(0, events, node.name[:6]))
    frames = node.frames(FRAME_EVENTS)
    node.drafts.clear()
    node.stamps.clear()
    return frames


async def _send(nodes: list[Node], frames: list[list[bytes]], nats: str, grpc: str) -> None:
    await asyncio.gather(
        *(
            over_nats(nats, node.name, sent, WINDOW_MAX) if turn % 2 else over_grpc(grpc, sent, WINDOW_MAX)
            for turn, (node, sent) in enumerate(zip(nodes, frames, strict=True))
        )
    )
