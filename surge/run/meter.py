"""What is measured of one office, and how measurements of many are added up.

Times are readings of this machine's monotonic clock, seconds. An office's events form one row of numbers (seq), so
an ack is one number: everything up to it is safe.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

# From a millisecond to a day, each edge a tenth above the one before.
EDGES = tuple(round(0.001 * 1.1**step, 6) for step in range(193))


@dataclass(slots=True)
class Histogram:
    """Durations in buckets a tenth wide; adding two is exact, a percentile is right to that tenth."""

    counts: list[int] = field(default_factory=lambda: [0] * len(EDGES))
    longest_s: float = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration ``times`` times."""
        self.counts[min(bisect_left(EDGES, seconds), len(EDGES) - 1)] += times
        self.longest_s = max(self.longest_s, seconds)

    def join(self, other: Histogram) -> None:
        """Add what another has counted."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.longest_s = max(self.longest_s, other.longest_s)

    @property
    def total(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """The upper edge of the bucket in which that share is reached; ``None`` when nothing was counted."""
        wanted, seen = share * self.total, 0
        for edge, count in zip(EDGES, self.counts, strict=True):
            seen += count
            if count and seen >= wanted:
                return min(edge, self.longest_s)
        return None

    def packed(self) -> list[list[int]]:
        """The buckets that hold something, for a message: [bucket, count]."""
        return [[index, count] for index, count in enumerate(self.counts) if count]

    @classmethod
    def unpacked(cls, buckets: Iterable[Iterable[int]], longest_s: float) -> Histogram:
        """The histogram of such a message."""
        found = cls(longest_s=longest_s)
        for index, count in buckets:
            found.counts[index] = count
        return found


@dataclass(slots=True)
class Meter:
    """One office.

    Attributes:
        offered, accepted, refused: recordings.
        taken_back: events whose ack the hub took back: it had said they were safe, and did not hold them later.
        worst_lag, worst_lag_at: most events that waited at once, and when.
        oldest_s: longest that an event waited.
        catch_up_s, catch_up_events: the longest coming level after a line returned, and how much waited then.
    """

    offered: int = 0
    accepted: int = 0
    refused: int = 0
    last_seq: int = 0
    durable_seq: int = 0
    taken_back: int = 0
    worst_lag: int = 0
    worst_lag_at: float = 0.0
    oldest_s: float = 0.0
    catch_up_s: float | None = None
    catch_up_events: int = 0
    acks: Histogram = field(default_factory=Histogram)
    _waiting: deque[tuple[int, int, float]] = field(default_factory=deque)
    _returning: tuple[int, int, float] | None = None

    @property
    def lag(self) -> int:
        """Events that the hub has not confirmed."""
        return max(self.last_seq - self.durable_seq, 0)

    def committed(self, last_seq: int, recordings: int, now: float) -> None:
        """A commit of the desk ended with ``last_seq``."""
        self.accepted += recordings
        self._waiting.append((last_seq, recordings, now))
        self.grew(last_seq, now)

    def grew(self, last_seq: int, now: float) -> None:
        """The outbox goes up to ``last_seq``, whoever wrote it."""
        self.last_seq = max(self.last_seq, last_seq)
        if self.lag > self.worst_lag:
            self.worst_lag, self.worst_lag_at = self.lag, now

    def durable(self, seq: int, now: float, *, went_back: bool = False) -> None:
        """The office stored the hub's word that everything up to ``seq`` is safe."""
        if went_back:
            # What is sent again for it has been counted as acked once; it is not counted a second time.
            self.taken_back += max(self.durable_seq - seq, 0)
        self.durable_seq = seq
        while self._waiting and self._waiting[0][0] <= seq:
            _, recordings, at = self._waiting.popleft()
            self.acks.add(now - at, recordings)
            self.oldest_s = max(self.oldest_s, now - at)
        if self._returning is not None and seq >= self._returning[0]:
            _, waited, since = self._returning
            self._returning = None
            if self.catch_up_s is None or now - since > self.catch_up_s:
                self.catch_up_s, self.catch_up_events = now - since, waited

    def returned(self, now: float) -> None:
        """The line, or the hub, is back; what waits now is what there is to catch up."""
        self._returning = (self.last_seq, self.lag, now) if self.lag else None

    def lost_line(self) -> None:
        """The line is away again before all was caught up; the next return counts anew."""
        self._returning = None

    def age(self, now: float) -> float:
        """How long the oldest unconfirmed recording has waited."""
        if not self._waiting:
            return 0.0
        age = now - self._waiting[0][2]
        self.oldest_s = max(self.oldest_s, age)
        return age

    @property
    def is_catching_up(self) -> bool:
        """Whether a return of the line has not been made good yet."""
        return self._returning is not None


def fairness(rates: Iterable[float]) -> float | None:
    """Jain's index: 1 when all rates are equal, 1/n when one has everything; ``None`` of nothing."""
    found = list(rates)
    squares = sum(rate * rate for rate in found)
    return sum(found) ** 2 / (len(found) * squares) if squares else None
