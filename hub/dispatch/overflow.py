"""Overflow: cards and blanks that should move today to offices that can still print them. Pure.

Every office tells with its greeting what waits there, what its printers can still make today, and its blanks
(`PrintRoom`). An office needs help in one of two ways. With printers to spare and too few blanks it gets *blanks*:
people stay where they are. With more cards than its printers can make it gives *cards* away, with blanks of its
own if the other office lacks them. Helpers are taken nearest first: same regency, then same province, then by
distance; never farther than a province, because somebody has to drive.

The plan only proposes. An officer applies it (`hub.dispatch.relief`), and even then nothing moves a right but its
holder's word (`hub.dispatch.rights`). So a plan that is old, or wrong, doubles nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import hypot

# What an office told longer ago than this is no basis for sending somebody on a drive.
TOLD_MS_MAX = 2 * 3_600_000
# Fewer are not worth a drive.
MOVE_MIN = 5
REGENCY_CHARS, PROVINCE_CHARS = 4, 2


class Kind(StrEnum):
    CARDS = "cards"
    BLANKS = "blanks"


@dataclass(frozen=True, slots=True)
class Office:
    """One machine as it told of itself.

    Attributes:
        waiting: cards that wait for nothing but a printer or a blank.
        capacity: cards that its printers can still make today.
        told_ms: when it said so, by the hub's clock.
        place: latitude and longitude of its kecamatan, ``None`` when unknown.
    """

    node: str
    waiting: int
    blanks: int
    capacity: int
    told_ms: int
    place: tuple[float, float] | None = None

    @property
    def prints(self) -> int:
        """How many of its own it can still print today."""
        return min(self.waiting, self.blanks, self.capacity)


@dataclass(frozen=True, slots=True)
class Move:
    """A proposal: so many cards, or blanks, from one machine to another."""

    kind: Kind
    from_node: str
    to_node: str
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The proposals, and what comes of them.

    Attributes:
        before, after: cards that can be printed today without and with the moves.
        left: cards that wait over the night all the same.
        silent: machines that told nothing lately and were left out.
    """

    moves: tuple[Move, ...]
    before: int
    after: int
    left: int
    silent: tuple[str, ...]


def plan(
    offices: Sequence[Office], now_ms: int, *, move_min: int = MOVE_MIN, kinds: Collection[Kind] = tuple(Kind)
) -> Plan:
    """What should move today.

    Args:
        kinds: what can be moved at all: without a car no blanks are brought, and cards go only where blanks are.
    """
    fresh = [one for one in offices if now_ms - one.told_ms <= TOLD_MS_MAX]
    state = {one.node: _State(one) for one in fresh}
    moves: list[Move] = []
    needy = sorted(fresh, key=lambda one: (one.prints - one.waiting, one.node))
    if Kind.BLANKS in kinds:
        for one in needy:
            moves += _bring_blanks(state, one, move_min)
    if Kind.CARDS in kinds:
        for one in needy:
            moves += _send_cards(state, one, move_min, may_carry=Kind.BLANKS in kinds)
    before = sum(one.prints for one in fresh)
    after = sum(one.prints for one in state.values())
    silent = tuple(sorted(one.node for one in offices if one not in fresh))
    return Plan(tuple(moves), before, after, sum(one.waiting for one in fresh) - after, silent)


@dataclass(slots=True)
class _State:
    """An office while it is planned for."""

    office: Office
    waiting: int
    blanks: int
    capacity: int

    def __init__(self, office: Office) -> None:
        self.office = office
        self.waiting, self.blanks, self.capacity = office.waiting, office.blanks, office.capacity

    @property
    def prints(self) -> int:
        return min(self.waiting, self.blanks, self.capacity)

    @property
    def spare_blanks(self) -> int:
        """Beyond what it could use for its own today."""
        return max(0, self.blanks - self.waiting)

    @property
    def spare_capacity(self) -> int:
        return max(0, self.capacity - self.waiting)


def _bring_blanks(state: Mapping[str, _State], office: Office, move_min: int) -> list[Move]:
    """Blanks for an office whose printers could make more of its cards."""
    mine, moves = state[office.node], []
    for helper in _nearest(state, office):
        count = min(min(mine.waiting, mine.capacity) - mine.blanks, helper.spare_blanks)
        if count >= move_min:
            helper.blanks -= count
            mine.blanks += count
            moves.append(Move(Kind.BLANKS, helper.office.node, office.node, count))
    return moves


def _send_cards(state: Mapping[str, _State], office: Office, move_min: int, *, may_carry: bool) -> list[Move]:
    """Cards of an office that its own printers cannot make today."""
    mine, moves = state[office.node], []
    for helper in _nearest(state, office):
        excess = mine.waiting - mine.prints
        useless_blanks = max(0, mine.blanks - mine.prints) if may_carry else 0
        blanks_there = max(0, helper.blanks - helper.waiting)
        count = min(excess, helper.spare_capacity, blanks_there + useless_blanks)
        if count < move_min:
            continue
        carried = max(0, count - blanks_there)
        if carried:
            mine.blanks -= carried
            helper.blanks += carried
            moves.append(Move(Kind.BLANKS, office.node, helper.office.node, carried))
        mine.waiting -= count
        helper.waiting += count
        moves.append(Move(Kind.CARDS, office.node, helper.office.node, count))
    return moves


def _nearest(state: Mapping[str, _State], office: Office) -> list[_State]:
    others = [one for one in state.values() if one.office.node[:PROVINCE_CHARS] == office.node[:PROVINCE_CHARS]]
    return sorted(
        (one for one in others if one.office is not office), key=lambda one: _distance(one.office, office)
    )


def _distance(one: Office, other: Office) -> tuple[bool, float, str]:
    is_elsewhere = one.node[:REGENCY_CHARS] != other.node[:REGENCY_CHARS]
    if one.place is None or other.place is None:
        return is_elsewhere, float("inf"), one.node
    # A degree is a degree near the equator: good enough to tell the near from the far.
    return is_elsewhere, hypot(one.place[0] - other.place[0], one.place[1] - other.place[1]), one.node
