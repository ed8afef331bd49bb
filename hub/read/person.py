"""One resident as people read it: made from the frame log when somebody asks."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError

from hub.merge import log
from hub.merge.project import case_id, fold_events, state_name
from sepe.attach import may_name, named_by
from sepe.card import issues_of
from sepe.case import cases_of, is_on_hold
from sepe.crdt import Version
from sepe.events import Event, Kind
from sepe.hlc import wall_ms_of
from sepe.nik import Nik
from sepe.resident import IDENTITY_FIELDS, Claim, Resident, identities, life_of, standing_claim
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
    return document(nik, fold_events(events), secret) | {"attachments": _attachments(events)}


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
    """Every claim, earliest first; ``identity`` numbers the distinct ones, as ``hub decide --keep`` takes it."""
    numbers = {identity: number for number, identity in enumerate(identities(resident), start=1)}
    standing = standing_claim(resident)
    return [
        {
            "event": str(claim.id),
            "identity": numbers[claim.identity],
            "name": claim.name,
            "birth_date": claim.birth_date,
            "sex": claim.sex,
            "product": claim.product,
            "reason": claim.reason,
            "standing": standing is not None and claim.identity == standing.identity,
            **_when(claim.version),
        }
        for claim in sorted(resident.claims)
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
            "recall": one in issue.recalled,
            # Why the valid card is no longer good: death, reissued.
            "ended": issue.ended if one == issue.valid else "",
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
        for claim in resident.claims
        for name in IDENTITY_FIELDS
        if standing is not None and getattr(claim, name) != getattr(standing, name)
    ]
    for name, register in resident.fields.items():
        lost += [(version, name, value) for version, value in register.history]
    lost.sort(key=lambda entry: (entry[0], entry[1]), reverse=True)
    return [{"field": name, "value": value, **_when(version)} for version, name, value in lost]


def first_claims(resident: Resident) -> tuple[Claim, ...]:
    """The earliest claim of each identity, in the order in which a case numbers them."""
    return tuple(identities(resident).values())
