"""The clock by which somebody's day comes at an office: never ahead of the hub's last word.

An office's own clock says when it recorded; it does not say that a pupil is seventeen. For that the hub's last
word counts, and the time that this machine has run since it heard it, or since it started.
"""

from __future__ import annotations


class LawClock:
    """One machine's. ``monotonic_ms`` is a clock that only runs, and only while the machine does."""

    def __init__(self) -> None:
        self._said_ms = 0
        self._at_ms = 0

    def heard(self, hub_ms: int, monotonic_ms: int) -> None:
        """The hub told the time, just now or, at a start, some time ago."""
        self._said_ms, self._at_ms = hub_ms, monotonic_ms

    def now_ms(self, monotonic_ms: int) -> int:
        """The time that it certainly is by now; 0 before any word."""
        return self._said_ms + monotonic_ms - self._at_ms if self._said_ms else 0
