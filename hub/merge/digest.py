"""The digest: one number for the whole state, and one per kecamatan.

It covers every head, and a head's checksum covers each of its events with its effective stamp. It does not
depend on the order of arrival, on how frames were cut, on frame numbers or on the storage engine, so two hubs
that hold the same events show the same digest, before and after a rebuild. Read in one pass over the heads.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from hub.engine import place
from hub.merge import log
from hub.merge.project import fold_events, state_name
from sepe.card import issues_of
from sepe.case import cases_of
from sepe.claims import standing_claim
from sepe.life import life_of
from sepe.resident import Resident
from sepe_io.sqlite import Connection

# nik, events, claims, identity_min, identity_max, prints, decisions, checksum.
_ROW = struct.Struct(">QQQqqQQQ")
_KECAMATAN_DIVISOR = 10**10
NIKS_PER_PAGE = 500


@dataclass(frozen=True, slots=True)
class Digest:
    """Hexadecimal SHA-256. ``kecamatan``: by six-digit code; ``000000`` is what concerns no resident."""

    digest: str
    kecamatan: dict[str, str] = field(default_factory=dict)


def digest(connection: Connection, table: str = "head") -> Digest:
    """The digest of all heads."""
    rows = place.stream(
        connection,
        "SELECT nik, events, claims, identity_min, identity_max, prints, decisions, checksum"
        f" FROM {table} ORDER BY nik",
    )
    pieces = ((row[0] // _KECAMATAN_DIVISOR, _ROW.pack(*row)) for row in rows)
    return _combine(b"sepe-digest-1\0", pieces)


def deep_digest(connection: Connection) -> Digest:
    """The digest of every resident as people read it: folds all of them, minutes for a million.

    It proves more than `digest`: that the log's events still give these records.
    """
    return _combine(b"sepe-deep-digest-1\0", _residents(connection))


def canonical(resident: Resident) -> bytes:
    """One resident's derived state as bytes that equal records share."""
    standing = standing_claim(resident)
    state = {
        "identity": None if standing is None else [standing.name, standing.birth_date, standing.sex],
        "claims": [str(claim.id) for claim in sorted(resident.claims)],
        "fields": {
            name: [[str(version.event_id), version.stamp, value] for version, value in sorted(register.writes)]
            for name, register in sorted(resident.fields.items())
        },
        "life": life_of(resident),
        "cards": [
            [issue.product, issue.issue, [[one.attempt, state_name(one.state)] for one in issue.attempts],
             None if issue.valid is None else issue.valid.attempt]
            for issue in issues_of(resident)
        ],
        "cases": [[one.kind, one.subject, one.is_open] for one in cases_of(resident)],
    }  # fmt: skip
    return json.dumps(state, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")


def _residents(connection: Connection) -> Iterator[tuple[int, bytes]]:
    after = 0
    while True:
        niks = [
            nik
            for (nik,) in connection.execute(
                "SELECT nik FROM head WHERE nik > ? ORDER BY nik LIMIT ?", (after, NIKS_PER_PAGE)
            )
        ]
        if not niks:
            return
        for nik, events in log.events_of(connection, niks).items():
            yield nik // _KECAMATAN_DIVISOR, nik.to_bytes(8) + canonical(fold_events(events))
        after = niks[-1]


def _combine(prefix: bytes, pieces: Iterator[tuple[int, bytes]]) -> Digest:
    """``pieces`` come sorted by kecamatan."""
    parts: dict[str, str] = {}
    current, running = -1, hashlib.sha256()
    for code, piece in pieces:
        if code != current:
            if current >= 0:
                parts[f"{current:06}"] = running.hexdigest()
            current, running = code, hashlib.sha256(prefix)
        running.update(len(piece).to_bytes(4) + piece)
    if current >= 0:
        parts[f"{current:06}"] = running.hexdigest()
    whole = hashlib.sha256(prefix)
    for name, part in parts.items():
        whole.update(f"{name}={part}\n".encode())
    return Digest(whole.hexdigest(), parts)
