"""An officer decides a case: what that does to cards is known before it is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hub.app.effects import REASON_CHARS_MAX, Effects, Word, apply, effects_of, record_after
from hub.merge import log
from hub.merge.project import whole_record
from hub.merge.store import HubStore
from hub.read.cases import case
from hub.read.hints import BOTH, hint_decision
from hub.read.person import first_claims
from sepe.case import is_on_hold
from sepe.claims import NIK_CONFLICT, standing_claim
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.ids import EventId
from sepe.life import LIFE_ELSEWHERE
from sepe.likeness import SAME_PERSON
from sepe.nik import NIK_DIGITS
from sepe.replaced import DOUBLE, REPLACED_TWICE, words
from sepe.resident import Claim, Replacement, Resident
from sepe.wire.v1 import event_pb2

ACCEPT, REFUSE = "accept", "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision that could be taken.

    Attributes:
        case: the case as it stands.
        kept: what stays: a claim's event, a NIK, `BOTH`, `ACCEPT` or `REFUSE`.
        drafts: the events that it is.
        effects: what it does to cards.
    """

    case: dict[str, Any]
    kept: str
    drafts: tuple[Draft, ...]
    effects: Effects


def plan(
    store: HubStore, name: str, keep: str, *, reason: str, officer: str, now_ms: int, revise: bool = False
) -> Decision:
    """What a decision would be and do; nothing is written.

    Args:
        keep: of a conflict the claim that stays: its number in the case, its event's name, or a beginning of that
            which fits no other. Of a hint ``both`` or a NIK. Of a death from elsewhere ``accept`` or ``refuse``.
        revise: decide anew what was decided.

    Raises:
        InvalidInputError: no such case or claim, no reason, or a case that nobody can decide or somebody did.
    """
    check_reason(reason)
    store.project()
    store.project_hints()
    found = case(store.connection, name)
    if not found["open"] and found.get("decision") and not revise:
        raise InvalidInputError(
            f"this case was decided: {_told(found['decision'])}", field="CASE", value=found["id"],
            hint="To decide anew, with a reason: --revise",
        )  # fmt: skip
    match found["kind"]:
        case kind if kind == NIK_CONFLICT:
            kept, drafts = _keep_claim(store, found, keep, reason=reason, officer=officer)
        case kind if kind == LIFE_ELSEWHERE:
            kept, drafts = _accept(found, keep, reason=reason, officer=officer)
        case kind if kind == SAME_PERSON:
            kept, drafts = _keep_number(store, found, keep, reason=reason, officer=officer, now_ms=now_ms)
        case kind if kind == REPLACED_TWICE:
            raise InvalidInputError(
                "the word on a NIK that was replaced twice is another one on it", field="CASE", value=found["id"],
                hint="sepe hub replace-nik DIR OLD NEW --why … --reason … --revise",
            )  # fmt: skip
        case _:
            raise InvalidInputError(
                "this kind of case closes by itself once the cards on the recall list are destroyed", field="CASE",
                value=found["kind"], hint="Collect them and report them with `sepe node`.",
            )  # fmt: skip
    return Decision(found, kept, drafts, effects_of(store.connection, drafts, now_ms))


def decide(
    store: HubStore, name: str, keep: str, *, reason: str, officer: str, now_ms: int, revise: bool = False
) -> tuple[dict[str, Any], EventId]:
    """Take a decision; return the case as it stands afterwards, and the event.

    Raises:
        InvalidInputError: see `plan`; nothing is written.
    """
    return take(
        store, plan(store, name, keep, reason=reason, officer=officer, now_ms=now_ms, revise=revise), now_ms
    )


def take(store: HubStore, decision: Decision, now_ms: int) -> tuple[dict[str, Any], EventId]:
    """Write a decision that was planned; return the case as it stands afterwards, and the event."""
    event = apply(store, decision.drafts, now_ms)
    try:
        return case(store.connection, decision.case["id"]), event
    except InvalidInputError:
        # Gone: a hint whose two records are not alike any more.
        return {**decision.case, "open": False}, event


def check_reason(reason: str) -> None:
    """Refuse a decision without its reason.

    Raises:
        InvalidInputError: it is empty or too long.
    """
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise InvalidInputError(
            f"a decision needs a reason of at most {REASON_CHARS_MAX} characters", field="--reason", value=reason,
            hint="Say which paper or person it rests on.",
        )  # fmt: skip


def _keep_claim(
    store: HubStore, found: dict[str, Any], keep: str, *, reason: str, officer: str
) -> tuple[str, tuple[Draft, ...]]:
    nik = int(found["nik"])
    resident = _record(store, nik)
    claim = _claim(first_claims(resident), sorted(resident.claims), keep)
    body = event_pb2.CaseDecided(
        case_id=found["id"],
        case_kind=NIK_CONFLICT,
        keep=ref(claim.id),
        # Only the earliest claim of each identity: what settles a case is which identities the officer saw.
        seen=[ref(one.id) for one in first_claims(resident)],
        reason=reason.strip(),
        officer=officer,
    )
    return str(claim.id), (draft(Kind.CASE_DECIDED, nik, body),)


def _accept(found: dict[str, Any], keep: str, *, reason: str, officer: str) -> tuple[str, tuple[Draft, ...]]:
    if keep not in (ACCEPT, REFUSE):
        raise InvalidInputError(
            "a death from an office that never recorded the resident is accepted or refused", field="--keep",
            value=keep, hint=f"--keep {ACCEPT} or --keep {REFUSE}",
        )  # fmt: skip
    event = ref(EventId.parse(found["subject"]))
    body = event_pb2.CaseDecided(
        case_id=found["id"], case_kind=LIFE_ELSEWHERE, keep=event if keep == ACCEPT else None, seen=[event],
        reason=reason.strip(), officer=officer,
    )  # fmt: skip
    return keep, (draft(Kind.CASE_DECIDED, int(found["nik"]), body),)


def _keep_number(
    store: HubStore, found: dict[str, Any], keep: str, *, reason: str, officer: str, now_ms: int
) -> tuple[str, tuple[Draft, ...]]:
    """A hint that two NIK are one person: both stay, or one of them is the other's from now on.

    An earlier word between the two is taken back. The officer saw both identities, so the one that stood under the
    number that stays is decided with it.
    """
    pair = (int(found["nik"]), int(found["other_nik"]))
    drafts = [hint_decision(found, keep, reason=reason, officer=officer)]
    said = {nik: words(_record(store, nik)) for nik in pair}
    for nik, other in (pair, pair[::-1]):
        if said[nik] and said[nik][-1].new_nik == other and keep != str(other).zfill(NIK_DIGITS):
            drafts += Word(nik, 0, DOUBLE, reason.strip(), officer, _names(said[nik])).drafts()
    if keep == BOTH:
        return keep, tuple(drafts)
    new = int(keep)
    (old,) = set(pair) - {new}
    drafts += Word(old, new, DOUBLE, reason.strip(), officer, _names(said[old])).drafts()
    before, after = _record(store, new), record_after(store.connection, new, drafts, now_ms)
    standing = standing_claim(before)
    if standing is None or is_on_hold(before) or not is_on_hold(after):
        return keep, tuple(drafts)
    body = event_pb2.CaseDecided(
        case_id=found["id"], case_kind=NIK_CONFLICT, keep=ref(standing.id),
        seen=[ref(one.id) for one in first_claims(after)], reason=reason.strip(), officer=officer,
    )  # fmt: skip
    return keep, (*drafts, draft(Kind.CASE_DECIDED, new, body))


def _names(said: Iterable[Replacement]) -> tuple[EventId, ...]:
    return tuple(one.version.event_id for one in said)


def _record(store: HubStore, nik: int) -> Resident:
    return whole_record(store.connection, nik, log.events_of(store.connection, [nik])[nik])


def _claim(numbered: Sequence[Claim], claims: Iterable[Claim], keep: str) -> Claim:
    if keep.isascii() and keep.isdigit() and len(keep) <= 4:
        if 1 <= int(keep) <= len(numbered):
            return numbered[int(keep) - 1]
        matching = []
    else:
        matching = [claim for claim in claims if keep and str(claim.id).startswith(keep)]
        matching = [claim for claim in matching if str(claim.id) == keep] or matching
    if len(matching) != 1:
        raise InvalidInputError(
            "several claims begin so" if matching else "the case has no such claim", field="--keep", value=keep,
            hint=f"Give a number from 1 to {len(numbered)} as `sepe hub cases` shows it.",
        )  # fmt: skip
    return matching[0]


def ref(event: EventId) -> event_pb2.EventRef:
    """An event's name on the wire."""
    return event_pb2.EventRef(node=event.node, epoch=event.epoch, seq=event.seq)


def _told(decision: dict[str, Any]) -> str:
    when = decision.get("at") or ""
    return f"{decision['officer']} kept {decision['keep'] or 'nothing'} {when}, because: {decision['reason']}"
