"""Hybrid logical clock: stamps that follow the wall clock and never go back.

A stamp is one integer, 48 bits of milliseconds since 1970 above 16 bits of counter, so that comparing
stamps is comparing integers and the 65,536th event of one millisecond simply carries into the next.
Source: Kulkarni et al., "Logical Physical Clocks", 2014.

The *effective* stamp is min(stamp, the hub's receive time + bound), fixed when the hub logs the frame: a
node whose clock is five years ahead neither stops sync nor wins for ever.
"""

from __future__ import annotations

COUNTER_BITS = 16
STAMP_MAX = (1 << 64) - 1
# A node that NTP reaches is within a second. Ten minutes lets an office set its clock by a wristwatch;
# beyond it the hub caps the stamp and flags the node.
AHEAD_MS_MAX = 600_000


def stamp_of(wall_ms: int) -> int:
    """The lowest stamp of that millisecond; a clock before 1970 counts as 1970."""
    return max(wall_ms, 0) << COUNTER_BITS


def wall_ms_of(stamp: int) -> int:
    """Milliseconds since 1970 that a stamp shows."""
    return stamp >> COUNTER_BITS


def next_stamp(last: int, wall_ms: int, *, seen_hub: int = 0) -> int:
    """The stamp of the next event: above ``last``, and above the hub's last stamp that this node has seen.

    Args:
        last: the node's last stamp, 0 before the first.
        wall_ms: the wall clock now; it may have jumped either way.
        seen_hub: the highest hub stamp that reached this node. It orders a slow clock's edits after what
            the operator had before him.
    """
    return max(stamp_of(wall_ms), last + 1, seen_hub + 1)


def effective_stamp(stamp: int, cap: int) -> int:
    """The stamp that the merge uses; ``cap`` is the frame's, from `cap_of`."""
    return min(stamp, cap)


def cap_of(received_ms: int, ahead_ms_max: int = AHEAD_MS_MAX) -> int:
    """The highest effective stamp for a frame that the hub received at ``received_ms``."""
    return stamp_of(received_ms + ahead_ms_max)
