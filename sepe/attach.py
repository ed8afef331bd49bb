"""Attachments: pictures and templates too large for an event, named in it by their SHA-256.

The event says *what* belongs to a recording; the attachment follows when the line has nothing better to do, sealed
to the hub's key, in chunks. Both ends' rules stand here, without I/O:

* The hub's word is the only position. It counts the bytes of a sealed attachment that are on its disk from byte 0
  without a gap (*held*); whoever connects asks for it (Offer) and goes on at that very byte.
* The office sends at most `WINDOW_CHUNKS` chunks ahead of the hub's word, so a byte that was acknowledged is never
  sent again, a cut repeats at most that window, and events that appear wait for no more than it.
* The hub takes a chunk only where its bytes end. An earlier one is an echo, a later one a gap; neither changes
  anything. At the end it compares the SHA-256 of all of it with what was offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sepe.errors import PeerProtocolError
from sepe.wire.v1 import event_pb2

ATTACHMENT_BYTES_MAX = 3 * 1024 * 1024
# What sealing adds: `sepe_io.seal`.
SEALING_BYTES = 68
SEALED_BYTES_MAX = ATTACHMENT_BYTES_MAX + SEALING_BYTES
SHA256_BYTES = 32

# 16 KiB leave a 64 kbit/s line in two seconds. Larger ones save acks on a good line.
CHUNK_BYTES_MIN = 16 * 1024
CHUNK_BYTES_MAX = 64 * 1024
# One on the way while the one before is acknowledged: with one alone a 600 ms hop would idle for a quarter of
# the time.
WINDOW_CHUNKS = 2
QUICK_MS = 700
SLOW_MS = 5_000

PHOTO, SIGNATURE, BIOMETRIC = KINDS = ("photo", "signature", "biometric")

# Tag and length of each of the digests in a serialised Recorded: bytes field, 32 bytes. A body without them names
# no attachment, which is told without parsing it.
_MARKS = tuple(
    bytes((tag & 0x7F | 0x80, tag >> 7, SHA256_BYTES))
    for tag in (
        event_pb2.Recorded.DESCRIPTOR.fields_by_name[f"{kind}_sha256"].number << 3 | 2 for kind in KINDS
    )
)  # fmt: skip


def may_name(bodies: bytes) -> bool:
    """Whether a serialised ``Recorded``, or many end to end, may name an attachment; a quick look."""
    return any(mark in bodies for mark in _MARKS)


def named_by(body: event_pb2.Recorded) -> Iterator[tuple[str, bytes]]:
    """(kind, SHA-256) of each attachment that a recording names."""
    for kind, sha256 in zip(KINDS, (body.photo_sha256, body.signature_sha256, body.biometric_sha256), strict=True):
        if len(sha256) == SHA256_BYTES:
            yield kind, sha256


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes ``offset`` to ``end`` of a sealed attachment."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(slots=True)
class ChunkPace:
    """How large a chunk may be, from how long the last ones took to be acknowledged."""

    chunk_bytes: int = CHUNK_BYTES_MIN

    def acked(self, waited_ms: int) -> None:
        """A chunk was acknowledged after so long."""
        if waited_ms <= QUICK_MS:
            self.chunk_bytes = min(self.chunk_bytes * 2, CHUNK_BYTES_MAX)
        elif waited_ms > SLOW_MS:
            self.chunk_bytes = max(self.chunk_bytes // 2, CHUNK_BYTES_MIN)

    def line_failed(self) -> None:
        """Begin again carefully."""
        self.chunk_bytes = CHUNK_BYTES_MIN


@dataclass(slots=True)
class Upload:
    """The office's side of one attachment over one line; a new line gets a new one.

    Attributes:
        size: of the sealed attachment.
        held: the hub's word: bytes 0 to ``held`` are on its disk.
    """

    size: int
    held: int
    _sent: list[tuple[Chunk, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.held <= self.size:
            raise PeerProtocolError("impossible_offset", f"{self.held} of {self.size}")

    @property
    def in_flight(self) -> int:
        """Chunks that were sent and not acknowledged."""
        return len(self._sent)

    @property
    def is_held(self) -> bool:
        """Whether the hub holds every byte; that it also found them right, it says by itself."""
        return self.held == self.size

    def next_chunk(self, chunk_bytes: int) -> Chunk | None:
        """What to send now, at most ``chunk_bytes``; ``None`` while the window is full or nothing is left."""
        offset = self._sent[-1][0].end if self._sent else self.held
        if self.in_flight >= WINDOW_CHUNKS or offset == self.size:
            return None
        return Chunk(offset, min(chunk_bytes, self.size - offset))

    def sent(self, chunk: Chunk, now_ms: int) -> None:
        """The chunk of `next_chunk` left."""
        self._sent.append((chunk, now_ms))

    def heard(self, held: int, now_ms: int) -> int | None:
        """The hub holds bytes up to ``held``; return how long the last acknowledged chunk took, if one was.

        Raises:
            PeerProtocolError: ``impossible_offset``: it holds more than was sent, or less than it said before.
                Offer the attachment again.
        """
        reach = self._sent[-1][0].end if self._sent else self.held
        if not self.held <= held <= reach:
            raise PeerProtocolError("impossible_offset", f"{held} outside {self.held} to {reach}")
        self.held = held
        waited_ms: int | None = None
        while self._sent and self._sent[0][0].end <= held:
            waited_ms = now_ms - self._sent.pop(0)[1]
        return waited_ms


def fresh_part(held: int, size: int, chunk: Chunk) -> Chunk | None:
    """The hub's side: which part of a chunk is next after ``held`` bytes of ``size``; ``None`` for an echo.

    Raises:
        PeerProtocolError: ``gap``, ``beyond_end`` or ``bad_chunk``; nothing of it may be stored.
    """
    if not 0 < chunk.size <= CHUNK_BYTES_MAX:
        raise PeerProtocolError("bad_chunk", f"{chunk.size} bytes")
    if chunk.end > size:
        raise PeerProtocolError("beyond_end", f"{chunk.end} of {size}")
    if chunk.offset > held:
        raise PeerProtocolError("gap", f"{chunk.offset} after {held}")
    if chunk.end <= held:
        return None
    return Chunk(held, chunk.end - held)
