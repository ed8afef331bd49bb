"""Bytes that leave the office for each event of 400 bytes: everything in its NATS connection, counted on the way.

A counting pipe stands between the relay and the broker, so frame headers, signatures, NATS' own lines, greetings
and pings count. Reference: `zstd` level 3 of the same frames' events alone, frame by frame, nothing around them.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

import zstandard

from bench.disk import disk
from bench.people import people
from bench.table import Row, Target
from hub.merge.store import HubStore
from node.outbox.office import open_office
from node.storage.store import NodeStore
from sepe.codec import pack_columns
from sepe_io.frames import reopen_frame
from tests.support.relay_rig import make_office, running_hub
from tests.support.world import START_MS

EVENTS = 40_000
LEVEL = 3
CHUNK_BYTES = 1 << 16
TIMEOUT_S = 120


def run() -> list[Row]:
    """Rows for ``run.py bench``."""
    drafts = people(0, EVENTS)
    body_bytes = sum(len(one.body) for one in drafts) / EVENTS
    with tempfile.TemporaryDirectory(prefix="sepe-bench-", dir=disk()) as scratch:
        with running_hub(Path(scratch) / "hub") as hub:
            folder = make_office(Path(scratch) / "node", hub, nats=hub.nats)
            store = NodeStore.open(folder)
            store.append(drafts, START_MS)
            store.close()
            sent = asyncio.run(_sent(folder, hub.nats))
        bare = _compressed(Path(scratch) / "hub")
    return [
        Row(f"bytes on the wire per event of {body_bytes:.0f} bytes", sent / EVENTS, "bytes",
            "zstd level 3 of the same frames' events", bare / EVENTS, Target(ratio_max=1.05)),
    ]  # fmt: skip


async def _sent(folder: Path, nats: str) -> int:
    """Bytes from the office until the hub has confirmed everything."""
    count = 0
    host, _, port = nats.removeprefix("nats://").rpartition(":")
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        nonlocal count
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                count += len(data) if counted else 0
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(host, int(port))
        tasks.add(asyncio.create_task(pump(reader, to_broker, counted=True)))
        tasks.add(asyncio.create_task(pump(from_broker, writer, counted=False)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    address = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with open_office(folder, nats=address) as office:
        relaying = asyncio.create_task(office.relay.run())
        view = office.relay.view
        async with asyncio.timeout(TIMEOUT_S):
            while not (view.last_seq and view.pending == 0):  # noqa: ASYNC110 - the view is plain data
                await asyncio.sleep(0.02)
        assert view.link == "nats", view
        relaying.cancel()
        await asyncio.wait({relaying})
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return count


def _compressed(directory: Path) -> int:
    """Bytes of the events alone, compressed by frames as they were sent."""
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    with HubStore.open(directory) as store:
        frames = store.connection.execute("SELECT data FROM frame ORDER BY number").fetchall()
    return sum(len(compressor.compress(pack_columns(reopen_frame(bytes(data)).columns))) for (data,) in frames)
