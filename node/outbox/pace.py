"""How much to have in flight: little on a thin line, a full window on a good one.

A fixed window suits one line only. Thirty-two frames of 150 KB are nothing to a fibre, but on 64 kbit/s they are
ten minutes: no ack comes in time, the line is called dead, and the same frames start again, for ever.
So the time from frame to ack decides: quick answers double the frame and then the window, slow ones halve the
window and then the frame.

A hub that is behind answers late on the best of lines, and small frames would make it later still. It says for how
long it had a frame, so that the rest is known to be the line's: the frame follows the line's time alone, while the
window, which is what waits at the hub, follows the whole. More than the whole cannot be and is not believed; and
a hub that lies within that gains frames of `EVENTS_MAX`, one at a time, until an ack does not come in time.

Figures: at 64 kbit/s and 150 bytes an event compressed, 53 events leave in a second, so `EVENTS_FIRST` answers
in about two seconds and `EVENTS_MIN` in half a second; a 600 ms satellite hop stays under `QUICK_MS`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

EVENTS_FIRST = 125
EVENTS_MIN = 25
EVENTS_MAX = 1000
WINDOW_FIRST = 2
# A hub that is behind commits some eight of our frames at a time. With no more than those in flight, one side
# would always wait for the other; half of what the stream keeps for each office (`hub.ingest.pipe`) is the bound.
WINDOW_MAX = 32
QUICK_MS = 1_500
SLOW_MS = 6_000


@dataclass(slots=True)
class Pace:
    """The pace of one session. ``events_max`` per frame, ``window_frames`` in flight."""

    events_max: int = EVENTS_FIRST
    window_frames: int = WINDOW_FIRST
    window_frames_max: int = WINDOW_MAX
    _sent: deque[tuple[int, int]] = field(default_factory=deque)

    def sent(self, last_seq: int, now_ms: int) -> None:
        """A frame that ends at ``last_seq`` left."""
        self._sent.append((last_seq, now_ms))

    def acked(self, durable_seq: int, now_ms: int, held_ms: int = 0) -> None:
        """The hub committed up to ``durable_seq``.

        Args:
            held_ms: for how long it had the frame that ends there; 0: it does not say.
        """
        oldest_ms: int | None = None
        newest_ms = 0
        while self._sent and self._sent[0][0] <= durable_seq:
            newest_ms = self._sent.popleft()[1]
            oldest_ms = newest_ms if oldest_ms is None else oldest_ms
        if oldest_ms is None:
            return
        waited_ms = now_ms - oldest_ms
        # Of the last frame, which is the one that the hub speaks of.
        line_ms = now_ms - newest_ms - held_ms if 0 < held_ms <= now_ms - newest_ms else waited_ms
        if waited_ms <= QUICK_MS:
            self._faster()
        elif waited_ms > SLOW_MS and self.window_frames > 1:
            self.window_frames //= 2
        elif line_ms <= QUICK_MS:
            self.events_max = min(self.events_max * 2, EVENTS_MAX)
        elif line_ms > SLOW_MS:
            self.events_max = max(self.events_max // 2, EVENTS_MIN)

    def rewound(self) -> None:
        """What was in flight will be sent again; its answers measure nothing."""
        self._sent.clear()

    def line_failed(self) -> None:
        """No ack came in time: begin again carefully."""
        self._sent.clear()
        self.events_max = max(min(self.events_max // 4, EVENTS_FIRST), EVENTS_MIN)
        self.window_frames = 1

    def _faster(self) -> None:
        if self.events_max < EVENTS_MAX:
            self.events_max = min(self.events_max * 2, EVENTS_MAX)
        else:
            self.window_frames = min(self.window_frames * 2, self.window_frames_max)
