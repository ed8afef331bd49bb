"""A day at an office as it happens: people come, printers work, get hot and run out.

Written apart from `sepe.dispatch.forecast`, which is judged by it: printers here have a cold pace, jitter and rests,
not an average; people come with a morning rush and a lull, not evenly.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from sepe.dispatch.order import Queue, Taker, Waiting, ranked
from sepe.dispatch.policy import HOUR_MS, Hours, JobClass, Policy

MINUTE_MS = 60_000
# People of TTS: at most a quarter are first issues (DOMAIN §1).
KINDS = (
    [JobClass.LOST] * 6
    + [JobClass.DAMAGED] * 3
    + [JobClass.DATA_CHANGE] * 6
    + [JobClass.FIRST] * 4
    + [JobClass.ROOM]
)


@dataclass
class Printer:
    """Heats up: after ``run`` cards it rests until it has made no more than ``a_day`` in a day of 13 hours."""

    name: str
    a_day: int
    ribbon: int = 500
    card_ms: int = 35_000
    run: int = 5
    ribbons_spare: int = 99
    free_ms: int = 0
    since_rest: int = 0
    made: int = 0
    # (begun, done, busy since): what the node's press would note.
    took: list[int] = field(default_factory=list)

    def make(self, at_ms: int, dice: random.Random) -> int:
        """Make one card from ``at_ms`` on; when it is out."""
        if self.ribbon == 0:
            self.ribbons_spare -= 1
            self.ribbon, at_ms = 500, at_ms + round(5 * MINUTE_MS * dice.uniform(0.7, 1.6))
        rest_ms = 0
        if self.since_rest == self.run:
            self.since_rest = 0
            rest_ms = round((13 * HOUR_MS / self.a_day - self.card_ms) * self.run * dice.uniform(0.85, 1.15))
        done_ms = at_ms + rest_ms + round(self.card_ms * dice.uniform(0.9, 1.2))
        self.since_rest += 1
        self.made += 1
        self.ribbon -= 1
        self.took.append(done_ms - at_ms)
        self.free_ms = done_ms
        return done_ms

    @property
    def is_out(self) -> bool:
        return self.ribbon == 0 and self.ribbons_spare == 0


def people(midnight_ms: int, count: int, dice: random.Random) -> list[int]:
    """When each of them has been recorded: a rush from 08.30 to 11, a lull at noon, steady until 16."""
    hours = dice.choices(
        ((8, 8.5), (8.5, 11), (11, 12), (12, 13), (13, 15), (15, 16)), (4, 43, 12, 4, 27, 10), k=count
    )
    return sorted(midnight_ms + round(dice.uniform(start, end) * HOUR_MS) for start, end in hours)


@dataclass
class Day:
    """What happened: who was out when, and who still waits."""

    out_ms: dict[int, int]
    waiting: list[Waiting]
    printed_from_ms: dict[int, int]


def live(
    waiting: Sequence[Waiting],
    printers: Sequence[Printer],
    blanks: int,
    policy: Policy,
    from_ms: int,
    until_ms: int,
    dice: random.Random,
) -> tuple[Day, int]:
    """Let a stretch of the day happen; also how many blanks are left. ``since_ms`` is when somebody came."""
    queue = Queue()
    out_ms: dict[int, int] = {}
    begun: dict[int, int] = {}
    rest = {one.job: one for one in waiting}
    for printer in printers:
        printer.free_ms = max(printer.free_ms, from_ms)
    while True:
        printer = min((one for one in printers if not one.is_out), key=lambda one: one.free_ms, default=None)
        if printer is None or printer.free_ms >= until_ms:
            break
        now_ms = printer.free_ms
        here = [one for one in rest.values() if one.since_ms <= now_ms]
        queue.replace(ranked(here, policy, is_short=blanks < max(50, len(here))))
        taken = queue.take(Taker(printer.name, frozenset({"card"}))) if blanks else None
        if taken is None:
            printer.free_ms = min(
                (one.since_ms for one in rest.values() if one.since_ms > now_ms), default=until_ms
            )
            continue
        blanks -= 1
        job = taken[1].job
        del rest[job]
        begun[job] = now_ms
        out_ms[job] = printer.make(now_ms, dice)
    return Day(out_ms, list(rest.values()), begun), blanks


def hours() -> Hours:
    """Of an office in Timor: people until 16.00, printers until 21.00."""
    return Hours(offset_min=480)
