"""The events of a world: real bodies, kept small, each with a number of its own that says which fact it is.

The number rides in ``operator``. A fact written again in a new epoch has a new event name and the same body, so
counting bodies in the hub's log is counting facts.
"""

from __future__ import annotations

from collections.abc import Sequence

from sepe.events import Kind
from sepe.ids import EventId
from sepe.stock import Movement
from sepe.wire.v1 import event_pb2

NAMES = ("MARIA TAEK", "MARIA TAEK LAY", "YOHANES SERAN")
# Few fields and few people, so that offices meet.
FIELDS = ("address", "phone", "occupation")
PRODUCT = "ktp-el"
KIND_OF_NEXT_YEAR = 77


def recorded(
    fact: int, *, name: str, fields: dict[str, str] | None = None, issue: int = 0, due_ms: int = 0
) -> bytes:
    """One enrolment. In a world nobody's age is reckoned: the reason says from when on a card may be made."""
    body = event_pb2.Recorded(
        name=name, birth_date="1990-01-01", sex="P", product=PRODUCT, reason=f"due {due_ms}" if due_ms else "new",
        operator=str(fact), issue=issue,
    )  # fmt: skip
    for field, value in (fields or {}).items():
        setattr(body, field, value)
    return body.SerializeToString(deterministic=True)


def due_of(body: event_pb2.Recorded) -> int:
    """From when on the card that it asks for may be made; 0: at once."""
    return int(body.reason.removeprefix("due ")) if body.reason.startswith("due ") else 0


def corrected(fact: int, fields: dict[str, str]) -> bytes:
    """Fields other than identity changed."""
    return event_pb2.Corrected(fields=fields, operator=str(fact)).SerializeToString(deterministic=True)


def claim_corrected(fact: int, *, corrects: Sequence[EventId], name: str) -> bytes:
    """An office's word that it had typed a name wrong."""
    return event_pb2.ClaimCorrected(
        corrects=[reference(one) for one in corrects], name=name, birth_date="1990-01-01", sex="P",
        operator=str(fact),
    ).SerializeToString(deterministic=True)  # fmt: skip


def card_withdrawn(fact: int, *, attempt: str, serial: str, issue: int, reason: str) -> bytes:
    """A card is in nobody's hands any more."""
    return event_pb2.CardWithdrawn(
        product=PRODUCT, serial=serial, attempt=attempt, issue=issue, reason=reason, operator=str(fact)
    ).SerializeToString(deterministic=True)


def reference(event: EventId) -> event_pb2.EventRef:
    """An event's name, as another event gives it."""
    return event_pb2.EventRef(node=event.node, epoch=event.epoch, seq=event.seq)


def card_moved(
    fact: int,
    *,
    issue: int,
    attempt: str,
    state: event_pb2.CardState.ValueType,
    serial: str,
    fence: int,
    override: bool,
    claim: EventId | None = None,
) -> bytes:
    """One step of one attempt; ``claim``: whose identity the card bears."""
    return event_pb2.CardMoved(
        product=PRODUCT, issue=issue, attempt=attempt, state=state, serial=serial, fence=fence,
        override=override, operator=str(fact), claim=None if claim is None else reference(claim),
    ).SerializeToString(deterministic=True)  # fmt: skip


def stock_moved(fact: int, movement: Movement, serials: Sequence[str], other_node: str = "") -> bytes:
    """Blanks came, left or were spoiled: a run of serials, lowest first."""
    return event_pb2.StockMoved(
        product=PRODUCT, movement=movement, first_serial=serials[0], last_serial=serials[-1], count=len(serials),
        other_node=other_node, operator=str(fact),
    ).SerializeToString(deterministic=True)  # fmt: skip


def poison(fact: int, kind_is_known: bool) -> tuple[int, bytes]:
    """(kind, body) of an event that no reader of this version can fold."""
    # Field 1 announced as a string that is longer than the body.
    body = b"\x0a\x7f" + str(fact).encode()
    return (int(Kind.RECORDED) if kind_is_known else KIND_OF_NEXT_YEAR), body
