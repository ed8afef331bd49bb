"""Attachments on the hub's disk: sealed, each byte synced before it is acknowledged.

Under DIR/attachments/ a sealed file grows as ``ab/abcd….537104-1.part`` and is renamed to ``ab/abcd…`` once it is
whole, has the SHA-256 that was offered, opens with the hub's key, and holds what the event names. How many of its
bytes are on the disk stands in the index, committed after the file's own sync; bytes beyond that are cut off when
the next chunk comes, so a power cut at any moment costs at most what was not acknowledged.

An office cannot fill the disk: what no event of its own names is taken up to `UNNAMED_BYTES_MAX`, at most
`PARTS_MAX` attachments are under way, each with one sealed file of at most `SEALED_BYTES_MAX`, and nothing is
taken while the disk has less than ``free_bytes_min`` left, which belongs to the frame log.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hub.attach.index import FOLDER, AttachmentCounts, counts, open_index, scan
from sepe.attach import KINDS, SEALED_BYTES_MAX, SEALING_BYTES, SHA256_BYTES, Chunk, fresh_part
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.rpc.v1 import attachments_pb2 as rpc
from sepe_io.files import sync_folder
from sepe_io.logs import logger
from sepe_io.seal import SealingKey, seed_of, sha256_of
from sepe_io.sqlite import Connection, DiskFailedError, StorageFullError, transaction, translated

if TYPE_CHECKING:
    from hub.merge.store import HubStore

# Four attachments of the largest size: for an event that travels more slowly than its picture.
UNNAMED_BYTES_MAX = 4 * SEALED_BYTES_MAX
PARTS_MAX = 16
FREE_BYTES_MIN = 1 << 30
# Frames read before an office waits: a fifth of a second. The rest is read when nobody waits.
SCAN_FRAMES = 256
WANTED_MAX = 1_000
LATER_MS = 30_000

_log = logger("hub.attach")


@dataclass(frozen=True, slots=True)
class Answer:
    """The hub's word on one attachment."""

    verdict: rpc.AttachmentVerdict.ValueType
    held: int = 0
    reason: str = ""
    retry_after_ms: int = 0


class AttachmentStore:
    """The attachments of one hub; used by one thread at a time."""

    def __init__(
        self, directory: Path, index: Connection, log: Connection, key: SealingKey, *, free_bytes_min: int
    ) -> None:
        self.sealing_key = key
        self._folder = directory / FOLDER
        self._index = index
        self._log = log
        self._free_bytes_min = free_bytes_min

    @classmethod
    def open(cls, store: HubStore, *, free_bytes_min: int = FREE_BYTES_MIN) -> AttachmentStore:
        """The attachments of an open hub; the folder is made when it is not there."""
        key = sealing_key(store)
        index = open_index(store.directory)
        return cls(store.directory, index, store.reader(), key, free_bytes_min=free_bytes_min)

    def close(self) -> None:
        self._index.close()
        self._log.close()

    @property
    def log(self) -> Connection:
        """The read-only connection to the hub's database, for this store's thread."""
        return self._log

    def scan(self, frames_max: int = SCAN_FRAMES) -> bool:
        """See `hub.attach.index.scan`."""
        with translated():
            return scan(self._index, self._log, frames_max=frames_max)

    def newest_frame(self) -> int:
        """Number of the last frame in the hub's log, 0 while there is none."""
        with translated():
            return int(self._log.execute("SELECT coalesce(max(number), 0) FROM frame").fetchone()[0])

    def counts(self) -> AttachmentCounts:
        """See `hub.attach.index.counts`."""
        with translated():
            return counts(self._index)

    def wanted(self, node: str) -> tuple[list[bytes], int]:
        """Plain digests that events of ``node`` name and the hub lacks, oldest first, and how many there are."""
        self.scan()
        lacking = (
            "FROM named n WHERE node = ? AND NOT EXISTS"
            " (SELECT 1 FROM attachment a WHERE a.sha256 = n.sha256 AND a.complete_ms IS NOT NULL)"
        )
        with translated():
            rows = self._index.execute(
                f"SELECT sha256 {lacking} ORDER BY frame, sha256 LIMIT ?", (node, WANTED_MAX)
            ).fetchall()
            total = len(rows)
            if total == WANTED_MAX:
                total = self._index.execute(f"SELECT count(*) {lacking}", (node,)).fetchone()[0]
        return [bytes(sha256) for (sha256,) in rows], int(total)

    def offer(self, node: str, item: rpc.OfferItem, now_ms: int) -> Answer:
        """How much of an attachment is here, or why it is not taken."""
        if fault := _fault_of(item):
            return Answer(rpc.ATTACHMENT_VERDICT_REFUSED, reason=fault)
        if self._is_complete(item.sha256):
            return Answer(rpc.ATTACHMENT_VERDICT_COMPLETE, item.sealed_bytes)
        if refusal := self._refusal(node, item):
            return refusal
        row = self._row(node, item.sha256)
        if row is not None and (row.sealed_sha256, row.size) == (item.sealed_sha256, item.sealed_bytes):
            if row.held == row.size:
                return self._finish(node, row, now_ms)
            return Answer(rpc.ATTACHMENT_VERDICT_HELD, row.held)
        if row is not None:
            # Sealed anew: what came of the old file is worth nothing.
            self._part(node, row).unlink(missing_ok=True)
        self._drop_oldest_part(node)
        with transaction(self._index):
            self._index.execute(
                "INSERT OR REPLACE INTO attachment (sha256, node, kind, sealed_sha256, size, begun_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (item.sha256, node, item.kind, item.sealed_sha256, item.sealed_bytes, now_ms),
            )
        return Answer(rpc.ATTACHMENT_VERDICT_HELD, 0)

    def put(self, node: str, begin: rpc.PutBegin, chunk: rpc.PutChunk, now_ms: int) -> Answer:
        """Store a chunk; the answer's ``held`` bytes are on the disk when this returns.

        Raises:
            StorageFullError, StorageBusyError: nothing was acknowledged.
            DiskFailedError: this store takes nothing any more.
        """
        row = self._row(node, begin.sha256)
        if row is None or row.sealed_sha256 != begin.sealed_sha256:
            if self._is_complete(begin.sha256):
                return Answer(rpc.ATTACHMENT_VERDICT_COMPLETE, row.size if row else 0)
            return Answer(rpc.ATTACHMENT_VERDICT_REFUSED, reason="not_offered")
        if row.is_complete:
            return Answer(rpc.ATTACHMENT_VERDICT_COMPLETE, row.size)
        if shutil.disk_usage(self._folder).free < self._free_bytes_min:
            return Answer(rpc.ATTACHMENT_VERDICT_LATER, row.held, "disk_low", LATER_MS)
        try:
            fresh = fresh_part(row.held, row.size, Chunk(chunk.offset, len(chunk.data)))
        except PeerProtocolError as exc:
            verdict = rpc.ATTACHMENT_VERDICT_HELD if exc.reason == "gap" else rpc.ATTACHMENT_VERDICT_REFUSED
            return Answer(verdict, row.held, exc.reason)
        if fresh is None:
            return Answer(rpc.ATTACHMENT_VERDICT_HELD, row.held)
        held = self._append(node, row, chunk.data[fresh.offset - chunk.offset :])
        with transaction(self._index):
            self._index.execute(
                "UPDATE attachment SET held = ? WHERE sha256 = ? AND node = ?", (held, row.sha256, node)
            )
        if held == row.size:
            return self._finish(node, row, now_ms)
        return Answer(rpc.ATTACHMENT_VERDICT_HELD, held)

    def plain_of(self, sha256: bytes) -> bytes:
        """The attachment itself, for an officer.

        Raises:
            InvalidInputError: no whole one of this digest is here.
            PeerProtocolError: the file on the disk is not what was received; the office may still have it.
        """
        with translated():
            found = self._index.execute(
                "SELECT sealed_sha256 FROM attachment WHERE sha256 = ? AND complete_ms IS NOT NULL", (sha256,)
            ).fetchall()
        for (sealed_sha256,) in found:
            with suppress(FileNotFoundError):
                return self._opened(self._whole(bytes(sealed_sha256)).read_bytes(), sha256)
        raise InvalidInputError(
            "no whole attachment of this SHA-256 is here", field="SHA", value=sha256.hex()[:12] + "…",
            hint="`sepe hub status DIR` counts those that are under way.",
        )  # fmt: skip

    def _append(self, node: str, row: _Row, data: bytes) -> int:
        """Write after the bytes that are held, drop whatever lies beyond, sync; return how many are held then."""
        part = self._part(node, row)
        is_new = not part.exists()
        try:
            part.parent.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | _BINARY, 0o600), "r+b") as file:
                there = file.seek(0, os.SEEK_END)
                if there < row.held:
                    # Somebody else cut the file: only what is there is held.
                    _log.error("part.shortened", node=node, held=row.held, there=there)
                    return there
                file.truncate(row.held)
                file.seek(row.held)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(part.parent)
        except OSError as exc:
            raise _translated(exc) from exc
        return row.held + len(data)

    def _finish(self, node: str, row: _Row, now_ms: int) -> Answer:
        """All bytes are here: take the file in, or throw it away."""
        part, whole = self._part(node, row), self._whole(row.sealed_sha256)
        try:
            # After a kill between the rename and the commit it is the whole one already.
            sealed = (part if part.exists() else whole).read_bytes()
            if sha256_of(sealed) != row.sealed_sha256:
                raise PeerProtocolError("wrong_hash")
            self._opened(sealed, row.sha256)
            if part.exists():
                part.replace(whole)
                sync_folder(whole.parent)
        except (PeerProtocolError, FileNotFoundError) as exc:
            reason = exc.reason if isinstance(exc, PeerProtocolError) else "file_missing"
            _log.warning("attachment.corrupt", node=node, reason=reason)
            with transaction(self._index):
                self._index.execute("DELETE FROM attachment WHERE sha256 = ? AND node = ?", (row.sha256, node))
            part.unlink(missing_ok=True)
            return Answer(rpc.ATTACHMENT_VERDICT_CORRUPT, 0, reason)
        except OSError as exc:
            raise _translated(exc) from exc
        with transaction(self._index):
            self._index.execute(
                "UPDATE attachment SET complete_ms = ?, held = size WHERE sha256 = ? AND node = ?",
                (now_ms, row.sha256, node),
            )
        _log.info("attachment.completed", node=node, kind=row.kind, bytes=row.size)
        return Answer(rpc.ATTACHMENT_VERDICT_COMPLETE, row.size)

    def _opened(self, sealed: bytes, sha256: bytes) -> bytes:
        plain = self.sealing_key.open(sealed)
        if sha256_of(plain) != sha256:
            raise PeerProtocolError("wrong_content")
        return plain

    def _refusal(self, node: str, item: rpc.OfferItem) -> Answer | None:
        """Why the attachment is not taken, ``None`` when it is."""
        if shutil.disk_usage(self._folder).free - item.sealed_bytes < self._free_bytes_min:
            return Answer(rpc.ATTACHMENT_VERDICT_LATER, reason="disk_low", retry_after_ms=LATER_MS)
        if self._is_named(node, item.sha256):
            return None
        at_end = self.scan()
        if self._is_named(node, item.sha256):
            return None
        if not at_end:
            return Answer(rpc.ATTACHMENT_VERDICT_LATER, reason="index_behind", retry_after_ms=LATER_MS)
        with translated():
            stored = self._index.execute(
                "SELECT coalesce(sum(size), 0) FROM attachment a WHERE node = ? AND sha256 <> ? AND NOT EXISTS"
                " (SELECT 1 FROM named n WHERE n.sha256 = a.sha256 AND n.node = a.node)",
                (node, item.sha256),
            ).fetchone()[0]
        if stored + item.sealed_bytes > UNNAMED_BYTES_MAX:
            return Answer(rpc.ATTACHMENT_VERDICT_REFUSED, reason="unknown_attachment")
        return None

    def _drop_oldest_part(self, node: str) -> None:
        """Make room for one more attachment under way; an office sends them one after the other."""
        with translated():
            begun = self._index.execute(
                "SELECT sha256 FROM attachment WHERE node = ? AND complete_ms IS NULL"
                " ORDER BY begun_ms DESC, sha256 LIMIT -1 OFFSET ?",
                (node, PARTS_MAX - 1),
            ).fetchall()
        for (sha256,) in begun:
            row = self._row(node, bytes(sha256))
            assert row is not None
            self._part(node, row).unlink(missing_ok=True)
            with transaction(self._index):
                self._index.execute("DELETE FROM attachment WHERE sha256 = ? AND node = ?", (sha256, node))

    def _is_named(self, node: str, sha256: bytes) -> bool:
        with translated():
            found = self._index.execute("SELECT 1 FROM named WHERE sha256 = ? AND node = ?", (sha256, node))
            return found.fetchone() is not None

    def _is_complete(self, sha256: bytes) -> bool:
        """Whether a whole file of this digest is here. One that somebody deleted is asked for again."""
        with translated():
            rows = self._index.execute(
                "SELECT node, sealed_sha256 FROM attachment WHERE sha256 = ? AND complete_ms IS NOT NULL",
                (sha256,),
            ).fetchall()
        for node, sealed_sha256 in rows:
            if self._whole(bytes(sealed_sha256)).exists():
                return True
            _log.error("attachment.missing", node=node)
            with transaction(self._index):
                self._index.execute("DELETE FROM attachment WHERE sha256 = ? AND node = ?", (sha256, node))
        return False

    def _row(self, node: str, sha256: bytes) -> _Row | None:
        with translated():
            row = self._index.execute(
                "SELECT kind, sealed_sha256, size, held, complete_ms FROM attachment"
                " WHERE sha256 = ? AND node = ?",
                (sha256, node),
            ).fetchone()
        return None if row is None else _Row(sha256, row[0], bytes(row[1]), row[2], row[3], row[4] is not None)

    def _part(self, node: str, row: _Row) -> Path:
        whole = self._whole(row.sealed_sha256)
        return whole.with_name(f"{whole.name}.{node}.part")

    def _whole(self, sealed_sha256: bytes) -> Path:
        name = sealed_sha256.hex()
        return self._folder / name[:2] / name


@dataclass(frozen=True, slots=True)
class _Row:
    sha256: bytes
    kind: str
    sealed_sha256: bytes
    size: int
    held: int
    is_complete: bool


def sealing_key(store: HubStore) -> SealingKey:
    """The hub's sealing key, made at first use and kept in its database, so that every backup holds it."""
    find = "SELECT value FROM meta WHERE name = 'sealing_key'"
    with translated():
        row = store.connection.execute(find).fetchone()
    if row is None:
        from hub.merge.store import KEY_FILE
        from sepe_io import keys

        seed = seed_of(keys.load(store.directory / KEY_FILE))
        with transaction(store.connection):
            store.connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('sealing_key', ?)", (seed,))
            row = store.connection.execute(find).fetchone()
    return SealingKey.of_seed(bytes(row[0]))


def _fault_of(item: rpc.OfferItem) -> str:
    if item.kind not in KINDS:
        return "bad_kind"
    if len(item.sha256) != SHA256_BYTES or len(item.sealed_sha256) != SHA256_BYTES:
        return "bad_hash"
    return "" if SEALING_BYTES < item.sealed_bytes <= SEALED_BYTES_MAX else "oversized"


def _translated(exc: OSError) -> StorageFullError | DiskFailedError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("the disk is full")
    return DiskFailedError(f"the disk failed under an attachment: {exc.strerror}")


_BINARY = getattr(os, "O_BINARY", 0)
