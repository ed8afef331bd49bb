"""Offices that are alike, played once for all of them.

The nation has 7,285 offices, and thirty plays of each would take half an hour. Offices are independent of each
other (the centre's check is no queue of theirs), so what matters for a total is how many offices of each kind
there are: the same line, faults, desks, printers and cupboard, and a number of visitors within one band. A kind is
played with the mean of its visitors and counts as often as it has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

from surge.plan.office import Setting
from surge.scenario.model import Scenario
from surge.scenario.offices import Office, offices_of
from surge.scenario.strikes import down_times, struck

# So many visits of all replications together are played office by office.
VISITS_EXACT_MAX = 400_000
# And so many at most when alike offices are put together.
VISITS_MAX = 700_000
BANDS = (1.02, 1.05, 1.1, 1.15, 1.25, 1.4, 1.7, 2.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """Offices that are played as one.

    Attributes:
        setting: of the office that stands for them, with the mean of their visitors.
        offices: numbers in the scenario's list.
        weight: how often the play counts: their visitors by those of the played office.
    """

    setting: Setting
    offices: tuple[int, ...]
    weight: float

    @property
    def count(self) -> int:
        """How many offices it stands for."""
        return len(self.offices)


def kinds_of(scenario: Scenario, replications: int) -> tuple[tuple[Office, ...], list[Kind]]:
    """The offices and their kinds; each its own kind where that is quick enough."""
    offices = offices_of(scenario)
    strikes = struck(scenario, offices)
    by_office: dict[str, list[int]] = {}
    for number, strike in enumerate(strikes):
        by_office.setdefault(strike.office, []).append(number)

    def setting(office: Office) -> Setting:
        mine = [strikes[number] for number in by_office.get(office.code, ())]
        return Setting(scenario, office, tuple(down_times(scenario, office, mine)))

    busy = [index for index, office in enumerate(offices) if office.visits]
    if sum(offices[index].visits for index in busy) * replications <= VISITS_EXACT_MAX:
        return offices, [Kind(setting(offices[index]), (index,), 1.0) for index in busy]
    groups: list[list[int]] = []
    for band in BANDS:
        groups = _grouped(offices, busy, by_office, [one.fault for one in strikes], band)
        means = [sum(offices[index].visits for index in group) / len(group) for group in groups]
        if sum(means) * replications <= VISITS_MAX:
            break
    return offices, [_kind(offices, group, setting) for group in groups]


def _grouped(
    offices: Sequence[Office], busy: list[int], by_office: dict[str, list[int]], faults: list[object], band: float
) -> list[list[int]]:
    found: dict[object, list[int]] = {}
    for index in busy:
        office = offices[index]
        key = (
            office.link.name,
            tuple(str(faults[number]) for number in by_office.get(office.code, ())),
            office.desks,
            office.printers,
            tuple(sorted(office.blanks.items())),
            office.ribbons,
            int(log(office.visits) / log(band)),
        )
        found.setdefault(key, []).append(index)
    return list(found.values())


def _kind(offices: Sequence[Office], group: list[int], setting: object) -> Kind:
    assert callable(setting)
    count = len(group)
    firsts, others = (sum(getattr(offices[i], name) for i in group) for name in ("first_cards", "other_visits"))
    # The one in the middle lends its line and its place; its visitors are the mean of all.
    middle = offices[sorted(group, key=lambda index: offices[index].visits)[count // 2]]
    played = replace(middle, first_cards=round(firsts / count), other_visits=round(others / count))
    return Kind(setting(played), tuple(group), (firsts + others) / max(1, played.visits))
