"""Seeded worlds: a few hundred on every run, some of them never played before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from surge.world.bugs import Bug
from surge.world.faults import ALL, CALM, NAMES, STANDARD, Faults, named
from surge.world.run import Plan, Verdict, play, play_many

ROOT = Path(__file__).resolve().parents[2]
# Planted mistakes must be found within so many seeds; what is asked for is 200.
SEEDS_TO_FIND_A_BUG = 200


def failure(verdict: Verdict) -> str:
    found = [f"{name}: {problem}" for name, problems in verdict.problems.items() for problem in problems]
    return f"seed {verdict.seed}\n" + "\n".join(found)


def assert_green(seeds: range, plan: Plan) -> None:
    for verdict in play_many(seeds, plan):
        assert verdict.is_green, failure(verdict)


def fresh(count: int) -> range:
    """Seeds that nobody played before this commit, and that everybody plays who tests this commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    first = int(head.stdout[:8], 16)
    return range(first, first + count)


def test_cut_lines_and_failing_power_lose_and_double_nothing() -> None:
    assert_green(range(160), Plan())


def test_no_fault_loses_or_doubles_anything() -> None:
    assert_green(range(40), Plan(faults=ALL))


def test_fresh_seeds_are_green_too() -> None:
    assert_green(fresh(60), Plan())
    assert_green(fresh(30), Plan(faults=ALL))


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_alone_is_survived(name: str) -> None:
    assert_green(range(3), Plan(faults=named([name])))


def test_a_week_of_twenty_offices_is_green() -> None:
    assert_green(range(2), Plan(offices=20, days=7, faults=ALL))


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


# What a world needs besides a bad line and failing power for the mistake to matter.
NEEDS = {
    Bug.EPOCH_KEPT_AFTER_RESTORE: ["restore_office"],
    Bug.PRUNE_ON_BROKER_ACK: ["broker_loses_acked"],
    Bug.WALL_CLOCK: ["clock_jump"],
}
CAUGHT_BY = {
    Bug.ACK_BEFORE_COMMIT: "ack_means_committed",
    Bug.PRUNE_ON_BROKER_ACK: "no_lost_event",
    Bug.DEDUPE_BY_WINDOW: "exactly_once_in_log",
    Bug.NO_DEDUPE: "exactly_once_in_log",
    Bug.NO_TIE_BREAK: "convergence",
    Bug.WALL_CLOCK: "later_edit_wins",
    Bug.EPOCH_KEPT_AFTER_RESTORE: "no_lost_event",
    Bug.PRINT_BEFORE_RESERVE: "card_uniqueness",
}


@pytest.mark.parametrize("bug", Bug, ids=lambda bug: bug.value)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    faults = named([*STANDARD.named, *NEEDS.get(bug, [])])
    red = next(
        (
            verdict
            for seed in range(SEEDS_TO_FIND_A_BUG)
            if CAUGHT_BY[bug] in (verdict := play(seed, Plan(faults=faults, bug=bug))).red
        ),
        None,
    )
    assert red is not None, f"{bug.value} stayed unseen for {SEEDS_TO_FIND_A_BUG} seeds"
