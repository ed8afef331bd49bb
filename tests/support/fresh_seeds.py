"""Seeds that nobody played before this commit, and that everybody plays who tests this commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from surge.world.faults import ALL
from surge.world.run import Plan, Verdict, play_many

ROOT = Path(__file__).resolve().parents[2]
# Files that share the seeds of one speed, so that each worker of the test run gets some.
PARTS = 4
BATCHES = 5
# Two thousand worlds: 1,500 of a bad line and failing power, 440 with every fault, 60 print days with every fault; about
# two minutes of one core. `sepe surge world --seeds N` is the long run.
STANDARD_SEEDS = 1500 // PARTS // BATCHES
ALL_SEEDS = 440 // PARTS // BATCHES
PRINT_DAY_SEEDS = 60 // PARTS // BATCHES
FULL_SEEDS = 100 // PARTS // BATCHES


def fresh(count: int, part: int, batch: int) -> range:
    """``count`` seeds of one batch; no two batches share one."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    first = int(head.stdout[:8], 16) + (part * BATCHES + batch) * count
    return range(first, first + count)


def failure(verdict: Verdict) -> str:
    """What a red seed says in a test report."""
    found = [f"{name}: {problem}" for name, problems in verdict.problems.items() for problem in problems]
    return f"seed {verdict.seed}\n" + "\n".join(found)


def assert_green(seeds: range, plan: Plan) -> None:
    """Play these worlds."""
    for verdict in play_many(seeds, plan):
        assert verdict.is_green, failure(verdict)


def assert_fresh_worlds_green(part: int, batch: int) -> None:
    """One batch of the I/O-free world."""
    assert_green(fresh(STANDARD_SEEDS, part, batch), Plan())
    assert_green(fresh(ALL_SEEDS, part, batch), Plan(faults=ALL))
    assert_green(fresh(PRINT_DAY_SEEDS, part, batch), Plan(faults=ALL, is_print_day=True))


def assert_fresh_full_worlds_green(part: int, batch: int) -> None:
    """One batch of the full world, always with every fault."""
    from surge.fullworld import run

    for seed in fresh(FULL_SEEDS, part, batch):
        offices = 3 + seed % 3
        verdict = run(seed, offices=offices, recordings=120, faults=ALL)
        assert verdict.is_green, f"seed {seed}, {offices} offices, 120 recordings: {verdict.problems}"
