"""Anti-entropy: which rows of a stored history are altered or missing, exactly.

The chain gives a digest at every seq, and each digest commits to all events below it. So two sides that agree on
one digest at one seq agree on the whole history up to there, without exchanging anything else, and what disk or
hand did to either copy shows on that side alone: the bytes that lie there no longer lead to the digests beside
them. Range digests need not be sent about and searched through; they lie in the rows already:

- an office keeps a digest with each row, so a range is one event wide (`find_faults`);
- the hub keeps two with each frame, before and after it, so a range is one frame wide (`find_holes`).

What is altered then follows from what the neighbours commit to. An event that was changed does not lead to its
own digest, while the row after it still builds on that digest. A digest that was changed is contradicted by
the row after it, which builds on the digest that the event does lead to.

Either side mends itself from the other's copy. What is offered is right when it leads from the digest before the
hole to the digest after it: whoever sent it, and whether or not anybody meant well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from sepe.codec import chain_next


class StoredEvent(Protocol):
    """One row of an outbox. ``chain`` is the digest stored with it: that after the event."""

    @property
    def seq(self) -> int: ...
    @property
    def nik(self) -> int: ...
    @property
    def stamp(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def chain(self) -> bytes: ...


class FaultKind(Enum):
    EVENT = "event"
    DIGEST = "digest"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Fault:
    """Rows that are not what was written.

    Attributes:
        kind: ``EVENT``, one row holds another event than the one its neighbours commit to; ``DIGEST``, the
        event is
            right and the digest beside it is not; ``MISSING``, the rows are gone.
        digest: for ``DIGEST``, the right one.
    """

    kind: FaultKind
    first_seq: int
    last_seq: int
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of events that is held, with the digests ``before`` it (empty: not known) and ``after`` it."""

    first_seq: int
    last_seq: int
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Hole:
    """A run of events that no span covers, and the digests that its events must lead from and to.

    ``after`` is empty when the span behind it does not know what it begins with.
    """

    first_seq: int
    last_seq: int
    before: bytes
    after: bytes

    @property
    def events(self) -> int:
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class Coverage:
    """What spans add up to.

    Attributes:
        holes: in order of seq.
        torn: seqs at which two neighbours, each sound in itself, hold different digests: one is of another
        history.
        seq: the history was followed without a hole up to here, and ``chain`` is the digest there.
    """

    holes: tuple[Hole, ...]
    torn: tuple[int, ...]
    seq: int
    chain: bytes


def find_faults(before: bytes, after_seq: int, rows: Iterable[StoredEvent]) -> Iterator[Fault]:
    """Every altered or missing row among ``rows``, which come in order of seq.

    Args:
        before: the digest at ``after_seq``.

    A row behind a missing one cannot be checked and passes; so does a last row's digest when its event was
    altered: of the last row nobody can tell which of the two it was, and it is reported as ``EVENT``.
    """
    seq, chain = after_seq, before
    doubtful: tuple[int, bytes] | None = None  # Its seq and the digest that its event leads to.
    for row in rows:
        if row.seq != seq + 1:
            if doubtful is not None:
                yield Fault(FaultKind.EVENT, doubtful[0], doubtful[0])
                doubtful = None
            yield Fault(FaultKind.MISSING, seq + 1, row.seq - 1)
            seq, chain = row.seq, row.chain
            continue
        reached = _after(chain, row)
        if doubtful is not None:
            if reached != row.chain and _after(doubtful[1], row) == row.chain:
                yield Fault(FaultKind.DIGEST, doubtful[0], doubtful[0], doubtful[1])
                reached = row.chain
            else:
                yield Fault(FaultKind.EVENT, doubtful[0], doubtful[0])
        doubtful = None if reached == row.chain else (row.seq, reached)
        seq, chain = row.seq, row.chain
    if doubtful is not None:
        yield Fault(FaultKind.EVENT, doubtful[0], doubtful[0])


def find_holes(start: bytes, spans: Iterable[Span], last_seq: int, last_chain: bytes) -> Coverage:
    """What is missing of a history from its ``start`` to the digest ``last_chain`` at ``last_seq``.

    Args:
        spans: in order of seq, not overlapping.
    """
    holes: list[Hole] = []
    torn: list[int] = []
    seq, chain = 0, start
    whole_seq, whole_chain = 0, start
    for span in spans:
        if span.first_seq > seq + 1:
            holes.append(Hole(seq + 1, span.first_seq - 1, chain, span.before))
        elif span.before and span.before != chain:
            torn.append(seq)
        seq, chain = span.last_seq, span.after
        if not holes and not torn:
            whole_seq, whole_chain = seq, chain
    if seq < last_seq:
        holes.append(Hole(seq + 1, last_seq, chain, last_chain))
    elif seq == last_seq and chain != last_chain:
        torn.append(seq)
    return Coverage(tuple(holes), tuple(torn), whole_seq, whole_chain)


def _after(chain: bytes, row: StoredEvent) -> bytes:
    return chain_next(chain, row.nik, row.stamp, row.kind, row.body)
