"""No card of an open case: a machine that knows of a case begins no card of that resident, whatever wakes the job.

It knows when the hub told it, or when two names were claimed at its own desk. A supervisor may force a card.
"""

from __future__ import annotations

from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    return [
        f"{one.machine} began a card although it knew that it is {one.verdict}"
        for one in ending.world.oracle.tries
        if one.verdict and not one.override
    ]
