"""The attachments' way in at the hub: photos offered, taken in and acknowledged, each byte synced before its word.

The reference does by hand what no store can do without: the same sealed bytes into a file, synced, renamed, its
folder synced, and one SHA-256 over them: two syncs a file. The hub does more: it also opens each file with its key
and hashes what is inside, and its index is committed with the offer, with each chunk of 64 KiB and at the end.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path
from random import Random

import structlog

from bench.disk import disk
from bench.table import Row
from hub.attach.store import AttachmentStore
from sepe.attach import CHUNK_BYTES_MAX, PHOTO
from sepe.rpc.v1 import attachments_pb2 as rpc
from sepe_io.seal import seal
from tests.support.hubs import arrivals, new_hub
from tests.support.world import START_MS, Node, nik_of, recorded

PHOTOS = 300
# What a camera's picture is cut down to at the desk, give or take.
PHOTO_BYTES = (60_000, 120_000)
NODE = "537104-1"
ROUNDS = 3
MEGA = 1_000_000


def run() -> list[Row]:
    """Two rows; of three rounds each way, one after the other, the middle ones."""
    random = Random(1)
    photos = [random.randbytes(random.randint(*PHOTO_BYTES)) for _ in range(PHOTOS)]
    ours, by_hand = [], []
    # The store logs each file; a benchmark's screen is not what is measured.
    with structlog.testing.capture_logs():
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(prefix="sepe-bench-", dir=disk()) as scratch:
                seconds, sealed = _taken_in(Path(scratch) / "hub", photos)
                ours.append(seconds)
                by_hand.append(_written(Path(scratch), sealed))
    megabytes = sum(map(len, sealed)) / MEGA
    mine, theirs = sorted(ours)[ROUNDS // 2], sorted(by_hand)[ROUNDS // 2]
    reference = "write, fsync, rename, SHA-256 of the same bytes"
    return [
        Row("photos into the hub, sealed and synced", PHOTOS / mine, "files/s", reference, PHOTOS / theirs),
        Row("the same in bytes", megabytes / mine, "MB/s", reference, megabytes / theirs),
    ]


def _taken_in(directory: Path, photos: list[bytes]) -> tuple[float, list[bytes]]:
    """Seconds from the first offer to the last word, and the sealed files."""
    node = Node(NODE)
    digests = [hashlib.sha256(photo).digest() for photo in photos]
    node.write(*(recorded(nik_of(number), photo_sha256=sha) for number, sha in enumerate(digests)))
    with new_hub(directory, [node]) as hub:
        hub.merge(arrivals(node.frames(100)))
        store = AttachmentStore.open(hub)
        try:
            while not store.scan():
                pass
            sealed = [seal(photo, store.sealing_key.public_key) for photo in photos]
            began = time.perf_counter()
            for sha, data in zip(digests, sealed, strict=True):
                _send(store, sha, data)
            seconds = time.perf_counter() - began
            assert store.counts().complete == len(photos)
        finally:
            store.close()
    return seconds, sealed


def _send(store: AttachmentStore, sha: bytes, data: bytes) -> None:
    sealed_sha = hashlib.sha256(data).digest()
    item = rpc.OfferItem(sha256=sha, sealed_sha256=sealed_sha, sealed_bytes=len(data), kind=PHOTO)
    answer = store.offer(NODE, item, START_MS)
    begin = rpc.PutBegin(node=NODE, sha256=sha, sealed_sha256=sealed_sha)
    while answer.verdict == rpc.ATTACHMENT_VERDICT_HELD:
        chunk = rpc.PutChunk(offset=answer.held, data=data[answer.held : answer.held + CHUNK_BYTES_MAX])
        answer = store.put(NODE, begin, chunk, START_MS)


def _written(folder: Path, files: list[bytes]) -> float:
    """Seconds for the same by hand."""
    place = folder / "by-hand"
    place.mkdir()
    handle = os.open(place, os.O_RDONLY)
    try:
        began = time.perf_counter()
        for number, data in enumerate(files):
            part = place / f"{number}.part"
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(place / hashlib.sha256(data).hexdigest())
            os.fsync(handle)
        return time.perf_counter() - began
    finally:
        os.close(handle)
