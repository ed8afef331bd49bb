"""What one recording means at this office: which event, which print job, what to tell the operator. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from node.desk.standing import UNKNOWN, Standing
from node.printing.door import has_place, shown
from node.printing.gate import STATE_OF, Facts, kept_by
from node.printing.job import NewJob
from node.printing.spool import DONE, NO_CARD, Fact, JobState
from sepe import completeness
from sepe.attach import BIOMETRIC, PHOTO, SIGNATURE
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.identity import identity_key, keys_of
from sepe.products import PRODUCTS
from sepe.recording import Recording
from sepe.reprints import is_proven
from sepe.resident import RESIDENT_FIELDS
from sepe.wire.v1 import event_pb2

_STATUS = {
    JobState.HELD: "on_hold",
    JobState.UNCONFIRMED: "unconfirmed",
    JobState.INCOMPLETE: "incomplete",
    JobState.WAITING_DUE: "not_yet_due",
}
_TEXTS = (
    "name", "sex", "birth_place", "address", "rt", "rw", "kelurahan", "religion", "marital_status",
    "occupation", "blood_type", "citizenship", "education", "mother_name", "father_name", "phone", "product",
    "reason", "operator",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What this office knows of one resident.

    Attributes:
        identity: `identity_key` of the first claim made here.
        is_disputed: claims made here disagree; nothing is printed until the centre decided.
        known: a serialised ``Recorded`` with the latest given value of every field.
    """

    claims: int
    first_ms: int
    last_ms: int
    identity: bytes
    is_disputed: bool
    known: bytes

    @classmethod
    def of(cls, row: Sequence[Any]) -> Known:
        """From the columns of the resident table, without the NIK."""
        claims, first_ms, last_ms, identity, is_disputed, known = row
        return cls(claims, first_ms, last_ms, identity, bool(is_disputed), known)

    def agrees(self, identity: bytes, keys: frozenset[bytes]) -> bool:
        """Whether a claim with these keys, ``identity`` one of them, means the resident who was claimed first."""
        if identity == self.identity or self.identity in keys:
            return True
        if self.is_disputed:
            return False
        body = event_pb2.Recorded.FromString(self.known)
        return not keys.isdisjoint(keys_of(body.name, body.birth_date, body.sex))


@dataclass(frozen=True, slots=True)
class Wanted:
    """An issue that was asked for at this office, as the ledger holds it."""

    product: str
    issue: int
    state: JobState


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be committed for one recording.

    Attributes:
        job: state, issue and due day of a new print job; ``None`` when nothing new is printed.
        status: ``queued``, ``recorded`` (nothing to print), ``not_yet_due``, ``already_requested``, ``on_hold``,
            ``unconfirmed`` or ``incomplete``.
        disputes: this recording is the first to disagree with the claims before it.
        changes: by this recording the resident has another name, birth date or sex, as the law allows: what is
            still to be printed says the new ones.
    """

    draft: Draft
    known: Known
    job: NewJob | None
    status: str
    warnings: tuple[str, ...]
    disputes: bool
    changes: bool = False


def plan(
    recording: Recording,
    known: Known | None,
    wanted: Sequence[Wanted],
    *,
    attached: Mapping[str, bytes],
    now_ms: int,
    today: date,
    first_day: date | None,
    standing: Standing = UNKNOWN,
    office: str = "",
) -> Planned:
    """Decide on one recording.

    Args:
        wanted: every issue of this resident in the local ledger.
        attached: SHA-256 by kind (`sepe.attach.KINDS`) of what was taken with the recording.
        first_day: day of the first recording here, for the warning.
        standing: the centre's word on the resident.
        office: this machine, whose cards wait for what they lack and for what is doubtful; ``""``: its policy lets
            them go.

    Raises:
        InvalidInputError: the event would be over the contract's limit.
    """
    prints = PRODUCTS[recording.product].prints
    issue, is_new = issue_of(recording.product, recording.reason, wanted) if prints else (0, False)
    body = recorded_body(recording, issue, attached)
    event = draft(Kind.RECORDED, recording.nik.number, body)
    if standing.replaced_by:
        raise InvalidInputError(
            "NIK ini sudah diganti oleh pusat", field="nik", value=recording.nik.masked,
            hint=f"Rekam dengan NIK yang berlaku: {standing.replaced_by:016d}",
        )  # fmt: skip
    identity = identity_key(recording.name, body.birth_date, recording.sex)
    keys = keys_of(recording.name, body.birth_date, recording.sex, identity)
    # The law's way to another name: with its evidence it is no dispute, and this office's earlier claims end.
    disagrees, changes = disagrees_with(known, body)
    is_disputed = disagrees or (known is not None and known.is_disputed)
    held = standing.verdict(keys, is_disputed=is_disputed)
    status, job = "recorded" if not prints else "already_requested", None
    if prints and is_new:
        state, status = JobState.QUEUED, "queued"
        kept = None
        if held or office or recording.due_date > today:
            kept = kept_by(_facts(recording, body, known, held, today, office, is_disputed=is_disputed))
        reason = held
        if kept is not None:
            # Ended or not, it is for a person to say what becomes of it.
            state = JobState.HELD if held else STATE_OF[kept.fact]
            status = _STATUS[state]
            reason = held or ("" if kept.fact is Fact.NOT_DUE else shown(kept))
        job = NewJob(recording.nik.number, recording.product, issue, state, recording.due_date.isoformat(), reason)
    return Planned(
        event,
        known_after(
            known, body, event.body, identity=identity, is_disputed=is_disputed, now_ms=now_ms, is_changed=changes
        ),
        job,
        status,
        tuple(_warnings(known, disagrees, status, first_day, held, "" if job is None else job.reason)),
        disagrees and known is not None and not known.is_disputed and keys.isdisjoint(standing.settled),
        changes,
    )


def _facts(  # noqa: PLR0917 - what is known of one recording
    recording: Recording, body: event_pb2.Recorded, known: Known | None, held: str, today: date, office: str,
    *, is_disputed: bool,
) -> Facts:  # fmt: skip
    """What decides over the card that a recording asks for; ``office``: see `plan`."""
    said, nik = body, recording.nik
    if known is not None and not is_disputed:
        said = event_pb2.Recorded.FromString(known.known)
        said.MergeFrom(body)
    doubts: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    if office:
        lacking = completeness.lacking(recording.product, said, has_place=has_place(nik, said, office))
        doubts = completeness.doubts(recording.product, nik, said, today)
    return Facts(recording.due_date, today, held, doubts=doubts, lacking=lacking)


def issue_of(product: str, reason: str, wanted: Iterable[Wanted]) -> tuple[int, bool]:
    """Which issue a recording asks for, and whether a new print job is needed for it.

    A first issue is 1, a reprint the highest known plus one, at least 2. Whoever asks again while his card is
    still under way gets that one; whoever asks for a first issue that exists gets no second.
    """
    live = [one for one in wanted if one.product == product and one.state not in NO_CARD]
    if reason == "new":
        return 1, not any(one.issue == 1 for one in live)
    under_way = [one.issue for one in live if one.state not in DONE and one.issue > 1]
    if under_way:
        return max(under_way), False
    highest = max((one.issue for one in wanted if one.product == product), default=1)
    # An issue whose every attempt ended without a card is still to be made.
    if highest > 1 and not any(one.issue == highest for one in live):
        return highest, True
    return highest + 1, True


def recorded_body(recording: Recording, issue: int, attached: Mapping[str, bytes]) -> event_pb2.Recorded:
    """The recording as the contract writes it."""
    body = event_pb2.Recorded(
        birth_date=recording.birth_date.isoformat(),
        kk="" if recording.kk is None else recording.kk.value,
        issue=issue,
        photo_sha256=attached.get(PHOTO, b""),
        signature_sha256=attached.get(SIGNATURE, b""),
        biometric_sha256=attached.get(BIOMETRIC, b""),
        **{name: value for name in _TEXTS if (value := getattr(recording, name))},
    )
    if recording.extra:
        body.extra.update(recording.extra)
    return body


def known_after(
    known: Known | None, body: event_pb2.Recorded, data: bytes, *, identity: bytes, is_disputed: bool, now_ms: int,
    is_changed: bool = False,
) -> Known:  # fmt: skip
    """What is known of a resident after one more recording; ``data`` is ``body`` as it was written."""
    if known is None:
        return Known(1, now_ms, now_ms, identity, False, data)
    merged = event_pb2.Recorded.FromString(known.known)
    merged.MergeFrom(body)  # Sets what is given and leaves the rest: the latest given value of every field.
    return Known(
        known.claims + 1, known.first_ms, now_ms, identity if is_changed else known.identity, is_disputed,
        merged.SerializeToString(deterministic=True),
    )  # fmt: skip


def disagrees_with(known: Known | None, body: event_pb2.Recorded) -> tuple[bool, bool]:
    """(whether the claim disagrees with what is known here, whether it changes it as the law allows)."""
    if known is None:
        return False, False
    keys = keys_of(body.name, body.birth_date, body.sex)
    if known.agrees(identity_key(body.name, body.birth_date, body.sex), keys):
        return False, False
    is_change = body.reason == "data-change" and is_proven(body.extra)
    return not is_change, is_change


def known_corrected(
    known: Known, last: event_pb2.Recorded, said: event_pb2.ClaimCorrected, now_ms: int
) -> tuple[Known, event_pb2.Recorded]:
    """What is known after this machine corrected its typing, and the last recording as it should have been.

    All claims of this machine agree then. Of a resident who was disputed only the last recording is kept: the
    others may speak of somebody else.
    """
    mended = event_pb2.Recorded()
    mended.CopyFrom(last)
    mended.name, mended.birth_date, mended.sex = said.name, said.birth_date, said.sex
    merged = event_pb2.Recorded()
    if not known.is_disputed:
        merged.ParseFromString(known.known)
    merged.MergeFrom(mended)
    identity = identity_key(said.name, said.birth_date, said.sex)
    data = merged.SerializeToString(deterministic=True)
    return Known(known.claims, known.first_ms, now_ms, identity, False, data), mended


def known_amended(
    known: Known, last: event_pb2.Recorded, said: event_pb2.Corrected, now_ms: int
) -> tuple[Known, event_pb2.Recorded]:
    """As `known_corrected`, for fields other than the identity."""
    merged, mended = event_pb2.Recorded.FromString(known.known), event_pb2.Recorded()
    mended.CopyFrom(last)
    for name, value in said.fields.items():
        if name in RESIDENT_FIELDS:
            setattr(merged, name, value)
            setattr(mended, name, value)
    return replace(known, last_ms=now_ms, known=merged.SerializeToString(deterministic=True)), mended


def _warnings(  # noqa: PLR0917 - what the operator is to know
    known: Known | None, disagrees: bool, status: str, first_day: date | None, held: str, reason: str
) -> Iterable[str]:
    if known is not None and first_day is not None:
        yield f"NIK ini sudah direkam di sini pada {first_day.isoformat()} ({known.claims} kali)"
    if held and not disagrees:
        yield f"Cetakan ditahan: {held}"
    if disagrees:
        yield "Nama, tanggal lahir, atau jenis kelamin berbeda dari rekaman sebelumnya; cetakan ditahan"
    if status == "unconfirmed":
        yield f"Kartu {reason}. Periksa datanya, lalu: sepe node confirm-data DIR NIK"
    if status == "incomplete":
        yield f"Kartu {reason}. Rekam atau perbaiki yang kurang; kartunya lalu dicetak sendiri"
    if status == "already_requested":
        yield "Dokumen ini sudah pernah diminta di sini; tidak dicetak lagi. Untuk cetak ulang isi reason"
