"""Each threshold is missed by what it is there for, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from surge.run.compare import compare, unlike
from surge.run.meter import Histogram
from surge.run.verdict import FLOOR_S, Found, has_passed, lines
from surge.run.words import text_of
from surge.scenario.model import Thresholds
from tests.support.surge_sample import sample


def histogram(seconds: float) -> Histogram:
    found = Histogram()
    found.add(seconds, 100)
    return found


GOOD = Found(
    offered=100, dropped=0, refused=0, unsent=0, lost=0, doubled=0, taken_back=0, early=0, differing=0,
    acks={"4g": histogram(0.2)}, catch_up_s=2.0, is_catching_up=0, oldest_s=2.5, cards_per_hour=90.0,
    printer_busy=0.9, valid_cards_max=1, bytes_per_event=80.0, hub_memory_bytes=200 << 20, hub_cores=0.5,
    is_whole=True,
)  # fmt: skip
LIMITS = Thresholds(
    ack_p95_ms={"4g": 1_000.0}, ack_p99_ms={"4g": 2_000.0}, catch_up_s=60.0, oldest_unsent_s=300.0,
    cards_per_hour_min=80.0, printer_busy_min=0.8, bytes_per_event_max=100.0, hub_memory_mib_max=300.0,
    hub_cpu_max=1.0,
)  # fmt: skip


def missed(found: Found, *, faster: float = 1.0) -> list[str]:
    return [one.key for one in lines(LIMITS, found, faster) if not one.passed]


def test_a_good_run_passes_every_threshold() -> None:
    assert missed(GOOD) == []
    assert has_passed(lines(LIMITS, GOOD, 1.0))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"lost": 1}, "lost"),
        ({"lost": None}, "lost"),
        ({"doubled": 1}, "doubled"),
        ({"differing": 1}, "digests"),
        ({"taken_back": 3}, "taken_back"),
        ({"early": 2}, "acked_early"),
        ({"unsent": 1}, "unsent"),
        ({"dropped": 1}, "dropped"),
        ({"refused": 1}, "refused"),
        ({"valid_cards_max": 2}, "valid_cards"),
        ({"catch_up_s": 61.0}, "catch_up_s"),
        ({"is_catching_up": 1}, "catch_up_s"),
        ({"oldest_s": 301.0}, "oldest_unsent_s"),
        ({"cards_per_hour": 79.0}, "cards_per_hour"),
        ({"printer_busy": 0.7}, "printers_busy"),
        ({"bytes_per_event": 101.0}, "bytes_per_event"),
        ({"hub_memory_bytes": 301 << 20}, "hub_memory"),
        ({"hub_cores": 1.1}, "hub_cpu"),
    ],
)
def test_each_failing_is_caught_by_the_threshold_that_is_there_for_it(change: dict[str, object], key: str) -> None:
    assert missed(replace(GOOD, **change)) == [key]  # type: ignore[arg-type]


def test_slow_acks_of_one_kind_of_line_are_that_lines() -> None:
    assert missed(replace(GOOD, acks={"4g": histogram(1.5)})) == ["ack_p95_s:4g"]
    assert missed(replace(GOOD, acks={"4g": histogram(2.5)})) == ["ack_p95_s:4g", "ack_p99_s:4g"]


def test_limits_shrink_with_the_clock_but_not_below_what_programs_need() -> None:
    by_key = {one.key: one for one in lines(LIMITS, GOOD, 2.0)}
    assert by_key["catch_up_s"].limit == 30.0
    by_key = {one.key: one for one in lines(LIMITS, GOOD, 2_000.0)}
    assert by_key["catch_up_s"].limit == FLOOR_S
    assert "held to" in by_key["catch_up_s"].note
    assert {one.key: one for one in lines(LIMITS, GOOD, 1.0)}["ack_p95_s:4g"].limit == 1.0


def test_a_run_that_was_ended_early_is_not_blamed_for_what_was_under_way() -> None:
    found = replace(GOOD, unsent=50, is_whole=False, acks={"4g": Histogram()}, cards_per_hour=None)
    assert missed(found) == []
    assert missed(replace(found, lost=1)) == ["lost"]
    assert missed(replace(found, is_whole=True)) == ["unsent", "ack_p95_s:4g", "ack_p99_s:4g", "cards_per_hour"]


def test_compare_names_what_got_worse_first_and_what_got_better() -> None:
    before, after = sample(60), sample(60, slower=2.0)
    changes = compare(before, after)
    worse = [one.key for one in changes if one.direction < 0]
    assert worse and all(one.direction < 0 for one in changes[: len(worse)])
    assert {"ack_p95_s:4g", "ack_p99_s:satellite"} <= set(worse)
    assert {one.key for one in compare(after, before) if one.direction > 0} == set(worse)
    assert all(one.direction == 0 for one in compare(before, before))
    assert unlike(before, after) == []
    assert "machines then" in unlike(before, sample(30))[0]


def test_one_lost_event_more_is_worse_however_little_that_is() -> None:
    before, after = sample(5), sample(5)
    lost = replace(after.thresholds[0], value=1.0, passed=False)
    after = replace(after, thresholds=(lost, *after.thresholds[1:]))
    assert compare(before, after)[0].key == "lost"


def test_the_text_begins_with_ticks_and_crosses_and_ends_with_the_verdict() -> None:
    text = text_of(sample(20), compare(sample(20), sample(20, slower=3)))
    assert text.index("✓") < text.index("✗") < text.index("load")
    assert "worse" in text
    assert text.rstrip().endswith("[bold red]missed[/]")
