"""A world at rest, read once: what every checker looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from sepe.card import OUT, Issue, issues_of
from sepe.case import Case, cases_of
from sepe.claims import claims_of
from sepe.errors import PeerProtocolError
from sepe.events import Event
from sepe.head import refs_of
from sepe.replaced import with_older
from sepe.resident import NOBODY, Resident, lift
from surge.world.bugs import Bug

if TYPE_CHECKING:
    from surge.world.world import World


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log, and the smallest record that it makes."""

    event: Event
    lifted: Resident


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a world.

    Attributes:
        events: every event in the hub's log, in its order, as often as it was counted.
        entries: per NIK the readable events, found as the product finds them: by the head's pointers.
        records: per NIK the fold of those, in the order of arrival.
        whole: those with what they have from numbers that are this one now.
        unnamed: attempts of which no step names a claim of the name that the card says.
        issues: per NIK its cards. ``cases``: per NIK what a person must decide.
    """

    world: World
    events: list[Event]
    entries: dict[int, list[Entry]]
    records: dict[int, Resident]
    whole: dict[int, Resident]
    unnamed: frozenset[str]
    issues: dict[int, tuple[Issue, ...]]
    cases: dict[int, tuple[Case, ...]]

    @classmethod
    def of(cls, world: World) -> Ending:
        """Read the hub's disk."""
        disk = world.hub.disk
        events: list[Event] = []
        places: dict[tuple[int, int], Entry] = {}
        for number, row in enumerate(disk.log):
            for index in range(row.skip, len(row.opened.columns)):
                event = row.event(index)
                events.append(event)
                try:
                    places[number, index] = Entry(event, lift(event))
                except PeerProtocolError:
                    continue  # The product parks it.
        entries = {
            nik: [places[place] for place in refs_of(bytes(head.refs)) if place in places]
            for nik, head in disk.heads.items()
        }
        records = {nik: joined(found) for nik, found in entries.items()}
        whole = {nik: whole_of(records, nik, record) for nik, record in records.items()}
        issues = {nik: issues_seen(record, world.bug) if record.steps else () for nik, record in whole.items()}
        cases = {nik: cases_of(record) if may_hold_case(record) else () for nik, record in whole.items()}
        return cls(world, events, entries, records, whole, _unnamed(world, whole), issues, cases)


def _unnamed(world: World, whole: Mapping[int, Resident]) -> frozenset[str]:
    drawn = {one.attempt: one.name for one in world.oracle.cards}
    named: set[str] = set()
    for record in whole.values():
        known = claims_of(record).known
        named |= {
            step.attempt
            for step in record.steps
            if step.claim is not None and step.claim in known and known[step.claim].name == drawn.get(step.attempt)
        }
    return frozenset(drawn.keys() - named)


def whole_of(records: Mapping[int, Resident], nik: int, record: Resident) -> Resident:
    """A record with what it has from older numbers; ``records``: each by its own events alone."""
    return with_older(record, nik, lambda old_nik: records.get(old_nik, NOBODY))


def issues_seen(record: Resident, bug: Bug | None) -> tuple[Issue, ...]:
    """The cards of a record, as the hub sees them."""
    issues = issues_of(record)
    if bug is not Bug.VALID_BY_FENCE_ALONE:
        return issues
    # The planted mistake: who printed under the highest fence is right, whoever the card says that he is.
    result = []
    for one in issues:
        out = [attempt for attempt in one.attempts if attempt.state in OUT]
        out.sort(key=lambda attempt: (attempt.override, -attempt.fence))
        result.append(
            replace(one, valid=out[0] if out else None, recalled=tuple(out[1:]), void=(), in_question=())
        )
    return tuple(result)


def may_hold_case(record: Resident) -> bool:
    """Whether there can be anything to decide: without two claims or a card step there is not."""
    return len(record.claims) > 1 or bool(record.steps or record.corrections or record.replacements)


def joined(entries: list[Entry]) -> Resident:
    """The record that these events make, taken in this order."""
    return reduce(Resident.join, (entry.lifted for entry in entries), NOBODY)
