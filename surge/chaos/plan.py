"""Who is struck when: a pure function of the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Blow(StrEnum):
    """What a strike does. Those that name an office hit one, the others the centre."""

    KILL_HUB = "hub killed"
    FREEZE_HUB = "hub frozen"
    KILL_BROKER = "broker killed"
    FREEZE_BROKER = "broker frozen"
    PURGE_STREAM = "stream purged"
    DELETE_STREAM = "stream deleted"
    KILL_NODE = "office killed"
    FREEZE_NODE = "office frozen"
    KILL_DESK = "desk killed"
    CUT_LINE = "line cut"
    FREEZE_LINE = "line silent"
    SLOW_LINE = "line slow"


OFFICE_BLOWS = frozenset(
    {Blow.KILL_NODE, Blow.FREEZE_NODE, Blow.KILL_DESK, Blow.CUT_LINE, Blow.FREEZE_LINE, Blow.SLOW_LINE}
)
# How long the struck part stays so, seconds: shortest and longest. A silent line must outlast the 30 s within
# which an office notices, now and then; a killed process is started again at once.
_LASTS_S = {
    Blow.FREEZE_HUB: (0.5, 8.0),
    Blow.FREEZE_BROKER: (0.5, 12.0),
    Blow.FREEZE_NODE: (0.5, 8.0),
    Blow.CUT_LINE: (0.5, 10.0),
    Blow.FREEZE_LINE: (2.0, 45.0),
    Blow.SLOW_LINE: (2.0, 20.0),
}
# No blow lasts longer than this part of the run, so that a short one sees recoveries too.
_LASTS_SHARE_MAX = 0.25


@dataclass(frozen=True, slots=True)
class Strike:
    """``at_s`` after the start, lasting ``for_s``; ``office`` is an index, -1 for the centre."""

    at_s: float
    blow: Blow
    office: int
    for_s: float


def plan(seed: int, *, seconds: float, offices: int, every_s: float) -> list[Strike]:
    """Strikes for ``seconds``, in order, ``every_s`` apart on average.

    Blows are dealt from a shuffled deck, so that even a short run meets each kind as soon as the count allows.
    """
    rng = Random(seed)
    strikes: list[Strike] = []
    deck: list[Blow] = []
    at_s = 0.0
    while True:
        # Never closer than a tenth: two strikes in one instant are one.
        at_s += every_s * (0.1 + 0.9 * rng.expovariate(1.0))
        if at_s >= seconds:
            return strikes
        if not deck:
            deck = _shuffled(list(Blow), rng)
        blow = deck.pop()
        shortest, longest = _LASTS_S.get(blow, (0.0, 0.0))
        longest = min(longest, max(seconds * _LASTS_SHARE_MAX, shortest))
        office = int(rng.random() * offices) if blow in OFFICE_BLOWS else -1
        strikes.append(Strike(at_s, blow, office, shortest + rng.random() * (longest - shortest)))


def _shuffled(blows: Sequence[Blow], rng: Random) -> list[Blow]:
    # Not Random.shuffle: its draws may differ between Python versions, and a seed must mean one plan.
    return [blow for _, blow in sorted((rng.random(), blow) for blow in blows)]
