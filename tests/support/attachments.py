"""Pictures for tests, offices that record them, and an uploader beside a relay in the test's own loop."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from hub.attach.index import AttachmentCounts
from hub.attach.store import AttachmentStore
from hub.merge.store import HubStore
from node.attach.shelf import Attachment, Shelf
from node.attach.start import uploader_of
from node.attach.uploader import Uploader, UploadTimes
from node.clock import now_ms
from node.desk.lines import InputLine
from node.desk.record import Desk, LineResult
from node.outbox.office import Office
from node.storage.store import NodeStore
from sepe.nik import Nik
from tests.support.relay_rig import relaying
from tests.support.world import nik_of

QUICK_UPLOADS = UploadTimes(poll_ms=20, patience_ms=400, retry_max_ms=500)


def picture(size: int = 0, *, seed: int = 1) -> bytes:
    """A whole JPEG of noise, at least ``size`` bytes long, another one for each seed."""
    noise = random.Random(seed).randbytes(96 * 96 * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (96, 96), noise).save(out, "JPEG", quality=90)
    data = out.getvalue()
    # A comment block is part of a JPEG, so any size can be had without a larger picture to decode.
    comments = b""
    while len(data) + len(comments) < size:
        block = random.Random(seed + len(comments)).randbytes(min(60_000, size - len(data) - len(comments)))
        comments += b"\xff\xfe" + (len(block) + 2).to_bytes(2, "big") + block
    return data[:2] + comments + data[2:]


def record_pictures(
    folder: Path, count: int, *, size: int = 0, start: int = 0, kind: str = "photo"
) -> list[tuple[bytes, LineResult]]:
    """Record people with a picture each, as the desk does beside a running node; (picture, answer)."""
    base = folder.parent / f"{folder.name}-camera"
    base.mkdir(exist_ok=True)
    pictures = [picture(size, seed=start + number + 1) for number in range(count)]
    lines = []
    for number, data in enumerate(pictures, start=1):
        name = f"{start + number}.jpg"
        (base / name).write_bytes(data)
        document = {
            "nik": Nik.from_number(nik_of(start + number)).value, "name": "MARIA TAEK", "birth_date": "1990-01-01",
            "sex": "P", "product": "akta-kelahiran", kind: name,
        }  # fmt: skip
        lines.append(InputLine(number, json.dumps(document).encode()))
    store = NodeStore.open(folder)
    try:
        answers = Desk(store, regions=None, photo_base=base).record(lines, now_ms())
    finally:
        store.close()
    assert all(answer.ok for answer in answers), answers
    return list(zip(pictures, answers, strict=True))


def shelf_rows(folder: Path) -> list[Attachment]:
    """The attachments of a node directory."""
    store = NodeStore.open(folder)
    try:
        return Shelf(store).all()
    finally:
        store.close()


def states(folder: Path) -> dict[str, int]:
    """How many rows are in each state."""
    found: dict[str, int] = {}
    for row in shelf_rows(folder):
        found[row.state] = found.get(row.state, 0) + 1
    return found


def hub_counts(directory: Path) -> AttachmentCounts:
    """What the hub holds, its index up to date."""
    with HubStore.open(directory) as hub:
        store = AttachmentStore.open(hub)
        try:
            while not store.scan():
                pass
            return store.counts()
        finally:
            store.close()


def plain_at_hub(directory: Path, sha256: bytes) -> bytes:
    """An attachment as an officer would open it."""
    with HubStore.open(directory) as hub:
        store = AttachmentStore.open(hub)
        try:
            return store.plain_of(sha256)
        finally:
            store.close()


@asynccontextmanager
async def uploading(
    folder: Path, *, hub: str = "", times: UploadTimes = QUICK_UPLOADS, **options: Any
) -> AsyncIterator[tuple[Office, Uploader]]:
    """Relay and uploader of a directory, running in this process."""
    async with relaying(folder, hub=hub, **options) as office:
        uploader = uploader_of(folder, office, hub=hub, times=times)
        task = asyncio.create_task(uploader.run())
        try:
            yield office, uploader
            if task.done():
                task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
