"""The queue of one office: what waits, in which order, and who takes what.

`Queue` is what the dispatcher asks for the next card. It never decides that a card is printed, only which one is
tried next: the print ledger's state table is what keeps one job from two printers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, merge
from typing import NamedTuple

from sepe.dispatch.policy import JobClass, Policy

ANY = ""


class Waiting(NamedTuple):
    """One card or paper that waits; a named tuple, because there may be 50,000.

    Attributes:
        since_ms: when it was asked for, or may first be printed.
        media: ``card`` or ``a4``.
        printer: the only printer that may take it, `ANY` when any may.
        position: within its batch; 0 otherwise.
        blank: the product whose blanks it spends, ``""`` on paper.
        has_blank: a blank is reserved for it already.
        ready_ms: from when it can be printed.
        waits_for: what keeps it until then: ``""`` nothing, else a `sepe.dispatch.outlook.Limit`.
    """

    job: int
    kind: JobClass
    since_ms: int
    media: str = "card"
    printer: str = ANY
    position: int = 0
    blank: str = "ktp-el"
    has_blank: bool = False
    ready_ms: int = 0
    waits_for: str = ""


# One whole number a job, so that 50,000 are put in order in a few hundredths of a second: milliseconds of the
# request less the head start, then the place in a batch, then the number of the job.
Key = int
JOB_BITS, POSITION_BITS = 32, 20
JOB_MASK = (1 << JOB_BITS) - 1
# Numbers of people who are only expected, above those of any ledger.
EXPECTED_FIRST = 1 << (JOB_BITS - 1)


# Which jobs the same printers may take: the medium, and the printer's name or `ANY`.
Lane = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Jobs in order: for each lane their keys, first the next, and each job by its number."""

    lanes: Mapping[Lane, Sequence[Key]]
    jobs: Mapping[int, Waiting]

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Waiting]:
        return (self.jobs[key & JOB_MASK] for key in merge(*self.lanes.values()))


NOBODY = Ranked({}, {})


def ranked(waiting: Sequence[Waiting], policy: Policy, *, is_short: bool) -> Ranked:
    """Everything that waits in order. ``is_short``: of blanks, see `is_short_of_blanks`."""
    offsets = policy.offsets_ms(is_short=is_short)
    lanes: dict[Lane, list[Key]] = {}
    for job, kind, since_ms, media, printer, position, *_ in waiting:
        key = ((since_ms + offsets[kind]) << (POSITION_BITS + JOB_BITS)) | (position << JOB_BITS) | job
        try:
            lanes[media, printer].append(key)
        except KeyError:
            lanes[media, printer] = [key]
    for keys in lanes.values():
        keys.sort()
    return Ranked(lanes, {one.job: one for one in waiting})


def is_short_of_blanks(policy: Policy, *, at_hand: int, waiting: int) -> bool:
    """Whether blanks are short of what waits for them."""
    return waiting > 0 and at_hand < max(policy.blanks_short_below, waiting)


@dataclass(frozen=True, slots=True)
class Taker:
    """A printer that asks for work: its name and the media it prints (``card``, ``a4``)."""

    printer: str
    media: frozenset[str]


class Queue:
    """Hands out jobs that can be printed now, each to one taker at a time.

    What was taken stays out until `replace` is told that it waits again.
    """

    def __init__(self) -> None:
        self._heaps: dict[Lane, list[Key]] = {}
        self._jobs: Mapping[int, Waiting] = {}

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def replace(self, queue: Ranked, *, but: Collection[int] = ()) -> None:
        """Begin anew with ``queue``, leaving out the jobs ``but`` that somebody has in hand."""
        # What is in order is a heap.
        self._heaps = {
            lane: [key for key in keys if key & JOB_MASK not in but] if but else list(keys)
            for lane, keys in queue.lanes.items()
        }
        self._jobs = queue.jobs

    def head(self, taker: Taker) -> Key | None:
        """The key of the job that `take` would give."""
        heap = self._best(taker)
        return heap[0] if heap else None

    def take(self, taker: Taker) -> tuple[Key, Waiting] | None:
        """The next job for this printer, or ``None``; nobody else gets it."""
        heap = self._best(taker)
        if not heap:
            return None
        key = heappop(heap)
        return key, self._jobs[key & JOB_MASK]

    def _best(self, taker: Taker) -> list[Key] | None:
        heaps = [
            heap
            for media in taker.media
            for printer in (ANY, taker.printer)
            if (heap := self._heaps.get((media, printer)))
        ]
        return min(heaps, key=lambda heap: heap[0], default=None)
