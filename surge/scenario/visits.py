"""Who comes to an office when, and for what: the same for a run on real processes and for a plan.

How many come is the scenario's figure and does not vary; when they come does, by the seed and the number of the
replication. Products and reasons are dealt from sequences that fill the shares evenly and run on from office to
office: an office with a few visitors has about the mix, and all offices together have it to the last visit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import accumulate
from math import gcd
from random import Random
from typing import NamedTuple

from sepe.dispatch.policy import JobClass
from surge.scenario.model import Scenario
from surge.scenario.offices import Office, shared_out

DAY_S = 86_400
# Steps as shares of the whole, from the golden and the plastic number: their multiples fill it evenly.
STEP_PRODUCT, STEP_REASON, STEP_DUE = 0.6180339887498949, 0.7548776662466927, 0.5698402909980532


class Visit(NamedTuple):
    """Somebody comes; a named tuple, because a week of the nation has millions.

    Attributes:
        at_s: seconds after local midnight of the scenario's first day.
        is_due: False for those recorded ahead, whose card is printed on their 17th birthday.
    """

    at_s: float
    product: str
    reason: str
    is_due: bool = True

    @property
    def kind(self) -> JobClass:
        """Where they stand in the queue for the printers."""
        if self.product == "ktp-el" and self.reason == "new":
            return JobClass.VOTER
        return _KINDS.get(self.reason, JobClass.FIRST)


_KINDS = {
    "lost": JobClass.LOST,
    "damaged": JobClass.DAMAGED,
    "data-change": JobClass.DATA_CHANGE,
    "move-in": JobClass.MOVE_IN,
}


class _Deal:
    """Values in the shares of their weights, by a number from 0 to 1."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._names = [name for name, weight in weights.items() if weight]
        total = sum(weights.values())
        self._bounds = list(accumulate(weights[name] / total for name in self._names))[:-1]

    def at(self, number: float) -> str:
        return self._names[bisect_right(self._bounds, number)]


class _Sequence:
    """Every number (k + 0.5) / ``count`` once, evenly spread from the first few on."""

    def __init__(self, count: int, step: float) -> None:
        self._count = max(1, count)
        self._step = max(1, round(self._count * step))
        while gcd(self._step, self._count) > 1:
            self._step += 1

    def at(self, index: int) -> float:
        return (index * self._step % self._count + 0.5) / self._count


class Visits:
    """The visits of a scenario; one object for all its offices."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        calendar, demand = scenario.calendar, scenario.demand
        self._products, self._reasons = _Deal(demand.mix), _Deal(demand.reasons)
        self._others, self._whys = (_Sequence(demand.other_visits, step) for step in (STEP_PRODUCT, STEP_REASON))
        self._dues = _Sequence(demand.first_cards, STEP_DUE)
        self._days = [(calendar.days.index(day), day) for day in calendar.open_days]
        self._slices = {day: self._slice(day) for _, day in self._days}
        masses = {day: sum(weight for _, _, weight in parts) for day, parts in self._slices.items()}
        self._day_weights = [
            demand.by_day.get(day, 0.0) if demand.by_day else masses[day] for _, day in self._days
        ]
        self._times = {day: _Times(parts) for day, parts in self._slices.items()}

    def _slice(self, day: date) -> list[tuple[int, int, float]]:
        """The day's curve within the desks' hours: from when to when, minutes after midnight, and the weight."""
        span = self._scenario.calendar.desk(day)
        assert span is not None
        parts, begin = [], span[0]
        while begin < span[1]:
            end = min(span[1], (begin // 60 + 1) * 60)
            weight = self._scenario.demand.by_hour.get(begin // 60 % 24, 0.0) * (end - begin) / 60
            if weight:
                parts.append((begin, end, weight))
            begin = end
        return parts

    def days_of(self, office: Office) -> dict[date, tuple[int, int]]:
        """For each open day how many come for a first card and how many for anything else."""
        firsts = shared_out(office.first_cards, self._day_weights)
        others = shared_out(office.other_visits, self._day_weights)
        return {day: (first, other) for (_, day), first, other in zip(self._days, firsts, others, strict=True)}

    def of(self, office: Office, replication: int = 0) -> Iterator[Visit]:
        """Everybody who comes to this office, in the order of time."""
        not_due = self._scenario.demand.not_due_share
        first, other = office.first_first, office.first_other
        for (index, day), (firsts, others) in zip(self._days, self.days_of(office).values(), strict=True):
            if not firsts + others:
                continue
            rng = Random(f"{self._scenario.seed}/{office.code}/{index}/{replication}")
            draw, times = rng.random, self._times[day]
            at = sorted(times.at(draw()) for _ in range(firsts + others))
            wants_first = [True] * firsts + [False] * others
            wants_first = [one for _, one in sorted((draw(), one) for one in wants_first)]
            for at_min, is_first in zip(at, wants_first, strict=True):
                at_s = index * DAY_S + at_min * 60
                if is_first:
                    yield Visit(at_s, "ktp-el", "new", self._dues.at(first) >= not_due)
                    first += 1
                    continue
                product = self._products.at(self._others.at(other))
                reason = self._reasons.at(self._whys.at(other)) if product == "ktp-el" else "new"
                other += 1
                yield Visit(at_s, product, reason)

    def products(self) -> dict[str, int]:
        """How many of each product all offices together hand out; first cards stand under ``first``."""
        demand = self._scenario.demand
        found = Counter(self._products.at(self._others.at(index)) for index in range(demand.other_visits))
        return {**({"first": demand.first_cards} if demand.first_cards else {}), **dict(found.most_common())}


class _Times:
    """Draws a time of day by the curve."""

    def __init__(self, parts: list[tuple[int, int, float]]) -> None:
        self._parts = parts
        bounds = list(accumulate(weight for _, _, weight in parts))
        self._bounds, self._total = bounds[:-1], bounds[-1]

    def at(self, number: float) -> float:
        """Minutes after midnight for a number from 0 to 1."""
        mass = number * self._total
        index = bisect_right(self._bounds, mass)
        begin, end, weight = self._parts[index]
        before = self._bounds[index - 1] if index else 0.0
        return begin + (end - begin) * min(1.0, (mass - before) / weight)
