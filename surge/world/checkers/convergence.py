"""Everybody converges: a second hub that gets the same frames in another order, some twice and some too early,
ends with the same digest and the same watermarks; and each record folds to the same picture in any order.
"""

from __future__ import annotations

from random import Random

from sepe.case import cases_of
from sepe.claims import standing_claim
from sepe.crdt import Register, Version
from sepe.resident import Resident
from sepe.sync.centre import Judgement, judge
from surge.world.bugs import Bug
from surge.world.centre import HubDisk, LogRow
from surge.world.ending import Ending, Entry, issues_seen, joined, may_hold_case, whole_of


def check(ending: Ending) -> list[str]:
    world = ending.world
    # A chance of its own: checking must not change how the seed goes on.
    rng = Random(world.seed)
    problems = []
    second = second_hub(world.hub.disk.log, rng)
    if second.digest() != world.hub.disk.digest():
        problems.append("a second hub with the same frames has another digest")
    if second.states != world.hub.disk.states:
        problems.append("a second hub with the same frames has other watermarks")
    for nik, entries in ending.entries.items():
        if len(entries) > 1:
            other = entries[:]
            rng.shuffle(other)
            record, again = ending.records[nik], joined(other)
            whole, whole_again = ending.whole[nik], whole_of(ending.records, nik, again)
            is_same = record == again and _fields(record, entries, world.bug) == _fields(again, other, world.bug)
            if is_same and may_hold_case(again):
                is_same = (
                    standing_claim(whole) == standing_claim(whole_again)
                    and ending.cases[nik] == cases_of(whole_again)
                    and ending.issues[nik] == issues_seen(whole_again, world.bug)
                )
            if not is_same:
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
        chance = rng.random()
        if chance < 0.1 and queue[0].opened.header.first_seq > disk.state_of(key).durable_seq + 1:
            _feed(disk, queue[0])  # Too early: a gap.
        row = queue.pop()
        _feed(disk, row)
        if chance > 0.9:
            _feed(disk, row)
    return disk


def _feed(disk: HubDisk, row: LogRow) -> None:
    chains = disk.chains.get(row.key, [])
    verdict = judge(disk.state_of(row.key), row.opened.header, row.opened.chains, lambda seq: chains[seq - 1])
    if verdict.judgement is Judgement.ACCEPT:
        disk.take(LogRow(row.opened, verdict.skip, row.cap))


def _fields(record: Resident, entries: list[Entry], bug: Bug | None) -> dict[str, object]:
    """What people read of each field that was written more than once; equal records have equal lone writes."""
    return {
        name: _top(register, entries, bug) for name, register in record.fields.items() if len(register.writes) > 1
    }


def _top(register: Register[str], entries: list[Entry], bug: Bug | None) -> object:
    if bug is not Bug.NO_TIE_BREAK:
        return register.top
    # The planted mistake: stamps alone decide, so of two equal ones the first to arrive stays.
    written = dict(register.writes)
    best: tuple[Version, str] | None = None
    for entry in entries:
        version = Version.of(entry.event.id, entry.event.stamp)
        if version in written and (best is None or version.stamp > best[0].stamp):
            best = version, written[version]
    return best
