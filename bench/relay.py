"""Relay to hub: a backlog of 200,000 recordings in one office's outbox drains over NATS and over gRPC.

Two processes, as in life: this one pages, seals and sends, the hub verifies, merges and commits, and every
watermark is stored durably here. References: the same frames, ready-made, through the same NATS and appended to a
SQLite log by a process that does nothing else (`bench.rawpipe`); and, without any line, the same rows sealed and
merged in one process. A single office is the slowest case: its frames follow one another, while those of many
offices share the hub's commits.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import rawpipe
from bench.disk import disk
from bench.people import people
from bench.table import Row, Target
from hub.merge.store import Arrival, HubStore
from node.outbox.office import open_office
from node.settings import KEY_NAME
from node.storage.store import NodeStore
from sepe.events import Draft
from sepe_io import keys
from sepe_io.frames import seal_frame
from surge.lab.family import cpu_s
from tests.support.relay_rig import NODE, Hub, make_office, running_hub
from tests.support.world import START_MS

EVENTS = 200_000
WRITE_EVENTS = 5_000
MERGE_FRAMES = 8
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Drained:
    """One backlog's way, events per second: by the clock, and by the CPU time of each of the two processes."""

    rate: float
    office_rate: float
    hub_rate: float


def run() -> list[Row]:
    """Rows for ``run.py bench``."""
    drafts = people(0, EVENTS)
    with tempfile.TemporaryDirectory(prefix="sepe-bench-", dir=disk()) as folder:
        scratch = Path(folder)
        frames, alone = _alone(scratch / "alone", drafts)
        with running_hub(scratch / "broker") as hub:
            raw_frames = rawpipe.events_per_second(hub.nats, scratch / "raw1", frames, EVENTS, by_event=False)
            raw_events = rawpipe.events_per_second(hub.nats, scratch / "raw2", frames, EVENTS, by_event=True)
        del frames
        over_nats = drain(scratch / "nats", "nats", drafts)
        over_grpc = drain(scratch / "grpc", "grpc", drafts)
    return [
        Row("outbox → NATS → merge → durable ack, 200,000 backlog", over_nats.rate, "events/s",
            "raw append of the same frames' events through the same NATS", raw_events,
            Target(ratio_min=0.4, value_min=50_000)),
        Row("the same", over_nats.rate, "events/s", "raw append of the same, one row for a thousand", raw_frames),
        Row("the same", over_nats.rate, "events/s", "seal and merge in one process, no line", alone),
        Row("the same over gRPC", over_grpc.rate, "events/s", "the same over NATS", over_nats.rate,
            Target(ratio_min=0.9)),
        Row("the office's share, per second of one core", over_nats.office_rate, "events/CPU-s"),
        Row("the hub's share, per second of one core", over_nats.hub_rate, "events/CPU-s"),
    ]  # fmt: skip


def drain(scratch: Path, via: str, drafts: Sequence[Draft]) -> Drained:
    """Fill an office's outbox, start a hub, and measure until the hub's word on the last event is on our disk.

    Args:
        via: ``nats`` or ``grpc``.
    """
    scratch.mkdir()
    with running_hub(scratch / "hub") as hub:
        folder = _office(scratch / "node", hub, hub.nats if via == "nats" else "", drafts)
        assert hub.program is not None
        hub_began, began, office_began = cpu_s(hub.program.pid), time.perf_counter(), time.process_time()
        asyncio.run(_relay(folder, len(drafts)))
        seconds, office_s = time.perf_counter() - began, time.process_time() - office_began
        hub_s = cpu_s(hub.program.pid) - hub_began
    return Drained(len(drafts) / seconds, len(drafts) / office_s, len(drafts) / hub_s)


def _office(folder: Path, hub: Hub, nats: str, drafts: Sequence[Draft]) -> Path:
    make_office(folder, hub, nats=nats)
    store = NodeStore.open(folder)
    try:
        for first in range(0, len(drafts), WRITE_EVENTS):
            store.append(drafts[first : first + WRITE_EVENTS], START_MS + first)
    finally:
        store.close()
    return folder


async def _relay(folder: Path, events: int) -> None:
    async with open_office(folder) as office:
        view = office.relay.view
        task = asyncio.create_task(office.relay.run())
        async with asyncio.timeout(TIMEOUT_S):
            while view.durable_seq < events:  # noqa: ASYNC110 - the view is plain data
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})


def _alone(scratch: Path, drafts: Sequence[Draft]) -> tuple[list[bytes], float]:
    """The frames of the backlog, and events per second sealed and merged here."""
    scratch.mkdir()
    with running_hub(scratch / "hub") as hub:
        folder = _office(scratch / "node", hub, "", drafts)
    store, signer = NodeStore.open(folder), keys.load(folder / KEY_NAME)
    frames: list[bytes] = []
    with HubStore.open(scratch / "hub") as hub_store:
        began, after = time.perf_counter(), 0
        epoch = store.position().epoch
        while (page := store.page(after)) is not None:
            frames.append(
                seal_frame(
                    node=NODE, epoch=epoch, first_seq=page.first_seq, chain_before=page.chain_before,
                    columns=page.columns, signer=signer, chain_after=page.chain_after,
                )
            )  # fmt: skip
            after = page.last_seq
            if len(frames) % MERGE_FRAMES == 0:
                hub_store.merge([Arrival(frame, "nats", START_MS, NODE) for frame in frames[-MERGE_FRAMES:]])
        if rest := len(frames) % MERGE_FRAMES:
            hub_store.merge([Arrival(frame, "nats", START_MS, NODE) for frame in frames[-rest:]])
        seconds = time.perf_counter() - began
    store.close()
    return frames, len(drafts) / seconds
