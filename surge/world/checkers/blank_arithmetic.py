"""Blanks add up for every machine: received = printed + spoiled + given away + left, in plastic, and by the
product's own books (`sepe.stock`) made from the hub's log: every sum closes, no serial is in two places.

In the books only where no disaster made a machine forget: then its ledger cannot know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from sepe import card
from sepe.events import Kind
from sepe.hlc import wall_ms_of
from sepe.stock import Move, Movement, Spent, StockBooks
from sepe.wire.v1 import event_pb2
from surge.world.centre import LogRow
from surge.world.checkers.card_uniqueness import attempts_in_log
from surge.world.ending import Ending
from surge.world.loop import DAY_MS


def check(ending: Ending) -> list[str]:
    return _plastic(ending) + _attempts(ending) + _books(ending)


def _plastic(ending: Ending) -> list[str]:
    world, oracle = ending.world, ending.world.oracle
    problems: list[str] = []
    used = Counter(one.machine for one in oracle.cards)
    for office in world.offices:
        received, given = oracle.blanks_received.get(office.name, 0), oracle.blanks_given.get(office.name, 0)
        left = len(office.press.stack)
        if received != used[office.name] + given + left:
            problems.append(
                f"{office.name}: {received} blanks received, {used[office.name]} used, {given} given, {left} left"
            )
    return problems


def _attempts(ending: Ending) -> list[str]:
    oracle = ending.world.oracle
    problems: list[str] = []
    booked = attempts_in_log(ending)
    per_serial = Counter(step.serial for step in booked.values() if step.state != card.VOID)
    problems += [f"blank {serial} is booked {count} times" for serial, count in per_serial.items() if count > 1]
    made = {one.attempt: one for one in oracle.cards}
    forgetful = oracle.unruly
    for attempt, step in booked.items():
        machine = attempt.partition("/")[0]
        if machine in forgetful:
            continue
        one = made.get(attempt)
        truth: int = card.VOID if one is None else card.SPOILED if one.ruined else card.PRINTED
        state = card.PRINTED if step.state == card.HANDED_OVER else step.state
        if state != truth or (one is not None and one.serial != step.serial):
            problems.append(f"attempt {attempt} is booked {_name(step.state)}, not {_name(truth)}")
    for attempt, one in made.items():
        if attempt not in booked and one.machine not in forgetful:
            problems.append(f"blank {one.serial} was used at {one.machine} and no book says so")
    return problems


def _books(ending: Ending) -> list[str]:
    """What the hub's reader of stock finds; nothing may be wrong where nobody's memory was changed."""
    world = ending.world
    forgetful = {office.node for office in world.offices if office.name in world.oracle.unruly}
    books = StockBooks.of(_moves(world.hub.disk.log), _spent(world.hub.disk.log))
    problems = [fault for fault in books.faults() if not any(node in fault for node in forgetful)]
    # A blank on its way to or from a forgetful machine may stay on its way for ever.
    problems += [
        f"{transit.serials} from {transit.sender} never came to {transit.receiver}"
        for transit in books.transits
        if not {transit.sender, transit.receiver} & forgetful
    ]
    for one in books.machines:
        office = world.office(one.node)
        if one.node not in forgetful and one.total.closing != len(office.press.stack):
            problems.append(
                f"{one.node}: {one.total.closing} blanks in the books, {len(office.press.stack)} in hand"
            )
    return problems


def _reports(log: list[LogRow], kind: Kind) -> Iterator[tuple[str, int, bytes]]:
    """(node, stamp, body) of each event of a kind.

    The stamp is the machine's own: it orders that machine's reports however wrong the hub's clock is.
    """
    for row in log:
        node, columns = row.opened.header.node, row.opened.columns
        for index in range(row.skip, len(columns)):
            if columns.kinds[index] == kind:
                yield node, columns.stamps[index], columns.bodies[index]


def _moves(log: list[LogRow]) -> Iterator[Move]:
    for node, stamp, data in _reports(log, Kind.STOCK_MOVED):
        body = event_pb2.StockMoved.FromString(data)
        yield Move(
            stamp, node, _day(stamp), body.product, Movement(body.movement), body.first_serial, body.last_serial,
            body.other_node,
        )  # fmt: skip


def _spent(log: list[LogRow]) -> Iterator[Spent]:
    found: dict[str, Spent] = {}
    for node, stamp, data in _reports(log, Kind.CARD_MOVED):
        step = event_pb2.CardMoved.FromString(data)
        one = found.get(step.attempt) or Spent(node, step.product, step.serial, step.attempt)
        if step.state == card.PRINTED:
            one = replace(one, printed_stamp=stamp, printed_day=_day(stamp))
        elif step.state == card.SPOILED:
            one = replace(one, spoiled_stamp=stamp, spoiled_day=_day(stamp))
        found[step.attempt] = one
    yield from found.values()


def _day(stamp: int) -> str:
    return f"{wall_ms_of(stamp) // DAY_MS:06}"


def _name(state: int) -> str:
    return next((name for number, name in card.STATE_NAMES.items() if number == state), "unknown")
