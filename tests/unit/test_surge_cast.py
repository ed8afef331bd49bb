"""Who takes part in a run, and when whose line is away: the same in every process of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from surge.run.cast import Options, cast_of, struck
from surge.run.visitors import visitors
from surge.scenario import Scenario, load, parse
from surge.scenario.visits import Visits
from tests.support.world import START_MS

SCENARIO = """
name = "two-days"
seed = 5
faster = 100
[offices]
provinces = ["53"]
[calendar]
first = 2024-11-25
last = 2024-11-26
weekdays = "08:00-16:00"
[demand]
first_cards = 3000
other_visits = 1000
repeat_share = 0.1
[[link]]
name = "4g"
share = 0.5
outages = ["2024-11-25 10:00-12:30", "14:00-15:00"]
[[link]]
name = "night"
share = 0.5
sending = "20:00-05:00+1"
[[fault]]
at = "2024-11-25 09:00"
cut = "line"
for = "1 h"
where = ["5371"]
share = 0.5
"""


def scenario() -> Scenario:
    return parse(SCENARIO, Path("two-days.toml"))


def test_fewer_machines_are_drawn_evenly_and_keep_the_people_they_have() -> None:
    whole, part = cast_of(scenario(), Options()), cast_of(scenario(), Options(nodes=40))
    assert len(part.seats) == 40
    per_office = {seat.node: seat.office.visits for seat in whole.seats}
    for seat in part.seats:
        assert abs(seat.office.visits - per_office[seat.node]) <= 1
    assert len({seat.office.code[:4] for seat in part.seats}) > 15


def test_more_machines_share_the_people_of_their_office() -> None:
    cast = cast_of(scenario(), Options(nodes=1_000))
    assert len(cast.seats) == 1_000
    assert len({seat.node for seat in cast.seats}) == 1_000
    visits = Visits(cast.scenario)
    first = [seat for seat in cast.seats if seat.office.code == cast.seats[0].office.code]
    coming = [at.at_s for seat in first for at in visitors(cast, seat, visits, _today(), START_MS)]
    assert sorted(coming) == [pytest.approx(visit.at_s - cast.begin_s) for visit in visits.of(first[0].office)]


def test_the_events_asked_for_are_those_that_come() -> None:
    cast = cast_of(scenario(), Options(nodes=20, events=333))
    visits = Visits(cast.scenario)
    people = [one for seat in cast.seats for one in visitors(cast, seat, visits, _today(), START_MS)]
    assert len(people) == cast.events == 333
    again = [one for seat in cast.seats for one in visitors(cast, seat, visits, _today(), START_MS)]
    assert people == again


def test_a_line_is_away_in_its_outages_and_outside_its_sending_hours() -> None:
    cast = cast_of(scenario(), Options())
    hour = 3_600.0
    by_link = {seat.office.link.name: seat for seat in cast.seats}
    # Scenario time begins at eight. The dated outage is once, the other every day.
    assert by_link["4g"].away[:3] == ((2 * hour, 4.5 * hour), (6 * hour, 7 * hour), (30 * hour, 31 * hour))
    assert by_link["night"].away[:2] == ((0.0, 12 * hour), (21 * hour, 36 * hour))
    # It goes on until those who send at night have had an hour of the last night.
    assert cast.ends_s >= 37 * hour
    assert cast.lasts_s == 32 * hour


def test_a_fault_strikes_the_share_it_says_of_those_it_names_and_always_the_same() -> None:
    cast = cast_of(scenario(), Options())
    (fault,) = cast.scenario.faults
    hit = struck(fault, cast.seats, cast.seed)
    assert len(hit) == 3
    assert {seat.office.code[:4] for seat in hit} == {"5371"}
    assert hit == struck(fault, cast.seats, cast.seed)
    assert len({tuple(seat.node for seat in struck(fault, cast.seats, seed)) for seed in range(8)}) > 1


def test_desks_record_ahead_only_where_a_computer_could_not_keep_up() -> None:
    assert cast_of(scenario(), Options(faster=100)).desk == "live"
    assert cast_of(scenario(), Options(faster=10_000)).desk == "ahead"
    assert cast_of(scenario(), Options(faster=10_000, desk="live")).desk == "live"


def test_as_many_offices_print_as_one_computer_can_book() -> None:
    cast = cast_of(load("election-week-ntt"), Options())
    printing = [seat for seat in cast.seats if seat.printers]
    assert 1 <= len(printing) < 10
    assert all(seat.is_live for seat in printing)
    real = cast_of(load("election-week-ntt"), Options(faster=1))
    assert sum(bool(seat.printers) for seat in real.seats) == 315
    assert not any(seat.printers for seat in cast_of(load("election-week-ntt"), Options(printing=0)).seats)


def _today() -> date:
    return date(2026, 11, 22)
