"""Everything the hub holds, line by line, and whose data came from one node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hub.merge import log
from hub.merge.digest import NIKS_PER_PAGE
from hub.merge.project import whole_record
from hub.read import cases, hints
from hub.read.person import at, document
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.events import BODIES, Kind, body_of
from sepe.nik import NIK_DIGITS, Nik
from sepe_io.sqlite import Connection

KINDS = ("residents", "cards", "events", "cases", "frames")


def kind_name(kind: int) -> str:
    """A kind as people read it; a newer office's is its number."""
    return Kind(kind).name.lower() if kind in BODIES else f"kind-{kind}"


def residents(connection: Connection) -> Iterator[dict[str, Any]]:
    """The person page of every NIK, by NIK."""
    secret = bytes(connection.execute("SELECT value FROM meta WHERE name = 'case_secret'").fetchone()[0])
    after = 0
    while True:
        rows = connection.execute(
            "SELECT nik FROM head WHERE nik > ? ORDER BY nik LIMIT ?", (after, NIKS_PER_PAGE)
        ).fetchall()
        if not rows:
            return
        for nik, events in log.events_of(connection, [nik for (nik,) in rows]).items():
            try:
                number = Nik.from_number(nik)
            except InvalidInputError:
                continue  # No desk accepts such a number; it is among the exported events.
            yield document(number, whole_record(connection, nik, events), secret)
        after = rows[-1][0]


def cards(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every attempt at every card, by NIK."""
    for person in residents(connection):
        for card in person["cards"]:
            yield {"nik": person["nik"], **card}


def events(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every event in the order of the log, its body as a document when this version can read it."""
    from google.protobuf.json_format import MessageToDict

    for logged in log.all_frames(connection):
        for event in log.events_in(logged):
            try:
                body = body_of(event.kind, event.body)
            except PeerProtocolError:
                body = None
            yield {
                "event": str(event.id),
                "nik": str(event.nik).zfill(NIK_DIGITS) if event.nik else None,
                "kind": kind_name(event.kind),
                "stamp": event.stamp,
                "at": at(event.stamp),
                "body": None if body is None else MessageToDict(body, preserving_proto_field_name=True),
                **({"bytes": event.body.hex()} if body is None else {}),
            }


def all_cases(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every case and hint, open and decided."""
    yield from cases.cases(connection, include_decided=True)
    yield from hints.hints(connection, include_decided=True)


def frames(connection: Connection) -> Iterator[bytes]:
    """Every frame as it came, in an order in which another hub takes them all."""
    for logged in log.all_frames(connection):
        yield logged.data


def exposure(connection: Connection, node: str) -> dict[str, Any]:
    """Whose data came from a node: what a notice under UU 27/2022 must name when the machine is lost.

    It covers what reached the hub; what the machine recorded since it was last seen is not known here. Whose card
    an officer had moved there is among them, with no event if it was not made.
    """
    people: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    number = 0
    while True:
        rows = connection.execute(
            "SELECT number FROM frame WHERE node = ? AND number > ? ORDER BY number LIMIT 100", (node, number)
        ).fetchall()
        if not rows:
            break
        for (number,) in rows:
            for event in log.events_in(log.frame(connection, number)):
                kinds[kind_name(event.kind)] += 1
                if event.nik:
                    people[event.nik] += 1
    for (nik,) in connection.execute(
        "SELECT DISTINCT r.nik FROM reroute r JOIN print_right p ON p.nik = r.nik AND p.product = r.product"
        " AND p.issue = r.issue WHERE r.to_node = ?",
        (node,),
    ).fetchall():
        people[nik] += 0
    return {
        "node": node,
        "residents": len(people),
        "events": sum(kinds.values()),
        "kinds": dict(sorted(kinds.items())),
        "people": [{"nik": str(nik).zfill(NIK_DIGITS), "events": times} for nik, times in sorted(people.items())],
    }
