"""At most one valid card per (NIK, issue), and no second piece of plastic while rights are respected.

A supervisor's override prints without the right. A disk that was restored, replaced or cloned forgot which cards
it printed and what it promised, a restored hub which rights it moved, and an officer who gives away the right of
an office that is not gone asks for it: there a second card cannot be prevented, but it must be *seen*, as a
``double_print`` case with one valid card, as soon as the hub has both intents. Cards of different names for one
issue come of a decision: `valid_card_bears_standing_identity` looks at those. Except on forgetful machines and
after a forgetful hub, no two cards of an issue carry one fence: the fence says which is valid.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sepe import case
from sepe.card import OUT
from sepe.resident import CardStep
from surge.world.ending import Ending
from surge.world.oracle import Card

if TYPE_CHECKING:
    from surge.world.world import World


def check(ending: Ending) -> list[str]:
    world, oracle = ending.world, ending.world.oracle
    problems = [
        f"card {one.serial} came out of {one.machine} and no intent for it was ever committed"
        for one in oracle.cards
        if one.attempt not in oracle.intents
    ]
    made: dict[tuple[int, int, str], list[Card]] = {}
    for one in oracle.cards:
        if not one.ruined and one.attempt not in oracle.destroyed:
            made.setdefault((one.nik, one.issue, one.name), []).append(one)
    for (nik, issue, _), cards in made.items():
        if len(cards) > 1 and not _is_excused(world, cards):
            problems.append(f"{len(cards)} cards for issue {issue} of one NIK: {[one.machine for one in cards]}")
        problems += _one_fence(world, nik, issue, cards)
        problems += _seen(ending, nik, issue, cards)
    for issues in ending.issues.values():
        for found in issues:
            out = [attempt for attempt in found.attempts if attempt.state in OUT]
            # A card whose identity lost is void, one on which nobody decided yet is in question.
            others = len(found.void) + len(found.in_question)
            good = len(out) - others
            if len(found.recalled) != max(good - 1, 0) or (found.valid is not None) != (good > 0):
                problems.append(f"issue {found.issue} has {len(out)} cards out and not exactly one valid")
    return problems


def _is_excused(world: World, cards: list[Card]) -> bool:
    oracle, key = world.oracle, (cards[0].nik, cards[0].issue)
    return (
        key in oracle.rights_forgotten
        or key in oracle.taken_away
        or any(one.override or one.machine in oracle.unruly for one in cards)
    )


def _one_fence(world: World, nik: int, issue: int, cards: list[Card]) -> list[str]:
    """Two rightful cards under one fence: nobody could say which is valid."""
    oracle = world.oracle
    if (nik, issue) in oracle.rights_forgotten:
        return []
    fences = Counter(one.fence for one in cards if not one.override and one.machine not in oracle.unruly)
    return [f"{count} cards under fence {fence} for issue {issue}" for fence, count in fences.items() if count > 1]


def _seen(ending: Ending, nik: int, issue: int, cards: list[Card]) -> list[str]:
    """Whether the hub shows two cards of which it knows both as two."""
    if len(cards) < 2 or nik not in ending.issues:
        return []
    # A card that bears a name which lost, or on which an officer has still to decide, is no double.
    issues = ending.issues[nik]
    other = {one.attempt for found in issues for one in (*(lost for lost, _ in found.void), *found.in_question)}
    states = {one.attempt: one.state for found in issues for one in found.attempts if one.attempt not in other}
    known = [one for one in cards if states.get(one.attempt) in OUT]
    shown = any(one.kind == case.DOUBLE_PRINT and one.subject.endswith(f"/{issue}") for one in ending.cases[nik])
    if len(known) > 1 and not shown:
        return [f"{len(known)} cards are out for issue {issue} and no case says so"]
    return []


def attempts_in_log(ending: Ending) -> dict[str, CardStep]:
    """The furthest step of each attempt in the hub's log."""
    steps: dict[str, CardStep] = {}
    for record in ending.records.values():
        for step in record.steps:
            if step.attempt not in steps or step.state > steps[step.attempt].state:
                steps[step.attempt] = step
    return steps
