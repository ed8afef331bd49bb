"""Nobody starves: a card that was asked for and could be made is made by the end, wherever.

It could not be made where the blanks ran out, while identities are in dispute, for a name that does not stand or a
NIK that is another one now, before its day, and where a disaster let the
machine forget that somebody asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sepe import card
from sepe.claims import claims_of
from sepe.replaced import replaced_by
from surge.world.ending import Ending
from surge.world.loop import DAY_MS

if TYPE_CHECKING:
    from surge.world.oracle import Wish
    from surge.world.world import World

# A machine that is without a line hears by then what day it is.
HEARD_MS = DAY_MS


def check(ending: Ending) -> list[str]:
    return starving(ending.world)


def starving(world: World) -> list[str]:
    """Who still waits for a card that could be printed."""
    oracle = world.oracle
    latest: dict[tuple[int, str], int] = {}
    for one in oracle.cards:
        if not one.ruined:
            latest[one.nik, one.name] = max(one.issue, latest.get((one.nik, one.name), 0))
    has_blanks = {office.name: bool(office.press.stack) for office in world.offices}
    return [
        f"issue {wish.issue} of one NIK was asked for at {wish.machine} and never made"
        for wish in oracle.wishes
        if latest.get((wish.nik, wish.name), 0) < wish.issue
        and wish.machine not in oracle.unruly
        and has_blanks[wish.machine]
        and wish.due_ms < world.loop.now_ms - HEARD_MS
        and _may_have(world, wish)
    ]


def owing(world: World) -> list[str]:
    """Whose name stands by a decision or a correction, and who got nothing although his office could make it."""
    has_blanks = {office.node for office in world.offices if office.press.stack}
    unruly = {office.node for office in world.offices if office.name in world.oracle.unruly}
    young = {(one.nik, one.name) for one in world.oracle.wishes if one.due_ms > world.loop.now_ms - HEARD_MS}
    decided = [nik for nik, head in world.hub.disk.heads.items() if nik and head.decisions]
    return [
        f"whose name stands has no card: issue {one.issue} at {one.claim.version.node}"
        for nik in decided
        for one in card.owed(world.hub.disk.resident(nik))
        if one.claim.version.node in has_blanks - unruly and (nik, one.claim.name) not in young
    ]


def _may_have(world: World, wish: Wish) -> bool:
    """Whether the name is that of the resident, and no later issue of him is out."""
    resident = world.hub.disk.resident(wish.nik)
    claims = claims_of(resident)
    if claims.is_on_hold or claims.standing is None or replaced_by(resident):
        return False
    if len(resident.decisions) > 1 and card.owed(resident) == ():
        return False  # Decided anew: he has a card, if not each issue that was asked for meanwhile.
    stands = any(one.name == wish.name and claims.agree(one, claims.standing) for one in claims.known.values())
    return stands and all(one.valid is None or one.issue < wish.issue for one in card.issues_of(resident))
