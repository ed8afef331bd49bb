"""Scenario files: what ships has the published figures, and what cannot be played is refused line by line."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sepe.errors import InvalidInputError
from surge.cli import app
from surge.scenario import ScenarioError, Visits, load, names, offices_of, parse
from surge.scenario.lines import lines_of
from surge.scenario.load import FOLDER
from surge.scenario.offices import offices_by_link, residents_of

OFFICE = '[offices]\nkecamatan = ["530201"]\n'
DAY = "[calendar]\nfirst = 2024-02-05\n"
DEMAND = "[demand]\nfirst_cards = 10\n"


def problems(text: str) -> dict[int, str]:
    """What is wrong, by line."""
    with pytest.raises(ScenarioError) as caught:
        parse(text, Path("week.toml"))
    assert str(caught.value).startswith("week.toml: the scenario cannot be played\n")
    found: dict[int, str] = {}
    for one in caught.value.problems:
        found[one.line] = f"{found.get(one.line, '')} {one.field}: {one.rule} {one.value} {one.remedy}"
    return found


def test_what_ships_has_the_published_figures() -> None:
    # Offices, first cards, all visits (docs/reference/scenarios.md says where each comes from).
    expected = {
        "saturday-kupang": (2, 356, 445),
        "tts-peak-day": (1, 695, 1_000),
        "school-visit": (1, 700, 700),
        "prison-outreach": (1, 0, 200),
        "coklit-night": (1, 418, 418),
        "election-week-ntt": (315, 203_681, 203_681 + 89_385),
        "reconnect-storm": (315, 66_196, 95_246),
        "nation-2020": (309, 112_103, 119_663),
        "nation": (7_285, 1_212_091, 1_744_016),
    }
    assert set(names()) == set(expected)
    for name, (count, first_cards, visits) in expected.items():
        scenario = load(name)
        offices = offices_of(scenario)
        assert scenario.name == name and scenario.figures and scenario.assumptions
        assert scenario.description and scenario.description_id not in ("", scenario.description)
        assert len(offices) == count
        assert sum(office.first_cards for office in offices) == first_cards
        assert sum(office.visits for office in offices) == visits


def test_the_election_week_is_the_whole_province_by_its_clock() -> None:
    scenario = load("election-week-ntt")
    offices = offices_of(scenario)
    assert len({office.code[:4] for office in offices}) == 22
    assert {office.utc_offset_min for office in offices} == {480}
    assert scenario.calendar.desk(date(2024, 11, 27)) == (420, 780)  # The half voting day.
    assert scenario.calendar.desk(date(2024, 11, 24)) is None
    by_link = offices_by_link(offices)
    assert by_link == {"fibre": 68, "4g": 123, "2g": 62, "satellite": 31, "night": 31}
    days = Visits(scenario)
    by_day: Counter[date] = Counter()
    for office in offices:
        for day, (firsts, others) in days.days_of(office).items():
            by_day[day] += firsts + others
    assert sum(by_day.values()) == 293_066 and len(by_day) == 7
    assert by_day[date(2024, 11, 23)] < by_day[date(2024, 11, 25)]


def test_the_nation_lives_by_three_clocks() -> None:
    assert {office.utc_offset_min for office in offices_of(load("nation"))} == {420, 480, 540}


def test_saturdays_bring_as_many_as_the_file_says() -> None:
    scenario = load("saturday-kupang")
    days = Visits(scenario)
    rows = [days.days_of(office) for office in offices_of(scenario)]
    assert [sum(sum(row[day]) for row in rows) for day in scenario.calendar.open_days] == [45, 60, 80, 110, 150]


def test_the_products_of_all_offices_add_up_to_the_mix_exactly() -> None:
    scenario = load("tts-peak-day")
    found = Counter(
        (one.product, one.reason == "new")
        for office in offices_of(scenario)
        for one in Visits(scenario).of(office)
    )
    assert found["ktp-el", True] == 695 and found["ktp-el", False] == 112
    assert found["kk", True] == 105 and found["kia", True] == 35


def test_visits_come_in_order_within_the_hours_and_again_the_same() -> None:
    scenario = load("coklit-night")
    (office,) = offices_of(scenario)
    seen = list(Visits(scenario).of(office))
    assert seen == list(Visits(scenario).of(office))
    assert seen != list(Visits(scenario).of(office, replication=1))
    at = [one.at_s for one in seen]
    assert at == sorted(at) and len(at) == 418
    assert at[0] >= 18 * 3600 and 24 * 3600 < at[-1] <= 27 * 3600  # They come until long after midnight.


def test_half_the_pupils_are_recorded_ahead() -> None:
    scenario = load("school-visit")
    (office,) = offices_of(scenario)
    assert sum(one.is_due for one in Visits(scenario).of(office)) == 350


def test_residents_of_the_kecamatan_add_up_to_their_regency() -> None:
    kupang = [f"5371{number:02}" for number in range(1, 7)]
    assert sum(map(residents_of, kupang)) == residents_of("537101", whole_regency=True)
    # The roll of August 2024 says which of the six are large.
    assert max(kupang, key=residents_of) == "537102" and min(kupang, key=residents_of) == "537106"


@pytest.mark.parametrize("name", names())
def test_every_key_of_what_ships_has_its_line(name: str) -> None:
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    lines, rows = lines_of(text), text.splitlines()

    def walk(value: object, path: tuple[str | int, ...]) -> None:
        if path:
            assert isinstance(path[-1], int) or path[-1] in rows[lines[path] - 1], path
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in pairs:
            walk(inner, (*path, key))

    walk(tomllib.loads(text), ())


def test_lines_are_found_through_every_kind_of_string() -> None:
    text = '''a = """
one = 1 # no key
\\"""
"""
'q uoted'.b = { c = [1, # ]
  "]", """x""" ], d = '\\' }
[[t]]
x = 1
[t.inner]
[[t]]
[t.inner]
y = \'\'\'it''s\'\'\'\'
z = 3
'''
    tomllib.loads(text)
    lines = lines_of(text)
    assert (
        lines["q uoted", "b", "c"] == 5 and lines["q uoted", "b", "c", 1] == 6 and lines["q uoted", "b", "d"] == 6
    )
    assert lines["t", 1] == 10 and lines["t", 0, "inner"] == 9
    assert lines["t", 1, "inner", "y"] == 12 and lines["t", 1, "inner", "z"] == 13


def test_every_mistake_is_named_with_its_line_and_what_to_write() -> None:
    found = problems(
        """name = "bad"
sed = 3
[offices]
kecamatan = ["530291",
  "Oebobo", "910101"]
[calendar]
first = 2024-11-25
weekdays = "16:00-08:00"
[demand]
first_cards = -3
by_hour = { "25" = 1 }
[demand.mix]
ktp = 3
[desks]
record = "5"
[printers]
smal = 2
[[link]]
name = "2g"
share = 0.5
los = 0.2
outages = ["11:00-10:00"]
[[fault]]
at = "27:00"
kill = "hbu"
[[fault]]
at = "10:00"
cut = "line"
[[override]]
offices = ["5371"]
[thresholds]
ack_p95 = { fibre = "2 s" }
"""
    )
    assert "seed" in found[2]
    assert "530231" in found[4]  # A near miss of the same regency.
    assert "537104" in found[5] or "renumbered" in found[5]
    assert "close after it opens" in found[8]
    assert "10: " not in found[10] and "first_cards" in found[10]
    assert '"00" to "23"' in found[11]
    assert "ktp-el" in found[13]
    assert "unit" in found[15]
    assert "small" in found[17]
    assert "add up to 0.5" in found[18]
    assert "loss" in found[21]
    assert "24:00" in found[22]
    assert "from 2024-11-25 to 2024-11-25" in found[24]
    assert "hub" in found[25]
    assert "needs to end" in found[28]
    assert "no link of this scenario" in found[32]


def test_what_is_missing_is_said_with_an_example() -> None:
    found = problems('description = "nothing"\n')
    assert found[1].count("missing") == 4
    assert all(f"{key}: missing" in found[1] for key in ("name", "offices", "calendar", "demand"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[calendar]\nfirst = 2024-02-30\n", "2024-02-30"),
        ('[calendar]\nfirst = "2024-02-31"\n' + OFFICE + DEMAND, "a day that exists"),
        ("[calendar]\nfirst = 2024-02-05\nlast = 2024-02-04\n" + OFFICE + DEMAND, "after it"),
        (DAY + 'weekdays = "closed"\n' + OFFICE + DEMAND, "no day is open"),
        (DAY + OFFICE + "count = 2\n" + DEMAND, "only 1"),
        (DAY + OFFICE + "[demand]\nfirst_cards = 0\n", "somebody must come"),
        (DAY + OFFICE + DEMAND + "[demand.by_day]\n2024-02-06 = 3\n", "desks are open"),
        (DAY + OFFICE + DEMAND + 'by_hour = { "20" = 1 }\n', "no weight falls within"),
        (DAY + OFFICE + DEMAND + "[stock]\nblanks = { kk = 3 }\n", "numbered blanks"),
        (DAY + OFFICE + DEMAND + '[[override]]\noffices = ["5371"]\n', "no office of this scenario"),
        (DAY + OFFICE + DEMAND + '[[fault]]\nat = "10:00"\n', "must say one of"),
        (DAY + '[offices]\nkecamatan = ["910101"]\n' + DEMAND, "renumbered"),
        ("name = 1\n" + DAY + OFFICE + DEMAND, "text in quotes"),
        (DAY + OFFICE + "[[demand]]\nfirst_cards = 1\n", "must be a table"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(text: str, word: str) -> None:
    prefix = "" if text.startswith("name") else 'name = "x"\n'
    with pytest.raises(ScenarioError) as caught:
        parse(prefix + text, Path("x.toml"))
    assert word in str(caught.value) or (word == "2024-02-30" and "line 3" in str(caught.value))


def test_a_name_that_nobody_knows_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInputError, match="Did you mean tts-peak-day"):
        load("tts-peak")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load("nowhere/week.toml")


def test_the_command_lists_and_explains() -> None:
    run = CliRunner().invoke
    listed = run(app, ["scenarios"])
    assert listed.exit_code == 0 and all(name in listed.stdout for name in names())
    told = run(app, ["scenarios", "show", "election-week-ntt"]).stdout
    assert "203,681" in told and "315 offices" in told and "kill hub" in told
    document = json.loads(run(app, ["scenarios", "show", "tts-peak-day", "--json"]).stdout)
    assert document["visits"] == 1000 and document["products"]["first"] == 695
    text = run(app, ["scenarios", "show", "coklit-night", "--toml"]).stdout
    assert parse(text, Path("copy.toml")).demand.first_cards == 418
