"""The counter of an office: cards are given to their owners, taken back, and put right after a typing error.

What is in somebody's hand is physical truth and lives in the oracle. A card goes over the counter with the commit
that says so: the ledger's event and the hand change in one step, as paper and signature do.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from sepe import card
from sepe.events import Kind
from surge.world import bodies
from surge.world.bugs import Bug
from surge.world.disk import Job, OfficeDisk
from surge.world.oracle import Gift

if TYPE_CHECKING:
    from surge.world.office import Office
    from surge.world.world import World

TAKE_BACK_SHARE = 0.3
RECALLED, OLDER, DISPUTED = "is to be collected", "is not the newest issue", "bears a name that does not stand"


def schedule(world: World, rng: Random, visits: int, span_ms: int) -> None:
    """Draw when people come for their cards, and when those are collected that should not be out."""
    for _ in range(visits):
        world.loop.after(int(rng.random() * span_ms), _visit, world, rng)


def _visit(world: World, rng: Random) -> None:
    office = world.offices[int(rng.random() * len(world.offices))]
    lying = [job for job in office.disk.jobs.values() if job.state == card.PRINTED and job.machine == office.name]
    recalled = [nik for nik, standing in office.disk.standings.items() if standing.recalls]
    if not office.is_up or office.disk_is_full:
        return
    if recalled and rng.random() < TAKE_BACK_SHARE:
        take_back(office, recalled[int(rng.random() * len(recalled))])
    elif lying:
        hand_over(office, lying[int(rng.random() * len(lying))].nik)


def hand_over(office: Office, nik: int) -> bool:
    """Give the owner his card: the newest issue that lies here and may go out; whether he got one.

    Whatever he holds of the product he gives back, and older issues that lie here go with those.
    """
    ready = sorted(_lying(office, nik), key=lambda job: job.issue)
    good = [job for job in ready if not _faults(office.disk, job)]
    if office.world.bug is Bug.HAND_OVER_ALL:
        return bool(ready) and _give(office, ready, [])
    if not good:
        return False
    return _give(office, good[-1:], [job for job in ready if job.issue < good[-1].issue])


def take_back(office: Office, nik: int) -> bool:
    """Collect a card that this office made and was told to collect, wherever it is; whether there was one."""
    recalls = office.disk.standing(nik).recalls
    jobs = [
        job
        for job in office.disk.jobs.values()
        if job.attempt in recalls and job.state in card.OUT and job.machine == office.name
    ]
    return bool(jobs) and _commit(office, nik, [], jobs[:1], returned=jobs[:1])


def put_right(office: Office, nik: int, name: str) -> bool:
    """The clerk had typed another name; what was printed with it and not given out is destroyed.

    His own typing alone, and only while nobody went home with it; whether it was put right.
    """
    claimed = office.disk.claimed.get(nik, ())
    wrong = [event for other, event in claimed if event is not None and other != name]
    jobs = [job for job in office.disk.jobs.values() if job.nik == nik and job.name != name]
    # More than one: somebody had said so before, and this was no slip of the pen.
    if len(wrong) != 1 or any(
        job.state == card.HANDED_OVER for job in office.disk.jobs.values() if job.nik == nik
    ):
        return False
    fact = office.world.oracle.new_fact()
    body = bodies.claim_corrected(fact, corrects=wrong, name=name)
    printed = [job for job in jobs if job.state == card.PRINTED and job.machine == office.name]
    open_ = [job for job in jobs if job.state == card.REQUESTED]

    def write(disk: OfficeDisk) -> None:
        office.append(disk, int(Kind.CLAIM_CORRECTED), nik, body, fact)
        said = disk.last_event()
        disk.claimed[nik] = (*(one for one in claimed if one[1] is None or one[0] == name), (name, said))
        for job in printed:
            _spoil(office, disk, job)
        for job in open_:
            del disk.jobs[job.attempt]
        office.world.oracle.take_back_wishes(office.name, nik, name)
        if printed or open_:
            office.press.new_job(disk, nik, max(job.issue for job in (*printed, *open_)), name, said)

    return _committed(office, write)


def _lying(office: Office, nik: int) -> list[Job]:
    return [
        job
        for job in office.disk.jobs.values()
        if job.nik == nik and job.state == card.PRINTED and job.machine == office.name
    ]


def _faults(disk: OfficeDisk, job: Job) -> list[str]:
    """What this ledger knows that speaks against giving a card out."""
    standing = disk.standing(job.nik)
    newer = any(
        other.nik == job.nik and other.issue > job.issue and other.state in card.OUT
        for other in disk.jobs.values()
    )  # fmt: skip
    return [
        *([RECALLED] if job.attempt in standing.recalls else []),
        *([DISPUTED] if standing.verdict(job.name, is_disputed=False) else []),
        *([OLDER] if newer else []),
    ]


def _give(office: Office, jobs: Sequence[Job], old: Sequence[Job]) -> bool:
    nik = jobs[0].nik
    held = office.world.oracle.hands.get(nik, set())
    bug = office.world.bug is Bug.HAND_OVER_ALL
    cards = {one.attempt: one for one in office.world.oracle.cards if one.attempt in held}
    returned = [] if bug else [
        Job(one.attempt, nik, one.issue, card.HANDED_OVER, serial=one.serial) for one in cards.values()
    ]  # fmt: skip
    return _commit(office, nik, jobs, [*old, *returned], returned=returned)


def _commit(
    office: Office, nik: int, given: Sequence[Job], old: Sequence[Job], *, returned: Sequence[Job]
) -> bool:
    oracle = office.world.oracle

    def write(disk: OfficeDisk) -> None:
        for job in old:
            _withdraw(office, disk, job)
        hand = oracle.hands.setdefault(nik, set())
        hand -= {job.attempt for job in returned}
        oracle.destroyed |= {job.attempt for job in old}
        for job in given:
            faults = tuple(_faults(disk, job))
            fact = oracle.new_fact()
            body = bodies.card_moved(
                fact, issue=job.issue, attempt=job.attempt, state=card.HANDED_OVER, serial=job.serial,
                fence=job.fence, override=job.override,
            )  # fmt: skip
            office.append(disk, int(Kind.CARD_MOVED), nik, body, fact)
            disk.jobs[job.attempt] = job._replace(state=card.HANDED_OVER)
            hand.add(job.attempt)
            oracle.gifts.append(Gift(job.attempt, office.name, nik, faults))

    return _committed(office, write)


def _withdraw(office: Office, disk: OfficeDisk, job: Job) -> None:
    fact = office.world.oracle.new_fact()
    # A card that another office made is known by the number that stands on it.
    attempt = job.attempt if job.attempt in disk.jobs else ""
    body = bodies.card_withdrawn(fact, attempt=attempt, serial=job.serial, issue=job.issue, reason="recall")
    office.append(disk, int(Kind.CARD_WITHDRAWN), job.nik, body, fact)
    if attempt:
        disk.jobs[attempt] = disk.jobs[attempt]._replace(state=card.VOID)


def _spoil(office: Office, disk: OfficeDisk, job: Job) -> None:
    oracle = office.world.oracle
    fact = oracle.new_fact()
    body = bodies.card_moved(
        fact, issue=job.issue, attempt=job.attempt, state=card.SPOILED, serial=job.serial, fence=job.fence,
        override=job.override,
    )  # fmt: skip
    office.append(disk, int(Kind.CARD_MOVED), job.nik, body, fact)
    disk.jobs[job.attempt] = job._replace(state=card.SPOILED)
    oracle.ruin(job.attempt)


def _committed(office: Office, write: object) -> bool:
    done = office.guarded(lambda: office.commit(write))  # type: ignore[arg-type]
    if done:
        office.relay.grew()
        office.press.woken()
        office.world.tell_commit(office)
    return done
