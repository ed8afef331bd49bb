"""Nothing counts twice: each fact is in the hub's log once, whatever event names it was sent under.

But for one thing that is not promised (docs/guarantees.md): the hub was put back from a backup, an office wrote
again in a new epoch what the hub had lost, and then that office was put back as well, from a backup of before the
new epoch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sepe.ids import EventId
from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    oracle = ending.world.oracle
    named: dict[int, list[EventId]] = defaultdict(list)
    for event in ending.events:
        if event.body in oracle.fact_of:
            named[oracle.fact_of[event.body]].append(event.id)
    put_back = {office.node for office in ending.world.offices if office.name in oracle.unruly}
    return [
        f"fact {fact} is in the log {len(names)} times"
        for fact, names in sorted(named.items())
        if len(names) > 1 and not is_of_two_disasters(names, put_back, oracle.hub_restores)
    ]


def is_of_two_disasters(names: Collection[EventId], put_back: Iterable[str], hub_restores: int) -> bool:
    """Whether the hub and the one machine that wrote it under these names were both put back."""
    nodes, epochs = {one.node for one in names}, {one.epoch for one in names}
    return hub_restores > 0 and len(nodes) == 1 and nodes <= set(put_back) and len(epochs) == len(names)
