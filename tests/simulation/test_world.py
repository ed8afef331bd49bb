"""Seeded worlds: named seeds and single faults here, two thousand fresh seeds in ``test_fresh_worlds_*``."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from surge.world.bugs import TRAPS, Bug
from surge.world.faults import ALL, CALM, NAMES, STANDARD, Faults, named
from surge.world.run import Plan, play, play_many
from tests.support.fresh_seeds import BATCHES, PARTS, assert_green, failure, fresh

# Planted mistakes must be found within so many seeds; what is asked for is 200.
SEEDS_TO_FIND_A_BUG = 200


def test_the_first_seeds_lose_and_double_nothing() -> None:
    assert_green(range(20), Plan())
    assert_green(range(20), Plan(faults=ALL))
    # A right came with the commit that a power cut interrupted, and the press slept on.
    assert_green(range(201460, 201461), Plan(faults=ALL))
    # The hub and then an office were put back: what is not promised then, and said so, is not counted.
    assert_green(range(1401709153, 1401709154), Plan(faults=ALL))
    # An office's clock and the hub's were both ahead, so that it pruned early, and the hub was put back then.
    assert_green(range(80001823, 80001824), Plan(faults=ALL, is_print_day=True))
    # A restored hub had no word for an office, which kept one of the hub before.
    assert_green(range(62000235, 62000236), Plan(faults=ALL))


def test_no_fresh_seed_is_played_twice() -> None:
    seeds = [seed for part in range(PARTS) for batch in range(BATCHES) for seed in fresh(75, part, batch)]
    assert len(set(seeds)) == len(seeds) == 75 * PARTS * BATCHES


def test_on_a_print_day_rights_wander_and_no_card_is_made_twice() -> None:
    moved = 0
    for verdict in play_many(range(8), Plan(is_print_day=True)):
        assert verdict.is_green, failure(verdict)
        moved += verdict.figures["rights_moved"]
    assert moved > 8 * 20, "a day on which no right moved would prove nothing"


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_alone_is_survived(name: str) -> None:
    assert_green(range(3), Plan(faults=named([name])))


def test_a_week_of_twenty_offices_is_green() -> None:
    assert_green(range(2), Plan(offices=20, days=7, faults=ALL))


def test_thirty_days_with_every_fault_at_a_low_rate_are_green() -> None:
    seldom = Faults(**{name: share / 5 for name, share in asdict(ALL).items()})
    plan = Plan(offices=5, days=30, recordings=1_500, faults=seldom)
    assert_green(range(5), plan)
    told = play(5, plan, wants_story=True)
    assert told.is_green, failure(told)
    assert told.figures["events"] > 1_500 and told.figures["epochs"] > 6
    assert "hub is restored" in "\n".join(told.story)


def test_a_calm_world_refuses_nobody_and_keeps_everything() -> None:
    verdict = play(1, Plan(faults=CALM))
    assert verdict.is_green, failure(verdict)
    figures = verdict.figures
    assert figures["visits_refused"] == figures["quarantined"] == figures["erased"] == 0
    assert figures["epochs"] == 5 + 1, "five offices and the hub itself"


@pytest.mark.parametrize("faults", [STANDARD, ALL], ids=["standard", "all"])
def test_a_seed_tells_the_same_story_again(faults: Faults) -> None:
    plan = Plan(faults=faults)
    first, second = (play(17, plan, wants_story=True) for _ in range(2))
    assert first.story == second.story
    assert first.figures == second.figures
    assert len(first.story) > 100


def test_listening_to_the_story_does_not_change_it() -> None:
    assert play(18, Plan(faults=ALL)).figures == play(18, Plan(faults=ALL), wants_story=True).figures


def test_every_fault_really_happens() -> None:
    told = "\n".join(line for seed in range(25) for line in play(seed, Plan(faults=ALL), wants_story=True).story)
    for sign in (
        "loses power between ack and cursor", "loses power between publish and ack", "is without power",
        "hub dies before its commit", "hub dies between commit and ack", "line cut", "in the middle of a frame",
        "disk full", "hub: disk full", "is restored from a backup at seq", "is cloned as", "gets an empty disk",
        "clock jumps", "hub: clock jumps", "stream purged", "acknowledged messages gone", "replaced by an empty one",
        "broker stops", "hub is restored", "disagree: fork", "disagree: rolled_back", "went back",
    ):  # fmt: skip
        assert sign in told, sign


@pytest.mark.parametrize("bug", Bug, ids=lambda bug: bug.value)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    trap = TRAPS[bug]
    faults = named([*STANDARD.named, *trap.needs])
    red = next(
        (
            verdict
            for seed in range(SEEDS_TO_FIND_A_BUG)
            if trap.checker in (verdict := play(seed, Plan(faults=faults, bug=bug))).red
        ),
        None,
    )
    assert red is not None, f"{bug.value} stayed unseen for {SEEDS_TO_FIND_A_BUG} seeds"
