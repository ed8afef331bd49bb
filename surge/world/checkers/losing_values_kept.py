"""No value disappears silently: every name, field value and card step in the log can still be read from the hub's
record of that NIK, and where identities differ there is a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sepe import case
from sepe.events import Event, body_of
from sepe.head import is_suspect
from sepe.resident import Resident, fold, identities
from sepe.wire.v1 import event_pb2
from surge.world.centre import readable

if TYPE_CHECKING:
    from surge.world.world import World


def check(world: World) -> list[str]:
    disk = world.hub.disk
    by_nik: dict[int, list[Event]] = {}
    for row in disk.log:
        for event in row.events():
            if event.nik:
                by_nik.setdefault(event.nik, []).append(event)
    problems: list[str] = []
    for nik, events in by_nik.items():
        # The record is read as the product reads it, by the head's pointers; the log is read from end to end.
        record = fold(disk.events_of(nik))
        problems += [f"{event.id}: {what}" for event in readable(events) for what in _gone(record, event)]
        head = disk.heads[nik]
        cases = case.cases_of(record)
        if len(identities(record)) > 1 and not any(one.kind == case.NIK_CONFLICT for one in cases):
            problems.append("two identities and no case")
        if cases and not is_suspect(
            head.claims, head.identity_min, head.identity_max, head.prints, head.decisions
        ):
            problems.append("a case that the head does not point to")
    return problems


def _gone(record: Resident, event: Event) -> list[str]:
    body = body_of(event.kind, event.body)
    if isinstance(body, event_pb2.Recorded):
        gone = [] if any(claim.id == event.id and claim.name == body.name for claim in record.claims) else ["claim"]
        given = {name: value for name in ("address", "phone", "occupation") if (value := getattr(body, name))}
    elif isinstance(body, event_pb2.Corrected):
        gone, given = [], dict(body.fields)
    elif isinstance(body, event_pb2.CardMoved):
        return [] if any(step.version.event_id == event.id for step in record.steps) else ["card step"]
    else:
        return []
    for name, value in given.items():
        register = record.fields.get(name)
        if register is None or not any(
            version.event_id == event.id and kept == value for version, kept in register.writes
        ):
            gone.append(name)
    return gone
