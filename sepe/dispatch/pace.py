"""What the ledger says of a printer's speed, and of the people who are still to come today."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from sepe.dispatch.policy import Hours

SAMPLES_MAX = 60
# Longer than this is a jam or a ribbon that somebody had to change, not the printer's pace.
CARD_MS_MAX = 3_600_000
# A quarter of the cards that is quicker by less than this is chance and no printer that was cold.
COLD_SHARE_MAX = 0.85
# A small card printer's data sheet: 36 seconds for two sides with chip.
CARD_MS_DEFAULT = 36_000
PAST_DAYS_MAX = 5
PAST_DAY_CARDS_MIN = 10
# How many people the days before count for against what was seen today.
PRIOR_PEOPLE = 20
# Before this share of the desk's hours is over, a single early visitor would mean a crowd.
SHARE_MIN = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds a card: on average with the rests a hot printer takes, and cold without them."""

    ms_per_card: int
    cold_ms_per_card: int
    samples: int


def pace_of(took_ms: Sequence[int], default_ms: int = CARD_MS_DEFAULT) -> Pace:
    """The pace from the times that its latest cards took, newest last."""
    samples = [one for one in took_ms[-SAMPLES_MAX:] if 0 < one <= CARD_MS_MAX]
    if not samples:
        return Pace(default_ms, default_ms, 0)
    mean = max(1, sum(samples) // len(samples))
    cold = sorted(samples)[len(samples) // 4]
    return Pace(mean, mean if cold > COLD_SHARE_MAX * mean else cold, len(samples))


def expected_arrivals(asked_ms: Sequence[int], *, now_ms: int, hours: Hours, a_day: int = 0) -> list[int]:
    """When further cards will be asked for today, in order.

    The days before give the shape of a day and its size; today's count so far corrects the size. Without such
    days the rest of the day is taken to be like what was seen of it.

    Args:
        asked_ms: when cards were asked for, today and before, in any order.
        a_day: how many the office itself expects, 0 to work it out.
    """
    midnight_ms = hours.midnight_ms(now_ms)
    opens_ms, closes_ms = hours.desk_ms(now_ms)
    if now_ms >= closes_ms:
        return []
    today = sum(1 for one in asked_ms if midnight_ms <= one <= now_ms)
    past: dict[int, list[int]] = {}
    for one in asked_ms:
        if one < midnight_ms:
            start_ms = hours.midnight_ms(one)
            past.setdefault(start_ms, []).append(one - start_ms)
    days = [past[start] for start in sorted(past) if len(past[start]) >= PAST_DAY_CARDS_MIN][-PAST_DAYS_MAX:]
    shape = sorted(offset for day in days for offset in day)
    gone = bisect_right(shape, now_ms - midnight_ms)
    if shape and gone < len(shape):
        typical, share = len(shape) / len(days), gone / len(shape)
        ratio = (today + PRIOR_PEOPLE) / (typical * share + PRIOR_PEOPLE)
        rest = a_day - today if a_day else typical * (1 - share) * ratio
        coming = shape[gone:]
        count = max(0, round(rest))
        return [midnight_ms + coming[(2 * i + 1) * len(coming) // (2 * count)] for i in range(count)]
    share = max(0.0, (now_ms - opens_ms) / (closes_ms - opens_ms))
    if a_day:
        count = max(0, a_day - today)
    elif share < SHARE_MIN:
        return []
    else:
        count = round(today / share * (1 - share))
    start_ms = max(now_ms, opens_ms)
    return [start_ms + (2 * i + 1) * (closes_ms - start_ms) // (2 * count) for i in range(count)]
