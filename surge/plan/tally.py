"""What one played office counts: by day, and waiting times in buckets so that offices can be added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log2

# Twelve to an octave from 10 seconds on: a quantile is right within 6 %, for minutes and weeks alike.
_FIRST_S, _PER_OCTAVE, BUCKETS = 10.0, 12, 240


def bucket_of(seconds: float) -> int:
    """The bucket of a waiting time."""
    return 0 if seconds < _FIRST_S else min(BUCKETS - 1, 1 + int(_PER_OCTAVE * log2(seconds / _FIRST_S)))


def quantile_s(buckets: Sequence[float], share: float) -> float:
    """The waiting time that ``share`` of all do not exceed, seconds; 0 when nobody waited."""
    left = sum(buckets) * share
    for index, count in enumerate(buckets):
        if count >= left and count:
            low = _FIRST_S * 2 ** ((index - 1) / _PER_OCTAVE) if index else 0.0
            high = _FIRST_S * 2 ** (index / _PER_OCTAVE)
            return low + (high - low) * left / count
        left -= count
    return 0.0


@dataclass(slots=True)
class Tally:
    """One office, or many added up, over the days of a scenario.

    Attributes:
        cards, first_cards: made on each day. asked: wished for on each day and due.
        waiting: due cards at each day's midnight that are not made, held ones included.
        queue_max: the longest queue at the desks on each day; of many offices added up, their sum.
        desk_wait, card_wait: people by the time to the desk, cards by the time from the door to the hand.
        last_first_s: second of the day at which its last first card was made, the latest of the offices.
        served_until_s: second of the day at which the desks were done.
        dry_s: time in which a card could not be made for want of a blank, by office.
        busy_s, attended_s: of all printers.
        left, left_first: due cards not made at the end, and those of them that are first cards and not held.
        held: first cards that the check does not let through.
        stock_outs: offices that ran out of blanks at some time, on each day.
    """

    cards: list[float]
    first_cards: list[float]
    asked: list[float]
    waiting: list[float]
    queue_max: list[float]
    served: list[float]
    stock_outs: list[float]
    last_first_s: list[float]
    served_until_s: list[float]
    desk_wait: list[float] = field(default_factory=lambda: [0.0] * BUCKETS)
    card_wait: list[float] = field(default_factory=lambda: [0.0] * BUCKETS)
    busy_s: float = 0.0
    attended_s: float = 0.0
    dry_s: float = 0.0
    left_first: float = 0.0
    left: float = 0.0
    held: float = 0.0

    @classmethod
    def of_days(cls, days: int) -> Tally:
        """Nothing yet."""
        none = [0.0] * days
        return cls(
            list(none),
            list(none),
            list(none),
            list(none),
            list(none),
            list(none),
            list(none),
            list(none),
            list(none),
        )

    def add(self, other: Tally, weight: float) -> None:
        """Add ``weight`` offices like the other one."""
        for name in ("cards", "first_cards", "asked", "waiting", "queue_max", "served", "stock_outs",
                     "desk_wait", "card_wait"):  # fmt: skip
            mine, theirs = getattr(self, name), getattr(other, name)
            for index, count in enumerate(theirs):
                if count:
                    mine[index] += weight * count
        for name in ("last_first_s", "served_until_s"):
            mine, theirs = getattr(self, name), getattr(other, name)
            mine[:] = [max(pair) for pair in zip(mine, theirs, strict=True)]
        for name in ("busy_s", "attended_s", "dry_s", "left_first", "left", "held"):
            setattr(self, name, getattr(self, name) + weight * getattr(other, name))
