"""Running a world from its seed to its verdict."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from unittest.mock import patch

from sepe import head, identity, resident
from surge.world import counter, desk, disasters, officer
from surge.world.bugs import Bug
from surge.world.checkers import CHECKERS, PROBLEMS_MAX
from surge.world.checkers import lag_returns_to_zero as lag
from surge.world.checkers.no_lost_event import in_review
from surge.world.ending import Ending
from surge.world.faults import CALM, STANDARD, Faults
from surge.world.loop import DAY_MS, HOUR_MS, MINUTE_MS
from surge.world.world import World

FIRST_KECAMATAN = 537_101
RECORDINGS_PER_OFFICE = 40
BLANKS_PER_OFFICE = 60
# Of so many recordings, one is followed by a look of the officer's, and one by a visit for a card.
LOOKS_SHARE, VISITS_SHARE = 10, 3
BLANKS_SHORT_MAX = 8
SHORT_SHARE = 0.2
# An idle office greets every six hours, and its retry may sleep half an hour before that.
SETTLE_HOURS_MAX = 48
WORLDS_PER_COLLECTION = 4
STEPS_PER_RECORDING_MAX = 150
STEPS_PER_OFFICE_DAY_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What kind of world a seed is to be played in.

    Attributes:
        recordings: visits to all desks together; 0 means 40 for each office.
        is_print_day: most visitors want a card, and many at an office that is not their own.
    """

    offices: int = 5
    days: int = 2
    recordings: int = 0
    faults: Faults = STANDARD
    bug: Bug | None = None
    is_print_day: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a world ended.

    Attributes:
        problems: per checker what it found; empty lists are good.
        figures: counts of the story, for reading.
    """

    seed: int
    problems: dict[str, list[str]]
    figures: dict[str, int] = field(default_factory=dict)
    story: tuple[str, ...] = ()

    @property
    def is_green(self) -> bool:
        return not any(self.problems.values())

    @property
    def red(self) -> list[str]:
        """Names of the checkers that found something."""
        return [name for name, found in self.problems.items() if found]


def play(seed: int, plan: Plan | None = None, *, wants_story: bool = False) -> Verdict:
    """Play one world to its end; the same seed and plan give the same verdict, and the same story."""
    plan = plan or Plan()
    world = make(seed, plan, wants_story=wants_story)
    steps_max = (
        STEPS_PER_RECORDING_MAX * max(recordings_of(plan), 50)
        + STEPS_PER_OFFICE_DAY_MAX * plan.offices * plan.days
    )
    world.is_within_steps = world.loop.run(world.loop.now_ms + plan.days * DAY_MS, steps_max=steps_max)
    world.calm()
    settle(world, steps_max=2 * steps_max)
    ending = Ending.of(world)
    problems = {name: check(ending)[:PROBLEMS_MAX] for name, check in CHECKERS.items()}
    return Verdict(seed, problems, figures(world), tuple(world.story or ()))


def play_many(seeds: Iterable[int], plan: Plan, *, wants_story: bool = False) -> Iterator[Verdict]:
    """Play one world after the other.

    A world is a web of objects that point at each other; the garbage collector, woken by every few hundred new
    ones, took a tenth of the time. Here it comes between worlds.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        for count, seed in enumerate(seeds, 1):
            with _few_people():
                verdict = play(seed, plan, wants_story=wants_story)
            yield verdict
            if count % WORLDS_PER_COLLECTION == 0:
                gc.collect()
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def make(seed: int, plan: Plan, *, wants_story: bool = False) -> World:
    """The world as it begins, with the work and the faults of its days already drawn."""
    faults = plan.faults
    nodes = [f"{FIRST_KECAMATAN + index}-1" for index in range(plan.offices)]
    world = World(seed, nodes=nodes, faults=CALM, bug=plan.bug, wants_story=wants_story)
    rng = world.rng
    # Clocks that show whole minutes, or hours, make equal stamps.
    world.clock_tick_ms = rng.choice((1, MINUTE_MS, HOUR_MS))
    # Without disasters at the hub its commit is final, and an office may forget at once: the sharpest test.
    is_final = not faults.hub_restore
    world.margin_ms = rng.choice((0, HOUR_MS)) if is_final else rng.choice((5 * DAY_MS, 30 * DAY_MS))
    for office in world.offices:
        # Some get next to nothing: their cards are for others to make.
        is_short = rng.random() < SHORT_SHARE
        desk.receive_stock(office, rng.randrange(1, BLANKS_SHORT_MAX) if is_short else BLANKS_PER_OFFICE)
    world.let_loose(faults)
    recordings = recordings_of(plan)
    people = max(3, recordings // (4 * plan.offices))
    work = desk.Desk(world, rng, people, desk.PRINT_DAY if plan.is_print_day else desk.HABITS)
    work.schedule(recordings, plan.days * DAY_MS)
    officer.schedule(world, rng, recordings // LOOKS_SHARE, plan.days * DAY_MS)
    counter.schedule(world, rng, recordings // VISITS_SHARE, plan.days * DAY_MS)
    disasters.schedule(world, plan.days)
    return world


def settle(world: World, *, steps_max: int, hours_max: int = SETTLE_HOURS_MAX) -> bool:
    """Let time pass, hour by hour, until nothing lags; ``False`` when it still does after ``hours_max``."""
    for _ in range(hours_max):
        if not world.loop.run(world.loop.now_ms + HOUR_MS, steps_max=steps_max):
            world.is_within_steps = False
            return False
        if not lag.lagging(world):
            return True
    return False


def figures(world: World) -> dict[str, int]:
    """Counts for the reader of a verdict."""
    oracle = world.oracle
    return {
        "events": len(oracle.committed),
        "events_merged": sum(len(row.bodies()) for row in world.hub.disk.log),
        "frames_sent": sum(office.relay.frames_sent for office in world.offices),
        "frames_logged": len(world.hub.disk.log),
        "epochs": len(world.hub.disk.states),
        "quarantined": len(world.hub.disk.quarantine),
        "in_review": len(in_review(world)),
        "erased": len(oracle.erased - oracle.facts(world.hub.disk.bodies())),
        "parked": len(world.hub.disk.parked),
        "cards": sum(not one.ruined for one in oracle.cards),
        "handed_over": len(oracle.gifts),
        "taken_back": len(oracle.destroyed),
        "decisions": sum(len(record.decisions) for record in map(world.hub.disk.resident, world.hub.disk.heads)),
        "rights_moved": sum(max(entry.fence, 0) for entry in world.hub.disk.rights.values()),
        "visits_refused": oracle.refused_visits,
        "steps": world.loop.steps,
    }


@contextmanager
def _few_people() -> Iterator[None]:
    """A world has three names, which the hubs and the checkers hash six hundred times: remember the answers."""
    known = cache(identity.identity_key)
    with patch.object(head, "identity_key", known), patch.object(resident, "identity_key", known):
        yield


def recordings_of(plan: Plan) -> int:
    """Visits to all desks together."""
    return plan.recordings or RECORDINGS_PER_OFFICE * plan.offices
