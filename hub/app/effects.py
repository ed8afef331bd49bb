"""What an officer's word does to cards: which are recalled and where they are, what prints now and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.merge import log
from hub.merge.project import fold_events, state_name, whole_record
from hub.merge.store import HubStore
from sepe import card
from sepe.claims import claims_of
from sepe.events import Draft, Event, Kind, draft
from sepe.hlc import stamp_of
from sepe.ids import EPOCH_BYTES, HUB_NODE, EventId
from sepe.nik import NIK_DIGITS
from sepe.replaced import replaced_by, with_older
from sepe.resident import Resident
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

REASON_CHARS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Word:
    """An officer's word that one NIK is another; ``new`` 0: it counts again. ``seen``: the earlier ones on it."""

    old: int
    new: int
    why: str
    reason: str
    officer: str
    seen: tuple[EventId, ...] = ()

    def drafts(self) -> tuple[Draft, ...]:
        """The events: one under each number, so that each record says it."""
        under_old = event_pb2.NikReplaced(
            new_nik=self.new, why=self.why, reason=self.reason, officer=self.officer,
            seen=[event_pb2.EventRef(node=one.node, epoch=one.epoch, seq=one.seq) for one in self.seen],
        )  # fmt: skip
        found = (draft(Kind.NIK_REPLACED, self.old, under_old),)
        if not self.new:
            return found
        under_new = event_pb2.NikReplaced(old_nik=self.old, why=self.why, reason=self.reason, officer=self.officer)
        return *found, draft(Kind.NIK_REPLACED, self.new, under_new)


@dataclass(frozen=True, slots=True)
class Effects:
    """What changes by some events, each list in the order of NIK and product.

    Attributes:
        recalls: cards that are out and no longer good: ``nik, product, serial, node, state, why``; ``state`` says
            whether the card still lies at the office (``printed``) or is in a hand (``handed_over``).
        prints: cards that become due by it: ``nik, product, issue, node``.
        revived: cards that were to be collected and are good again, like ``recalls``.
        holds: NIK whose cards wait for another decision afterwards, though they did not before.
    """

    recalls: tuple[dict[str, Any], ...]
    prints: tuple[dict[str, Any], ...]
    revived: tuple[dict[str, Any], ...]
    holds: tuple[str, ...]

    @property
    def cannot_be_taken_back(self) -> bool:
        """Whether a person outside the centre is asked to do something by it."""
        return bool(self.recalls)


def effects_of(connection: Connection, drafts: Sequence[Draft], now_ms: int) -> Effects:
    """What these events of the hub would do if they were written now."""
    planned = _as_events(connection, drafts, now_ms)
    recalls: list[dict[str, Any]] = []
    prints: list[dict[str, Any]] = []
    revived: list[dict[str, Any]] = []
    holds: list[str] = []
    for nik in sorted(planned):
        before, after = _records(connection, nik, planned)
        was, will = _collected(nik, before), _collected(nik, after)
        recalls += [one for name, one in will.items() if name not in was]
        revived += [one for name, one in was.items() if name not in will and _is_good(after, name)]
        known = {(one.product, one.claim.id) for one in card.owed(before)}
        prints += [
            {"nik": str(nik).zfill(NIK_DIGITS), "product": one.product, "issue": one.issue,
             "node": one.claim.version.node}
            for one in card.owed(after) if (one.product, one.claim.id) not in known
        ]  # fmt: skip
        if claims_of(after).is_on_hold and not claims_of(before).is_on_hold and not replaced_by(after):
            holds.append(str(nik).zfill(NIK_DIGITS))
    return Effects(tuple(recalls), tuple(prints), tuple(revived), tuple(holds))


def record_after(connection: Connection, nik: int, drafts: Sequence[Draft], now_ms: int) -> Resident:
    """The record of a NIK as it would be if these events of the hub were written now."""
    return _records(connection, nik, _as_events(connection, drafts, now_ms))[1]


def apply(store: HubStore, drafts: Sequence[Draft], now_ms: int) -> EventId:
    """Write the events in one transaction and bring what follows up to date; the first one's name."""
    event = store.append_own(drafts, now_ms=now_ms)[0]
    store.project(sorted({one.nik for one in drafts}))
    store.project()
    store.project_hints()
    return event


def _as_events(connection: Connection, drafts: Sequence[Draft], now_ms: int) -> dict[int, list[Event]]:
    """The drafts by NIK, above every seq and as late as anything that was ever said."""
    planned: dict[int, list[Event]] = {}
    for number, one in enumerate(drafts):
        name = EventId(HUB_NODE, b"\xff" * EPOCH_BYTES, 2**62 + number)
        stamp = _last_stamp(connection, now_ms) + number
        planned.setdefault(one.nik, []).append(Event(name, stamp, one.kind, one.nik, one.body))
    return planned


def _records(connection: Connection, nik: int, planned: dict[int, list[Event]]) -> tuple[Resident, Resident]:
    """The record of a NIK as it is, and with the planned events, those under other numbers too."""

    def after(number: int) -> Resident:
        return fold_events([*log.events_of(connection, [number])[number], *planned.get(number, ())])

    events = log.events_of(connection, [nik])[nik]
    return whole_record(connection, nik, events), with_older(after(nik), nik, after)


def _collected(nik: int, resident: Resident) -> dict[str, dict[str, Any]]:
    return {
        one.attempt: {
            "nik": str(nik).zfill(NIK_DIGITS), "product": issue.product, "serial": one.serial, "node": one.node,
            "state": state_name(one.state), "why": why,
        }
        for issue, one, why in card.to_collect(resident)
    }  # fmt: skip


def _is_good(resident: Resident, attempt: str) -> bool:
    valid = (issue.valid for issue in card.issues_of(resident))
    return any(one is not None and one.attempt == attempt for one in valid)


def _last_stamp(connection: Connection, now_ms: int) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = 'last_stamp'").fetchone()
    return max(stamp_of(now_ms), int(row[0]) if row else 0) + 1
