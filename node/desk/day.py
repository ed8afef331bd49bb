"""Which day it is at this office, when its clock may be wrong.

A PC with a dead battery wakes in 1970. Then births of this year would be refused as lying in the future, so the
office's day never falls behind what it has already seen: the hub's clock, and its own last event. The latter is
left out when the hub's clock shows that it was nonsense (somebody once set the clock to 2031).
"""

from __future__ import annotations

from datetime import date

from sepe import hlc
from sepe.errors import InvalidInputError
from sepe.region import WIB, Zone, zone

# An office that heard the hub's clock goes on without it for months, hardly for more than a year.
UNHEARD_MS_MAX = 400 * 86_400_000
_DAY_1970 = date(1970, 1, 1).toordinal()


def seen_ms(now_ms: int, *, hub_ms: int, last_stamp: int) -> int:
    """The latest believable moment, milliseconds since 1970.

    Args:
        hub_ms: the hub's clock when last heard, 0 before that.
        last_stamp: of this machine's last event, 0 before the first.
    """
    last_ms = hlc.wall_ms_of(last_stamp)
    if hub_ms and last_ms > hub_ms + UNHEARD_MS_MAX:
        last_ms = 0
    return max(now_ms, hub_ms, last_ms)


def day_of(ms: int, node: str) -> date:
    """The calendar day of a moment in the office's own time zone."""
    # Year 9999 is the calendar's end.
    seconds = min(max(ms, 0) // 1000, 253_402_200_000) + zone_of(node).utc_offset_hours * 3600
    return date.fromordinal(_DAY_1970 + seconds // 86_400)


def zone_of(node: str) -> Zone:
    """The time zone of a node's office; Jakarta's for a code that no province has."""
    try:
        return zone(node)
    except InvalidInputError:
        return WIB
