"""Duplicates: claims that agree with an earlier one of the same NIK: where, when, by whom, and again.

A duplicate needs no decision: it is the same person, recorded twice. The heads tell which NIK were claimed more
than once, so only these are read from the log, by pages of NIK; memory does not grow with the hub.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from google.protobuf.message import DecodeError

from hub.merge import log
from hub.merge.project import fold_events
from sepe.claims import claims_of
from sepe.errors import InvalidInputError
from sepe.events import Event, Kind
from sepe.hlc import wall_ms_of
from sepe.ids import EventId
from sepe.region import WIB, Zone, zone
from sepe.replaced import replaced_by, with_older
from sepe.resident import Claim, Resident
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

# Of a page the events of these NIK are in memory, some tens of MB. Neighbours in the list are not neighbours in
# the log, so each page opens most frames once: fewer pages are faster.
NIKS_PER_PAGE = 10_000

# A province, a regency, a kecamatan, or one machine.
_AREA = re.compile(r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:-[1-9][0-9]{0,2})?)?)?\Z")


@dataclass(frozen=True, slots=True)
class Visit:
    """One claim: at which machine, when, by whom, and what was asked for."""

    node: str
    at_ms: int
    operator: str
    name: str
    product: str
    reason: str

    @property
    def day(self) -> date:
        """The day at that office."""
        return _day(self.at_ms, _zone_of(self.node).utc_offset_hours)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A claim (``again``) that agrees with an earlier one; ``first`` is the earliest with which it agrees."""

    nik: int
    first: Visit
    again: Visit


@dataclass(frozen=True, slots=True)
class Filter:
    """Which duplicates are wanted.

    Attributes:
        office: one of the two visits was in this area (`area`); ``""``: any.
        day: the later one was on this day, by its office's calendar; ``None``: any.
        pair: one visit was in the one area and the other in the other, whichever came first; ``None``: any.
    """

    office: str = ""
    day: date | None = None
    pair: tuple[str, str] | None = None

    def takes(self, one: Duplicate) -> bool:
        """Whether it is wanted."""
        first, again = one.first.node, one.again.node
        if not (is_in(first, self.office) or is_in(again, self.office)):
            return False
        if self.day is not None and one.again.day != self.day:
            return False
        if self.pair is None:
            return True
        left, right = self.pair
        return (is_in(first, left) and is_in(again, right)) or (is_in(first, right) and is_in(again, left))


def area(text: str, field: str) -> str:
    """``text``, when it names a province (2 digits), regency (4), kecamatan (6) or machine (537104-1).

    Raises:
        InvalidInputError: it names none.
    """
    if not _AREA.match(text):
        raise InvalidInputError(
            "an office is a code of 2, 4 or 6 digits, or a machine", field=field, value=text,
            hint="Such as 5371, 537104 or 537104-1; a pair has a comma between: 537104,537105.",
        )  # fmt: skip
    return text


def is_in(node: str, area: str) -> bool:
    """Whether a machine is in an area; every machine is in ``""``. 537104-1 is not the area of 537104-12."""
    return node == area if "-" in area else node.startswith(area)


def duplicates(
    connection: Connection, wanted: Filter, on_page: Callable[[int, int], None] | None = None
) -> Iterator[Duplicate]:
    """The duplicates by NIK, each NIK's by time.

    Args:
        on_page: told after each page how many NIK were read and how many duplicates found so far.

    Raises:
        StorageDamagedError: a frame that holds one of the claims is damaged.
    """
    after = read = found = 0
    while True:
        niks = [
            nik
            for (nik,) in connection.execute(
                # With an officer's word: it may have the claims of another number.
                "SELECT nik FROM head WHERE (claims > 1 OR decisions > 0) AND nik > ? ORDER BY nik LIMIT ?",
                (after, NIKS_PER_PAGE),
            )
        ]
        if not niks:
            return
        for nik, events in log.events_of(connection, niks).items():
            for one in _of_resident(connection, nik, events):
                if wanted.takes(one):
                    found += 1
                    yield one
        read, after = read + len(niks), niks[-1]
        if on_page is not None:
            on_page(read, found)


def _of_resident(connection: Connection, nik: int, events: list[Event]) -> list[Duplicate]:
    """The duplicates among one NIK's claims, by time. A replaced number's claims are under the new one."""
    own, read = fold_events(events), list(events)
    if replaced_by(own):
        return []

    def record_of(old_nik: int) -> Resident:
        found = log.events_of(connection, [old_nik])[old_nik]
        read.extend(found)
        return fold_events(found)

    pairs = agreeing(with_older(own, nik, record_of))
    operators = _operators(read) if pairs else {}
    return [Duplicate(nik, _visit(first, operators), _visit(again, operators)) for first, again in pairs]


def agreeing(resident: Resident) -> list[tuple[Claim, Claim]]:
    """Each claim that agrees with an earlier one, beside the earliest of these; by time."""
    claims, found = claims_of(resident), []
    first: dict[int, Claim] = {}
    for claim in claims.counting:
        earliest = first.setdefault(claims.number[claim.id], claim)
        if earliest is not claim:
            found.append((earliest, claim))
    return found


def _operators(events: Iterable[Event]) -> dict[EventId, str]:
    found: dict[EventId, str] = {}
    for event in events:
        if event.kind == Kind.RECORDED:
            with suppress(DecodeError):
                found[event.id] = event_pb2.Recorded.FromString(event.body).operator
    return found


def _visit(claim: Claim, operators: dict[EventId, str]) -> Visit:
    return Visit(
        claim.version.node, wall_ms_of(claim.version.stamp), operators.get(claim.id, ""), claim.name,
        claim.product, claim.reason,
    )  # fmt: skip


@lru_cache(maxsize=10_000)
def _zone_of(node: str) -> Zone:
    try:
        return zone(node)
    except InvalidInputError:
        return WIB


def _day(at_ms: int, offset_hours: int) -> date:
    try:
        return (datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(hours=offset_hours)).date()
    except (ValueError, OverflowError, OSError):
        return date.max
