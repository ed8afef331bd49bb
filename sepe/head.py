"""The narrow head of a resident: what the hub must know of every NIK without reading its events.

One head row per NIK answers "how often was this NIK claimed, do the claims agree, how many cards came out"
and points into the frame log, where the wide record is made when someone reads it. Heads of separate events
add up in any order (sums, minima, maxima, concatenation), so a thousand events become one conditional upsert
per NIK. Adding is not idempotent: the watermark sees to it that each event is added once.

`is_suspect` is wide on purpose: a head it names may hold a case, a head it does not name cannot, and only
suspects are folded in full.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from sepe.codec import Columns
from sepe.errors import PeerProtocolError
from sepe.events import BODIES, Kind, body_of
from sepe.identity import identity_key
from sepe.wire.v1 import event_pb2

# 62 bits: the sum of two still fits a signed 64-bit column, in SQLite and in PostgreSQL.
HASH_BITS = 62
HASH_MASK = (1 << HASH_BITS) - 1
NO_IDENTITY_MIN = HASH_MASK
NO_IDENTITY_MAX = -1
NIK_MAX = 10**16 - 1
# The head of the events that concern no resident: counted and in the digest, never a person.
NO_NIK = 0
# Pointer to one event: frame number above, index in the frame below.
REF = struct.Struct("<Q")
REF_INDEX_BITS = 10
HASH_MIX = 0x9E3779B97F4A7C15
# Plain numbers: asking an enumeration for its member costs as much as parsing a small body.
_RECORDED, _CARD_MOVED = int(Kind.RECORDED), int(Kind.CARD_MOVED)
# Words on whose a NIK is, counted as decisions: after one a NIK is always folded in full.
WORDS = frozenset((int(Kind.CASE_DECIDED), int(Kind.NIK_REPLACED), int(Kind.CLAIM_CORRECTED)))


@dataclass(slots=True)
class Head:
    """Sums over the events of one NIK; the columns of the head table.

    Attributes:
        events: how many events.
        claims: how many of them are enrolments.
        identity_min: least identity hash of the claims, `NO_IDENTITY_MIN` without one.
        identity_max: greatest identity hash of the claims, `NO_IDENTITY_MAX` without one.
        prints: how many cards were reported printed.
        decisions: how many officers' decisions, replaced numbers and corrected claims.
        checksum: sum of the events' hashes modulo 2**62; equal sets of events have equal sums.
        refs: pointers into the frame log, 8 bytes each, in the order of arrival.
    """

    events: int = 0
    claims: int = 0
    identity_min: int = NO_IDENTITY_MIN
    identity_max: int = NO_IDENTITY_MAX
    prints: int = 0
    decisions: int = 0
    checksum: int = 0
    refs: bytearray = field(default_factory=bytearray)

    def add(self, other: Head) -> None:
        """Take in the head of further events."""
        self.events += other.events
        self.claims += other.claims
        self.identity_min = min(self.identity_min, other.identity_min)
        self.identity_max = max(self.identity_max, other.identity_max)
        self.prints += other.prints
        self.decisions += other.decisions
        self.checksum = (self.checksum + other.checksum) & HASH_MASK
        self.refs += other.refs


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that this version cannot fold; it stays in the log and a rebuild tries it again."""

    index: int
    reason: str


def is_suspect(claims: int, identity_min: int, identity_max: int, prints: int, decisions: int) -> bool:
    """Whether the NIK may hold a case and must be folded in full."""
    return (claims > 1 and identity_min != identity_max) or prints > 1 or decisions > 0


def add_frame(
    heads: dict[int, Head],
    columns: Columns,
    chains: list[bytes],
    *,
    frame_number: int,
    cap: int,
    start: int = 0,
) -> list[Parked]:
    """Add a frame's events, from index ``start``, to ``heads``; return those that could not be folded.

    An event that concerns no resident (NIK 0) leaves ``heads`` alone. A parked one still counts and keeps its
    pointer, so nothing of it is lost, but claims nothing.
    """
    parked: list[Parked] = []
    base = frame_number << REF_INDEX_BITS
    pack = REF.pack
    parse_recorded = event_pb2.Recorded.FromString
    niks, stamps, kinds, bodies = columns.niks, columns.stamps, columns.kinds, columns.bodies
    for index in range(start, len(niks)):
        kind, nik, body = kinds[index], niks[index], bodies[index]
        identity = -1
        prints = decisions = 0
        try:
            if kind == _RECORDED:
                claim = parse_recorded(body)
                identity = identity_hash(claim.name, claim.birth_date, claim.sex)
            elif kind == _CARD_MOVED:
                step = event_pb2.CardMoved.FromString(body)
                prints = int(step.state == event_pb2.CARD_STATE_PRINTED)
            elif kind in WORDS:
                body_of(kind, body)
                decisions = 1
            elif kind in BODIES:
                body_of(kind, body)
            else:
                parked.append(Parked(index, "unknown_kind"))
        except PeerProtocolError as exc:
            parked.append(Parked(index, exc.reason))
        except Exception as exc:
            # A poison event must not stop the office behind it, whatever it makes the parser raise.
            parked.append(Parked(index, f"unreadable_event: {type(exc).__name__}"))
        if nik == 0:
            continue
        head = heads.get(nik)
        if head is None:
            head = heads[nik] = Head()
        head.events += 1
        if identity >= 0:
            head.claims += 1
            head.identity_min = min(head.identity_min, identity)
            head.identity_max = max(head.identity_max, identity)
        head.prints += prints
        head.decisions += decisions
        head.checksum = (head.checksum + event_hash(chains[index], stamps[index], cap)) & HASH_MASK
        head.refs += pack(base | index)
    return parked


def identity_hash(name: str, birth_date: str, sex: str) -> int:
    """`identity_key` as a column: 0 to 2**62 - 1."""
    return int.from_bytes(identity_key(name, birth_date, sex), "little") & HASH_MASK


def event_hash(chain: bytes, stamp: int, cap: int) -> int:
    """A number that stands for the event and its effective stamp: 0 to 2**62 - 1."""
    number = int.from_bytes(chain[:8], "little")
    if stamp > cap:
        number ^= cap * HASH_MIX
    return number & HASH_MASK


def refs_of(refs: bytes) -> list[tuple[int, int]]:
    """The (frame number, index) pairs that a head points to."""
    mask = (1 << REF_INDEX_BITS) - 1
    return [(ref >> REF_INDEX_BITS, ref & mask) for (ref,) in REF.iter_unpack(refs)]
