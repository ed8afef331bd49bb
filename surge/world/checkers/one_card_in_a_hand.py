"""One product, one valid issue in a hand.

A card is given out only if it is the newest issue that its office knows of, is not to be collected and bears a
name that stands, as far as the office was told. Whoever gets one gives back what he had. So nobody holds two, and
of what people hold the hub shows one as good at most.
"""

from __future__ import annotations

from sepe.card import HANDED_OVER
from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    oracle = ending.world.oracle
    problems = [f"{gift.machine} gave out a card that {fault}" for gift in oracle.gifts for fault in gift.faults]
    problems += [
        f"somebody holds {len(attempts)} cards of one product"
        for attempts in oracle.hands.values()
        if len(attempts) > 1
    ]
    for issues in ending.issues.values():
        good = [one.valid for one in issues if one.valid is not None and not one.ended]
        if sum(one.state == HANDED_OVER for one in good) > 1:
            problems.append("two issues are in a hand, and both count")
    return problems
