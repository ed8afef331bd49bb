"""The projector: folds the few NIK that may hold a case, from the frame log, and keeps what came out.

A merge only marks them (`dirty`). Folding happens here, in three steps so that the write lock is held briefly:
read the events of some dirty NIK, fold them in memory, then store the result and clear each mark whose head has
not grown meanwhile.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hub.dispatch import watch
from hub.merge import log
from sepe import card, case
from sepe.claims import Claims, claims_of, identities
from sepe.errors import PeerProtocolError
from sepe.events import Event
from sepe.head import REF
from sepe.hlc import wall_ms_of
from sepe.nik import NIK_DIGITS
from sepe.replaced import REPLACED_TWICE, STEPS_MAX, replaced_by, with_older
from sepe.resident import Claim, Decision, Resident, join_all, lift
from sepe_io.logs import logger
from sepe_io.sqlite import Connection, StorageDamagedError, transaction, translated

# 2,000 NIK and their few events each: some megabytes in memory, under a second of folding.
NIKS_MAX = 2_000
CASE_ID_CHARS = 12
_CASE_COLUMNS = "id, kind, nik, subject, is_open, opened_ms, decided_ms, detail"

_log = logger("hub.project")


@dataclass(frozen=True, slots=True)
class _Folded:
    nik: int
    events: int
    resident: Resident


def project(connection: Connection, niks: Sequence[int] | None = None) -> int:
    """Fold the dirty NIK, all (``None``) or those among ``niks``; return how many were folded.

    A NIK whose events lie in a damaged frame stays marked until the frame is back, and keeps no other waiting.
    """
    done = after = 0
    if niks is None:
        _take_old_marks(connection)
    while True:
        with translated():
            batch = _dirty(connection, niks, after)
            if not batch:
                return done
            folded = _fold_readable(connection, batch)
        with transaction(connection):
            secret = _secret(connection)
            stored = sum(_store(connection, secret, one) for one in folded)
        done += stored
        after = batch[-1]
        if niks is not None:
            return done


def _take_old_marks(connection: Connection) -> None:
    """A worker of the version before, on the same server during an upgrade, marks residents elsewhere."""
    with translated():
        if not connection.execute("SELECT 1 FROM card_mark LIMIT 1").fetchone():
            return
    with transaction(connection):
        marked = connection.execute("DELETE FROM card_mark RETURNING nik").fetchall()
        connection.executemany("INSERT OR IGNORE INTO dirty (nik) VALUES (?)", marked)


def fold_events(events: Iterable[Event]) -> Resident:
    """`sepe.resident.fold` without the events that were parked when they were merged."""
    return join_all(_readable(events))


def whole_record(connection: Connection, nik: int, events: Iterable[Event]) -> Resident:
    """The record of a NIK with what it has from older numbers that are this one now; ``events``: its own.

    Raises:
        StorageDamagedError: events of an older number cannot be read.
    """
    return with_older(
        fold_events(events), nik, lambda old_nik: fold_events(log.events_of(connection, [old_nik])[old_nik])
    )


def last_of(connection: Connection, nik: int, resident: Resident) -> int:
    """The NIK that counts in the end instead of this one; 0: this one does, or the words go in a circle."""
    passed, found = {nik}, replaced_by(resident)
    while found and found not in passed and len(passed) <= STEPS_MAX:
        passed.add(found)
        further = replaced_by(fold_events(log.events_of(connection, [found])[found]))
        if not further:
            return found
        found = further
    return 0


def _readable(events: Iterable[Event]) -> Iterator[Resident]:
    for event in events:
        with suppress(PeerProtocolError):
            yield lift(event)


def case_id(secret: bytes, kind: str, nik: int, subject: str) -> str:
    """A case's name: the same after each rebuild, and without the hub's secret it says nothing of the NIK.

    A plain hash would: a kecamatan's NIK are searched in minutes.
    """
    name = f"{kind}|{nik:016}|{subject}".encode()
    return hmac.new(secret, name, hashlib.sha256).hexdigest()[:CASE_ID_CHARS]


def state_name(state: int) -> str:
    """A card state as people read it; a newer office's is its number."""
    names: Mapping[int, str] = {int(known): name for known, name in card.STATE_NAMES.items()}
    return names.get(state, str(state))


def _dirty(connection: Connection, niks: Sequence[int] | None, after: int) -> list[int]:
    if niks is not None:
        wanted = [connection.execute("SELECT nik FROM dirty WHERE nik = ?", (nik,)).fetchone() for nik in niks]
        return [row[0] for row in wanted if row]
    rows = connection.execute("SELECT nik FROM dirty WHERE nik > ? ORDER BY nik LIMIT ?", (after, NIKS_MAX))
    return [nik for (nik,) in rows]


def _fold_readable(connection: Connection, niks: Sequence[int]) -> list[_Folded]:
    """Those of ``niks`` whose events can be read."""
    try:
        return _fold_batch(connection, niks)
    except StorageDamagedError as exc:
        _log.error("projection.damaged", error=str(exc))
    found = []
    for nik in niks:
        with suppress(StorageDamagedError):
            found += _fold_batch(connection, [nik])
    return found


def _fold_batch(connection: Connection, niks: Iterable[int]) -> list[_Folded]:
    return [
        _Folded(nik, len(events), whole_record(connection, nik, events))
        for nik, events in log.events_of(connection, niks).items()
    ]


def is_as_stored(connection: Connection, nik: int) -> bool:
    """Whether what is stored of one NIK's cases is what its events say. A marked NIK need not be.

    Raises:
        StorageDamagedError: its events cannot be read.
    """
    secret = _secret(connection)
    folded = _fold_batch(connection, [nik])[0]
    summary = connection.execute("SELECT nik, claims, identities, cards FROM folded WHERE nik = ?", (nik,))
    cases = connection.execute(f"SELECT {_CASE_COLUMNS} FROM resident_case WHERE nik = ? ORDER BY id", (nik,))
    return bool(
        summary.fetchall() == [_summary(folded)] and cases.fetchall() == sorted(_case_rows(secret, folded))
    )  # fmt: skip


def forget(connection: Connection, nik: int) -> None:
    """Throw away what is stored of one NIK's cases, in the caller's transaction."""
    for table in ("folded", "resident_case"):
        connection.execute(f"DELETE FROM {table} WHERE nik = ?", (nik,))


def _secret(connection: Connection) -> bytes:
    return bytes(connection.execute("SELECT value FROM meta WHERE name = 'case_secret'").fetchone()[0])


def _summary(folded: _Folded) -> tuple[int, int, int, int]:
    resident = folded.resident
    cards = {(step.product, step.issue, step.attempt) for step in resident.steps if step.state == card.PRINTED}
    return folded.nik, len(resident.claims), len(identities(resident)), len(cards)


def _case_rows(secret: bytes, folded: _Folded) -> Iterator[tuple[Any, ...]]:
    """One row per case, in the order of `_CASE_COLUMNS`."""
    nik, resident = folded.nik, folded.resident
    for one in case.cases_of(resident):
        detail, opened_ms, decided_ms = _detail(resident, one)
        yield (
            case_id(secret, one.kind, nik, one.subject), one.kind, nik, one.subject, int(one.is_open),
            opened_ms, decided_ms, json.dumps(detail, ensure_ascii=False),
        )  # fmt: skip


def _store(connection: Connection, secret: bytes, folded: _Folded) -> bool:
    nik = folded.nik
    head = connection.execute("SELECT length(refs) FROM head WHERE nik = ?", (nik,)).fetchone()
    if head is not None and head[0] != folded.events * REF.size:
        return False  # It grew while we folded and is still marked.
    forget(connection, nik)
    connection.execute("INSERT INTO folded (nik, claims, identities, cards) VALUES (?, ?, ?, ?)", _summary(folded))
    connection.executemany(
        f"INSERT INTO resident_case ({_CASE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        _case_rows(secret, folded),
    )
    instead = last_of(connection, nik, folded.resident)
    watch.note(connection, nik, folded.resident, instead)
    connection.execute("DELETE FROM dirty WHERE nik = ?", (nik,))
    if instead or not replaced_by(folded.resident):
        # What is said of this number says something of those that count, or counted, instead of it.
        others = {word.new_nik for word in folded.resident.replacements} | {instead}
        connection.executemany("INSERT OR IGNORE INTO dirty (nik) VALUES (?)", [(nik,) for nik in others - {0}])
    return True


def _detail(resident: Resident, one: case.Case) -> tuple[dict[str, Any], int, int | None]:
    """What a list shows of a case, when it opened, and when it was decided."""
    if one.kind == case.DOUBLE_PRINT:
        cards = [
            {
                "node": attempt.first.node,
                "attempt": attempt.attempt,
                "serial": attempt.serial,
                "fence": attempt.fence,
                "state": state_name(attempt.state),
                "valid": number == 0,
                "at_ms": wall_ms_of(attempt.first.stamp),
            }
            for number, attempt in enumerate(one.cards)
        ]
        return {"cards": cards}, sorted(wall_ms_of(attempt.first.stamp) for attempt in one.cards)[1], None
    if one.kind == REPLACED_TWICE:
        words: list[dict[str, Any]] = [
            {"new_nik": str(word.new_nik).zfill(NIK_DIGITS), "why": word.why, "reason": word.reason,
             "officer": word.officer, "at_ms": wall_ms_of(word.version.stamp)}
            for word in one.replacements
        ]  # fmt: skip
        return {"words": words}, wall_ms_of(one.replacements[-1].version.stamp), None
    decisions = [word for word in sorted(resident.decisions) if word.case_kind == one.kind and _is_on(word, one)]
    detail: dict[str, Any] = {}
    if one.change is not None:
        opened_ms = wall_ms_of(one.change.version.stamp)
        detail["change"] = {
            "node": one.change.version.node, "state": one.change.state, "court_order": one.change.court_order,
            "document": one.change.document_number, "at_ms": opened_ms,
        }  # fmt: skip
    else:
        claims, opened_ms = claims_of(resident), wall_ms_of(one.claims[1].version.stamp)
        detail["claims"] = [_claim(claims, claim, number) for number, claim in enumerate(one.claims, start=1)]
    if decisions:
        # The last one counts; the earlier ones are what it revised.
        detail["decision"] = _decision(decisions[-1])
        detail["revised"] = [_decision(word) for word in decisions[:-1]]
    decided_ms = wall_ms_of(decisions[-1].version.stamp) if decisions and not one.is_open else None
    return detail, opened_ms, decided_ms


def _is_on(decision: Decision, one: case.Case) -> bool:
    """Whether an officer's word of this kind is on this case, of several of the kind under one NIK."""
    return one.change is None or one.change.version.event_id in decision.seen


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "keep": str(decision.keep) if decision.keep.node else "",
        "reason": decision.reason,
        "officer": decision.officer,
        "at_ms": wall_ms_of(decision.version.stamp),
    }


def _claim(claims: Claims, claim: Claim, number: int) -> dict[str, Any]:
    agreeing = sum(claims.agree(other, claim) for other in claims.counting)
    return {
        "number": number,
        "event": str(claim.id),
        "node": claim.version.node,
        "name": claim.name,
        "birth_date": claim.birth_date,
        "sex": claim.sex,
        "at_ms": wall_ms_of(claim.version.stamp),
        "claims": agreeing,
    }
