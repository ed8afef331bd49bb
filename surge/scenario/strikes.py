"""Whom the faults of a scenario strike, and when each office's line is down: for runs and plans alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from sepe.region import WIB
from surge.scenario.model import Blow, Fault, Scenario
from surge.scenario.offices import ZONES, Office
from surge.scenario.visits import DAY_S

# A line outlives the scenario by this much, so that what is unsent at its end has somewhere to go.
AFTER_DAYS = 3


@dataclass(frozen=True, slots=True)
class Struck:
    """One office and one fault; seconds after the office's local midnight of the first day."""

    fault: Fault
    office: str
    from_s: float
    until_s: float


def start_of(scenario: Scenario) -> datetime:
    """Midnight of the first day, without zone."""
    return datetime.combine(scenario.calendar.first, datetime.min.time())


def struck(scenario: Scenario, offices: Sequence[Office]) -> tuple[Struck, ...]:
    """What the faults of nodes and lines do to which office; those of hub and broker strike none alone.

    A fault's time is by the scenario's zone, by WIB where each office has its own.
    """
    found = []
    zone_min = ZONES.get(scenario.calendar.zone, WIB).utc_offset_hours * 60
    for number, fault in enumerate(scenario.faults):
        if fault.target not in ("line", "node"):
            continue
        begins_s = (fault.when - start_of(scenario)).total_seconds()
        rng = Random(f"{scenario.seed}/fault/{number}")
        for office in offices:
            # Drawn for every office, struck or not: a change of `where` leaves the others as they were.
            is_drawn, late = rng.random() < fault.share, rng.random()
            named = not fault.where or any(
                office.code.startswith(one) or office.link.name == one for one in fault.where
            )
            if is_drawn and named:
                from_s = begins_s + (office.utc_offset_min - zone_min) * 60
                found.append(Struck(fault, office.code, from_s, from_s + fault.lasts_s + late * fault.back_over_s))
    return tuple(found)


def down_times(scenario: Scenario, office: Office, strikes: Sequence[Struck]) -> list[tuple[float, float]]:
    """When this office has no line, in order and without overlap; seconds after its first local midnight."""
    link, days = office.link, len(scenario.calendar.days) + AFTER_DAYS
    end_s = float(days * DAY_S)
    if not link.kbit_s:
        return [(0.0, end_s)]
    down = [
        (one.from_s, one.until_s)
        for one in strikes
        if one.office == office.code and one.fault.blow in (Blow.CUT, Blow.FREEZE)
    ]
    for outage in link.outages:
        on = range(days) if outage.day is None else ((outage.day - scenario.calendar.first).days,)
        down += [
            (day * DAY_S + outage.begins_min * 60, day * DAY_S + outage.begins_min * 60 + outage.lasts_s)
            for day in on
        ]
    if link.sending is not None:
        opens, closes = (minute * 60 for minute in link.sending)
        # From each close to the next opening; a window over midnight began the evening before.
        down += [((day - 1) * DAY_S + closes, day * DAY_S + opens) for day in range(-1, days + 1)]
    merged: list[tuple[float, float]] = []
    for begin, until in sorted((max(0.0, begin), min(until, end_s)) for begin, until in down):
        if begin >= until:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((begin, until))
    return merged
