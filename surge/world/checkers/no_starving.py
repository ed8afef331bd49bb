"""Nobody starves: a card that was asked for and could be made is made by the end, wherever.

It could not be made where the blanks ran out, while identities are in dispute, and where a disaster let the
machine forget that somebody asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sepe import case
from surge.world.ending import Ending

if TYPE_CHECKING:
    from surge.world.world import World


def check(ending: Ending) -> list[str]:
    return starving(ending.world)


def starving(world: World) -> list[str]:
    """Who still waits for a card that could be printed."""
    oracle = world.oracle
    latest: dict[int, int] = {}
    for one in oracle.cards:
        if not one.ruined:
            latest[one.nik] = max(one.issue, latest.get(one.nik, 0))
    has_blanks = {office.name: bool(office.press.stack) for office in world.offices}
    return [
        f"issue {wish.issue} of one NIK was asked for at {wish.machine} and never made"
        for wish in oracle.wishes
        if latest.get(wish.nik, 0) < wish.issue
        and wish.machine not in oracle.unruly
        and has_blanks[wish.machine]
        and not case.is_on_hold(world.hub.disk.resident(wish.nik))
    ]
