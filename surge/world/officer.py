"""The officer at the centre: decides whose a NIK is, sometimes late, sometimes anew, and which NIK is another."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from sepe.claims import NIK_CONFLICT, claims_of
from sepe.events import Kind
from sepe.replaced import MISTYPED, words
from sepe.resident import Claim
from sepe.wire.v1 import event_pb2
from surge.world import bodies

if TYPE_CHECKING:
    from surge.world.world import World

REVISE_SHARE = 0.3
REPLACE_SHARE = 0.06
SEEN_SHARE = 0.7


def schedule(world: World, rng: Random, looks: int, span_ms: int) -> None:
    """Draw when the officer sits down to work."""
    for _ in range(looks):
        world.loop.after(int(rng.random() * span_ms), look, world, rng)


def look(world: World, rng: Random) -> None:
    """Decide something that is open, or something decided anew, or that one NIK is another."""
    if not world.hub.is_up or world.hub.disk.heads.keys() <= {0} or world.hub.disk_is_full:
        return
    niks = sorted(nik for nik in world.hub.disk.heads if nik)
    if rng.random() < REPLACE_SHARE:
        old, new = niks[int(rng.random() * len(niks))], niks[int(rng.random() * len(niks))]
        if old != new:
            replace(world, old, new, has_seen=rng.random() < SEEN_SHARE)
        return
    disputed = [nik for nik in niks if len(identities(world, nik)) > 1]
    if not disputed:
        return
    nik = disputed[int(rng.random() * len(disputed))]
    found = identities(world, nik)
    if claims_of(world.hub.disk.resident(nik)).is_on_hold or rng.random() < REVISE_SHARE:
        decide(world, nik, found[int(rng.random() * len(found))].name)


def decide(world: World, nik: int, name: str) -> bool:
    """The NIK is that of whoever bears this name; whether somebody was recorded so."""
    resident = world.hub.disk.resident(nik)
    found = claims_of(resident).identities()
    keep = next((one for one in found if one.name == name), None)
    if keep is None:
        return False
    body = event_pb2.CaseDecided(
        case_kind=NIK_CONFLICT, keep=bodies.reference(keep.id), seen=[bodies.reference(one.id) for one in found],
        reason="birth certificate", officer="officer",
    )  # fmt: skip
    world.tell(f"hub decides: {name} is kept of {len(found)}")
    world.hub.write_word(Kind.CASE_DECIDED, nik, body.SerializeToString())
    return True


def replace(world: World, old: int, new: int, *, has_seen: bool = True) -> None:
    """``old`` was ``new`` all along: said under both numbers, by somebody who saw what was said before, or not."""
    said_before = words(world.hub.disk.resident(old)) if has_seen else ()
    seen = [bodies.reference(one.version.event_id) for one in said_before]
    world.tell("hub replaces a NIK by another")
    said = event_pb2.NikReplaced(new_nik=new, why=MISTYPED, reason="typing", officer="officer", seen=seen)
    world.hub.write_word(Kind.NIK_REPLACED, old, said.SerializeToString())
    said = event_pb2.NikReplaced(old_nik=old, why=MISTYPED, reason="typing", officer="officer")
    world.hub.write_word(Kind.NIK_REPLACED, new, said.SerializeToString())


def identities(world: World, nik: int) -> tuple[Claim, ...]:
    """The earliest claim of each name that counts."""
    return claims_of(world.hub.disk.resident(nik)).identities()
