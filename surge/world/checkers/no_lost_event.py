"""Nothing is lost: every fact that an office committed is in the hub's log.

Three things may rightly stand in its place: the fact's last copy was destroyed by a disaster before the hub had it
(*erased*); the office forgot it in a disaster and its frame was refused as a fork, so it waits in quarantine for a
person (*in review*); the office pruned it while its clock and the hub's both showed another year, and the hub was
put back (*pruned early*). What else an office still holds, or pruned, must be in the log: a prune is a promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from surge.world.ending import Ending
from surge.world.wire import open_

if TYPE_CHECKING:
    from surge.world.world import World


def check(ending: Ending) -> list[str]:
    world, oracle = ending.world, ending.world.oracle
    missing = oracle.committed.keys() - oracle.facts(event.body for event in ending.events) - oracle.erased
    if not missing:
        return []
    missing -= in_review(world) & oracle.at_risk
    missing -= oracle.pruned_early(world.facts_on_offices())
    return [f"fact {fact} of {oracle.committed[fact]} is not in the hub's log" for fact in sorted(missing)]


def in_review(world: World) -> set[int]:
    """The facts of the frames that wait for a person."""
    return world.oracle.facts(
        body
        for data, reason in world.hub.disk.quarantine.items()
        if reason == "fork"
        for body in open_(data).columns.bodies
    )
