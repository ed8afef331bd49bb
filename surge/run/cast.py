"""Who takes part in a run: a scenario's offices with their lines, on the machine's time line.

A pure function of the scenario and the options, so every process of a run works it out for itself and they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from surge.scenario.model import Blow, Fault, LinkClass, PrinterModel, Scenario, Span
from surge.scenario.offices import Office, offices_of

DAY_S = 86_400.0
# Scenario time begins with the hour of the first visitor.
HOUR_S = 3_600.0
MACHINES_MAX = 99
# A card printer that is played 2,000 times faster makes a card in 18 ms: no computer renders, books and asks for
# hundreds of those. So many cards a second of this machine is what the real press is given.
CARDS_A_SECOND_MAX = 12.0
# Recordings a second of this machine from which on the desks record ahead; see `surge.run.visitors`.
LIVE_RATE_MAX = 250.0


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line, beyond the scenario.

    Attributes:
        nodes: how many machines; 0 for the scenario's.
        events: how many recordings; 0 for the scenario's.
        desk: ``live``, ``ahead`` or ``auto``.
        printing: how many machines print, for -1 as many as this machine can drive.
    """

    nodes: int = 0
    events: int = 0
    faster: float = 0.0
    seed: int = -1
    desk: str = "auto"
    printing: int = -1


@dataclass(frozen=True, slots=True)
class Seat:
    """One machine of one office.

    Attributes:
        share: which of the office's visitors come to it: each ``machines``-th, from this one on.
        away: when its line is away for good reason (outages, hours without sending), scenario seconds, in order.
        is_live: recordings go through the desk when people come.
    """

    number: int
    node: str
    office: Office
    share: int
    away: tuple[tuple[float, float], ...]
    is_live: bool
    printers: tuple[PrinterModel, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody, and the time line.

    Attributes:
        start: wall time of scenario second 0, in the zone of ``offset_min``.
        begin_s: the same, in seconds after midnight of the scenario's first day.
        lasts_s: until the last visitor, scenario seconds.
        ends_s: until the last line and fault that the scenario knows of is over.
        prints_s: until printers are left alone for the last time, 0 when nobody prints.
        desk: ``live`` or ``ahead`` for those who do not print.
    """

    scenario: Scenario
    seats: tuple[Seat, ...]
    start: datetime
    begin_s: float
    offset_min: int
    lasts_s: float
    ends_s: float
    prints_s: float
    faster: float
    seed: int
    events: int
    desk: str

    def at_s(self, when: datetime) -> float:
        """Scenario second of a wall time in the scenario's zone; a moment before the start is 0."""
        return max((when - self.start).total_seconds(), 0.0)


def cast_of(scenario: Scenario, options: Options) -> Cast:
    """The cast of a run."""
    scenario = scaled(scenario, options)
    offices = offices_of(scenario)
    offset = max(office.utc_offset_min for office in offices)
    opens = [(day, span) for day in scenario.calendar.open_days if (span := scenario.calendar.desk(day))]
    begin = _second(scenario.calendar.first, *_moment(opens[0], 0))
    end = max(_second(scenario.calendar.first, *_moment(one, 1)) for one in opens)
    spread = (offset - min(office.utc_offset_min for office in offices)) * 60.0
    begin -= begin % HOUR_S
    lasts = end + spread - begin
    faster = options.faster or scenario.faster
    desk = options.desk if options.desk != "auto" else _desk(scenario, opens, faster)
    start = _midnight(scenario.calendar.first) + timedelta(seconds=begin)
    ends = max(
        [lasts, *((one.when - start).total_seconds() + one.lasts_s + one.back_over_s for one in scenario.faults)]
    )
    nodes = [(office, share) for office in offices for share in range(office.machines)]
    ends = max(ends, *(_open_after(office.link, lasts + begin) - begin for office, _ in nodes))
    printing = _printing(scenario, offices, options, faster, len(nodes))
    seats = tuple(
        Seat(
            number, office.nodes[share], office, share,
            _away(office.link, scenario.calendar.first, begin, ends), desk == "live" or number in printing,
            office.printers if number in printing else (),
        )
        for number, (office, share) in enumerate(nodes)
    )  # fmt: skip
    seed = scenario.seed if options.seed < 0 else options.seed
    events = scenario.demand.visits
    prints = 0.0
    if printing:
        prints = _second(scenario.calendar.first, opens[-1][0], scenario.calendar.printing[1]) + spread - begin
    return Cast(
        scenario, seats, start, begin, offset, lasts, max(ends, prints), prints, faster, seed, events, desk
    )


def scaled(scenario: Scenario, options: Options) -> Scenario:
    """The scenario with ``--nodes`` machines and ``--events`` recordings.

    Fewer machines are offices evenly drawn from the list, each with the people it has anyhow; more machines stand
    in the same offices, which share their people.
    """
    seed = scenario.seed if options.seed < 0 else options.seed
    scenario = replace(scenario, seed=seed)
    codes, where = scenario.where.codes, scenario.where
    if options.nodes:
        if options.nodes < len(codes):
            chosen = tuple(codes[index * len(codes) // options.nodes] for index in range(options.nodes))
            before = sum(office.visits for office in offices_of(scenario) if office.code in set(chosen))
            scenario = replace(scenario, where=replace(where, codes=chosen, machines=1), overrides=tuple(
                replace(one, machines=None) for one in scenario.overrides))  # fmt: skip
            scenario = _with_visits(scenario, max(before, 1))
        else:
            machines = min(-(-options.nodes // len(codes)), MACHINES_MAX)
            kept = codes[: -(-options.nodes // machines)]
            scenario = replace(scenario, where=replace(where, codes=kept, machines=machines), overrides=tuple(
                replace(one, machines=None) for one in scenario.overrides))  # fmt: skip
    return _with_visits(scenario, options.events) if options.events else scenario


def link_words(link: LinkClass) -> str:
    """A class of line in words."""
    from surge.scenario.explain import link_text

    return link_text(link)


def struck(fault: Fault, seats: Sequence[Seat], seed: int) -> list[Seat]:
    """The machines that a fault of lines or nodes hits, drawn by the seed."""
    from random import Random

    def is_meant(seat: Seat) -> bool:
        return not fault.where or any(
            seat.office.code.startswith(one) if one.isdigit() else seat.office.link.name == one
            for one in fault.where
        )

    meant = [seat for seat in seats if is_meant(seat)]
    if fault.share >= 1:
        return meant
    rng = Random(f"{seed}/{fault.when.isoformat()}/{fault.blow}")
    ranked = sorted((rng.random(), seat.number) for seat in meant)
    chosen = {number for _, number in ranked[: max(1, round(len(meant) * fault.share))]}
    return [seat for seat in meant if seat.number in chosen]


def is_of_lines(fault: Fault) -> bool:
    """Whether it is the offices' side that carries it out."""
    return fault.target in ("line", "node") and fault.blow in (
        Blow.CUT, Blow.FREEZE, Blow.SLOW, Blow.KILL, Blow.STOP,
    )  # fmt: skip


def _with_visits(scenario: Scenario, visits: int) -> Scenario:
    demand = scenario.demand
    firsts = round(visits * demand.first_cards / demand.visits)
    return replace(scenario, demand=replace(demand, first_cards=firsts, other_visits=visits - firsts))


def _midnight(day: date) -> datetime:
    # Wall time of the scenario: zones are dealt with as minutes.
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001


def _moment(opened: tuple[date, Span], which: int) -> tuple[date, int]:
    return opened[0], opened[1][which]


def _second(first: date, day: date, minute: int) -> float:
    return (day - first).days * DAY_S + minute * 60.0


def _desk(scenario: Scenario, opens: Sequence[tuple[date, Span]], faster: float) -> str:
    open_s = sum(span[1] - span[0] for _, span in opens) * 60.0
    return "live" if scenario.demand.visits / open_s * faster <= LIVE_RATE_MAX else "ahead"


def _printing(
    scenario: Scenario, offices: Sequence[Office], options: Options, faster: float, nodes: int
) -> frozenset[int]:
    """Numbers of the machines that print: all, or as many as `CARDS_A_SECOND_MAX` lets, spread over the list."""
    wanted = options.printing
    if wanted == 0 or not any(office.printers for office in offices):
        return frozenset()
    if wanted < 0:
        cards_s = sum(faster / model.card_s for office in offices for model in office.printers)
        open_s = (
            sum(span[1] - span[0] for day in scenario.calendar.open_days if (span := scenario.calendar.desk(day)))
            * 60
            / faster
        )
        # No more cards come out than people come for, however quick the printers are.
        cards_s = min(cards_s * min(faster, 1e9) / faster, scenario.demand.visits / open_s)
        wanted = nodes if cards_s <= CARDS_A_SECOND_MAX else max(1, int(nodes * CARDS_A_SECOND_MAX / cards_s))
    wanted = min(wanted, nodes)
    return frozenset(index * nodes // wanted for index in range(wanted))


def _away(link: LinkClass, first: date, begin: float, ends: float) -> tuple[tuple[float, float], ...]:
    """When a line is away, in scenario seconds, joined and in order."""
    spans: list[tuple[float, float]] = []
    if not link.kbit_s:
        return ((0.0, float("inf")),)
    days = int((begin + ends) // DAY_S) + 2
    for day in range(-1, days):
        for outage in link.outages:
            if outage.day is None or (outage.day - first).days == day:
                at = day * DAY_S + outage.begins_min * 60.0
                spans.append((at, at + outage.lasts_s))
        if link.sending is not None:
            opens, closes = link.sending
            spans.append((day * DAY_S + closes * 60.0, (day + 1) * DAY_S + opens * 60.0))
    joined: list[tuple[float, float]] = []
    for low, high in sorted((low - begin, high - begin) for low, high in spans):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple((max(low, 0.0), high) for low, high in joined if high > 0)


def _open_after(link: LinkClass, second: float) -> float:
    """A moment at or after ``second`` at which the line is there and has been for an hour or so."""
    if not link.kbit_s or link.sending is None:
        return second
    opens = link.sending[0] * 60.0
    day = second // DAY_S
    while day * DAY_S + opens < second:
        day += 1
    return day * DAY_S + opens + HOUR_S
