"""Asking the holder of a card's right to let another machine make it, as an officer decided.

This only asks, and notes the decision. The right goes over when its holder has promised it away, in
`hub.dispatch.rights.RightsDesk.give_back`; until then, and for ever if it never does, its holder prints the card.
"""

from __future__ import annotations

from enum import StrEnum

from hub.dispatch import feed
from hub.dispatch.moves import Reroute
from hub.dispatch.orders import recording_of
from hub.dispatch.rights import RightClaim, RightsDesk, stranger
from hub.merge import project
from sepe.events import Kind, draft
from sepe.wire.v1 import event_pb2


class Asked(StrEnum):
    """What became of the wish; everything but the first two leaves the card where it is."""

    ASKED = "asked"
    MOVED = "moved"
    HELD_ELSEWHERE = "held_elsewhere"
    NOT_RECORDED = "not_recorded"
    NO_PHOTO = "no_photo"
    NIK_CONFLICT = "nik_conflict"
    DEAD = "dead"
    ALREADY_PRINTED = "already_printed"
    SUPERSEDED = "superseded"
    IN_HAND = "in_hand"
    UNKNOWN_NODE = "unknown_node"
    REVOKED = "revoked"


def ask(desk: RightsDesk, wanted: Reroute) -> Asked:
    """Ask, unless no card of this issue can be made there; asking again changes nothing. See `Asked`."""
    refusal = stranger(desk.connection, wanted.to_node)
    if refusal:
        return Asked(refusal)
    key = wanted.key
    entry, _ = desk.entry(key)
    known = desk.going(key, wanted.from_node)
    is_known = known is not None and known.to_node == wanted.to_node
    if is_known and entry.holder == wanted.to_node:
        return Asked.MOVED
    if entry.holder != wanted.from_node:
        return Asked.HELD_ELSEWHERE
    events = desk.frames.events_of(desk.connection, wanted.nik)
    if recording_of(events, wanted.product, wanted.issue) is None:
        return Asked.NOT_RECORDED
    obstacle = desk.obstacle(project.fold_events(events), RightClaim(*key, wanted.to_node), entry)
    if obstacle is not None:
        return Asked(obstacle.reason)
    if is_known:
        return Asked.ASKED
    body = event_pb2.CardRerouted(
        product=wanted.product, issue=wanted.issue, from_node=wanted.from_node, to_node=wanted.to_node,
        until_ms=wanted.until_ms, reason=wanted.reason, officer=wanted.officer,
    )  # fmt: skip
    desk.drafts.append(draft(Kind.CARD_REROUTED, wanted.nik, body))
    # Whatever it answered before, it was not asked by an officer then.
    desk.connection.execute(
        "INSERT OR REPLACE INTO right_ask (nik, product, issue, fence, asked_ms, kept) VALUES (?, ?, ?, ?, ?, '')",
        (*key, entry.fence, desk.now_ms),
    )
    feed.ask_to_let_go(desk.connection, entry, *key, asked_by=wanted.to_node, decided_until_ms=wanted.until_ms)
    return Asked.ASKED
