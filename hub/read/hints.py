"""Hints that two NIK may be one person, and an officer's word on one. See `sepe.likeness`."""

from __future__ import annotations

from typing import Any

from hub.merge.likeness import settled_from, sketch_from
from hub.merge.project import case_id
from hub.read.person import at_ms
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.likeness import SAME_PERSON
from sepe.nik import NIK_DIGITS
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

BOTH = "both"


def hints(
    connection: Connection, *, include_decided: bool = False, nik: int | None = None
) -> list[dict[str, Any]]:
    """The hints, oldest first, with full NIK, for the officer's eyes; those of one ``nik``, or all.

    As fresh as `HubStore.project_hints` has made them.
    """
    secret = bytes(connection.execute("SELECT value FROM meta WHERE name = 'case_secret'").fetchone()[0])
    rows = connection.execute(
        "SELECT h.nik, h.other, h.reasons, a.sketch, b.sketch, a.settled, a.first_ms, b.first_ms"
        " FROM likeness_hint h JOIN likeness a ON a.nik = h.nik JOIN likeness b ON b.nik = h.other"
        " WHERE ?1 IS NULL OR h.nik = ?1 OR h.other = ?1",
        (nik,),
    ).fetchall()
    found = [_as_json(secret, row) for row in rows]
    chosen = [one for one in found if one["open"] or include_decided]
    return sorted(chosen, key=lambda one: (one["opened"], one["nik"], one["other_nik"]))


def hint_decision(hint: dict[str, Any], keep: str, *, reason: str, officer: str) -> Draft:
    """The event that closes a hint. By itself it changes no record and no card.

    Args:
        hint: one of `hints`.
        keep: ``both`` where they are two people, or the NIK that the person keeps.

    Raises:
        InvalidInputError: ``keep`` is neither.
    """
    pair = (hint["nik"], hint["other_nik"])
    if keep not in (BOTH, *pair):
        raise InvalidInputError(
            "a hint is about two NIK: one of them stays, or both do", field="--keep", value=_masked(keep),
            hint="Give one of the two NIK in full, or: --keep both",
        )  # fmt: skip
    nik, other = int(pair[0]), int(pair[1])
    body = event_pb2.CaseDecided(
        case_id=hint["id"], case_kind=SAME_PERSON, other_nik=other, keep_nik=0 if keep == BOTH else int(keep),
        reason=reason.strip(), officer=officer,
    )  # fmt: skip
    return draft(Kind.CASE_DECIDED, nik, body)


def _as_json(secret: bytes, row: tuple[Any, ...]) -> dict[str, Any]:
    nik, other, reasons, *sketches, settled, first_ms, other_first_ms = row
    decision = settled_from(settled).get(other)
    texts = [str(one).zfill(NIK_DIGITS) for one in (nik, other)]
    return {
        "id": case_id(secret, SAME_PERSON, nik, texts[1]),
        "kind": SAME_PERSON,
        "nik": texts[0],
        "other_nik": texts[1],
        "open": decision is None,
        "opened": at_ms(max(first_ms, other_first_ms)),
        "decided": None if decision is None else at_ms(decision["at_ms"]),
        "reasons": reasons.split(),
        "people": [_person(text, sketch) for text, sketch in zip(texts, sketches, strict=True)],
        **({"decision": _decision(decision)} if decision else {}),
    }


def _person(nik: str, text: str) -> dict[str, Any]:
    sketch = sketch_from(text)
    return {
        "nik": nik,
        "identities": [
            {"name": name, "birth_date": birth_date, "sex": sex} for name, birth_date, sex in sketch.identities
        ],
        "birth_place": sketch.birth_place,
        "mother_name": sketch.mother_name,
    }


def _decision(decision: dict[str, Any]) -> dict[str, Any]:
    keep = decision["keep"]
    return {
        "keep": str(keep).zfill(NIK_DIGITS) if keep else BOTH, "reason": decision["reason"],
        "officer": decision["officer"], "at": at_ms(decision["at_ms"]),
    }  # fmt: skip


def _masked(text: str) -> str:
    """Of what may be a NIK, the region."""
    return text[:6] + "*" * max(len(text) - 6, 0) if text.isdigit() else text
