"""The cases, and an officer's decision on one."""

from __future__ import annotations

import json
import re
from typing import Any

from hub.merge import log
from hub.merge.project import fold_events
from hub.merge.store import HubStore
from hub.read.hints import decide as decide_hint
from hub.read.hints import hints
from hub.read.person import at_ms, first_claims
from sepe.case import NIK_CONFLICT
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.ids import EventId
from sepe.likeness import SAME_PERSON
from sepe.nik import NIK_DIGITS
from sepe.resident import Claim
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

REASON_CHARS_MAX = 1000
_CASE_ID = re.compile(r"[0-9a-f]{4,12}\Z")


def cases(connection: Connection, *, include_decided: bool = False) -> list[dict[str, Any]]:
    """The cases, oldest first, with the full NIK: for the officer's eyes. Hints are in `hub.read.hints`."""
    rows = connection.execute(
        "SELECT id, kind, nik, subject, is_open, opened_ms, decided_ms, detail FROM resident_case"
        " WHERE is_open OR ? ORDER BY opened_ms, id",
        (include_decided,),
    )
    return [_as_json(row) for row in rows]


def case(connection: Connection, name: str) -> dict[str, Any]:
    """One case or hint by its id or the beginning of it, at least four characters.

    Raises:
        InvalidInputError: no case, or several, begin so.
    """
    found = []
    if _CASE_ID.match(name):
        rows = connection.execute(
            "SELECT id, kind, nik, subject, is_open, opened_ms, decided_ms, detail FROM resident_case"
            " WHERE id >= ? AND id < ? LIMIT 2",
            (name, name + "g"),
        )
        found = [_as_json(row) for row in rows.fetchall()]
        found += [one for one in hints(connection, include_decided=True) if one["id"].startswith(name)]
    if len(found) != 1:
        rule = "several cases begin so" if found else "there is no such case"
        raise InvalidInputError(rule, field="CASE", value=name, hint="`sepe hub cases DIR` lists them.")
    return found[0]


def decide(
    store: HubStore, name: str, keep: str, *, reason: str, officer: str, now_ms: int
) -> tuple[dict[str, Any], EventId]:
    """Settle a conflict of identities or a hint; return the case as it stands afterwards, and the event.

    Args:
        keep: the claim that stays: its number in the case, its event's name, or an unambiguous beginning of that.
            Of a hint: see `hub.read.hints.decide`.

    Raises:
        InvalidInputError: no such case or claim, a case that no decision settles, or no reason given.
    """
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise InvalidInputError(
            f"a decision needs a reason of at most {REASON_CHARS_MAX} characters", field="--reason", value=reason,
            hint="Say which paper or person it rests on.",
        )  # fmt: skip
    store.project()
    store.project_hints()
    found = case(store.connection, name)
    if found["kind"] == SAME_PERSON:
        return decide_hint(store, found, keep, reason=reason, officer=officer, now_ms=now_ms)
    if found["kind"] != NIK_CONFLICT:
        raise InvalidInputError(
            "this kind of case closes by itself once the cards on the recall list are destroyed", field="CASE",
            value=found["kind"], hint="Collect them and report them with `sepe node`.",
        )  # fmt: skip
    nik = int(found["nik"])
    resident = fold_events(log.events_of(store.connection, [nik])[nik])
    claim = _claim(first_claims(resident), sorted(resident.claims), keep)
    body = event_pb2.CaseDecided(
        case_id=found["id"],
        case_kind=NIK_CONFLICT,
        keep=_ref(claim.id),
        # Only the earliest claim of each identity: what settles a case is which identities the officer saw.
        seen=[_ref(one.id) for one in first_claims(resident)],
        reason=reason.strip(),
        officer=officer,
    )
    event = store.append_own([draft(Kind.CASE_DECIDED, nik, body)], now_ms=now_ms)[0]
    store.project([nik])
    return case(store.connection, found["id"]), event


def _claim(numbered: tuple[Claim, ...], claims: list[Claim], keep: str) -> Claim:
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


def _ref(event: EventId) -> event_pb2.EventRef:
    return event_pb2.EventRef(node=event.node, epoch=event.epoch, seq=event.seq)


def _as_json(row: tuple[Any, ...]) -> dict[str, Any]:
    case_id, kind, nik, subject, is_open, opened_ms, decided_ms, detail = row
    return {
        "id": case_id,
        "kind": kind,
        "nik": str(nik).zfill(NIK_DIGITS),
        "subject": subject,
        "open": bool(is_open),
        "opened": at_ms(opened_ms),
        "decided": None if decided_ms is None else at_ms(decided_ms),
        **json.loads(detail),
    }
