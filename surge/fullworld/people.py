"""Cards and officers of a full world: what offices say that they printed, and what is decided meanwhile.

No printer stands here; a card is the two events that a press writes, with the name that its recording had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.app import replace_nik
from hub.app.decide import decide
from hub.app.effects import apply
from hub.read.cases import cases
from sepe.claims import NIK_CONFLICT
from sepe.errors import SepeError, TransientError
from sepe.events import Draft, Kind, draft
from sepe.ids import EventId
from sepe.nik import Nik
from sepe.wire.v1 import event_pb2
from surge.world.bodies import PRODUCT, reference
from surge.world.oracle import Card

if TYPE_CHECKING:
    from surge.fullworld.world import FullWorld

REPLACE_SHARE = 0.1


def printed(nik: int, name: str, claim: EventId, attempt: str, machine: str) -> tuple[Card, list[Draft]]:
    """A card of a recording, and the steps that tell of it."""
    serial = f"K{attempt[:7]}"
    steps = [
        event_pb2.CardMoved(
            product=PRODUCT, issue=1, attempt=attempt, state=event_pb2.CARD_STATE_SENT, serial=serial,
            claim=reference(claim),
        ),
        event_pb2.CardMoved(
            product=PRODUCT, issue=1, attempt=attempt, state=event_pb2.CARD_STATE_PRINTED, serial=serial
        ),
    ]  # fmt: skip
    card = Card(attempt, nik, 1, serial, machine, 0, override=False, ruined=False, name=name)
    return card, [draft(Kind.CARD_MOVED, nik, step) for step in steps]


def officer_looks(world: FullWorld) -> None:
    """An officer at the hub decides something, perhaps anew, or says that a number is another one."""
    hub, rng = world.hub, world.rng
    if not hub.is_on:
        return
    try:
        hub.store.project()
        found = [one for one in cases(hub.store.connection, include_decided=True) if one["kind"] == NIK_CONFLICT]
        if not found:
            return
        one = rng.choice(found)
        if rng.random() < REPLACE_SHARE:
            new = int(one["nik"]) // 10_000 * 10_000 + 9_999
            word = replace_nik.plan(
                hub.store, Nik(one["nik"]), Nik.from_number(new), why="mistyped", officer="officer",
                reason="typing", now_ms=hub.now_ms(), revise=True,
            )  # fmt: skip
            apply(hub.store, word.drafts, hub.now_ms())
            world.tell("an officer replaces a NIK")
            return
        keep = str(rng.randint(1, len(one["claims"])))
        decide(
            hub.store, one["id"], keep, reason="certificate", officer="officer", now_ms=hub.now_ms(), revise=True
        )
        world.tell(f"an officer keeps claim {keep}")
    except TransientError:
        return  # The disk is full; he comes again.
    except SepeError as exc:
        world.tell(f"an officer is told {exc}")
