"""Which day it is for the law: a due day is never reached by a clock that ran ahead.

Recording goes by the later of all clocks, for a birth of today must be recordable on a PC that woke in 1970. A
card's first day is law, so it goes by the moment that is *proven*: the hub's last word plus the time that passed
since by the monotonic clock, which nobody sets. A restart loses the monotonic clock. Then the wall clock's step
since the last look is believed if it is under `STEP_MS_MAX`: a night, not a weekend. A longer one waits for the
hub's next word, or for a supervisor who confirms the date with a reason.

An office that never heard the hub has no word to go by, and goes by its own clock.
"""

from __future__ import annotations

from typing import NamedTuple

DAY_MS = 24 * 3_600_000
STEP_MS_MAX = DAY_MS


class Proven(NamedTuple):
    """A proven moment and what the wall clock showed then, milliseconds since 1970."""

    moment_ms: int
    wall_ms: int


NOTHING = Proven(0, 0)


def after_start(kept: Proven, wall_ms: int) -> Proven:
    """What is proven when a program begins, by what was kept last.

    A clock that stepped back, or over a day, adds nothing.
    """
    step_ms = wall_ms - kept.wall_ms
    return Proven(kept.moment_ms + (step_ms if 0 <= step_ms <= STEP_MS_MAX else 0), wall_ms)


def now(anchor: Proven, passed_ms: int, *, wall_ms: int, hub_ms: int) -> Proven:
    """What is proven now.

    Args:
        anchor: what was proven when the monotonic clock was at 0.
        passed_ms: on the monotonic clock since.
        hub_ms: the hub's last word; 0: never heard.
    """
    if not hub_ms:
        return Proven(wall_ms, wall_ms)
    return Proven(max(anchor.moment_ms + passed_ms, hub_ms), wall_ms)
