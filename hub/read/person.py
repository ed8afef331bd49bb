"""One resident as people read it: made from the frame log when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError, Message

from hub.merge import log
from hub.merge.project import case_id, state_name, whole_record
from sepe.attach import may_name, named_by
from sepe.card import issues_of
from sepe.case import cases_of, is_on_hold
from sepe.claims import claims_of, identities, standing_claim
from sepe.crdt import Version
from sepe.errors import PeerProtocolError
from sepe.events import Event, Kind, body_of
from sepe.hlc import wall_ms_of
from sepe.life import life_of
from sepe.nik import NIK_DIGITS, Nik
from sepe.replaced import older_niks, replaced_by
from sepe.resident import IDENTITY_FIELDS, Claim, Resident
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

LIFE_NAMES = {
    int(event_pb2.LIFE_STATE_ALIVE): "alive",
    int(event_pb2.LIFE_STATE_MOVED): "moved",
    int(event_pb2.LIFE_STATE_DEAD): "dead",
}


def person(connection: Connection, nik: Nik) -> dict[str, Any] | None:
    """The document of CONTRACT, with the full number; ``None`` when no event names the NIK."""
    events = log.events_of(connection, [nik.number])[nik.number]
    if not events:
        return None
    secret = bytes(connection.execute("SELECT value FROM meta WHERE name = 'case_secret'").fetchone()[0])
    return document(nik, whole_record(connection, nik.number, events), secret) | {
        "attachments": _attachments(events), "handed_over": _handed_over(events), "withdrawn": _withdrawn(events),
    }  # fmt: skip


def document(nik: Nik, resident: Resident, secret: bytes) -> dict[str, Any]:
    """The person page of one record."""
    return {
        "nik": nik.value,
        "life": LIFE_NAMES.get(life_of(resident), str(life_of(resident))),
        "card_on_hold": is_on_hold(resident),
        "fields": _fields(resident),
        "claims": _claims(resident),
        "cards": _cards(resident),
        "cases": [
            {
                "id": case_id(secret, one.kind, nik.number, one.subject),
                "kind": one.kind,
                "subject": one.subject,
                "open": one.is_open,
            }
            for one in cases_of(resident)
        ],
        "decisions": [
            {
                "kind": one.case_kind, "keep": str(one.keep), "reason": one.reason, "officer": one.officer,
                **_when(one.version),
            }
            for one in sorted(resident.decisions)
        ],
        "history": _history(resident),
        **_other_numbers(resident),
    }  # fmt: skip


def _other_numbers(resident: Resident) -> dict[str, Any]:
    """Whose number this is by an officer's word: the NIK that counts instead, and those that this one replaced."""
    if not resident.replacements:
        return {}
    instead = replaced_by(resident)
    return {
        "replaced_by": str(instead).zfill(NIK_DIGITS) if instead else None,
        "replaces": [str(nik).zfill(NIK_DIGITS) for nik in sorted(older_niks(resident))],
        "replacements": [
            {
                "new_nik": str(one.new_nik).zfill(NIK_DIGITS) if one.new_nik else None,
                "old_nik": str(one.old_nik).zfill(NIK_DIGITS) if one.old_nik else None,
                "why": one.why, "reason": one.reason, "officer": one.officer, **_when(one.version),
            }
            for one in sorted(resident.replacements)
        ],
    }  # fmt: skip


def at(stamp: int) -> str:
    """A stamp's wall clock as ISO 8601 in UTC."""
    return at_ms(wall_ms_of(stamp))


def at_ms(wall_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC; beyond the calendar, the bare number."""
    try:
        return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return str(wall_ms)


def _attachments(events: list[Event]) -> list[dict[str, Any]]:
    """What recordings name, oldest first; `sepe hub attachment` opens it when it has come."""
    found: dict[bytes, dict[str, Any]] = {}
    for event in sorted(events, key=lambda one: (one.stamp, one.id)):
        if event.kind == Kind.RECORDED and may_name(event.body):
            with suppress(DecodeError):
                for kind, sha256 in named_by(event_pb2.Recorded.FromString(event.body)):
                    found.setdefault(
                        sha256,
                        {"kind": kind, "sha256": sha256.hex(), "node": event.id.node, "at": at(event.stamp)},
                    )
    return list(found.values())


def _handed_over(events: list[Event]) -> list[dict[str, Any]]:
    """Each card that was given out, oldest first; ``to`` is ``""`` where the office did not ask who took it."""
    return [
        {
            "product": body.product, "issue": body.issue, "attempt": body.attempt, "serial": body.serial,
            "to": body.received_by, "name": body.receiver_name, "document": body.receiver_document,
            "operator": body.operator, "node": event.id.node, "at": at(event.stamp),
        }
        for event, body in _bodies(events)
        if isinstance(body, event_pb2.CardMoved) and body.state == event_pb2.CARD_STATE_HANDED_OVER
    ]  # fmt: skip


def _withdrawn(events: list[Event]) -> list[dict[str, Any]]:
    """Each word that a card is out of its owner's hands, oldest first; ``document``: the police letter."""
    return [
        {
            "product": body.product, "issue": body.issue, "attempt": body.attempt, "serial": body.serial,
            "reason": body.reason, "document": body.document_number, "from_elsewhere": body.from_elsewhere,
            "minutes": body.minutes, "operator": body.operator, "node": event.id.node, "at": at(event.stamp),
        }
        for event, body in _bodies(events)
        if isinstance(body, event_pb2.CardWithdrawn)
    ]  # fmt: skip


def _bodies(events: list[Event]) -> Iterator[tuple[Event, Message | None]]:
    for event in sorted(events, key=lambda one: (one.stamp, one.id)):
        with suppress(PeerProtocolError):  # It was parked.
            yield event, body_of(event.kind, event.body)


def _when(version: Version) -> dict[str, Any]:
    return {"stamp": version.stamp, "at": at(version.stamp), "node": version.node}


def _fields(resident: Resident) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    standing = standing_claim(resident)
    if standing is not None:
        for name in IDENTITY_FIELDS:
            fields[name] = {"value": getattr(standing, name), **_when(standing.version)}
    for name, register in sorted(resident.fields.items()):
        if register.top is not None:
            version, value = register.top
            fields.setdefault(name, {"value": value, **_when(version)})
    return fields


def _claims(resident: Resident) -> list[dict[str, Any]]:
    """Every claim, earliest first; ``identity`` numbers the distinct ones, as ``hub decide --keep`` takes it.

    0 is the identity of claims that their own office corrected.
    """
    claims = claims_of(resident)
    numbers = {claims.number[one.id]: place for place, one in enumerate(claims.identities(), start=1)}
    standing, counting = claims.standing, {claim.id for claim in claims.counting}
    return [
        {
            "event": str(claim.id),
            "identity": numbers.get(claims.number[claim.id], 0),
            "name": claim.name,
            "birth_date": claim.birth_date,
            "sex": claim.sex,
            "product": claim.product,
            "reason": claim.reason,
            "standing": standing is not None and claims.agree(claim, standing),
            "corrected": claim.id not in counting,
            **_when(claim.version),
        }
        for claim in sorted(claims.known.values())
    ]


def _cards(resident: Resident) -> list[dict[str, Any]]:
    return [
        {
            "product": issue.product,
            "issue": issue.issue,
            "attempt": one.attempt,
            "state": state_name(one.state),
            "serial": one.serial,
            "fence": one.fence,
            "override": one.override,
            "valid": one == issue.valid,
            "recall": one in issue.recalled or one in dict(issue.void),
            # Why a card that came out is no longer good: death, reissued, identity, nik_replaced.
            "ended": issue.ended if one == issue.valid else dict(issue.void).get(one, ""),
            "in_question": one in issue.in_question,
            **_when(one.first),
        }
        for issue in issues_of(resident)
        for one in issue.attempts
    ]


def _history(resident: Resident) -> list[dict[str, Any]]:
    """Every value that does not stand, latest first: nothing that an office wrote disappears."""
    standing = standing_claim(resident)
    lost: list[tuple[Version, str, str]] = [
        (claim.version, name, getattr(claim, name))
        for claim in claims_of(resident).known.values()
        for name in IDENTITY_FIELDS
        if standing is not None and getattr(claim, name) != getattr(standing, name)
    ]
    for name, register in resident.fields.items():
        lost += [(version, name, value) for version, value in register.history]
    lost.sort(key=lambda entry: (entry[0], entry[1]), reverse=True)
    return [{"field": name, "value": value, **_when(version)} for version, name, value in lost]


def first_claims(resident: Resident) -> tuple[Claim, ...]:
    """The earliest claim of each identity, in the order in which a case numbers them."""
    return identities(resident)
