"""Blanks add up: received = printed + spoiled + left, for every machine, in plastic and in the hub's books.

In the books only where no disaster erased a step of the attempt: then the ledger cannot know.
"""

from __future__ import annotations

from collections import Counter

from sepe import card
from surge.world.checkers.card_uniqueness import attempts_in_log
from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    world, oracle = ending.world, ending.world.oracle
    problems: list[str] = []
    used = Counter(one.machine for one in oracle.cards)
    for office in world.offices:
        received, left = oracle.blanks_received.get(office.name, 0), len(office.press.stack)
        if received != used[office.name] + left:
            problems.append(f"{office.name}: {received} blanks received, {used[office.name]} used, {left} left")
    booked = attempts_in_log(ending)
    per_serial = Counter(step.serial for step in booked.values() if step.state != card.VOID)
    problems += [f"blank {serial} is booked {count} times" for serial, count in per_serial.items() if count > 1]
    made = {one.attempt: one for one in oracle.cards}
    forgetful = oracle.unruly
    for attempt, step in booked.items():
        machine = attempt.partition("/")[0]
        if machine in forgetful:
            continue
        one = made.get(attempt)
        truth: int = card.VOID if one is None else card.SPOILED if one.ruined else card.PRINTED
        if step.state != truth or (one is not None and one.serial != step.serial):
            problems.append(f"attempt {attempt} is booked {_name(step.state)}, not {_name(truth)}")
    for attempt, one in made.items():
        if attempt not in booked and one.machine not in forgetful:
            problems.append(f"blank {one.serial} was used at {one.machine} and no book says so")
    return problems


def _name(state: int) -> str:
    return next((name for number, name in card.STATE_NAMES.items() if number == state), "unknown")
