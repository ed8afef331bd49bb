"""Lines between the offices and the centre.

NATS loses, delays and reorders messages as the faults say. gRPC keeps order and loses nothing, until the stream
breaks and takes what was on its way with it. A cut line carries nothing; half of the time nobody is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from surge.world.faults import Faults
from surge.world.loop import DAY_MS, MINUTE_MS, SECOND_MS, Loop

if TYPE_CHECKING:
    from surge.world.office import Office

DELAY_MS_MAX = 10 * MINUTE_MS
# How long an end may take to notice that a stream broke.
NOTICE_MS_MAX = 30 * SECOND_MS


@dataclass(slots=True)
class Line:
    """One office's way out.

    Attributes:
        way_ms: one way, without jitter.
        clear_ms: when the last message on the gRPC stream arrives; the next cannot overtake it.
        words_to_lose: how many words about rights will not arrive; for scenarios, where chance has no say.
    """

    way_ms: int
    is_cut: bool = False
    clear_ms: int = 0
    words_to_lose: int = 0


class Network:
    """Carries calls from one end to the other, later or never."""

    def __init__(self, loop: Loop, rng: Random, faults: Faults) -> None:
        self._loop, self._rng, self.faults = loop, rng, faults

    def nats(self, line: Line, call: Callable[..., Any], *arguments: Any) -> None:
        """Carry one message over NATS, either way."""
        rng, faults = self._rng, self.faults
        if line.is_cut or (faults.loss and rng.random() < faults.loss):
            return
        delay_ms = line.way_ms + int(rng.random() * line.way_ms)
        if faults.delay and rng.random() < faults.delay:
            delay_ms += rng.randrange(DELAY_MS_MAX)
        self._loop.after(delay_ms, self._arrive, line, call, arguments)

    def post(self, line: Line, call: Callable[..., Any], *arguments: Any) -> None:
        """Carry a word about a right, either way: lost or late as on NATS, and it may come again much later."""
        if line.words_to_lose:
            line.words_to_lose -= 1
            return
        self.nats(line, call, *arguments)
        if self.faults.duplicate and self._rng.random() < self.faults.duplicate:
            self._loop.after(self._rng.randrange(DAY_MS), self._arrive, line, call, arguments)

    def grpc(self, office: Office, session: int, call: Callable[..., Any], *arguments: Any) -> None:
        """Carry one message on the stream of that session, either way."""
        line = office.line
        if line.is_cut or office.relay.session != session:
            return
        now_ms = self._loop.now_ms
        at_ms = max(now_ms + line.way_ms + int(self._rng.random() * line.way_ms), line.clear_ms)
        line.clear_ms = at_ms
        self._loop.after(at_ms - now_ms, self._arrive_on_stream, office, session, call, arguments)

    def _arrive(self, line: Line, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if not line.is_cut:
            call(*arguments)

    def _arrive_on_stream(
        self, office: Office, session: int, call: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        if not office.line.is_cut and office.relay.session == session:
            call(*arguments)
