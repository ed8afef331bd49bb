"""Nothing counts twice: each fact is in the hub's log once, whatever event names it was sent under."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surge.world.world import World


def check(world: World) -> list[str]:
    fact_of = world.oracle.fact_of
    counts = Counter(fact_of[body] for body in world.hub.disk.bodies() if body in fact_of)
    return [f"fact {fact} is in the log {count} times" for fact, count in sorted(counts.items()) if count > 1]
