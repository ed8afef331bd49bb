"""What the events of one frame add to the heads, as arrays; needs no database, so any process can work it out.

What must be read from a body is read event by event, everything else (stamps, sums) is done with arrays. The
property tests hold this equal to the rule, `sepe.head.add_frame`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hub.engine.rows import Numbers
from sepe.codec import CHAIN_BYTES, Columns
from sepe.errors import PeerProtocolError
from sepe.events import BODIES, Kind, body_of
from sepe.head import HASH_MASK, HASH_MIX, NIK_MAX, NO_IDENTITY_MAX, NO_NIK, WORDS, Parked
from sepe.identity import IDENTITY_KEY_BYTES, identity_key
from sepe.wire.v1 import event_pb2

_RECORDED, _CARD_MOVED = int(Kind.RECORDED), int(Kind.CARD_MOVED)
_NO_KEY = bytes(IDENTITY_KEY_BYTES)
_WORD_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What each event of a frame adds to its resident's head; arrays with one entry per event.

    Attributes:
        niks: `NO_NIK` where no resident is concerned.
        identities: the identity hash of a claim, -1 for every other event.
        checksums: `sepe.head.event_hash`.
        parked: the events that could not be folded. They count and keep their pointer.
    """

    niks: Numbers
    identities: Numbers
    prints: Numbers
    decisions: Numbers
    checksums: NDArray[np.uint64]
    parked: tuple[Parked, ...]


def tally(columns: Columns, chains: list[bytes], cap: int) -> Tally:
    """What a frame's events add to the heads; ``cap`` is the highest effective stamp of its events.

    A number of over 16 digits is nobody's: its event is parked and counts at `NO_NIK`, for a 64-bit column cannot
    hold every such number and no desk can have typed it.
    """
    count = len(columns)
    parked: dict[int, Parked] = {}
    kinds = np.array(columns.kinds, np.int64)
    is_claim = kinds == _RECORDED
    prints, decisions = np.zeros(count, np.int64), np.zeros(count, np.int64)
    identities = np.full(count, NO_IDENTITY_MAX, np.int64)
    claims = np.flatnonzero(is_claim)
    identities[claims] = _identities(columns, claims.tolist(), parked)
    for index in np.flatnonzero(~is_claim).tolist():
        try:
            prints[index], decisions[index] = _read_other(columns.kinds[index], columns.bodies[index])
        except Exception as exc:
            parked[index] = _parked(index, exc)
    niks = np.array(columns.niks, np.uint64)
    is_nobody = (niks == NO_NIK) | (niks > NIK_MAX)
    if is_nobody.any():
        for index in np.flatnonzero(niks > NIK_MAX).tolist():
            parked.setdefault(index, Parked(index, "impossible_nik"))
        niks[is_nobody] = NO_NIK
        identities[is_nobody] = NO_IDENTITY_MAX
        prints[is_nobody] = decisions[is_nobody] = 0
    return Tally(
        niks.astype(np.int64), identities, prints, decisions, _checksums(columns, chains, cap),
        tuple(parked[index] for index in sorted(parked)),
    )  # fmt: skip


def _identities(columns: Columns, claims: list[int], parked: dict[int, Parked]) -> Numbers:
    """The identity hash of each of these claims; -1 where it cannot be read, which is then parked."""
    parse, key, bodies = event_pb2.Recorded.FromString, identity_key, columns.bodies
    keys: list[bytes] = []
    unread: list[int] = []
    for place, index in enumerate(claims):
        try:
            claim = parse(bodies[index])
            keys.append(key(claim.name, claim.birth_date, claim.sex))
        except Exception as exc:
            # A poison event must not stop the office behind it, whatever it makes the parser raise.
            parked[index] = _parked(index, exc)
            unread.append(place)
            keys.append(_NO_KEY)
    found = (np.frombuffer(b"".join(keys), "<u8") & np.uint64(HASH_MASK)).astype(np.int64)
    found[unread] = NO_IDENTITY_MAX
    return found


def _checksums(columns: Columns, chains: list[bytes], cap: int) -> NDArray[np.uint64]:
    """`sepe.head.event_hash` of each event, but for the upper bits that no sum keeps."""
    words = np.frombuffer(b"".join(chains), "<u8").reshape(-1, CHAIN_BYTES // 8)[:, 0]
    if max(columns.stamps) <= cap:
        return words & np.uint64(HASH_MASK)
    is_capped = np.array(columns.stamps, np.uint64) > np.uint64(cap)
    mixed = np.where(is_capped, words ^ np.uint64(cap * HASH_MIX & _WORD_MASK), words)
    return mixed & np.uint64(HASH_MASK)


def _parked(index: int, exc: Exception) -> Parked:
    reason = exc.reason if isinstance(exc, PeerProtocolError) else f"unreadable_event: {type(exc).__name__}"
    return Parked(index, reason)


def _read_other(kind: int, body: bytes) -> tuple[int, int]:
    """(cards printed, decisions) of an event that is no recording.

    Raises:
        PeerProtocolError: ``unknown_kind``, or it cannot be read.
    """
    if kind == _CARD_MOVED:
        return int(event_pb2.CardMoved.FromString(body).state == event_pb2.CARD_STATE_PRINTED), 0
    if kind not in BODIES:
        raise PeerProtocolError("unknown_kind", str(kind))
    body_of(kind, body)
    return 0, int(kind in WORDS)
