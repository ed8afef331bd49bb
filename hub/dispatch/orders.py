"""What a machine needs to print a card that an officer had moved to it: put into its list when it is read."""

from __future__ import annotations

from collections.abc import Sequence

from hub.dispatch.book import entry_of
from hub.dispatch.frames import FrameCache
from hub.merge import project
from sepe import card
from sepe.claims import Claims, claims_of
from sepe.events import Event, Kind
from sepe.hlc import wall_ms_of
from sepe.resident import Claim, Resident
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection


def fill(connection: Connection, frames: FrameCache, node: str, change: rights_pb2.Change) -> None:
    """Put the recording into an order for a card, unless there is nothing to print any more.

    The right went elsewhere, a card is out already, an officer decided anew: a machine that reads its list once
    more, after a restore, must not begin anew.

    Raises:
        StorageDamagedError: a frame with the resident's events cannot be read.
    """
    order = change.card
    events = frames.events_of(connection, change.nik)
    resident = project.fold_events(events)
    claims = claims_of(resident)
    if order.by_decision:
        claim = owed_claim(resident, order.product, order.issue)
        if claim is None or claim.version.node != node:
            return
        asked_ms = wall_ms_of(claim.version.stamp)
    else:
        asked = recording_of(events, order.product, order.issue)
        entry, _ = entry_of(connection, change.nik, order.product, order.issue)
        if entry.holder != node or asked is None or _is_out(resident, order):
            return
        claim, asked_ms = claims.final(claims.known[asked.id]), wall_ms_of(asked.stamp)
    order.asked_ms = asked_ms
    order.claim.CopyFrom(event_pb2.EventRef(node=claim.id.node, epoch=claim.id.epoch, seq=claim.id.seq))
    order.recorded.CopyFrom(content(events, claims, claim))
    order.recorded.product, order.recorded.issue = order.product, order.issue


def recording_of(events: Sequence[Event], product: str, issue: int) -> Event | None:
    """The latest recording that asked for this card."""
    found = None
    for event in sorted(events, key=_order):
        if event.kind != Kind.RECORDED:
            continue
        body = event_pb2.Recorded.FromString(event.body)
        if (body.product, body.issue) == (product, issue):
            found = event
    return found


def content(events: Sequence[Event], claims: Claims, claim: Claim) -> event_pb2.Recorded:
    """What is printed for a claim: its recording, over what agreeing ones said where it said nothing.

    Nothing of a recording that speaks of somebody else.
    """
    found = event_pb2.Recorded()
    last = event_pb2.Recorded()
    for event in sorted(events, key=_order):
        known = claims.known.get(event.id)
        if event.kind != Kind.RECORDED or known is None:
            continue
        body = event_pb2.Recorded.FromString(event.body)
        final = claims.final(known)
        if claims.agree(final, claim):
            found.MergeFrom(body)
        if final.id == claim.id:
            last.MergeFrom(body)
    found.MergeFrom(last)
    found.name, found.birth_date, found.sex = claim.name, claim.birth_date, claim.sex
    return found


def photo_of(events: Sequence[Event], product: str, issue: int) -> bytes:
    """The SHA-256 of the photo that a card is drawn with, empty for none."""
    resident = project.fold_events(events)
    claims, claim = claims_of(resident), owed_claim(resident, product, issue)
    if claim is None:
        asked = recording_of(events, product, issue)
        if asked is None:
            return b""
        claim = claims.final(claims.known[asked.id])
    return content(events, claims, claim).photo_sha256


def owed_claim(resident: Resident, product: str, issue: int) -> Claim | None:
    """The claim for which a card of this issue is owed; see `sepe.card.owed`."""
    return next((one.claim for one in card.owed(resident) if (one.product, one.issue) == (product, issue)), None)


def _is_out(resident: Resident, order: rights_pb2.CardOrder) -> bool:
    issues = card.issues_of(resident)
    return any(
        one.product == order.product and one.issue >= order.issue and one.valid is not None for one in issues
    )


def _order(event: Event) -> tuple[int, str, int]:
    return event.stamp, event.id.node, event.id.seq
