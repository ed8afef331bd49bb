"""The cases as an officer reads them."""

from __future__ import annotations

import json
import re
from typing import Any

from hub.read.hints import hints
from hub.read.person import at_ms
from sepe.errors import InvalidInputError
from sepe.nik import NIK_DIGITS
from sepe_io.sqlite import Connection

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
        ids = ", ".join(one["id"] for one in found)
        rule = f"several cases begin so: {ids}" if found else "there is no such case"
        raise InvalidInputError(
            rule, field="CASE", value=name,
            hint="Give more of it." if found else "At least four characters of an id from `sepe hub cases DIR`.",
        )  # fmt: skip
    return found[0]


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
        **_with_times(json.loads(detail)),
    }


def _with_times(detail: dict[str, Any]) -> dict[str, Any]:
    """With the time of each decision as people read it."""
    words = [*detail.get("revised", ()), *detail.get("words", ())]
    for word in [detail["decision"], *words] if "decision" in detail else words:
        word["at"] = at_ms(word["at_ms"])
    return detail
