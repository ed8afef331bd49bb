"""When faults strike: the rates of `Faults` become calls at drawn times, and every outage gets its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from sepe.ids import HUB_NODE
from surge.world.faults import OUTAGE_HOURS_MAX
from surge.world.loop import DAY_MS, HOUR_MS, MINUTE_MS, YEAR_MS

if TYPE_CHECKING:
    from surge.world.office import Office
    from surge.world.world import World

OFFICE_BACKUP_HOURS = (4, 16)
OFFICE_BACKUPS_MAX = 8
HUB_BACKUP_MS = 8 * HOUR_MS
# So a restored backup is at most a day and a half old; offices' margins must reach back further.
HUB_BACKUPS_MAX = 4
CLONES_MAX = 3


def schedule(world: World, days: int) -> None:
    """Draw when each fault strikes within the next days."""
    faults, hub = world.faults, world.hub
    span_ms = days * DAY_MS
    hourly: list[tuple[float, bool, Callable[[World], None]]] = [
        (faults.partition, True, _cut),
        (faults.disk_full, True, _fill_disk),
        (faults.restore_office, True, _restore_office),
        (faults.replace_office, True, _replace_office),
        (faults.clone_office, True, _clone_office),
        (faults.clock_jump, True, _jump_clock),
        (faults.hub_disk_full, False, _fill_hub),
        (faults.hub_clock, False, _jump_hub_clock),
        (faults.broker_purge, False, _purge),
        (faults.broker_loses_acked, False, _lose_acked),
        (faults.broker_replace_empty, False, _replace_broker),
        (faults.broker_down, False, _stop_broker),
        (faults.hub_restore, False, _restore_hub),
    ]
    for rate, is_per_office, strike in hourly:
        if rate:
            expected = rate * days * (len(world.offices) if is_per_office else 1)
            _at_random(world, span_ms, expected, partial(strike, world))
    if faults.restore_office:
        for office in world.offices:
            world.loop.after(_hours(world.rng, OFFICE_BACKUP_HOURS), _back_up_office, world, office)
    if faults.hub_restore:
        hub.backups.append(hub.disk.backup())
        for at_ms in range(HUB_BACKUP_MS, span_ms, HUB_BACKUP_MS):
            world.loop.after(at_ms, _back_up_hub, world)


def _at_random(world: World, span_ms: int, expected: float, strike: Callable[[], None]) -> None:
    count = int(expected) + int(world.rng.random() < expected - int(expected))
    for _ in range(count):
        world.loop.after(world.rng.randrange(span_ms), strike)


def _hours(rng: Random, hours: tuple[int, int]) -> int:
    return rng.randrange(hours[0] * HOUR_MS, hours[1] * HOUR_MS)


def _while(world: World) -> int:
    """How long an outage lasts: mostly minutes, sometimes a working day."""
    longest_ms = OUTAGE_HOURS_MAX * HOUR_MS if world.rng.random() < 0.4 else HOUR_MS
    return world.rng.randrange(MINUTE_MS, longest_ms)


def _pick(world: World, among: Iterable[Office] | None = None) -> Office:
    offices = list(world.offices if among is None else among)
    return offices[world.rng.randrange(len(offices))]


def _cut(world: World) -> None:
    office = _pick(world)
    if not office.line.is_cut:
        world.cut(office, is_noticed=world.rng.random() < 0.5)
        world.loop.after(_while(world), world.mend, office)


def _fill_disk(world: World) -> None:
    office = _pick(world)
    world.tell(f"{office.name}: disk full")
    office.disk_is_full = True
    world.loop.after(_while(world), _empty_disk, world, office)


def _empty_disk(world: World, office: Office) -> None:
    world.tell(f"{office.name}: disk has room")
    office.disk_is_full = False
    office.press.pump()


def _back_up_office(world: World, office: Office) -> None:
    office.backups.append(office.disk.copy())
    del office.backups[:-OFFICE_BACKUPS_MAX]
    if world.faults.restore_office:
        world.loop.after(_hours(world.rng, OFFICE_BACKUP_HOURS), _back_up_office, world, office)


def _restore_office(world: World) -> None:
    able = [office for office in world.offices if office.backups]
    if able:
        office = _pick(world, able)
        world.restore_office(office, office.backups[world.rng.randrange(len(office.backups))])
        _start_soon(world, office)


def _replace_office(world: World) -> None:
    office = _pick(world)
    world.replace_office(office)
    _start_soon(world, office)


def _start_soon(world: World, office: Office) -> None:
    # Often it works on for a while before its line is back: that is when histories part.
    if world.rng.random() < 0.5 and not office.line.is_cut:
        world.cut(office, is_noticed=True)
        world.loop.after(_while(world), world.mend, office)
    world.loop.after(world.rng.randrange(MINUTE_MS, HOUR_MS), world.office_starts, office, office.life)


def _clone_office(world: World) -> None:
    clones = len(world.offices) - len(world.kecamatan_codes)
    if clones < CLONES_MAX:
        office = _pick(world)
        world.clone_office(office, f"{office.node}~{clones + 1}")


def _jump_clock(world: World) -> None:
    office, rng = _pick(world), world.rng
    office.clock_offset_ms = rng.choice(
        (5 * YEAR_MS, -5 * YEAR_MS, 10 * YEAR_MS, -world.loop.now_ms, 8 * MINUTE_MS, -40 * MINUTE_MS, 2 * HOUR_MS)
    )
    _note_clock(world, office.name, office.clock_offset_ms)
    world.tell(f"{office.name}: clock jumps by {office.clock_offset_ms // MINUTE_MS} minutes")
    world.loop.after(_while(world), _set_clock, world, office)


def _set_clock(world: World, office: Office) -> None:
    world.tell(f"{office.name}: clock set right")
    office.clock_offset_ms = 0


def _fill_hub(world: World) -> None:
    world.tell("hub: disk full")
    world.hub.disk_is_full = True
    world.loop.after(_while(world), _empty_hub, world)


def _empty_hub(world: World) -> None:
    world.tell("hub: disk has room")
    world.hub.disk_is_full = False


def _jump_hub_clock(world: World) -> None:
    world.hub.clock_offset_ms = world.rng.choice((YEAR_MS, -YEAR_MS, HOUR_MS, -HOUR_MS))
    world.oracle.hub_clock_wrong = True
    _note_clock(world, HUB_NODE, world.hub.clock_offset_ms)
    world.tell(f"hub: clock jumps by {world.hub.clock_offset_ms // MINUTE_MS} minutes")
    world.loop.after(_while(world), _set_hub_clock, world)


def _set_hub_clock(world: World) -> None:
    world.hub.clock_offset_ms = 0


def _note_clock(world: World, machine: str, offset_ms: int) -> None:
    if offset_ms > world.margin_ms:
        world.oracle.far_ahead.add(machine)


def _purge(world: World) -> None:
    world.broker_life += 1
    world.tell(f"broker: stream purged, {world.broker.purge()} messages gone")


def _lose_acked(world: World) -> None:
    lost = world.broker.lose_newest(world.rng.randrange(1, 20))
    world.tell(f"broker: power loss, {lost} acknowledged messages gone")


def _replace_broker(world: World) -> None:
    world.broker_life += 1
    world.broker.purge()
    world.broker_falls()
    world.tell("broker: replaced by an empty one")
    world.loop.after(world.rng.randrange(MINUTE_MS, HOUR_MS), world.broker_rises)


def _stop_broker(world: World) -> None:
    if world.broker.is_up:
        world.broker_falls()
        world.loop.after(_while(world), world.broker_rises)


def _back_up_hub(world: World) -> None:
    world.hub.backups.append(world.hub.disk.backup())
    del world.hub.backups[:-HUB_BACKUPS_MAX]


def _restore_hub(world: World) -> None:
    backups = world.hub.backups
    world.restore_hub(backups[world.rng.randrange(len(backups))])
    world.loop.after(world.rng.randrange(MINUTE_MS, HOUR_MS), world.hub.start)
