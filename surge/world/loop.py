"""Virtual time: a heap of calls, run in order of their time and, within a millisecond, of their asking."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

# 1 October 2024, 00:00 UTC: the worlds play in the weeks before the vote of 27 November.
START_MS = 1_727_740_800_000
SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


class Loop:
    """The one clock of a world. ``steps`` counts the calls made, so that a runaway world can be stopped."""

    __slots__ = ("_asked", "_heap", "now_ms", "steps")

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.steps = 0
        self._asked = 0
        self._heap: list[tuple[int, int, Callable[..., Any], tuple[Any, ...]]] = []

    def after(self, delay_ms: int, call: Callable[..., Any], *arguments: Any) -> None:
        """Make ``call`` in ``delay_ms``."""
        self._asked += 1
        heappush(self._heap, (self.now_ms + delay_ms, self._asked, call, arguments))

    def run(self, until_ms: int, *, steps_max: int) -> bool:
        """Make every call due by ``until_ms``; ``False`` when ``steps_max`` calls ever were not enough."""
        heap, pop = self._heap, heappop
        while heap and heap[0][0] <= until_ms:
            if self.steps >= steps_max:
                return False
            self.steps += 1
            self.now_ms, _, call, arguments = pop(heap)
            call(*arguments)
        self.now_ms = until_ms
        return True
