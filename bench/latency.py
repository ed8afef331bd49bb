"""One recording on an idle system: how long from its commit at the desk until the hub's word is on our disk.

As in life: a hub of its own process with its broker; the relay here; the desk on a database connection of its own,
as another process has it. One recording, its ack, a pause, the next. Reference, in turn with it: a bare publish of
the same bytes to the same JetStream, its ack awaited, and then one write with one fsync.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from bench.disk import disk
from bench.people import person
from bench.table import Row, Target
from node.clock import now_ms
from node.outbox.office import open_office
from node.storage.store import NodeStore
from sepe_io.channel import close_nats, connect_nats
from tests.support.relay_rig import make_office, running_hub

RECORDINGS = 300
WARM_UP = 20
PAUSE_S = 0.02
LOOK_S = 0.000_2
TIMEOUT_S = 120
STREAM = "bench-latency"


def run() -> list[Row]:
    """Rows for ``run.py bench``."""
    with (
        tempfile.TemporaryDirectory(prefix="sepe-bench-", dir=disk()) as scratch,
        running_hub(Path(scratch) / "hub") as hub,
    ):
        folder = make_office(Path(scratch) / "node", hub, nats=hub.nats)
        ours, bare = asyncio.run(_measure(folder, hub.nats))
    reference = "one JetStream publish, then one fsync"
    return [
        Row("one recording, commit to durable ack, median", _percentile(ours, 50), "ms", reference,
            _percentile(bare, 50)),
        Row("one recording, commit to durable ack, 99 of 100 under", _percentile(ours, 99), "ms", reference,
            _percentile(bare, 99), Target(ratio_max=5, value_max=50)),
    ]  # fmt: skip


async def _measure(folder: Path, nats: str) -> tuple[list[float], list[float]]:
    """(ours, the reference's), milliseconds."""
    ours: list[float] = []
    bare: list[float] = []
    desk = NodeStore.open(folder)
    client = await connect_nats(nats, name="bench", on_error=lambda exc: None, on_down=lambda: None)
    stream = client.jetstream(timeout=10)
    await stream.add_stream(name=STREAM, subjects=["bench.latency"])
    try:
        async with open_office(folder) as office:
            relaying = asyncio.create_task(office.relay.run())
            async with asyncio.timeout(TIMEOUT_S):
                while office.relay.view.link != "nats":  # noqa: ASYNC110 - the view is plain data
                    await asyncio.sleep(0.02)
                with (folder / "reference").open("wb", buffering=0) as file:
                    for number in range(RECORDINGS + WARM_UP):
                        body = person(number)
                        await asyncio.to_thread(desk.append, [body], now_ms())
                        began = time.perf_counter()
                        while office.relay.view.durable_seq <= number:  # noqa: ASYNC110
                            await asyncio.sleep(LOOK_S)
                        ours.append((time.perf_counter() - began) * 1000)
                        await asyncio.sleep(PAUSE_S)
                        began = time.perf_counter()
                        await stream.publish("bench.latency", body.body)
                        await asyncio.to_thread(_write, file.fileno(), body.body)
                        bare.append((time.perf_counter() - began) * 1000)
                        await asyncio.sleep(PAUSE_S)
            relaying.cancel()
            await asyncio.wait({relaying})
    finally:
        desk.close()
        await stream.delete_stream(STREAM)
        await close_nats(client)
    return ours[WARM_UP:], bare[WARM_UP:]


def _write(file: int, data: bytes) -> None:
    os.write(file, data)
    os.fsync(file)


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1]
