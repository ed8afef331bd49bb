"""Nothing counts twice: each fact is in the hub's log once, whatever event names it was sent under."""

from __future__ import annotations

from collections import Counter

from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    fact_of = ending.world.oracle.fact_of
    counts = Counter(fact_of[event.body] for event in ending.events if event.body in fact_of)
    return [f"fact {fact} is in the log {count} times" for fact, count in sorted(counts.items()) if count > 1]
