"""The planner: the same seed gives the same plan, more of something is never worse, and figures mean what they say."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from sepe.errors import InvalidInputError
from surge.cli import app
from surge.plan.answer import figure, plan, student_t
from surge.plan.kinds import kinds_of
from surge.plan.office import Lifted, Setting, play
from surge.plan.show import show
from surge.plan.tally import BUCKETS, Tally, bucket_of, quantile_s
from surge.plan.whatif import Change, WhatIf, change_of, changed, kit_after, shift_of
from surge.scenario import Scenario, Visits, load, offices_of, parse
from surge.scenario.model import BETTER, SMALL
from surge.scenario.strikes import down_times, struck

SMALL_DAY = """name = "small"
[offices]
kecamatan = ["530201"]
[calendar]
first = 2024-02-05
last = 2024-02-06
zone = "WITA"
printing = "08:00-{until}"
vote_day = 2024-02-14
[demand]
first_cards = {first}
other_visits = 20
[demand.mix]
ktp-el = 1
[desks]
count = {desks}
[printers]
small = {printers}
[stock]
blanks = {{ ktp-el = {blanks} }}
"""


def scenario(
    *, first: int = 60, desks: int = 3, printers: int = 1, blanks: int = 90, until: str = "18:00"
) -> Scenario:
    text = SMALL_DAY.format(first=first, desks=desks, printers=printers, blanks=blanks, until=until)
    return parse(text, Path("small.toml"))


def tally(one: Scenario, lifted: Lifted = Lifted()) -> Tally:
    (office,) = offices_of(one)
    return play(Setting(one, office, (), lifted), list(Visits(one).of(office)), Random("chance"))


def test_the_same_seed_gives_the_same_plan() -> None:
    first, second = (plan(scenario(), WhatIf(printers=Change("+", 1)), replications=3) for _ in range(2))
    assert first == second
    assert first != plan(replace(scenario(), seed=2), WhatIf(printers=Change("+", 1)), replications=3)


def test_three_printers_clear_the_695_of_soe_by_nine_and_two_do_not() -> None:
    found = plan(load("tts-peak-day"), replications=2).base
    assert [(row.count, row.cleared_share) for row in found.search] == [(1, 0.0), (2, 0.0), (3, 1.0)]
    assert found.search[2].last_first_min.high < 21 * 60
    assert found.cards.mean == 3 * 275  # Heat ends the day of all three.
    assert list(found.days[0].binds) == ["heat"]
    # The queue is served to the last at about five, as it was.
    assert 16 * 60 + 30 < found.days[0].served_until_min.mean < 17 * 60 + 30


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3), st.integers(0, 90), st.integers(1, 4))
def test_more_of_anything_never_makes_fewer_cards(printers: int, blanks: int, desks: int) -> None:
    base = scenario(printers=printers, blanks=blanks, desks=desks)
    made = sum(tally(base).cards)
    for more in (
        WhatIf(printers=Change("+", 1)),
        WhatIf(blanks=Change("+", 30)),
        WhatIf(desks=Change("+", 1)),
        WhatIf(printing_until_min=20 * 60),
    ):
        assert sum(tally(changed(base, more)).cards) >= made
    assert made <= min(80, blanks)


def test_every_card_is_made_or_waits() -> None:
    for blanks in (0, 30, 500):
        seen = tally(scenario(blanks=blanks))
        assert sum(seen.served) == 80
        assert sum(seen.cards) + seen.left == sum(seen.asked) == 80
        assert sum(seen.cards) == min(blanks, 80)
        assert bool(seen.dry_s) is (blanks < 80)


def test_what_is_lifted_no_longer_binds() -> None:
    tight = scenario(blanks=30)
    assert sum(tally(tight, Lifted(blanks=True)).cards) == 80
    short = scenario(until="10:00")
    assert sum(tally(short, Lifted(heat=True)).cards) > sum(tally(short).cards)
    assert list(plan(tight, replications=2).base.days[-1].binds) == ["blanks"]


def test_an_office_without_a_line_makes_its_first_cards_when_the_line_is_back() -> None:
    dark = replace(scenario(), links=(replace(scenario().links[0], kbit_s=0.0),))
    (office,) = offices_of(dark)
    down = tuple(down_times(dark, office, struck(dark, [office])))
    seen = play(Setting(dark, office, down), list(Visits(dark).of(office)), Random("chance"))
    assert sum(seen.first_cards) == 0 and sum(seen.cards) == 20 and seen.left_first == 60


def test_what_breaks_lines_is_the_same_for_run_and_plan() -> None:
    storm = load("reconnect-storm")
    offices = offices_of(storm)
    strikes = struck(storm, offices)
    assert len(strikes) == 315
    until = [one.until_s for one in strikes]
    assert min(until) >= 128 * 3600 and max(until) <= 129 * 3600 and max(until) - min(until) > 3000
    assert strikes == struck(storm, offices)
    week = load("election-week-ntt")
    night = next(office for office in offices_of(week) if office.link.name == "night")
    (first, second, *_) = down_times(week, night, ())
    assert first == (5 * 3600, 20 * 3600) and second == (29 * 3600, 44 * 3600)


def test_alike_offices_are_played_once_and_counted_often() -> None:
    offices, kinds = kinds_of(load("nation"), 30)
    assert len(offices) == 7285 and len(kinds) < 200
    assert sorted(index for kind in kinds for index in kind.offices) == list(range(7285))
    visits = sum(kind.weight * kind.setting.office.visits for kind in kinds)
    assert visits == pytest.approx(1_744_016)
    _, each = kinds_of(load("tts-peak-day"), 30)
    assert [kind.count for kind in each] == [1]


def test_intervals_are_those_of_student() -> None:
    assert student_t(29) == pytest.approx(2.045, abs=0.002) and student_t(4) == pytest.approx(2.776, abs=0.06)
    found = figure([8.0, 10.0, 12.0] * 10)
    assert found.mean == 10 and found.high - found.mean == pytest.approx(2.045 * 1.661 / 30**0.5, rel=0.01)
    assert figure([3.0]) == figure([3.0, 3.0])


@given(st.lists(st.floats(0, 500_000), min_size=1, max_size=50))
def test_a_quantile_is_right_within_a_bucket(waits: list[float]) -> None:
    buckets = [0.0] * BUCKETS
    for wait in waits:
        buckets[bucket_of(wait)] += 1
    middle = sorted(waits)[(len(waits) - 1) // 2]
    assert abs(quantile_s(buckets, 0.5) - middle) <= max(10.0, 0.07 * middle) or len(waits) % 2 == 0


@pytest.mark.parametrize("text", ["two", "+", "1.5", "++2", "9999999999"])
def test_a_change_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--printers"):
        change_of(text, "--printers")


def test_changes_say_what_they_do_to_the_kit() -> None:
    kit = ((BETTER, 2), (SMALL, 1))
    assert kit_after(kit, Change("+", 2), ()) == ((BETTER, 4), (SMALL, 1))
    assert kit_after(kit, Change("-", 2), ()) == ((BETTER, 1),)
    assert kit_after((), Change("", 2), ()) == ((SMALL, 2),)
    day = load("tts-peak-day")
    assert shift_of("22:30", day) == 1350 and shift_of("02:00+1", day) == 1560
    with pytest.raises(InvalidInputError, match="after the printers' opening"):
        shift_of("07:00", day)


def test_the_tables_fit_a_terminal_and_say_the_answer_first(tmp_path: Path) -> None:
    one = scenario(blanks=30)
    answer = plan(one, WhatIf(blanks=Change("+", 100)), replications=2)
    out = io.StringIO()
    show(one, answer, Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert "dari 60 kartu pertama selesai" in lines[1] and "blangko +100" in out.getvalue()
    assert max(map(len, lines)) <= 80 and "…" not in out.getvalue()
    (tmp_path / "small.toml").write_text(SMALL_DAY.format(first=60, desks=3, printers=1, blanks=30, until="18:00"))
    said = CliRunner().invoke(
        app, ["plan", str(tmp_path / "small.toml"), "--replications", "2", "--blanks", "+100", "--json", "-"]
    )
    document = json.loads(said.stdout)
    assert document["base"]["left"]["mean"] == 50 and document["what_if"]["left"]["mean"] == 0
    assert document["base"]["days"][0]["day"] == date(2024, 2, 5).isoformat()
