"""No card before its day: whatever an office's own clock showed, the true day had come when a card was begun.

Nobody knows better than the hub: while its own clock was ahead, nothing can be promised.
"""

from __future__ import annotations

from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    oracle = ending.world.oracle
    if oracle.hub_clock_wrong:
        return []
    return [
        f"{one.machine} began a card {(one.due_ms - one.at_ms) // 60_000} minutes before its day"
        for one in oracle.tries
        if one.at_ms < one.due_ms
    ]
