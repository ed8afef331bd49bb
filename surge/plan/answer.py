"""What a plan answers: figures with intervals, days, what binds when, and how many printers it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import sqrt

from sepe.dispatch.outlook import GAIN_SHARE_MIN, LEFT_SHARE_MIN, LIFTABLE, Limit
from surge.plan.kinds import Kind, kinds_of
from surge.plan.office import Lifted
from surge.plan.play import Job, Workers, added_up, workers
from surge.plan.tally import Tally, quantile_s
from surge.plan.whatif import WhatIf, changed
from surge.scenario.model import SMALL, PrinterModel, Scenario
from surge.scenario.offices import Office

# What binds is found by few plays: chance is the same in both, so their difference is nearly all limit.
LIMIT_REPLICATIONS = 1
SEARCH_REPLICATIONS = 2
SINGLE_REPLICATIONS = 10
SEARCH_STEPS = (1, 2, 3, 4, 6, 8, 12)
SINGLE_MAX = 12
# Of a kind of office, less than this is no queue.
WAITING_MIN = 0.5
LEFT_SHARE_MAX = 0.01


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over the replications with its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DayLine:
    """One open day of all offices.

    Attributes:
        stock_outs: offices that had no blank for somebody.
        binds: offices by what keeps their cards from being made that day; those with no queue are not in it.
        last_first_min, served_until_min: minutes after midnight, the latest of all offices.
    """

    day: date
    visits: Figure
    cards: Figure
    first_cards: Figure
    waiting: Figure
    queue_max: Figure
    stock_outs: Figure
    last_first_min: Figure
    served_until_min: Figure
    binds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Printers:
    """One row of the search for how many printers it takes.

    Attributes:
        last_first_min: when the last first card was made, minutes after the first midnight.
        cleared_share: replications in which no first card was left.
    """

    count: int
    first_cards: Figure
    left_first: Figure
    last_first_min: Figure
    cleared_share: float


@dataclass(frozen=True, slots=True)
class Place:
    """A regency, or the one office, at the end of the last day."""

    code: str
    name: str
    offices: int
    visits: int
    left_first: float
    left: float
    more_printers: float


@dataclass(frozen=True, slots=True)
class Case:
    """The base case, or the what-if.

    Attributes:
        search: for a single office, what each number of printers would clear.
        more_printers: for many, how many more in all would leave no first card; -1 where printers do not help.
        unhelped_offices: offices in which no number of printers clears them.
    """

    offices: int
    kinds: int
    first_cards_asked: int
    cards: Figure
    first_cards: Figure
    left_first: Figure
    left: Figure
    held: Figure
    desk_median_min: Figure
    desk_p90_min: Figure
    card_median_min: Figure
    card_p90_min: Figure
    printer_busy: Figure
    dry_hours: Figure
    days: tuple[DayLine, ...]
    places: tuple[Place, ...]
    search: tuple[Printers, ...] = ()
    more_printers: float = 0.0
    unhelped_offices: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan: the base case, and the what-if beside it."""

    scenario: str
    replications: int
    seed: int
    base: Case
    what_if: Case | None = None
    change: WhatIf | None = None


def plan(
    scenario: Scenario,
    change: WhatIf | None = None,
    *,
    replications: int = 30,
    tell: Callable[[str], None] = lambda _: None,
) -> Answer:
    """The answer for one scenario. The same scenario, change and number of replications give the same answer.

    Args:
        tell: hears what is being played.
    """
    base = _case(scenario, replications, tell)
    other = _case(changed(scenario, change), replications, lambda text: tell(f"{text} +")) if change else None
    return Answer(scenario.name, replications, scenario.seed, base, other, change or None)


def _case(scenario: Scenario, replications: int, tell: Callable[[str], None]) -> Case:
    offices, kinds = kinds_of(scenario, replications)
    days = len(scenario.calendar.days)
    with workers(kinds, replications) as pool:
        tell("play")
        tallies = pool.play([Job(kind.setting, replications) for kind in kinds])
        tell("limits")
        binds = _binding(kinds, tallies, pool, days)
        tell("printers")
        more = _more_printers(kinds, tallies, pool)
        search = _search(kinds[0], pool, replications) if len(offices) == 1 else ()
    whole = added_up(kinds, tallies, days)

    def over(value: Callable[[Tally], float]) -> Figure:
        return figure([value(tally) for tally in whole])

    lines = []
    for index, day in enumerate(scenario.calendar.days):
        if scenario.calendar.desk(day) is None and not any(tally.cards[index] for tally in whole):
            continue
        lines.append(
            DayLine(
                day,
                over(lambda one, i=index: one.served[i]),  # type: ignore[misc]
                over(lambda one, i=index: one.cards[i]),  # type: ignore[misc]
                over(lambda one, i=index: one.first_cards[i]),  # type: ignore[misc]
                over(lambda one, i=index: one.waiting[i]),  # type: ignore[misc]
                over(lambda one, i=index: one.queue_max[i]),  # type: ignore[misc]
                over(lambda one, i=index: one.stock_outs[i]),  # type: ignore[misc]
                over(lambda one, i=index: one.last_first_s[i] / 60),  # type: ignore[misc]
                over(lambda one, i=index: one.served_until_s[i] / 60),  # type: ignore[misc]
                dict(binds[index].most_common()),
            )
        )
    return Case(
        len(offices),
        len(kinds),
        scenario.demand.first_cards,
        over(lambda one: sum(one.cards)),
        over(lambda one: sum(one.first_cards)),
        over(lambda one: one.left_first),
        over(lambda one: one.left),
        over(lambda one: one.held),
        over(lambda one: quantile_s(one.desk_wait, 0.5) / 60),
        over(lambda one: quantile_s(one.desk_wait, 0.9) / 60),
        over(lambda one: quantile_s(one.card_wait, 0.5) / 60),
        over(lambda one: quantile_s(one.card_wait, 0.9) / 60),
        over(lambda one: one.busy_s / one.attended_s if one.attended_s else 0.0),
        over(lambda one: one.dry_s / 3600),
        tuple(lines),
        _places(offices, kinds, tallies, more),
        search,
        sum(count * kind.count for kind, count in zip(kinds, more, strict=True) if count > 0),
        sum(kind.count for kind, count in zip(kinds, more, strict=True) if count < 0),
    )


def figure(values: Sequence[float]) -> Figure:
    """Mean and 95 % interval by Student's t."""
    count = len(values)
    mean = sum(values) / max(1, count)
    if count < 2:
        return Figure(mean, mean, mean)
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    half = student_t(count - 1) * deviation / sqrt(count)
    return Figure(mean, max(0.0, mean - half), mean + half)


def student_t(freedom: int) -> float:
    """The 97.5th percentile of Student's t, by Cornish and Fisher; right within 2 % from four degrees on."""
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _binding(
    kinds: Sequence[Kind], tallies: Sequence[Sequence[Tally]], pool: Workers, days: int
) -> list[Counter[str]]:
    """For each day how many offices have a queue at its end because of what.

    The rule is `sepe.dispatch.outlook`'s: the limit without which the most cards would be made binds.
    """
    busy = [
        index
        for index, own in enumerate(tallies)
        if max(max(tally.waiting) - tally.held for tally in own[:LIMIT_REPLICATIONS]) > WAITING_MIN
    ]
    limits = (*LIFTABLE, Limit.PRINTERS)
    jobs = [_lifted(kinds[index], limit) for index in busy for limit in limits]
    lifted = pool.play(jobs)
    found: list[Counter[str]] = [Counter() for _ in range(days)]
    for row, index in enumerate(busy):
        own = tallies[index][:LIMIT_REPLICATIONS]
        others = {limit: lifted[row * len(limits) + column] for column, limit in enumerate(limits)}
        for day in range(days):
            limit = _binds(own, others, day)
            if limit is not None:
                found[day][str(limit)] += kinds[index].count
    return found


def _lifted(kind: Kind, limit: Limit) -> Job:
    if limit is Limit.PRINTERS:
        printers = kind.setting.office.printers
        return Job(kind.setting, LIMIT_REPLICATIONS, printers=(*printers, *(printers[:1] or (SMALL,))))
    return Job(kind.setting, LIMIT_REPLICATIONS, Lifted(**{str(limit): True}))


def _binds(own: Sequence[Tally], others: dict[Limit, list[Tally]], day: int) -> Limit | None:
    count = len(own)
    made = sum(sum(tally.cards[: day + 1]) for tally in own) / count
    left = sum(tally.waiting[day] - tally.held for tally in own) / count
    today = sum(tally.cards[day] for tally in own) / count
    if left <= WAITING_MIN or not (today or sum(tally.asked[day] for tally in own)):
        return None
    gains = {
        limit: sum(sum(tally.cards[: day + 1]) for tally in tallies) / count - made
        for limit, tallies in others.items()
    }
    best = max(gains, key=lambda limit: gains[limit])
    enough = max(WAITING_MIN, min(GAIN_SHARE_MIN * today, LEFT_SHARE_MIN * left))
    return best if gains[best] >= enough else None


def _more_printers(kinds: Sequence[Kind], tallies: Sequence[Sequence[Tally]], pool: Workers) -> list[int]:
    """For each kind how many more printers leave (nearly) no first card; -1 where none do."""
    more = [0 if _is_cleared(kind, own) else -1 for kind, own in zip(kinds, tallies, strict=True)]
    # The largest step first: where it does not help, nothing does. Then the half that is left, again and again.
    search = {index: (0, len(SEARCH_STEPS) - 1) for index, count in enumerate(more) if count < 0}
    tried = dict.fromkeys(search, len(SEARCH_STEPS) - 1)
    while tried:
        jobs = []
        for index, at in tried.items():
            kind = kinds[index]
            printers = (*kind.setting.office.printers, *[_model(kind)] * SEARCH_STEPS[at])
            jobs.append(Job(kind.setting, SEARCH_REPLICATIONS, printers=printers))
        following = {}
        for (index, at), own in zip(tried.items(), pool.play(jobs), strict=True):
            low, high = search[index]
            if _is_cleared(kinds[index], own):
                more[index], high = SEARCH_STEPS[at], at
            elif at == len(SEARCH_STEPS) - 1:
                continue
            else:
                low = at + 1
            search[index] = low, high
            if low < high:
                following[index] = (low + high) // 2
        tried = following
    return more


def _is_cleared(kind: Kind, tallies: Sequence[Tally]) -> bool:
    """Whether next to none of the first cards were left: one in a hundred is a check that came late."""
    left = sum(one.left_first for one in tallies) / len(tallies)
    return left <= max(WAITING_MIN, LEFT_SHARE_MAX * kind.setting.office.first_cards)


def _model(kind: Kind) -> PrinterModel:
    printers = kind.setting.office.printers
    return printers[0] if printers else SMALL


def _search(kind: Kind, pool: Workers, replications: int) -> tuple[Printers, ...]:
    """What each number of printers would clear, from one until all is cleared twice over."""
    rows: list[Printers] = []
    model = _model(kind)
    now = len(kind.setting.office.printers)
    for count in range(1, SINGLE_MAX + 1):
        # Those that are there come first; others like the first of them.
        printers = kind.setting.office.printers[:count] + (model,) * (count - now)
        (own,) = pool.play([Job(kind.setting, min(replications, SINGLE_REPLICATIONS), printers=printers)])
        rows.append(
            Printers(
                count,
                figure([sum(one.first_cards) for one in own]),
                figure([one.left_first for one in own]),
                figure([_last_first_min(one) for one in own]),
                sum(one.left_first == 0 for one in own) / len(own),
            )
        )
        if count >= now and rows[-1].cleared_share >= 0.95:
            break
        if count > now and len(rows) > 1 and rows[-1].left_first.mean >= rows[-2].left_first.mean - WAITING_MIN:
            break
    return tuple(rows)


def _last_first_min(tally: Tally) -> float:
    """When the last first card was made: minutes after the first midnight."""
    return max((day * 1440 + last / 60 for day, last in enumerate(tally.last_first_s) if last), default=0.0)


def _places(
    offices: Sequence[Office], kinds: Sequence[Kind], tallies: Sequence[Sequence[Tally]], more: Sequence[int]
) -> tuple[Place, ...]:
    """The regencies, those with the most first cards left before the others."""
    found: dict[str, Place] = {}
    for kind, own, extra in zip(kinds, tallies, more, strict=True):
        mean_first = sum(one.left_first for one in own) / len(own)
        mean = sum(one.left for one in own) / len(own)
        for index in kind.offices:
            office = offices[index]
            share = office.visits / max(1, kind.setting.office.visits)
            place = found.get(office.code[:4]) or Place(office.code[:4], office.regency, 0, 0, 0.0, 0.0, 0.0)
            found[place.code] = replace(
                place,
                offices=place.offices + 1,
                visits=place.visits + office.visits,
                left_first=place.left_first + mean_first * share,
                left=place.left + mean * share,
                more_printers=place.more_printers + max(0, extra),
            )
    return tuple(sorted(found.values(), key=lambda place: (-place.left_first, place.code)))
