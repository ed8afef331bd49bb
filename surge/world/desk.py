"""The work of the offices: people who come to be recorded, corrected and given cards.

Few people and few fields, so that offices meet at the same NIK and the same field all the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from sepe.events import Kind
from sepe.stock import Movement
from surge.world import bodies, counter
from surge.world.disk import OfficeDisk
from surge.world.loop import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from surge.world.office import Office
    from surge.world.world import World

# A kecamatan without an office in this world: its rights are the hub's to give.
FAR_KECAMATAN = 537_199
BORN_AND_SERIAL = 4_101_909_000  # A woman born on 1 January 1990; serials from 9000 belong to nobody.
FAR_SHARE = 0.05
GROUP_MAX = 8
GIVEN_MAX = 20
TRANSIT_MS_MAX = 6 * HOUR_MS
BETWEEN_MS = 7
# Who is recorded before his day has it within the days that a world plays, or soon after.
DUE_MS_MAX = 3 * DAY_MS
NOTICED_MS_MAX = HOUR_MS


@dataclass(frozen=True, slots=True)
class Habits:
    """What people come for; shares of the visits.

    Attributes:
        decision_share: an officer gives a right away although its holder is not gone.
        typing_share: of those recorded under another name, those whose clerk sees that he typed it wrong.
        young_share: somebody whose card may not be made before a day to come.
        echo_share: of the corrections, those that a second office makes of the same field in the same instant:
            equal stamps, which only the tie-break orders.
    """

    correction_share: float = 0.35
    print_share: float = 0.25
    second_issue_share: float = 0.15
    override_share: float = 0.02
    give_back_share: float = 0.02
    give_stock_share: float = 0.02
    decision_share: float = 0.002
    other_name_share: float = 0.08
    echo_share: float = 0.05
    own_roll_share: float = 0.75
    young_share: float = 0.1
    typing_share: float = 0.3


HABITS = Habits()
# Everybody wants a card, wherever he happens to be: rights wander all day.
PRINT_DAY = Habits(
    correction_share=0.1, print_share=0.9, give_back_share=0.05, give_stock_share=0.04, decision_share=0.005,
    own_roll_share=0.4,
)  # fmt: skip


def nik_of(kecamatan: int, person: int) -> int:
    """The NIK of one of the few people of a kecamatan."""
    return kecamatan * 10**10 + BORN_AND_SERIAL + person


class Desk:
    """Draws visits and lets an office commit them."""

    def __init__(self, world: World, rng: Random, people: int, habits: Habits = HABITS) -> None:
        self._world, self._rng, self._people, self._habits = world, rng, people, habits
        self._office = world.offices[0]

    def schedule(self, recordings: int, span_ms: int) -> None:
        """Draw when people come: in small groups, as they queue, or as the lines of one file."""
        left = recordings
        while left:
            group = min(1 + int(self._rng.random() * GROUP_MAX), left)
            left -= group
            at_ms = int(self._rng.random() * span_ms)
            for index in range(group):
                self._world.loop.after(at_ms + index * BETWEEN_MS, self.visit, index == 0)

    def visit(self, is_first: bool) -> None:
        """Somebody comes to one of the desks; an office without power or disk sends him away."""
        world, rng, habits = self._world, self._rng, self._habits
        if is_first:
            self._office = world.offices[int(rng.random() * len(world.offices))]
        office = self._office
        if not office.is_up or office.disk_is_full:
            world.oracle.refused_visits += 1
            return
        nik = self._somebody(office)
        draw = rng.random()
        if draw < habits.give_back_share:
            office.talk.give_back(nik, 1)
        elif draw < habits.give_back_share + habits.give_stock_share:
            other = world.offices[int(rng.random() * len(world.offices))]
            if other.node != office.node:
                give_stock(office, other, 1 + int(rng.random() * GIVEN_MAX))
        elif draw < habits.give_back_share + habits.give_stock_share + habits.decision_share:
            if world.hub.is_up and not world.hub.disk_is_full:
                world.hub.rights.take_away((nik, 1))
        elif draw < habits.give_back_share + habits.correction_share:
            field = bodies.FIELDS[int(rng.random() * len(bodies.FIELDS))]
            correct(office, nik, {field: f"value {world.oracle.last_fact}"})
            if rng.random() < habits.echo_share:
                other = world.offices[int(rng.random() * len(world.offices))]
                if other is not office and other.is_up:
                    correct(other, nik, {field: f"value {world.oracle.last_fact}"})
        else:
            is_other = rng.random() < habits.other_name_share
            name = bodies.NAMES[(nik + (1 if is_other else 0)) % len(bodies.NAMES)]
            issue = 0
            if rng.random() < habits.print_share:
                issue = 2 if rng.random() < habits.second_issue_share else 1
            override = issue > 0 and rng.random() < habits.override_share
            due_ms = world.loop.now_ms + int(rng.random() * DUE_MS_MAX) if rng.random() < habits.young_share else 0
            record(
                office, nik, name, {"address": f"street {world.oracle.last_fact}"}, issue=issue, override=override,
                due_ms=due_ms,
            )  # fmt: skip
            if is_other and rng.random() < habits.typing_share:
                right = bodies.NAMES[nik % len(bodies.NAMES)]
                world.loop.after(int(rng.random() * NOTICED_MS_MAX), _put_right, office, nik, right)
        if world.strikes(world.faults.poison):
            slip_poison(office, nik, kind_is_known=rng.random() < 0.5)

    def _somebody(self, office: Office) -> int:
        rng = self._rng
        draw = rng.random()
        if draw < FAR_SHARE:
            return nik_of(FAR_KECAMATAN, int(rng.random() * 3))
        codes = self._world.kecamatan_codes
        code = (
            int(office.node[:6]) if draw < self._habits.own_roll_share else codes[int(rng.random() * len(codes))]
        )
        return nik_of(code, int(rng.random() * self._people))


def record(
    office: Office, nik: int, name: str, fields: dict[str, str], *, issue: int = 0, override: bool = False,
    due_ms: int = 0,
) -> bool:  # fmt: skip
    """One recording, and the print job that it asks for, in one commit; whether it was taken.

    Args:
        due_ms: before that day no card is made; 0: at once.
    """
    fact = office.world.oracle.new_fact()
    body = bodies.recorded(fact, name=name, fields=fields, issue=issue, due_ms=due_ms)

    def write(disk: OfficeDisk) -> None:
        office.append(disk, int(Kind.RECORDED), nik, body, fact)
        disk.claim(nik, name, disk.last_event())
        if issue:
            office.press.new_job(disk, nik, issue, override=override, due_ms=due_ms)

    return _commit(office, write)


def correct(office: Office, nik: int, fields: dict[str, str]) -> bool:
    """One correction of fields other than identity; whether it was taken."""
    fact = office.world.oracle.new_fact()
    body = bodies.corrected(fact, fields)
    return _commit(office, lambda disk: office.append(disk, int(Kind.CORRECTED), nik, body, fact))


def _put_right(office: Office, nik: int, name: str) -> None:
    if office.is_up and not office.disk_is_full:
        counter.put_right(office, nik, name)


def slip_poison(office: Office, nik: int, *, kind_is_known: bool) -> bool:
    """An event that nobody can fold; whether it was taken."""
    fact = office.world.oracle.new_fact()
    kind, body = bodies.poison(fact, kind_is_known)
    return _commit(office, lambda disk: office.append(disk, kind, nik, body, fact))


def receive_stock(office: Office, count: int) -> bool:
    """A box of numbered blanks for an office's printer; whether the ledger took it."""
    world = office.world
    serials = [f"{number:06}" for number in range(world.last_serial + 1, world.last_serial + 1 + count)]
    world.last_serial += count
    return _take_in(office, Movement.RECEIVED, serials)


def give_stock(office: Office, other: Office, count: int) -> bool:
    """Blanks that the printer would take last go to another office, which books them when they are there."""
    world, stack = office.world, office.press.stack
    serials = stack[:1]
    # The printer holds the next blank; the box below it is numbered downwards, as long as it is one box.
    while len(serials) < min(count, len(stack) - 1) and int(stack[len(serials)]) == int(serials[-1]) - 1:
        serials.append(stack[len(serials)])
    if len(stack) < 2:
        return False
    serials.reverse()
    fact = world.oracle.new_fact()
    body = bodies.stock_moved(fact, Movement.MOVED_OUT, serials, other.node)

    def write(disk: OfficeDisk) -> None:
        office.append(disk, int(Kind.STOCK_MOVED), 0, body, fact)
        # They leave with the commit: who finds it in the books after a power cut sends them off as well.
        del stack[: len(serials)]
        world.oracle.blanks_given[office.name] = world.oracle.blanks_given.get(office.name, 0) + len(serials)
        world.oracle.blanks_under_way += len(serials)
        world.loop.after(int(world.rng.random() * TRANSIT_MS_MAX), _arrive, other, office.node, serials)

    world.tell(f"{office.name} gives {len(serials)} blanks to {other.name}")
    return _commit(office, write)


def _arrive(office: Office, sender: str, serials: list[str]) -> None:
    """Blanks are at the door of an office that books them as soon as it can."""
    if not office.is_up or office.disk_is_full or not _take_in(office, Movement.MOVED_IN, serials, sender):
        office.world.loop.after(HOUR_MS, _arrive, office, sender, serials)
    else:
        office.world.oracle.blanks_under_way -= len(serials)


def _take_in(office: Office, movement: Movement, serials: list[str], sender: str = "") -> bool:
    world = office.world
    fact = world.oracle.new_fact()
    body = bodies.stock_moved(fact, movement, serials, sender)

    def write(disk: OfficeDisk) -> None:
        office.append(disk, int(Kind.STOCK_MOVED), 0, body, fact)
        office.press.fill(serials)

    _commit(office, write)
    # A power cut may have come after the commit: the books say so, and nobody books them twice.
    return fact in world.oracle.committed


def _commit(office: Office, write: Callable[[OfficeDisk], None]) -> bool:
    done = office.guarded(lambda: office.commit(write))
    if done:
        office.relay.grew()
        office.press.pump()
        office.world.tell_commit(office)
    return done
