"""One resident's record: what all offices ever said of one NIK, and the join of such records.

A record is a handful of grow-only sets, so its join is their union and its laws are plain to see. What
people read (fields, life, cards, cases) is derived from the sets: the rules stand in this module and in
`sepe.claims`, `sepe.card` and `sepe.case`. The same events give the same record in any order; that is the whole
merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from sepe.crdt import Register, Version
from sepe.events import Event, body_of
from sepe.identity import identity_key, person_key
from sepe.ids import EventId
from sepe.reprints import is_proven
from sepe.wire.v1 import event_pb2

IDENTITY_FIELDS = ("name", "birth_date", "sex")
# Fields of a Recorded event that say something of the person, not of the visit.
RESIDENT_FIELDS = (
    "birth_place", "kk", "address", "rt", "rw", "kelurahan", "religion", "marital_status", "occupation",
    "blood_type", "citizenship", "education", "mother_name", "father_name", "phone",
)  # fmt: skip


class Claim(NamedTuple):
    """One enrolment's assertion that a NIK belongs to these identity fields.

    Attributes:
        issue: which issue of the product it asked for, 0 where nothing is printed.
        is_proven: the recording names what the law asks for a change of data.
    """

    version: Version
    name: str
    birth_date: str
    sex: str
    product: str
    reason: str
    issue: int = 0
    is_proven: bool = False

    @property
    def id(self) -> EventId:
        return self.version.event_id

    @property
    def keys(self) -> tuple[bytes, bytes]:
        """Two claims that share one of these mean the same person (`sepe.identity`)."""
        fields = self.name, self.birth_date, self.sex
        return identity_key(*fields), person_key(*fields)


class Correction(NamedTuple):
    """An office's word that it had typed somebody's identity wrong, with the whole identity anew."""

    version: Version
    corrects: frozenset[EventId]
    name: str
    birth_date: str
    sex: str
    reason: str
    is_proven: bool


class Replacement(NamedTuple):
    """An officer's word that this NIK was another one (``new_nik``), or that another was this one (``old_nik``).

    The other number is 0 in each; both 0: this NIK counts again.
    """

    version: Version
    new_nik: int
    old_nik: int
    why: str
    reason: str
    officer: str
    seen: frozenset[EventId]


class LifeChange(NamedTuple):
    """One office's or court's word on whether the resident lives here."""

    version: Version
    state: int
    court_order: bool
    document_number: str


class CardStep(NamedTuple):
    """One step of one attempt to make one issue of one document."""

    version: Version
    product: str
    issue: int
    attempt: str
    state: int
    serial: str
    fence: int
    reason: str
    override: bool
    claim: EventId | None = None
    waived: str = ""


class Withdrawal(NamedTuple):
    """One word that a card is out of its owner's hands.

    ``attempt`` is ``""`` where nobody knows who made it. A lost card may have no serial either: then it is
    whatever had been given to the owner by then, up to ``issue``.
    """

    version: Version
    product: str
    serial: str
    attempt: str
    reason: str
    is_destroyed: bool
    minutes: str
    issue: int = 0


class Decision(NamedTuple):
    """An officer's word on a case, with the claims that he saw.

    ``other``: the second NIK of a hint that two are one person, ``keep_nik`` which of them is to stay, 0 for both.
    """

    version: Version
    case_kind: str
    keep: EventId
    seen: frozenset[EventId]
    reason: str
    officer: str
    other: int = 0
    keep_nik: int = 0


@dataclass(frozen=True, slots=True)
class Resident:
    """All that is known of one NIK."""

    claims: frozenset[Claim] = frozenset()
    fields: Mapping[str, Register[str]] = field(default_factory=dict)
    life: frozenset[LifeChange] = frozenset()
    steps: frozenset[CardStep] = frozenset()
    decisions: frozenset[Decision] = frozenset()
    withdrawals: frozenset[Withdrawal] = frozenset()
    corrections: frozenset[Correction] = frozenset()
    replacements: frozenset[Replacement] = frozenset()

    def join(self, other: Resident) -> Resident:
        """The least record that holds both."""
        # Most records have most of their sets empty, and a union with an empty set copies the other.
        fields = self.fields
        if other.fields:
            fields = dict(fields)
            for name, register in other.fields.items():
                mine = fields.get(name)
                fields[name] = register if mine is None else mine.join(register)
        return Resident(
            self.claims | other.claims if other.claims else self.claims,
            fields,
            self.life | other.life if other.life else self.life,
            self.steps | other.steps if other.steps else self.steps,
            self.decisions | other.decisions if other.decisions else self.decisions,
            self.withdrawals | other.withdrawals if other.withdrawals else self.withdrawals,
            self.corrections | other.corrections if other.corrections else self.corrections,
            self.replacements | other.replacements if other.replacements else self.replacements,
        )


NOBODY = Resident()


def fold(events: Iterable[Event]) -> Resident:
    """The record that these events of one NIK make, in any order and with any repeats.

    Raises:
        PeerProtocolError: an event's body cannot be read.
    """
    return join_all(lift(event) for event in events)


def join_all(records: Iterable[Resident]) -> Resident:
    """The least record that holds all of these."""
    left = list(records)
    # By pairs and pairs of pairs: one after another would copy the growing sets for each event, n squared.
    while len(left) > 1:
        left = [reduce(Resident.join, left[place : place + 2]) for place in range(0, len(left), 2)]
    return left[0] if left else NOBODY


def lift(event: Event) -> Resident:
    """The smallest record that one event makes; an unknown kind says nothing.

    Raises:
        PeerProtocolError: ``unreadable_event``.
    """
    version = Version.of(event.id, event.stamp)
    body = body_of(event.kind, event.body)
    match body:
        case event_pb2.Recorded():
            return _lift_recorded(version, body)
        case event_pb2.Corrected():
            return Resident(fields={name: Register.write(version, value) for name, value in body.fields.items()})
        case event_pb2.LifeChanged():
            change = LifeChange(version, body.state, body.court_order, body.document_number)
            return Resident(life=frozenset({change}))
        case event_pb2.CardMoved():
            step = CardStep(
                version, body.product, body.issue, body.attempt, body.state,
                body.serial, body.fence, body.reason, body.override,
                _ref(body.claim) if body.HasField("claim") else None, body.waived,
            )  # fmt: skip
            return Resident(steps=frozenset({step}))
        case event_pb2.CaseDecided():
            seen = frozenset(_ref(ref) for ref in body.seen)
            decision = Decision(
                version, body.case_kind, _ref(body.keep), seen, body.reason, body.officer, body.other_nik,
                body.keep_nik,
            )  # fmt: skip
            return Resident(decisions=frozenset({decision}))
        case event_pb2.CardWithdrawn():
            withdrawal = Withdrawal(
                version, body.product, body.serial, body.attempt, body.reason, body.destroyed, body.minutes,
                body.issue,
            )  # fmt: skip
            return Resident(withdrawals=frozenset({withdrawal}))
        case event_pb2.ClaimCorrected():
            correction = Correction(
                version, frozenset(_ref(ref) for ref in body.corrects), body.name, body.birth_date, body.sex,
                body.reason, is_proven(body.evidence),
            )  # fmt: skip
            return Resident(corrections=frozenset({correction}))
        case event_pb2.NikReplaced():
            replacement = Replacement(
                version, body.new_nik, body.old_nik, body.why, body.reason, body.officer,
                frozenset(_ref(ref) for ref in body.seen),
            )  # fmt: skip
            return Resident(replacements=frozenset({replacement}))
        case _:
            return NOBODY


def _lift_recorded(version: Version, body: event_pb2.Recorded) -> Resident:
    claim = Claim(
        version, body.name, body.birth_date, body.sex, body.product, body.reason, body.issue,
        body.reason == "data-change" and is_proven(body.extra),
    )  # fmt: skip
    given = {name: value for name in RESIDENT_FIELDS if (value := getattr(body, name))}
    if body.extra:
        given.update(body.extra)
    fields = {name: Register.write(version, value) for name, value in given.items()}
    return Resident(frozenset({claim}), fields)


def _ref(ref: event_pb2.EventRef) -> EventId:
    return EventId(ref.node, ref.epoch, ref.seq)
