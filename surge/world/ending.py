"""A world at rest, read once: what every checker looks at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from sepe.card import Issue, issues_of
from sepe.case import Case, cases_of
from sepe.errors import PeerProtocolError
from sepe.events import Event
from sepe.head import refs_of
from sepe.resident import NOBODY, Resident, lift

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
        issues: per NIK its cards. ``cases``: per NIK what a person must decide.
    """

    world: World
    events: list[Event]
    entries: dict[int, list[Entry]]
    records: dict[int, Resident]
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
        issues = {nik: issues_of(record) if record.steps else () for nik, record in records.items()}
        cases = {nik: cases_of(record) if may_hold_case(record) else () for nik, record in records.items()}
        return cls(world, events, entries, records, issues, cases)


def may_hold_case(record: Resident) -> bool:
    """Whether there can be anything to decide: without two claims or a card step there is not."""
    return len(record.claims) > 1 or bool(record.steps)


def joined(entries: list[Entry]) -> Resident:
    """The record that these events make, taken in this order."""
    return reduce(Resident.join, (entry.lifted for entry in entries), NOBODY)
