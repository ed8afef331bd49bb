"""Card stock: how blanks move, the sum that must close, and where each serial is among all machines.

The sum of one machine, product and day (DESIGN §6)::

    opening + received + moved in = printed + spoiled + moved out + lost + closing

Each blank that leaves stands in exactly one term on the right. What turns out otherwise later moves it from one
term to another, on the day it turned out: a printed card that proves useless is *printed* -1 and *spoiled* +1, a
lost blank that is found again is *lost* -1. Blanks that wait at a printer are still part of *closing*. Destroying
spoiled stock changes no term: it was spoiled already.

`StockBooks` puts the reports of all machines together. A machine *claims* a serial that it took in and did not
give away, whatever it did with it. So a serial that two machines claim exists twice on paper and once in the
world, and one that was given away and that nobody claims yet is in transit. Reports come in any order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from sepe.products import PRODUCTS
from sepe.serials import SerialSet, span_of

BLANK_PRODUCTS = tuple(product.code for product in PRODUCTS.values() if product.needs_blank)

# Why stock is destroyed, as the minutes name it (DOMAIN §3).
SPOIL_REASONS = {
    "encode-failure": "gagal encode",
    "print-failure": "gagal cetak",
    "physical-damage": "rusak fisik",
    "no-chip": "tanpa chip",
    "data-change": "perubahan data",
    "arrival": "kedatangan",
}


class Movement(StrEnum):
    """What a report of stock says; the words of the contract."""

    RECEIVED = "received"
    MOVED_IN = "moved_in"
    FOUND = "found"
    PRINTED = "printed"
    SPOILED = "spoiled"
    MOVED_OUT = "moved_out"
    LOST = "lost"
    DESTROYED = "destroyed"
    COUNTED = "counted"
    ALLOTTED = "allotted"


INTAKES = (Movement.RECEIVED, Movement.MOVED_IN, Movement.FOUND)
# What takes unprinted blanks out of stock by a report of its own.
WRITE_OFFS = (Movement.MOVED_OUT, Movement.LOST, Movement.SPOILED)
# The terms of the sum between opening and closing, with their side.
_SIGNS = {"received": 1, "moved_in": 1, "printed": -1, "spoiled": -1, "moved_out": -1, "lost": -1}
# A day's movements by term.
Flows = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class StockSum:
    """The sum of one machine, product and day, in blanks. ``closing``: what was counted, not what should be."""

    opening: int = 0
    received: int = 0
    moved_in: int = 0
    printed: int = 0
    spoiled: int = 0
    moved_out: int = 0
    lost: int = 0
    closing: int = 0

    @property
    def gap(self) -> int:
        """What should be there and is not; below 0 what is there and should not be."""
        moved = sum(sign * int(getattr(self, term)) for term, sign in _SIGNS.items())
        return self.opening + moved - self.closing

    @property
    def closes(self) -> bool:
        return self.gap == 0

    def plus(self, other: StockSum) -> StockSum:
        """Two machines or products together."""
        return StockSum(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(StockSum)))


def term_of(movement: str) -> tuple[str, int]:
    """The term of the sum that a movement changes, and by what sign; ``("", 0)`` for one that changes none."""
    if movement == Movement.FOUND:
        return "lost", -1
    return (movement, 1) if movement in _SIGNS else ("", 0)


def day_sums(flows: Flows, closing: int | None = None) -> dict[str, StockSum]:
    """The sum of each day that has movements, in order; a day's closing is the next one's opening.

    Args:
        flows: day (ISO date, ``""`` for before the books) to term to count.
        closing: what was counted at the end of the last day; without it the last day closes by itself.
    """
    sums: dict[str, StockSum] = {}
    opening = 0
    days = sorted(flows)
    for day in days:
        moved = {term: flows[day].get(term, 0) for term in _SIGNS}
        derived = opening + sum(sign * moved[term] for term, sign in _SIGNS.items())
        counted = closing if day == days[-1] else None
        sums[day] = StockSum(opening=opening, **moved, closing=derived if counted is None else counted)
        opening = derived
    if not days and closing is not None:
        sums[""] = StockSum(closing=closing)
    return sums


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """One report of stock by a machine, or an allotment by the hub.

    Attributes:
        stamp: orders the reports of one machine.
        day: ISO date at that office.
        other_node: where it came from or goes to, ``""`` when no machine is named.
        count: blanks at hand afterwards, for ``counted`` alone.
    """

    stamp: int
    node: str
    day: str
    product: str
    movement: str
    first: str
    last: str
    other_node: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """One attempt to print on one blank: when it was reported printed and when spoiled.

    Attributes:
        printed_stamp, spoiled_stamp: 0 for never; the days are ISO dates at that office.
    """

    node: str
    product: str
    serial: str
    attempt: str
    printed_stamp: int = 0
    printed_day: str = ""
    spoiled_stamp: int = 0
    spoiled_day: str = ""

    @property
    def is_spent(self) -> bool:
        return bool(self.printed_stamp or self.spoiled_stamp)


@dataclass(frozen=True, slots=True)
class MachineStock:
    """The stock of one product at one machine, as its reports add up.

    Attributes:
        days: the sum of each day; the last one's closing is ``len(held)``, so that a serial which was taken in or
            spent twice shows as a gap.
        held: serials that it still has. ``spent``: printed on or spoiled. ``lost``: not found.
        strays: serials that it spent or gave away without ever having taken them in.
        doubled: serials on which two attempts were spent.
        miscounts: day, and by how much a count differed from the books at that moment.
    """

    node: str
    product: str
    days: Mapping[str, StockSum]
    held: SerialSet
    spent: SerialSet
    lost: SerialSet
    strays: SerialSet
    doubled: SerialSet
    miscounts: tuple[tuple[str, int], ...] = ()

    @property
    def claimed(self) -> SerialSet:
        """Every serial that this machine answers for."""
        found = self.held.copy()
        found.update(self.spent)
        found.update(self.lost)
        return found

    @property
    def total(self) -> StockSum:
        """All days as one sum."""
        if not self.days:
            return StockSum()
        last = list(self.days.values())[-1]
        moved = {term: sum(getattr(day, term) for day in self.days.values()) for term in _SIGNS}
        return StockSum(opening=0, **moved, closing=last.closing)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Serials that two machines claim."""

    product: str
    nodes: tuple[str, str]
    serials: SerialSet


@dataclass(frozen=True, slots=True)
class Transit:
    """Serials that one machine (or the hub) gave to another that has not reported them yet."""

    product: str
    sender: str
    receiver: str
    serials: SerialSet


@dataclass(frozen=True, slots=True)
class StockBooks:
    """The stock of all machines. Attributes are in the order of machine and product."""

    machines: tuple[MachineStock, ...]
    conflicts: tuple[Conflict, ...]
    transits: tuple[Transit, ...]

    @classmethod
    def of(cls, moves: Iterable[Move], spent: Iterable[Spent]) -> StockBooks:
        """What these reports add up to, in whatever order they come."""
        by_machine: dict[tuple[str, str], tuple[list[Move], list[Spent]]] = defaultdict(lambda: ([], []))
        gifts: list[Move] = []
        for move in sorted(moves):
            if move.movement != Movement.ALLOTTED:
                by_machine[move.node, move.product][0].append(move)
            if move.movement in (Movement.ALLOTTED, Movement.MOVED_OUT):
                gifts.append(move)
        for one in spent:
            if one.is_spent:
                by_machine[one.node, one.product][1].append(one)
        machines = tuple(
            _machine(node, product, reports, cards)
            for (node, product), (reports, cards) in sorted(by_machine.items())
        )
        return cls(machines, tuple(_conflicts(machines)), tuple(_transits(gifts, machines)))

    def faults(self) -> list[str]:
        """What does not add up, a line each; empty when every sum closes and every serial is in one place."""
        found: list[str] = []
        for one in self.machines:
            where = f"{one.node} {one.product}"
            if one.total.gap:
                found.append(f"{where}: the sum is off by {one.total.gap}")
            found += [
                f"{where}: {day.closing} blanks on {name}" for name, day in one.days.items() if day.closing < 0
            ]
            if one.strays:
                found.append(f"{where}: spent without having come: {one.strays}")
            if one.doubled:
                found.append(f"{where}: printed on twice: {one.doubled}")
            found += [f"{where}: counted {off:+d} on {day}" for day, off in one.miscounts]
        found += [f"{one.product}: at {one.nodes[0]} and {one.nodes[1]}: {one.serials}" for one in self.conflicts]
        return found


# When, day, term, count.
_Step = tuple[int, str, str, int]


def _machine(node: str, product: str, moves: list[Move], spent: list[Spent]) -> MachineStock:
    held, ever, gone, lost, strays = SerialSet(), SerialSet(), SerialSet(), SerialSet(), SerialSet()
    steps = [step for one in spent for step in _steps_of(one)]
    for move in moves:
        term, sign = term_of(move.movement)
        if not term:
            continue
        span = span_of(move.first, move.last)
        steps.append((move.stamp, move.day, term, sign * (span[2] - span[1] + 1)))
        if move.movement in INTAKES:
            held.add(*span)
            ever.add(*span)
            lost.discard(*span)
            gone.discard(*span)
            continue
        strays.update(SerialSet.between(move.first, move.last) - ever)
        held.discard(*span)
        if move.movement == Movement.LOST:
            lost.add(*span)
        elif move.movement == Movement.SPOILED:
            gone.add(*span)
    times = Counter(one.serial for one in spent)
    used = SerialSet.of(times)
    strays.update(used - ever)
    gone.update(used)
    held -= used
    flows: dict[str, Counter[str]] = defaultdict(Counter)
    for _, day, term, count in steps:
        flows[day][term] += count
    counts = [move for move in moves if move.movement == Movement.COUNTED]
    return MachineStock(
        node, product, day_sums(flows, len(held)), held, gone, lost - used, strays,
        SerialSet.of(serial for serial, count in times.items() if count > 1), tuple(_miscounts(counts, steps)),
    )  # fmt: skip


def _steps_of(one: Spent) -> list[_Step]:
    """What an attempt changes: a card that was printed and then proved useless changes its term."""
    printed, spoiled = (one.printed_stamp, one.printed_day), (one.spoiled_stamp, one.spoiled_day)
    if not one.spoiled_stamp:
        return [(*printed, "printed", 1)]
    if not 0 < one.printed_stamp < one.spoiled_stamp:
        return [(*spoiled, "spoiled", 1)]
    return [(*printed, "printed", 1), (*spoiled, "printed", -1), (*spoiled, "spoiled", 1)]


def _miscounts(counts: Iterable[Move], steps: list[_Step]) -> Iterable[tuple[str, int]]:
    """Day and difference of each count that is not what the reports up to then add up to."""
    in_order = iter(sorted(steps))
    ahead = next(in_order, None)
    at_hand = 0
    for one in counts:
        while ahead is not None and ahead[0] <= one.stamp:
            at_hand += _SIGNS[ahead[2]] * ahead[3]
            ahead = next(in_order, None)
        if one.count != at_hand:
            yield one.day, one.count - at_hand


def _conflicts(machines: Iterable[MachineStock]) -> Iterable[Conflict]:
    """Pairs of machines that claim the same serial, found by one sweep over all ranges."""
    spans = sorted(
        (one.product, series, start, end, one.node)
        for one in machines
        for series, start, end in one.claimed.spans()
    )
    found: dict[tuple[str, str, str], SerialSet] = defaultdict(SerialSet)
    # Ranges of one machine are disjoint, so as many are open at once as machines claim one serial.
    open_spans: list[tuple[str, object, int, str]] = []
    for product, series, start, end, node in spans:
        open_spans = [one for one in open_spans if one[:2] == (product, series) and one[2] >= start]
        for _, _, other_end, other in open_spans:
            first, second = sorted((node, other))
            found[product, first, second].add(series, start, min(end, other_end))
        open_spans.append((product, series, end, node))
    for (product, first, second), serials in sorted(found.items(), key=lambda one: one[0]):
        yield Conflict(product, (first, second), serials)


def _transits(gifts: Iterable[Move], machines: Iterable[MachineStock]) -> Iterable[Transit]:
    """The last word on each serial that was given away, without those that somebody claims."""
    under_way: dict[tuple[str, str, str], SerialSet] = defaultdict(SerialSet)
    for move in gifts:
        span = span_of(move.first, move.last)
        for key, serials in under_way.items():
            if key[0] == move.product:
                serials.discard(*span)
        under_way[move.product, move.node, move.other_node].add(*span)
    claimed: dict[str, SerialSet] = defaultdict(SerialSet)
    for one in machines:
        claimed[one.product].update(one.claimed)
    for (product, sender, receiver), serials in sorted(under_way.items(), key=lambda one: one[0]):
        if left := serials - claimed[product]:
            yield Transit(product, sender, receiver, left)
