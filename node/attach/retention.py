"""What a stolen laptop shall not hold: plain pictures that nobody needs here any more.

* A **plain file** goes once it is ``photo_days`` old, sealed or at the hub, and no open print job draws it. What
  is left of it here, if anything, is sealed and nobody but the hub can open it.
* A **sealed file** that the hub holds stays as long as an event does (30 days or 2 GB), so that a hub restored
  from a backup, or one that lost its attachments, can have it again.
* A sealed file that no row names is left from a kill or an older key; it goes after a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from node.attach.sealing import SEALED_NAME, sealed_path
from node.attach.shelf import Shelf
from node.desk.photos import photo_path
from node.printing.job import COLUMNS, Job
from node.printing.ledger import Ledger
from node.storage.prune import KEEP_BYTES, KEEP_MS
from node.storage.schema import JOB_IS_OPEN
from node.storage.store import NodeStore
from sepe.attach import named_by
from sepe.wire.v1 import event_pb2

DAY_MS = 86_400_000
STRAY_MS = DAY_MS


@dataclass(frozen=True, slots=True)
class SentFile:
    """A sealed file that the hub holds too."""

    sha256: bytes
    sealed_sha256: bytes
    size: int
    sent_ms: int


def retire(store: NodeStore, *, now_ms: int, photo_days: int) -> int:
    """Remove what may go; return how many files went. A kill in between is finished by the next call."""
    shelf = Shelf(store)
    gone = 0
    needed = _needed(store)
    for sha256 in shelf.plain_before(now_ms - photo_days * DAY_MS):
        if sha256 not in needed:
            photo_path(store.folder, sha256).unlink(missing_ok=True)
            shelf.plain_removed(sha256)
            gone += 1
    sent = [SentFile(*row) for row in shelf.sent_files()]
    for file in superfluous(sent, before_ms=now_ms - KEEP_MS, keep_bytes=KEEP_BYTES):
        sealed_path(store.folder, file.sealed_sha256).unlink(missing_ok=True)
        shelf.sealed_removed(file.sha256)
        gone += 1
    return gone + _sweep(store, shelf, now_ms)


def superfluous(sent: Sequence[SentFile], *, before_ms: int, keep_bytes: int) -> Iterator[SentFile]:
    """Of files that the hub holds, oldest first: those sent before then, and as many more as exceed the bytes."""
    left = sum(file.size for file in sent)
    for file in sent:
        if file.sent_ms >= before_ms and left <= keep_bytes:
            return
        left -= file.size
        yield file


def _needed(store: NodeStore) -> set[bytes]:
    """Digests of the plain files that a print job may still draw."""
    ledger = Ledger(store)
    needed: set[bytes] = set()
    jobs = [Job.of(row) for row in store.connection.execute(f"SELECT {COLUMNS} FROM job WHERE {JOB_IS_OPEN}")]
    for job in jobs:
        bodies = [ledger.recording_of(job)]
        row = store.connection.execute("SELECT known FROM resident WHERE nik = ?", (job.nik,)).fetchone()
        if row is not None:
            bodies.append(row[0])
        for body in bodies:
            needed.update(sha256 for _, sha256 in named_by(event_pb2.Recorded.FromString(body)))
    return needed


def _sweep(store: NodeStore, shelf: Shelf, now_ms: int) -> int:
    gone = 0
    for path in (store.folder / SEALED_NAME).glob("??/*"):
        try:
            is_old = path.stat().st_mtime * 1000 < now_ms - STRAY_MS
            if is_old and not (_is_digest(path.name) and shelf.is_sealed_name(bytes.fromhex(path.name))):
                path.unlink()
                gone += 1
        except OSError:
            continue  # Somebody else was faster, or the disk will say so where it matters.
    return gone


def _is_digest(name: str) -> bool:
    return len(name) == 64 and all(char in "0123456789abcdef" for char in name)
