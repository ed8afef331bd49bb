"""A later edit at one office beats its earlier ones, whatever the wall clock did in between, and an office that had
heard the hub's clock stamps above it. (While the hub's own clock is wrong, its caps are too, and only the second
holds.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sepe.crdt import Version

if TYPE_CHECKING:
    from surge.world.world import World


def check(world: World) -> list[str]:
    oracle = world.oracle
    last: dict[tuple[str, bytes], Version] = {}
    problems: list[str] = []
    for row in world.hub.disk.log:
        for index in range(row.skip, len(row.opened.columns)):
            event = row.event(index)
            fact = oracle.fact_of.get(event.body)
            if fact is not None and row.opened.columns.stamps[index] <= oracle.seen_hub[fact]:
                problems.append(f"fact {fact} is stamped below the hub's clock that its office had heard")
            version = Version.of(event.id, event.stamp)
            before = last.get(row.key)
            if before is not None and before.seq < version.seq and version < before and not oracle.hub_clock_wrong:
                problems.append(f"{event.id.node} seq {version.seq} loses to its own seq {before.seq}")
            last[row.key] = version
    return problems
