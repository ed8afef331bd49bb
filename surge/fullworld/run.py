"""Playing a full world from its seed to its verdict."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from hub.merge.digest import digest
from hub.merge.proving import VIA_IMPORT, Arrival
from surge.fullworld import disk
from surge.fullworld import people as people_of
from surge.fullworld.chance import seeded_chance
from surge.fullworld.checkers import CHECKERS, PROBLEMS_MAX
from surge.fullworld.loop import VirtualLoop
from surge.fullworld.verdict import Verdict
from surge.fullworld.world import FIRST_KECAMATAN, FullWorld, niks
from surge.world import bodies
from surge.world.faults import STANDARD, Faults
from surge.world.loop import MINUTE_MS, YEAR_MS

# The work and the faults of a day fit in five minutes of virtual time; waiting costs nothing here, work does.
DAY_S = 300.0
DAYS = 2
SETTLE_S_MAX = 4 * 3600.0
LATE_COPIES_MAX = 20
# People come alone or in a group that is recorded in one transaction.
GROUP_MAX = 5
DISPUTES = 0.08
# Of so many recordings, one is followed by a look of the officer's.
LOOKS_SHARE = 15


# Faults that only the first speed plays: a full office keeps its disk until it is restored, and prints nothing.
NOT_PLAYED = frozenset({"replace_office", "jam"})


def run(
    seed: int, offices: int = 4, recordings: int = 150, faults: Faults = STANDARD, days: int = DAYS
) -> Verdict:
    """Play one full world; the same seed and arguments give the same verdict, digest of the story included.

    Needs the process for itself: see `surge.fullworld.chance`.
    """
    disk.make_templates()
    with seeded_chance(seed) as rng, _silence(), disk.world_folder() as folder:
        loop = VirtualLoop()
        world = FullWorld(loop, rng, faults, Path(folder))
        try:
            loop.run_until_complete(_play(world, offices, recordings, days))
            trace = hashlib.sha256("\n".join(world.story).encode()).hexdigest()
            return Verdict(seed, world.problems, _figures(world), tuple(world.story), trace)
        finally:
            for machine in (world.hub, *world.offices):
                machine.unplug()
            _end(loop)
            world.close()


async def _play(world: FullWorld, offices: int, recordings: int, days: int) -> None:
    world.populate(offices)
    _schedule_work(world, offices, recordings, days)
    _schedule_disasters(world, days)
    await asyncio.sleep(days * DAY_S)
    world.calm()
    left = await world.settle(SETTLE_S_MAX)
    if not left:
        left = await _after_the_end(world)
    if left:
        world.problem("lag_returns_to_zero", left)
    world.tell(f"digest {digest(world.hub.store.connection).digest}")
    for name, check in CHECKERS.items():
        for found in check(world)[:PROBLEMS_MAX]:
            world.problem(name, found)


async def _after_the_end(world: FullWorld) -> str:
    """What comes long after: old frames once more, and the courier with what offices had fetched back."""
    old = [
        (node, bytes(data))
        for node, data in world.hub.store.connection.execute("SELECT node, data FROM frame WHERE node <> 'hub'")
    ]
    for node, data in world.rng.sample(old, min(len(old), LATE_COPIES_MAX)):
        world.broker.publish(node, data)
    for office in world.offices:
        for frame in disk.courier_frames(office.folder):
            world.hub.store.merge([Arrival(frame, VIA_IMPORT, world.hub.now_ms())])
    return await world.settle(SETTLE_S_MAX)


def _schedule_work(world: FullWorld, offices: int, recordings: int, days: int) -> None:
    rng = world.rng
    people = niks([FIRST_KECAMATAN + index for index in range(offices)], max(2, recordings // (4 * offices)))
    left = recordings
    while left > 0:
        size = min(rng.randint(1, GROUP_MAX), left)
        left -= size
        names = [bodies.NAMES[0] if rng.random() > DISPUTES else rng.choice(bodies.NAMES) for _ in range(size)]
        group = [(rng.choice(people), name) for name in names]
        world.after(rng.uniform(0, days * DAY_S), _visit, world, group)
    for _ in range(max(recordings // LOOKS_SHARE, 1)):
        world.after(rng.uniform(0, days * DAY_S), people_of.officer_looks, world)


def _visit(world: FullWorld, group: list[tuple[int, str]]) -> None:
    office = world.rng.choice(world.offices)
    office.record(group)
    if world.strikes(len(group) * world.faults.poison):
        office.write_poison(group[0][0])


def _schedule_disasters(world: FullWorld, days: int) -> None:
    """The disasters of so many days, drawn now."""
    rng, faults = world.rng, world.faults
    span_s = days * DAY_S
    # One failing power supply a machine every two days, besides those that a commit dies of.
    kills = max(days // 2, 1)

    def occasions(rate: float) -> Iterator[float]:
        expected = days * rate
        for _ in range(int(expected) + (rng.random() < expected % 1)):
            yield rng.uniform(0, 0.9 * span_s)

    def outage() -> float:
        return rng.uniform(5, 90)

    def offset() -> int:
        return rng.choice((-10 * YEAR_MS, -90 * MINUTE_MS, -MINUTE_MS, MINUTE_MS, 90 * MINUTE_MS, 10 * YEAR_MS))

    for office in list(world.offices):
        for at in occasions(faults.partition):
            world.after(at, world.cut, office, outage())
        for at in occasions(faults.disk_full):
            world.after(at, world.fill, office, outage())
        for at in occasions(faults.clock_jump):
            world.after(at, world.jump_clock, office, offset(), outage())
        for at in occasions(faults.restore_office):
            world.after(at, world.restore_office_later, office, rng.uniform(1, 300))
        for at in occasions(faults.clone_office):
            world.after(at, world.clone, office)
        for _ in range(kills if faults.kill_office else 0):
            world.after(rng.uniform(0, span_s), world.kill, office, outage())
    hub = world.hub
    for at in occasions(faults.hub_disk_full):
        world.after(at, world.fill, hub, outage())
    for at in occasions(faults.hub_clock):
        world.after(at, world.jump_clock, hub, rng.choice((-YEAR_MS, YEAR_MS)), outage())
    for at in occasions(faults.broker_purge + faults.broker_replace_empty):
        world.after(at, world.purge)
    for at in occasions(faults.broker_loses_acked):
        world.after(at, world.lose_newest)
    for at in occasions(faults.broker_down):
        world.after(at, world.stop_broker, outage())
    for at in occasions(faults.hub_restore):
        world.after(at, world.restore_hub_later, rng.uniform(1, 300))
    for _ in range(kills if faults.kill_hub else 0):
        world.after(rng.uniform(0, span_s), world.kill, hub, outage())


def _figures(world: FullWorld) -> dict[str, int]:
    def count(statement: str) -> int:
        return int(world.hub.store.connection.execute(statement).fetchone()[0])

    merged = world.oracle.facts(world.hub.bodies())
    return {
        "events": len(world.oracle.committed),
        "frames_logged": count("SELECT count(*) FROM frame"),
        "epochs": count("SELECT count(*) FROM epoch WHERE node <> 'hub'"),
        "quarantined": count("SELECT count(*) FROM quarantine"),
        "parked": count("SELECT count(*) FROM parked"),
        "erased": len(world.oracle.erased - merged),
        "pruned_too_early": len(world.oracle.pruned_early(world.facts_on_offices()) - merged),
        "power_cuts": sum("loses power" in line for line in world.story),
        "cards": len(world.oracle.cards),
        "decisions": sum("an officer keeps" in line for line in world.story),
        "links": world.network.opened,
        "virtual_s": int(world.now_s),
        "jumps": world.loop.steps,
    }


@contextmanager
def _silence() -> Iterator[None]:
    """The product logs every fault as it must; a thousand of them are no news here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def _end(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
