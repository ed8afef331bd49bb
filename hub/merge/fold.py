"""Folding frames into head rows, and adding head rows to those stored.

`sepe.head.add_frame` is the rule and this is its fast form: what must be read from a body is read event by event
(`tally`), everything else (stamps, sums, order) is done with arrays for a whole batch. The property tests hold
both equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hub.engine import embedded
from hub.engine.place import is_postgres
from hub.engine.rows import HeadRows, Numbers
from sepe.codec import CHAIN_BYTES, Columns
from sepe.errors import PeerProtocolError
from sepe.events import BODIES, Kind, body_of
from sepe.head import HASH_MASK, HASH_MIX, NO_IDENTITY_MAX, NO_IDENTITY_MIN, REF_INDEX_BITS, Parked
from sepe.identity import IDENTITY_KEY_BYTES, identity_key
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

NIK_MAX = 10**16 - 1
# The head of the events that concern no resident: counted and in the digest, never a person.
NO_NIK = 0

_RECORDED, _CARD_MOVED, _CASE_DECIDED = int(Kind.RECORDED), int(Kind.CARD_MOVED), int(Kind.CASE_DECIDED)
_NO_KEY = bytes(IDENTITY_KEY_BYTES)
_WORD_MASK = (1 << 64) - 1

N = TypeVar("N", bound=np.generic)


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


class Heads:
    """What the frames of a batch add up to, per NIK. Not idempotent: the watermark lets each event in once."""

    def __init__(self) -> None:
        self._tallies: list[tuple[Tally, int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._tallies)

    def add(self, frame: Tally, *, frame_number: int, start: int) -> list[Parked]:
        """Take in a frame's events from index ``start``; return which of them could not be folded."""
        self._tallies.append((frame, frame_number, start))
        return [one for one in frame.parked if one.index >= start] if frame.parked else []

    def rows(self) -> HeadRows:
        """One row for each NIK. At least one frame was added."""
        parts = self._tallies
        niks = np.concatenate([part.niks[start:] for part, _, start in parts])
        # Stable, so that a resident's events keep the order in which they came.
        order = np.argsort(niks, kind="stable")
        niks = niks[order]
        first = np.flatnonzero(np.concatenate(((True,), niks[1:] != niks[:-1])))

        def column(pick: Callable[[Tally], NDArray[N]]) -> NDArray[N]:
            return np.concatenate([pick(part)[start:] for part, _, start in parts])[order]

        identities = column(lambda part: part.identities)
        is_claim = identities >= 0
        refs = np.concatenate(
            [
                np.arange(start, len(part.niks), dtype=np.uint64) + np.uint64(number << REF_INDEX_BITS)
                for part, number, start in parts
            ]
        )[order]
        events = np.diff(np.concatenate((first, (len(niks),))))
        numbers = (
            niks[first],
            events,
            np.add.reduceat(is_claim.astype(np.int64), first),
            np.minimum.reduceat(np.where(is_claim, identities, NO_IDENTITY_MIN), first),
            np.maximum.reduceat(identities, first),
            np.add.reduceat(column(lambda part: part.prints), first),
            np.add.reduceat(column(lambda part: part.decisions), first),
            # Words wrap at 2**64, of which 2**62 is a divisor.
            (np.add.reduceat(column(lambda part: part.checksums), first) & np.uint64(HASH_MASK)).astype(np.int64),
        )
        # The events of nobody come first and are not pointed to.
        nobodys = int(np.searchsorted(niks, NO_NIK, side="right"))
        return HeadRows(numbers, refs[nobodys:], events * (numbers[0] != NO_NIK))


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


def fold_frame(
    heads: Heads, columns: Columns, chains: list[bytes], *, frame_number: int, cap: int, start: int
) -> list[Parked]:
    """Add a frame's events, from index ``start``, to ``heads``; return those that could not be folded."""
    return heads.add(tally(columns, chains, cap), frame_number=frame_number, start=start)


def write_heads(connection: Connection, heads: Heads, table: str = "head") -> None:
    """Add ``heads`` to those stored, in the order of the NIK: neighbours share pages. In a transaction."""
    if heads:
        add_rows(connection, heads.rows(), table)


def add_rows(connection: Connection, rows: HeadRows, table: str) -> None:
    """Add rows to those stored in ``table``. In a transaction."""
    if is_postgres(connection):
        from hub.engine import heads as postgres

        postgres.write_heads(connection, rows, table)
    else:
        embedded.write_heads(connection, rows, table)
    if table == "head":
        # A row that was there already is looked at by a trigger.
        marks = [(nik,) for nik in rows.suspects().tolist()]
        connection.executemany("INSERT OR IGNORE INTO dirty (nik) VALUES (?)", marks)


def write_parked(connection: Connection, frame_number: int, parked: list[Parked], table: str = "parked") -> None:
    """Keep which events of a frame could not be folded."""
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} (frame, place, reason) VALUES (?, ?, ?)",
        [(frame_number, one.index, one.reason) for one in parked],
    )


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
    if kind == _CASE_DECIDED:
        event_pb2.CaseDecided.FromString(body)
        return 0, 1
    if kind not in BODIES:
        raise PeerProtocolError("unknown_kind", str(kind))
    body_of(kind, body)
    return 0, 0
