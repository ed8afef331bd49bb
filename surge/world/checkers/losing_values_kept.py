"""No value disappears silently: every name, field value and card step in the log can still be read from the hub's
record of that NIK, and where identities differ there is a case."""

from __future__ import annotations

from sepe.claims import NIK_CONFLICT, identities
from sepe.events import Event
from sepe.head import is_suspect
from sepe.resident import Resident
from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    problems: list[str] = []
    by_nik: dict[int, list[Event]] = {}
    for event in ending.events:
        if event.nik:
            by_nik.setdefault(event.nik, []).append(event)
    for nik, events in by_nik.items():
        # The record was found by the head's pointers, the events by reading the log from end to end.
        record, entries = ending.records[nik], ending.entries[nik]
        found = {entry.event.id for entry in entries}
        problems += [
            f"{event.id} cannot be reached from its NIK" for event in events
            if event.id not in found and _is_readable(ending, event)
        ]  # fmt: skip
        problems += [f"{entry.event.id}: a value is gone" for entry in entries if not _holds(record, entry.lifted)]
        cases = ending.cases[nik]
        if len(identities(ending.whole[nik])) > 1 and not any(one.kind == NIK_CONFLICT for one in cases):
            problems.append("two identities and no case")
        head = ending.world.hub.disk.heads[nik]
        if cases and not is_suspect(
            head.claims, head.identity_min, head.identity_max, head.prints, head.decisions
        ):
            problems.append("a case that the head does not point to")
    return problems


def _is_readable(ending: Ending, event: Event) -> bool:
    parked = ending.world.hub.disk.parked
    return not any(ending.world.hub.disk.log[number].event(one.index).id == event.id for number, one in parked)


def _holds(record: Resident, part: Resident) -> bool:
    return (
        part.claims <= record.claims
        and part.steps <= record.steps
        and part.life <= record.life
        and part.decisions <= record.decisions
        and part.corrections <= record.corrections
        and part.replacements <= record.replacements
        and part.withdrawals <= record.withdrawals
        and all(register.writes <= record.fields[name].writes for name, register in part.fields.items())
    )
