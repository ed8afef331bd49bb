"""When work can go on: hours of the days, and a line with its outages; in seconds from the first midnight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from surge.scenario.model import LinkClass


class Hours:
    """Spans of the days, as seconds: when the desks are open, or the printers attended."""

    def __init__(self, spans: list[tuple[float, float]]) -> None:
        self.spans = spans
        self._opens = [begin for begin, _ in spans]

    def resume(self, now_s: float, needs_s: float = 0.0, more_s: float = 0.0) -> float | None:
        """When work of that length may begin: now, or at the next opening; ``None`` for never."""
        index = bisect_right(self._opens, now_s) - 1
        if index >= 0 and now_s + needs_s <= self.spans[index][1] + more_s:
            return now_s
        return self.spans[index + 1][0] if index + 1 < len(self.spans) else None


class LineTimes:
    """When packets arrive by an office's line: one after the other, while it is up.

    Args:
        down: when it is not, in order.
    """

    def __init__(self, packet_kb: float, link: LinkClass, down: Sequence[tuple[float, float]]) -> None:
        self._down = down
        rate = link.kbit_s * 125 * (1 - link.loss)
        self._packet_s = packet_kb * 1000 / rate if rate else 0.0
        self._delay_s = 2 * link.delay_ms / 1000
        self._free_s = 0.0

    def sent_s(self, now_s: float) -> float:
        """When a packet that is ready now has arrived."""
        at_s, left_s = max(now_s, self._free_s), self._packet_s
        for begin, until in self._down:
            if until <= at_s:
                continue
            if at_s + left_s <= begin:
                break
            left_s -= max(0.0, begin - at_s)
            at_s = max(at_s, until)
        self._free_s = at_s + left_s
        return self._free_s + self._delay_s
