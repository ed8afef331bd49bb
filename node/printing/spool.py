"""The life of a print job, as a table. One job is one attempt to make one card or paper.

A printer cannot be asked to print exactly once, so the table is built around one line that is crossed once:
**intent**. Before it the printer has certainly not seen the job and trying again is free. From it on, a card may
lie in the tray whatever the printer says, and only proof moves the job on: the printer's memory of our job name,
or a person who looked. Nothing leads from *in doubt* back to the printer by itself.

============== ======================= ============== ============ =================
state          fact                    next           centre hears blank
============== ======================= ============== ============ =================
waiting_due    due                     queued
*waiting*      right_missing           waiting_right
*waiting*      blank_missing           waiting_blank
*waiting*      disputed                held
*waiting*      doubted                 unconfirmed
*waiting*      lacking                 incomplete
*waiting*      not_due                 waiting_due
unconfirmed    released                queued
incomplete     released                queued
*waiting*      cleared                 ready
held           released                queued
*waiting*      refused                 failed                      back
*waiting*      withdrawn               void           void         back
ready          intent                  reserved       sent         kept
reserved       accepted                submitted
reserved       not_accepted            ready                       kept
reserved       refused                 failed                      back
reserved       lost                    in_doubt       in doubt     kept
*sent*         forgotten, canceled     in_doubt       in doubt     kept
*sent*         aborted                 spoiled        spoiled      spoiled
*sent*         printed                 printed        printed      printed
in_doubt       accepted                submitted
in_doubt       came_out                printed        printed      printed
in_doubt       did_not_come_out        void           void         back
in_doubt       came_out_spoiled        spoiled        spoiled      spoiled
printed        handed_over             handed_over    handed over
printed        came_out_spoiled        spoiled        spoiled      spoiled
failed         released                queued
failed         withdrawn               void           void         back
============== ======================= ============== ============ =================

*waiting* is queued, waiting_right, waiting_blank and ready; *withdrawn* also ends waiting_due, held, unconfirmed
and incomplete, and *disputed* also holds those but held. What leaves a waiting state for one of them gives its
blank back. *sent* is reserved, submitted and in_doubt. ``canceled`` is no proof: printers have printed jobs that
they called cancelled. A printer that remembers a job in doubt may still say *printed* (or that it is at work:
*accepted*).

What "centre hears" names is written to the outbox in the transaction that changes the state. A card state only
rises (`sepe.card`), so an attempt that went back to *ready* and is sent again under the same blank repeats its
``sent``, which changes nothing there. ``void`` stands above all: an attempt that is void is never tried again, its
successor is a job of its own. ``failed`` is for a person: the document cannot be drawn, or the printer will never
take it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sepe.errors import InvalidInputError
from sepe.wire.v1 import event_pb2


class JobState(StrEnum):
    WAITING_DUE = "waiting_due"
    UNCONFIRMED = "unconfirmed"
    INCOMPLETE = "incomplete"
    QUEUED = "queued"
    WAITING_RIGHT = "waiting_right"
    WAITING_BLANK = "waiting_blank"
    HELD = "held"
    READY = "ready"
    RESERVED = "reserved"
    SUBMITTED = "submitted"
    IN_DOUBT = "in_doubt"
    FAILED = "failed"
    PRINTED = "printed"
    SPOILED = "spoiled"
    HANDED_OVER = "handed_over"
    VOID = "void"


class Fact(StrEnum):
    """What happened to a job."""

    DUE = "due"
    RIGHT_MISSING = "right_missing"
    BLANK_MISSING = "blank_missing"
    DISPUTED = "disputed"
    DOUBTED = "doubted"
    LACKING = "lacking"
    NOT_DUE = "not_due"
    CLEARED = "cleared"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"
    INTENT = "intent"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    REFUSED = "refused"
    LOST = "lost"
    FORGOTTEN = "forgotten"
    CANCELED = "canceled"
    ABORTED = "aborted"
    PRINTED = "printed"
    CAME_OUT = "came_out"
    DID_NOT_COME_OUT = "did_not_come_out"
    CAME_OUT_SPOILED = "came_out_spoiled"
    HANDED_OVER = "handed_over"


class Blank(StrEnum):
    """What a transition does to the job's numbered blank, if it has one."""

    KEPT = "kept"
    BACK = "back"
    PRINTED = "printed"
    SPOILED = "spoiled"


@dataclass(frozen=True, slots=True)
class Move:
    """One line of the table. ``announce`` is a ``CardState`` of the contract, 0 when the centre need not know."""

    state: JobState
    announce: int = 0
    blank: Blank = Blank.KEPT


S, F = JobState, Fact
WAITING = (S.QUEUED, S.WAITING_RIGHT, S.WAITING_BLANK, S.READY)
# A person must say or bring something, or a day must come, before right and blank are looked for.
KEPT = (S.WAITING_DUE, S.UNCONFIRMED, S.INCOMPLETE)
SENT = (S.RESERVED, S.SUBMITTED, S.IN_DOUBT)
# Nothing more is awaited of these; the attempt is over or the card is with its owner.
DONE = (S.PRINTED, S.HANDED_OVER, S.SPOILED, S.VOID)
# An attempt in one of these has no card to show for itself, so the issue may be tried again.
NO_CARD = (S.SPOILED, S.VOID)

_SENT = event_pb2.CARD_STATE_SENT
_IN_DOUBT = event_pb2.CARD_STATE_IN_DOUBT
_PRINTED = event_pb2.CARD_STATE_PRINTED
_SPOILED = event_pb2.CARD_STATE_SPOILED
_HANDED_OVER = event_pb2.CARD_STATE_HANDED_OVER
_VOID = event_pb2.CARD_STATE_VOID

TABLE: dict[tuple[JobState, Fact], Move] = {
    (S.WAITING_DUE, F.DUE): Move(S.QUEUED),
    **{(state, F.RIGHT_MISSING): Move(S.WAITING_RIGHT) for state in WAITING},
    **{(state, F.BLANK_MISSING): Move(S.WAITING_BLANK) for state in WAITING},
    **{(state, F.DISPUTED): Move(S.HELD) for state in (*WAITING, *KEPT)},
    **{(state, F.DOUBTED): Move(S.UNCONFIRMED, 0, Blank.BACK) for state in WAITING},
    **{(state, F.LACKING): Move(S.INCOMPLETE, 0, Blank.BACK) for state in WAITING},
    **{(state, F.NOT_DUE): Move(S.WAITING_DUE, 0, Blank.BACK) for state in WAITING},
    **{(state, F.CLEARED): Move(S.READY) for state in WAITING},
    **{(state, F.RELEASED): Move(S.QUEUED) for state in (S.HELD, S.FAILED, S.UNCONFIRMED, S.INCOMPLETE)},
    **{(state, F.WITHDRAWN): Move(S.VOID, _VOID, Blank.BACK) for state in (*WAITING, *KEPT, S.HELD, S.FAILED)},
    (S.READY, F.INTENT): Move(S.RESERVED, _SENT),
    (S.RESERVED, F.NOT_ACCEPTED): Move(S.READY),
    **{(state, F.REFUSED): Move(S.FAILED, 0, Blank.BACK) for state in (*WAITING, S.RESERVED)},
    (S.RESERVED, F.LOST): Move(S.IN_DOUBT, _IN_DOUBT),
    (S.RESERVED, F.ACCEPTED): Move(S.SUBMITTED),
    (S.SUBMITTED, F.ACCEPTED): Move(S.SUBMITTED),
    (S.IN_DOUBT, F.ACCEPTED): Move(S.SUBMITTED),
    **{(state, fact): Move(S.IN_DOUBT, _IN_DOUBT) for state in SENT for fact in (F.FORGOTTEN, F.CANCELED)},
    **{(state, F.ABORTED): Move(S.SPOILED, _SPOILED, Blank.SPOILED) for state in SENT},
    **{(state, F.PRINTED): Move(S.PRINTED, _PRINTED, Blank.PRINTED) for state in SENT},
    (S.IN_DOUBT, F.CAME_OUT): Move(S.PRINTED, _PRINTED, Blank.PRINTED),
    (S.IN_DOUBT, F.DID_NOT_COME_OUT): Move(S.VOID, _VOID, Blank.BACK),
    **{(state, F.CAME_OUT_SPOILED): Move(S.SPOILED, _SPOILED, Blank.SPOILED) for state in (S.IN_DOUBT, S.PRINTED)},
    (S.PRINTED, F.HANDED_OVER): Move(S.HANDED_OVER, _HANDED_OVER),
}


def move(state: JobState, fact: Fact) -> Move:
    """The table's line for ``fact`` in ``state``.

    Raises:
        InvalidInputError: the table has no such line; the job stays as it is.
    """
    found = TABLE.get((state, fact))
    if found is None:
        raise InvalidInputError(
            f"pekerjaan cetak dalam keadaan '{state}' tidak dapat menerima '{fact}'",
            field="job",
            hint="Lihat keadaannya dengan: sepe node prints DIR",
        )
    return found


def facts_of(state: JobState) -> frozenset[Fact]:
    """What may happen to a job in ``state``."""
    return frozenset(fact for known, fact in TABLE if known is state)
