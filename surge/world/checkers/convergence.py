"""Everybody converges: a second hub that gets the same frames in another order, some twice and some too early, ends
with the same digest and the same watermarks; and each record folds to the same picture in any order of its events.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from sepe.card import issues_of
from sepe.case import cases_of
from sepe.crdt import Register, Version
from sepe.events import Event
from sepe.resident import Resident, fold, life_of, standing_claim
from sepe.sync.centre import Judgement, judge
from surge.world.bugs import Bug
from surge.world.centre import HubDisk, LogRow

if TYPE_CHECKING:
    from surge.world.world import World


def check(world: World) -> list[str]:
    # A chance of its own: checking must not change how the seed goes on.
    rng = Random(world.seed)
    problems = []
    second = second_hub(world.hub.disk.log, rng)
    if second.digest() != world.hub.disk.digest():
        problems.append("a second hub with the same frames has another digest")
    if second.states != world.hub.disk.states:
        problems.append("a second hub with the same frames has other watermarks")
    for nik in sorted(world.hub.disk.heads):
        events = world.hub.disk.events_of(nik)
        shuffled = rng.sample(events, len(events))
        if picture(events, world.bug) != picture(shuffled, world.bug):
            problems.append("a record depends on the order of its events")
    return problems


def second_hub(log: list[LogRow], rng: Random) -> HubDisk:
    """A hub fed the frames of ``log``; epochs interleaved anew, each in its own order."""
    queues: dict[tuple[str, bytes], list[LogRow]] = {}
    for row in reversed(log):
        queues.setdefault(row.key, []).append(row)
    order = [key for key, rows in queues.items() for _ in rows]
    rng.shuffle(order)
    disk = HubDisk()
    for key in order:
        queue = queues[key]
        if len(queue) > 1 and rng.random() < 0.1 and queue[0].opened.header.first_seq > _next_seq(disk, queue[0]):
            _feed(disk, queue[0])  # Too early: a gap.
        row = queue.pop()
        _feed(disk, row)
        if rng.random() < 0.1:
            _feed(disk, row)
    return disk


def picture(events: list[Event], bug: Bug | None = None) -> object:
    """What people read of a record, as a value that equal records share."""
    resident = fold(events)
    standing = standing_claim(resident)
    return (
        standing,
        resident.claims,
        {name: (_top(name, register, events, bug), register.writes) for name, register in resident.fields.items()},
        life_of(resident),
        [(one.issue, one.valid, one.recalled) for one in issues_of(resident)],
        _cases(resident),
    )


def _next_seq(disk: HubDisk, row: LogRow) -> int:
    return disk.state_of(row.key).durable_seq + 1


def _feed(disk: HubDisk, row: LogRow) -> None:
    chains = disk.chains.get(row.key, [])
    verdict = judge(disk.state_of(row.key), row.opened.header, row.opened.chains, lambda seq: chains[seq - 1])
    if verdict.judgement is Judgement.ACCEPT:
        disk.take(LogRow(row.opened, verdict.skip, row.cap))


def _top(name: str, register: Register[str], events: list[Event], bug: Bug | None) -> object:
    if bug is not Bug.NO_TIE_BREAK:
        return register.top
    # The planted mistake: stamps alone decide, so of two equal ones the first to arrive stays.
    best: tuple[Version, str] | None = None
    written = {version: value for version, value in register.writes}
    for event in events:
        version = Version.of(event.id, event.stamp)
        if version in written and (best is None or version.stamp > best[0].stamp):
            best = version, written[version]
    return best


def _cases(resident: Resident) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.subject, one.is_open) for one in cases_of(resident)]
