"""Events: facts that one node wrote. Immutable, named by (node, epoch, seq), stamped by the node's clock.

An event's body stays the bytes that its node wrote, wherever it travels. A reader that knows the kind
parses it with `body_of`; one that does not still carries it, so an old hub takes a newer office's events.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from google.protobuf.message import DecodeError, Message

from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.ids import EventId
from sepe.wire.v1 import event_pb2

# One event: a recording is about 400 bytes, so this leaves room for long addresses and extra fields while
# one event can never fill a frame.
EVENT_BYTES_MAX = 64 * 1024


class Kind(IntEnum):
    """The kinds this version knows; the numbers are the contract's."""

    RECORDED = event_pb2.KIND_RECORDED
    CORRECTED = event_pb2.KIND_CORRECTED
    LIFE_CHANGED = event_pb2.KIND_LIFE_CHANGED
    CARD_MOVED = event_pb2.KIND_CARD_MOVED
    STOCK_MOVED = event_pb2.KIND_STOCK_MOVED
    CASE_DECIDED = event_pb2.KIND_CASE_DECIDED
    RIGHT_MOVED = event_pb2.KIND_RIGHT_MOVED
    CARD_WITHDRAWN = event_pb2.KIND_CARD_WITHDRAWN
    ROLL_MOVED = event_pb2.KIND_ROLL_MOVED
    CARD_REROUTED = event_pb2.KIND_CARD_REROUTED
    BLANKS_ORDERED = event_pb2.KIND_BLANKS_ORDERED
    NIK_REPLACED = event_pb2.KIND_NIK_REPLACED
    CLAIM_CORRECTED = event_pb2.KIND_CLAIM_CORRECTED


BODIES: dict[int, type[Message]] = {
    Kind.RECORDED: event_pb2.Recorded,
    Kind.CORRECTED: event_pb2.Corrected,
    Kind.LIFE_CHANGED: event_pb2.LifeChanged,
    Kind.CARD_MOVED: event_pb2.CardMoved,
    Kind.STOCK_MOVED: event_pb2.StockMoved,
    Kind.CASE_DECIDED: event_pb2.CaseDecided,
    Kind.RIGHT_MOVED: event_pb2.RightMoved,
    Kind.CARD_WITHDRAWN: event_pb2.CardWithdrawn,
    Kind.ROLL_MOVED: event_pb2.RollMoved,
    Kind.CARD_REROUTED: event_pb2.CardRerouted,
    Kind.BLANKS_ORDERED: event_pb2.BlanksOrdered,
    Kind.NIK_REPLACED: event_pb2.NikReplaced,
    Kind.CLAIM_CORRECTED: event_pb2.ClaimCorrected,
}

# Kinds that only the hub may write: an office's frame that carries one is refused.
HUB_KINDS = frozenset(
    {
        Kind.CASE_DECIDED, Kind.RIGHT_MOVED, Kind.ROLL_MOVED, Kind.CARD_REROUTED, Kind.BLANKS_ORDERED,
        Kind.NIK_REPLACED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before its node gave it a seq and a stamp. ``nik`` is 0 when no resident is concerned."""

    kind: int
    nik: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``stamp`` is the effective one wherever a merge is concerned."""

    id: EventId
    stamp: int
    kind: int
    nik: int
    body: bytes


def draft(kind: Kind, nik: int, body: Message) -> Draft:
    """An event to be written.

    Raises:
        InvalidInputError: the body is over `EVENT_BYTES_MAX`; refused here, at the desk, so that no frame
            ever carries it.
    """
    data = body.SerializeToString(deterministic=True)
    if len(data) > EVENT_BYTES_MAX:
        raise InvalidInputError(
            f"one event holds at most {EVENT_BYTES_MAX} bytes",
            value=f"{len(data)} bytes",
            hint="Shorten the longest field.",
        )
    return Draft(int(kind), nik, data)


def body_of(kind: int, body: bytes) -> Message | None:
    """The parsed body; ``None`` for a kind that this version does not know.

    Raises:
        PeerProtocolError: ``unreadable_event``, the bytes are not a body of that kind.
    """
    message_type = BODIES.get(kind)
    if message_type is None:
        return None
    try:
        return message_type.FromString(body)
    except DecodeError as exc:
        raise PeerProtocolError("unreadable_event", f"kind {kind}") from exc
