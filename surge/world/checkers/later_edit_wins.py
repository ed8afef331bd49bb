"""A later edit at one office beats its earlier ones, whatever the wall clock did in between, and an office that
had heard the hub's clock stamps above it. (While the hub's own clock is wrong its caps are too, and neither can
hold.)
"""

from __future__ import annotations

from sepe.crdt import Version
from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    oracle = ending.world.oracle
    if oracle.hub_clock_wrong:
        return []
    last: dict[bytes, Version] = {}
    problems: list[str] = []
    for event in ending.events:
        fact = oracle.fact_of.get(event.body)
        if fact is not None and event.stamp <= oracle.seen_hub[fact]:
            problems.append(f"fact {fact} is stamped below the hub's clock that its office had heard")
        version = Version.of(event.id, event.stamp)
        before = last.get(version.epoch)
        if before is not None and before.seq < version.seq and version < before:
            problems.append(f"{version.node} seq {version.seq} loses to its own seq {before.seq}")
        last[version.epoch] = version
    return problems
