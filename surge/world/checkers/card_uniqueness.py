"""At most one valid card per (NIK, issue), and no second piece of plastic while rights are respected.

A supervisor's override prints without the right. A disk that was restored, replaced or cloned forgot which cards it
printed, and a restored hub which rights it gave: there a second card cannot be prevented, but it must be *seen*: as
a ``double_print`` case with one valid card, as soon as the hub has both intents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sepe import case
from sepe.card import OUT, issues_of
from sepe.events import Kind, body_of
from sepe.resident import Resident, fold
from sepe.wire.v1 import event_pb2
from surge.world.oracle import Card

if TYPE_CHECKING:
    from surge.world.world import World


def check(world: World) -> list[str]:
    oracle = world.oracle
    problems = [
        f"card {one.serial} came out of {one.machine} and no intent for it was ever committed"
        for one in oracle.cards
        if one.attempt not in oracle.intents
    ]
    made: dict[tuple[int, int], list[Card]] = {}
    for one in oracle.cards:
        if not one.ruined:
            made.setdefault((one.nik, one.issue), []).append(one)
    records = {nik: fold(world.hub.disk.events_of(nik)) for nik, _ in made}
    for (nik, issue), cards in made.items():
        if len(cards) > 1 and not _is_excused(world, cards):
            problems.append(f"{len(cards)} cards for issue {issue} of one NIK: {[one.machine for one in cards]}")
        problems += _seen(records[nik], issue, cards)
    for record in records.values():
        for one in issues_of(record):
            out = [attempt for attempt in one.attempts if attempt.state in OUT]
            if out and (one.valid is None or len(one.recalled) != len(out) - 1):
                problems.append(f"issue {one.issue} has {len(out)} cards out and not exactly one valid")
    return problems


def _is_excused(world: World, cards: list[Card]) -> bool:
    oracle = world.oracle
    return oracle.rights_forgotten or any(one.override or one.machine in oracle.unruly for one in cards)


def _seen(record: Resident, issue: int, cards: list[Card]) -> list[str]:
    """Whether the hub shows two cards of which it knows both as two."""
    states = {one.attempt: one.state for found in issues_of(record) for one in found.attempts}
    known = [one for one in cards if states.get(one.attempt) in OUT]
    shown = any(
        one.kind == case.DOUBLE_PRINT and one.subject.endswith(f"/{issue}") for one in case.cases_of(record)
    )
    if len(known) > 1 and not shown:
        return [f"{len(known)} cards are out for issue {issue} and no case says so"]
    return []


def attempts_in_log(world: World) -> dict[str, event_pb2.CardMoved]:
    """The furthest step of each attempt in the hub's log."""
    steps: dict[str, event_pb2.CardMoved] = {}
    for row in world.hub.disk.log:
        for event in row.events():
            if event.kind == Kind.CARD_MOVED:
                step = body_of(event.kind, event.body)
                assert isinstance(step, event_pb2.CardMoved)
                if step.attempt not in steps or step.state > steps[step.attempt].state:
                    steps[step.attempt] = step
    return steps
