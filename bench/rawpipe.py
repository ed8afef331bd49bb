"""The least that bringing frames to a disk behind NATS can cost: published, fetched, appended, committed, said so.

Nothing is verified, unpacked into state or remembered. The taker is a process of its own, as the hub is; it
commits (synchronous=FULL) what one fetch brought, then acknowledges to JetStream and tells the sender. Two forms:
a row for each event, which is what a plain log of events is, and a row for each frame of a thousand as it came.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nats.errors import TimeoutError as NothingCameError

from node.outbox.pace import WINDOW_MAX
from sepe_io.channel import close_nats, connect_nats
from sepe_io.frames import reopen_frame
from sepe_io.sqlite import connect, transaction

ROOT = Path(__file__).resolve().parent.parent
STREAM, SUBJECT, SAID = "bench-raw", "bench.raw", "bench.raw.said"
FETCH_FRAMES = WINDOW_MAX
TIMEOUT_S = 300.0


def events_per_second(nats: str, scratch: Path, frames: Sequence[bytes], events: int, *, by_event: bool) -> float:
    """How fast ready-made frames get to the disk behind ``nats``."""
    scratch.mkdir()
    form = "events" if by_event else "frames"
    taker = subprocess.Popen(
        [sys.executable, "-m", "bench.rawpipe", nats, str(scratch / "log.db"), form],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert taker.stdout is not None
        assert taker.stdout.readline().strip() == "ready"
        return events / asyncio.run(_send(nats, frames))
    finally:
        taker.kill()
        taker.wait()


async def _send(nats: str, frames: Sequence[bytes]) -> float:
    """Seconds from the first frame to the taker's word on the last."""
    client = await _client(nats)
    said, word = 0, asyncio.Event()

    async def heard(message: Any) -> None:
        nonlocal said
        said = int(message.data)
        word.set()

    await client.subscribe(SAID, cb=heard)
    await client.flush()
    began = time.perf_counter()
    async with asyncio.timeout(TIMEOUT_S):
        for number, frame in enumerate(frames):
            while number - said >= WINDOW_MAX:
                word.clear()
                await word.wait()
            await client.publish(SUBJECT, frame)
        while said < len(frames):
            word.clear()
            await word.wait()
    seconds = time.perf_counter() - began
    await client.jetstream().delete_stream(STREAM)
    await close_nats(client)
    return seconds


async def _client(nats: str) -> Any:
    return await connect_nats(nats, name="bench", on_error=lambda exc: None, on_down=lambda: None)


async def _take(nats: str, path: Path, *, by_event: bool) -> None:
    """Append what comes until killed."""
    log = connect(path)
    if by_event:
        log.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, nik, stamp, kind, body)")
        insert = "INSERT INTO log (nik, stamp, kind, body) VALUES (?, ?, ?, ?)"
    else:
        log.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        insert = "INSERT INTO log (data) VALUES (?)"
    client = await _client(nats)
    stream = client.jetstream()
    await stream.add_stream(name=STREAM, subjects=[SUBJECT])
    frames = await stream.pull_subscribe(SUBJECT, durable="taker")
    print("ready", flush=True)
    said = 0
    while True:
        try:
            messages = await frames.fetch(FETCH_FRAMES, timeout=1)
        except NothingCameError:
            continue
        await asyncio.to_thread(_append, log, insert, [message.data for message in messages], by_event)
        for message in messages:
            await message.ack()
        said += len(messages)
        await client.publish(SAID, str(said).encode())


def _append(log: Any, insert: str, frames: Sequence[bytes], by_event: bool) -> None:
    with transaction(log):
        for data in frames:
            if not by_event:
                log.execute(insert, (data,))
                continue
            columns = reopen_frame(data).columns
            rows = zip(columns.niks, columns.stamps, columns.kinds, columns.bodies, strict=True)
            log.executemany(insert, rows)


if __name__ == "__main__":
    asyncio.run(_take(sys.argv[1], Path(sys.argv[2]), by_event=sys.argv[3] == "events"))
