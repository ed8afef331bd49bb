"""The people who come to one machine: made before the clock starts, so that making them costs the run nothing.

*Live* they are lines that a desk records when they come. *Ahead* each line has been through the desk's own reading
and deciding (`sepe.recording`, `node.desk.plan`) before the run, and what it decided on, the event, is committed
to the office's outbox when the person comes. The centre is sent the very same events; what is left out is the
office's own projection of residents and its print jobs, which no hub ever sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from node.desk.plan import Known, Wanted, plan
from sepe.errors import InvalidInputError
from sepe.events import Draft
from sepe.jsonline import parse_line
from sepe.recording import parse_recording
from sepe_io.regions import region_table
from surge.people import NikSpace, Person, Populace
from surge.run.cast import Cast, Seat
from surge.scenario.visits import Visit, Visits
from surge.visits import again, other_name, retyped

# Whoever comes again or contradicts somebody, does so with one of the last so many.
REMEMBERED_MAX = 200
YEAR_DAYS = 365.2425


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who comes at ``at_s`` (scenario seconds), as a line for the desk or as the event of it."""

    at_s: float
    line: bytes = b""
    draft: Draft | None = None


def visitors(cast: Cast, seat: Seat, visits: Visits, today: date, now_ms: int) -> list[Visitor]:
    """Everybody who comes to one machine, in the order of time; the same for the same seed and day."""
    shift = (cast.offset_min - seat.office.utc_offset_min) * 60.0
    people = _people(cast, seat, visits, today)
    if seat.is_live:
        return [Visitor(visit.at_s + shift - cast.begin_s, line=line) for visit, line in people]
    ahead = _Ahead(today, now_ms)
    return [Visitor(visit.at_s + shift - cast.begin_s, draft=ahead.draft(line)) for visit, line in people]


def _people(cast: Cast, seat: Seat, visits: Visits, today: date) -> Iterator[tuple[Visit, bytes]]:
    demand, office = cast.scenario.demand, seat.office
    rng = Random(f"{cast.seed}/{seat.node}")
    space = NikSpace(seat.share, office.machines)
    populace = Populace(rng, kecamatan=office.code, today=today, space=space, mix=dict(demand.mix))
    known: list[Person] = []
    for index, visit in enumerate(visits.of(office)):
        if index % office.machines != seat.share:
            continue
        chance = rng.random()
        if known and chance < demand.repeat_share:
            person = retyped(again(rng.choice(known), rng), rng)
        elif known and chance < demand.repeat_share + demand.conflict_share:
            person = other_name(rng.choice(known), rng)
        else:
            person = _newcomer(populace, visit, today, demand.ages)
            known.append(person)
            del known[:-REMEMBERED_MAX]
        yield visit, json.dumps(person.to_line(), ensure_ascii=False).encode()


def _newcomer(populace: Populace, visit: Visit, today: date, ages: tuple[int, int]) -> Person:
    if visit.product == "ktp-el" and visit.reason == "new":
        youngest, oldest = (ages[0], ages[1]) if visit.is_due else (16, 16)
        if visit.is_due:
            youngest = max(youngest, 17)
            oldest = max(oldest, youngest)
        first, last = (
            today - timedelta(days=int((oldest + 1) * YEAR_DAYS) - 2),
            today - timedelta(days=int(youngest * YEAR_DAYS) + 2),
        )
        return replace(populace.person("ktp-el", born=(first, last)), reason="new")
    return replace(populace.person(visit.product), reason=visit.reason)


class _Ahead:
    """What a desk would decide on one line after the other, with its memory of residents and no disk."""

    def __init__(self, today: date, now_ms: int) -> None:
        self._today, self._now_ms, self._regions = today, now_ms, region_table()
        self._known: dict[int, Known] = {}
        self._wanted: dict[int, list[Wanted]] = {}

    def draft(self, line: bytes) -> Draft | None:
        """The event; ``None`` where the desk refuses the line."""
        try:
            recording, _ = parse_recording(parse_line(line), today=self._today, regions=self._regions)
            nik = recording.nik.number
            known, wanted = self._known.get(nik), self._wanted.get(nik, [])
            planned = plan(
                recording,
                known,
                wanted,
                attached={},
                now_ms=self._now_ms,
                today=self._today,
                first_day=self._today,
            )
        except InvalidInputError:
            return None
        self._known[nik] = planned.known
        if planned.job is not None:
            wanted = [*wanted, Wanted(planned.job.product, planned.job.issue, planned.job.state)]
        self._wanted[nik] = wanted
        return planned.draft
