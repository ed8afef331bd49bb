"""A correction of this office's own typing: no conflict, but a claim that takes the place of the earlier one.

The wrong value stays in the history. What was asked for and is not at a printer yet says the right value; a card
that came out meanwhile is spoiled stock, and its next attempt says it. What a printer has at this moment cannot be
changed: the centre has it collected when it comes out, and asks for the card that is owed. The centre's rule is
`sepe.claims`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from node.desk.day import day_of, seen_ms
from node.desk.plan import Known, known_amended, known_corrected
from node.desk.standing import standing_of
from node.printing.job import Job, NewJob
from node.printing.ledger import Ledger
from node.printing.spool import Fact, JobState, facts_of
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.identity import identity_key, keys_of
from sepe.ids import EventId
from sepe.nik import Nik
from sepe.products import PRODUCTS
from sepe.recording import Recording, parse_recording
from sepe.region import RegionTable
from sepe.reprints import is_proven
from sepe.resident import IDENTITY_FIELDS, RESIDENT_FIELDS
from sepe.wire.v1 import event_pb2

REASON_CHARS_MAX = 200
SPOILED_BY = "data-change"


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a correction did.

    Attributes:
        events: what was written.
        renewed: jobs that print the right values.
        spoiled: cards that lie here printed and are to be destroyed.
        at_printer: jobs that a printer has: if such a card comes out it is to be collected.
        warnings: as for a recording.
    """

    events: tuple[EventId, ...]
    renewed: tuple[int, ...]
    spoiled: tuple[int, ...]
    at_printer: tuple[int, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """A claim that this machine wrote."""

    ref: event_pb2.EventRef
    body: event_pb2.Recorded
    day: date


def correct(
    store: NodeStore,
    nik: Nik,
    changes: Mapping[str, str],
    *,
    reason: str,
    operator: str,
    now_ms: int,
    evidence: Mapping[str, str],
    regions: RegionTable | None,
) -> Corrected:
    """Correct what was typed here of a resident; one transaction.

    Args:
        changes: field to value, of `IDENTITY_FIELDS` and `RESIDENT_FIELDS`.
        evidence: what was shown, by `sepe.reprints.EVIDENCE_KEYS`; needed once the day is over or the card is
        given out.

    Raises:
        InvalidInputError: never recorded here, an unknown field or a value that no recording takes, nothing that
        changes,
            no reason, or too late without evidence; nothing is written.
    """
    _check(changes, reason)
    tail = store.tail()
    today = day_of(seen_ms(now_ms, hub_ms=tail.hub_ms, last_stamp=tail.last_stamp), store.node)
    with store.transaction():
        said = _claims_here(store, nik.number)
        if not said:
            raise InvalidInputError(
                "NIK ini tidak pernah direkam di sini", field="nik", value=nik.masked,
                hint="Kantor yang merekam memperbaikinya; data yang berubah direkam dengan reason data-change.",
            )  # fmt: skip
        before = said[-1].body
        recording, warnings = parse_recording(_document(nik, before, changes), today=today, regions=regions)
        after = _body_after(before, recording)
        if after == before:
            raise InvalidInputError("tidak ada yang berubah", field="nik", value=nik.masked)
        new_keys = keys_of(after.name, after.birth_date, after.sex)
        wrong = [
            one for one in said if new_keys.isdisjoint(keys_of(one.body.name, one.body.birth_date, one.body.sex))
        ]
        ledger = Ledger(store)
        jobs = ledger.of_resident(nik.number)
        _check_time(nik, wrong or said[-1:], jobs, today, evidence)
        drafts: list[Draft] = []
        words: list[event_pb2.ClaimCorrected | event_pb2.Corrected] = []
        if wrong or _identity(after) != _identity(before):
            words.append(event_pb2.ClaimCorrected(
                corrects=[one.ref for one in wrong or said[-1:]], name=after.name, birth_date=after.birth_date,
                sex=after.sex, reason=reason.strip(), operator=operator, evidence=dict(evidence),
            ))  # fmt: skip
            drafts.append(draft(Kind.CLAIM_CORRECTED, nik.number, words[-1]))
        fields = {
            name: getattr(after, name) for name in RESIDENT_FIELDS if getattr(after, name) != getattr(before, name)
        }
        if fields:
            words.append(event_pb2.Corrected(fields=fields, operator=operator, reason=reason.strip()))
            drafts.append(draft(Kind.CORRECTED, nik.number, words[-1]))
        events = store.append(drafts, now_ms)
        claim = event_pb2.EventRef(
            node=events[0].node, epoch=events[0].epoch, seq=events[0].seq
        ) if drafts[0].kind == Kind.CLAIM_CORRECTED else said[-1].ref  # fmt: skip
        _note(store, nik.number, said, words, now_ms)
        renewing = _Renewing(store, ledger, after, claim, recording, today, now_ms, operator)
        done = [renewing.renew(job) for job in jobs]
    return Corrected(
        tuple(events),
        tuple(new for _, new in done if new),
        tuple(job.id for job, (spoiled, _) in zip(jobs, done, strict=True) if spoiled),
        tuple(job.id for job in jobs if job.state in (JobState.RESERVED, JobState.SUBMITTED, JobState.IN_DOUBT)),
        warnings,
    )


@dataclass(frozen=True, slots=True)
class _Renewing:
    """What becomes of each job of a resident whose data were corrected."""

    store: NodeStore
    ledger: Ledger
    after: event_pb2.Recorded
    claim: event_pb2.EventRef
    recording: Recording
    today: date
    now_ms: int
    operator: str

    def renew(self, job: Job) -> tuple[bool, int]:
        """(whether its card is spoiled by it, the new attempt's number or 0)."""
        if Fact.WITHDRAWN in facts_of(job.state):
            self.ledger.settle(
                job.id, Fact.WITHDRAWN, now_ms=self.now_ms, operator=self.operator, reason="data diperbaiki"
            )
            return False, self._again(job)
        if job.state is JobState.PRINTED:
            self.ledger.settle(
                job.id, Fact.CAME_OUT_SPOILED, now_ms=self.now_ms, operator=self.operator,
                reason="data diperbaiki", spoiled_by=SPOILED_BY,
            )  # fmt: skip
            return True, self._again(job)
        return False, 0

    def _again(self, job: Job) -> int:
        body = event_pb2.Recorded()
        body.CopyFrom(self.after)
        body.product, body.issue = job.product, job.issue
        keys = keys_of(body.name, body.birth_date, body.sex)
        held = standing_of(self.store, job.nik).verdict(keys, is_disputed=False)
        due = self.recording.due_date if job.product == self.recording.product else date.fromisoformat(job.due_day)
        state = JobState.HELD if held else JobState.WAITING_DUE if due > self.today else JobState.QUEUED
        new = NewJob(
            job.nik, job.product, job.issue, state, due.isoformat(), held,
            body.SerializeToString(deterministic=True), self.claim.SerializeToString(deterministic=True),
        )  # fmt: skip
        self.ledger.add([(new, self.claim.seq)], self.now_ms, "")
        return self.ledger.of_resident(job.nik)[-1].id


def _check(changes: Mapping[str, str], reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise InvalidInputError(
            f"tulis alasannya, paling banyak {REASON_CHARS_MAX} karakter", field="--reason", value=reason
        )
    for field in changes:
        if field not in (*IDENTITY_FIELDS, *RESIDENT_FIELDS):
            raise InvalidInputError(
                "kolom ini tidak dapat diperbaiki", field="FIELD", value=field,
                hint=", ".join((*IDENTITY_FIELDS, *RESIDENT_FIELDS)),
            )  # fmt: skip
    if not changes:
        raise InvalidInputError("sebutkan yang diperbaiki", field="FIELD=VALUE", hint='Contoh: name="MARIA TAEK"')


def _check_time(
    nik: Nik, wrong: Sequence[_Said], jobs: Iterable[Job], today: date, evidence: Mapping[str, str]
) -> None:
    if is_proven(evidence):
        return
    hint = "Tunjukkan buktinya: --proof NOMOR dan --old-card SERI atau --police-letter NOMOR"
    if any(job.state is JobState.HANDED_OVER for job in jobs):
        raise InvalidInputError(
            "kartunya sudah diserahkan; tanpa bukti data tidak dapat diperbaiki", field="nik", value=nik.masked,
            hint=hint,
        )  # fmt: skip
    if any(one.day != today for one in wrong):
        raise InvalidInputError(
            "bukan rekaman hari ini; tanpa bukti hanya ketikan hari yang sama dapat diperbaiki", field="nik",
            value=nik.masked, hint=hint,
        )  # fmt: skip


def _claims_here(store: NodeStore, nik: int) -> list[_Said]:
    """What this machine said of the resident's identity, oldest first, as far as it is still here."""
    rows = store.connection.execute(
        "SELECT e.epoch, o.seq, o.kind, o.body, o.stamp FROM outbox o JOIN epoch e ON e.number = o.epoch "
        "WHERE o.nik = ?1 AND o.kind IN (?2, ?3) UNION "
        "SELECT e.epoch, j.seq, ?2, j.body, j.created_ms << 16 FROM job j JOIN epoch e ON e.number = j.epoch "
        "WHERE j.nik = ?1 AND j.body IS NOT NULL AND j.claim = x'' AND NOT EXISTS "
        "(SELECT 1 FROM outbox o WHERE o.epoch = j.epoch AND o.seq = j.seq) ORDER BY 5",
        (nik, int(Kind.RECORDED), int(Kind.CLAIM_CORRECTED)),
    ).fetchall()
    found: list[_Said] = []
    for epoch, seq, kind, data, stamp in rows:
        if kind == Kind.RECORDED:
            body = event_pb2.Recorded.FromString(data)
        else:
            body = event_pb2.Recorded()
            if found:
                body.CopyFrom(found[-1].body)
            said = event_pb2.ClaimCorrected.FromString(data)
            body.name, body.birth_date, body.sex = said.name, said.birth_date, said.sex
        ref = event_pb2.EventRef(node=store.node, epoch=bytes(epoch), seq=seq)
        found.append(_Said(ref, body, day_of(stamp >> 16, store.node)))
    return found


def _document(nik: Nik, before: event_pb2.Recorded, changes: Mapping[str, str]) -> dict[str, Any]:
    """The recording line that says what was said before with the changes."""
    fields = {name: getattr(before, name) for name in (*IDENTITY_FIELDS, *RESIDENT_FIELDS, "reason")}
    product = before.product if before.product in PRODUCTS else ""
    document = {"nik": nik.value, "product": product, **fields, **changes}
    return {key: value for key, value in document.items() if value}


def _body_after(before: event_pb2.Recorded, recording: Recording) -> event_pb2.Recorded:
    after = event_pb2.Recorded()
    after.CopyFrom(before)
    after.name, after.sex, after.birth_date = recording.name, recording.sex, recording.birth_date.isoformat()
    for name in RESIDENT_FIELDS:
        value = getattr(recording, name)
        setattr(after, name, value.value if name == "kk" and value is not None else value or "")
    return after


def _identity(body: event_pb2.Recorded) -> tuple[str, str, str]:
    return body.name, body.birth_date, body.sex


def _note(
    store: NodeStore, nik: int, said: Sequence[_Said],
    words: Iterable[event_pb2.ClaimCorrected | event_pb2.Corrected], now_ms: int,
) -> None:  # fmt: skip
    """What this office knows of the resident from now on."""
    execute = store.connection.execute
    row = execute(
        "SELECT claims, first_ms, last_ms, identity, is_disputed, known FROM resident WHERE nik = ?", (nik,)
    ).fetchone()
    last = said[-1].body
    data = last.SerializeToString(deterministic=True)
    known = (
        Known(len(said), now_ms, now_ms, identity_key(*_identity(last)), False, data)
        if row is None
        else Known.of(row)
    )
    for word in words:
        if isinstance(word, event_pb2.ClaimCorrected):
            known, last = known_corrected(known, last, word, now_ms)
        else:
            known, last = known_amended(known, last, word, now_ms)
    execute(
        "INSERT OR REPLACE INTO resident (nik, claims, first_ms, last_ms, identity, is_disputed, known) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (nik, known.claims, known.first_ms, now_ms, known.identity, known.is_disputed, known.known),
    )
