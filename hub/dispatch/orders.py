"""What a machine needs to print a card that an officer had moved to it: put into its list when it is read."""

from __future__ import annotations

from collections.abc import Sequence

from hub.dispatch.book import entry_of
from hub.dispatch.frames import FrameCache
from hub.merge import project
from sepe import card
from sepe.events import Event, Kind
from sepe.hlc import wall_ms_of
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection


def fill(connection: Connection, frames: FrameCache, node: str, change: rights_pb2.Change) -> None:
    """Put the recording into an order for a card, unless there is nothing to print any more.

    The right went elsewhere, a card is out already: a machine that reads its list once more, after a restore, must
    not begin anew.

    Raises:
        StorageDamagedError: a frame with the resident's events cannot be read.
    """
    order = change.card
    entry, _ = entry_of(connection, change.nik, order.product, order.issue)
    events = frames.events_of(connection, change.nik)
    asked = recording_of(events, order.product, order.issue)
    if entry.holder != node or asked is None or _is_out(events, order):
        return
    order.asked_ms = wall_ms_of(asked.stamp)
    order.recorded.CopyFrom(content(events, asked))


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


def content(events: Sequence[Event], asked: Event) -> event_pb2.Recorded:
    """What is printed: the recording that asked for the card over what others said where it said nothing."""
    found = event_pb2.Recorded()
    for event in sorted(events, key=_order):
        if event.kind == Kind.RECORDED:
            found.MergeFrom(event_pb2.Recorded.FromString(event.body))
    found.MergeFrom(event_pb2.Recorded.FromString(asked.body))
    return found


def photo_of(events: Sequence[Event], product: str, issue: int) -> bytes:
    """The SHA-256 of the photo that a card is drawn with, empty for none."""
    asked = recording_of(events, product, issue)
    return b"" if asked is None else content(events, asked).photo_sha256


def _is_out(events: Sequence[Event], order: rights_pb2.CardOrder) -> bool:
    issues = card.issues_of(project.fold_events(events))
    return any(
        one.product == order.product and one.issue >= order.issue and one.valid is not None for one in issues
    )


def _order(event: Event) -> tuple[int, str, int]:
    return event.stamp, event.id.node, event.id.seq
