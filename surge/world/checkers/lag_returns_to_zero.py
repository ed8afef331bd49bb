"""The office never stops, and catches up by itself: some hours after the faults end, every epoch of every office
is level with the hub, every office has read what it is told, nothing waits in a queue, no card is in doubt or
waits for a right that could be had, and no queue or window outgrew its bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sepe import card
from sepe.sync.office import WINDOW_FRAMES
from surge.world.broker import NODE_MESSAGES_MAX
from surge.world.checkers import no_starving
from surge.world.ending import Ending
from surge.world.hub import QUEUE_FRAMES_MAX

if TYPE_CHECKING:
    from surge.world.office import Office
    from surge.world.world import World


def check(ending: Ending) -> list[str]:
    return lagging(ending.world)


def lagging(world: World) -> list[str]:
    """What is not at rest yet."""
    problems = [problem for office in world.offices for problem in _lag(world, office)]
    if world.broker.queue:
        problems.append(f"{len(world.broker.queue)} messages wait at the broker")
    if world.hub.queue_max_seen > QUEUE_FRAMES_MAX:
        problems.append(f"{world.hub.queue_max_seen} frames waited at the hub")
    if world.broker.queue_max_seen > NODE_MESSAGES_MAX * len(world.kecamatan_codes):
        problems.append(f"{world.broker.queue_max_seen} messages waited at the broker")
    problems += no_starving.starving(world) + no_starving.owing(world)
    if world.oracle.blanks_under_way:
        problems.append(f"{world.oracle.blanks_under_way} blanks are on their way")
    if not world.is_within_steps:
        problems.append(f"not at rest after {world.loop.steps} steps: something goes in circles")
    return problems


def _lag(world: World, office: Office) -> list[str]:
    if not office.is_up:
        return [f"{office.name} is down"]
    problems = []
    for rows in office.disk.epochs:
        if not rows.niks:
            continue
        state = world.hub.disk.state_of((office.node, rows.epoch))
        if state.durable_seq < rows.last_seq or rows.durable_seq != rows.last_seq:
            problems.append(
                f"{office.name} epoch {rows.epoch.hex()[:6]}: last {rows.last_seq}, heard {rows.durable_seq}, "
                f"hub {state.durable_seq}"
            )
        elif state.durable_seq == rows.last_seq and state.chain != rows.last_chain:
            problems.append(f"{office.name} epoch {rows.epoch.hex()[:6]}: digests differ at {rows.last_seq}")
    for machine in office.relay.machines.values():
        if machine.in_flight_frames > WINDOW_FRAMES:
            problems.append(f"{office.name} has {machine.in_flight_frames} frames in flight")
    told = world.hub.disk.feed.get(office.node, {}).values()
    if told and (
        office.disk.feed_id != world.hub.disk.feed_id or office.disk.feed_seen < max(number for number, _ in told)
    ):
        problems.append(f"{office.name} has not read what it was told")
    for job in office.disk.jobs.values():
        if job.machine == office.name and job.state in (card.SENT, card.IN_DOUBT):
            problems.append(f"{office.name}: job {job.attempt} is still in doubt")
    return problems
