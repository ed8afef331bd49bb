"""A virtual event loop: asyncio as it is, with a clock that jumps to the next timer and threads that are none.

Nothing here sleeps. Whenever no callback is ready, the clock is set to the next timer. Calls that the product
hands to a thread are made on the loop itself, one at a time, so that a seed alone decides their order; before and
after each of them the machine that made it may lose its power (see `Power`).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import ContextVar
from enum import Enum
from typing import Any


class Fate(Enum):
    """What becomes of one call that a machine hands to its disk."""

    RUN = "run"
    DIE_BEFORE = "die_before"
    DIE_AFTER = "die_after"


class Power:
    """The power of one machine, inherited by every task that it starts.

    Args:
        fate_of: decides for the call of that name.
        die: called when a fate says so; must call `off`.
    """

    def __init__(self, fate_of: Callable[[str], Fate], die: Callable[[], None]) -> None:
        self.is_on = True
        self.fate_of, self.die = fate_of, die

    def off(self) -> None:
        """From now on no call of this machine reaches its disk."""
        self.is_on = False


# The machine on whose behalf the running task acts; ``None`` is the world itself.
POWER: ContextVar[Power | None] = ContextVar("power", default=None)


class StalledError(Exception):
    """Nothing is ready and no timer is set: everybody waits for somebody."""


class _Jump(selectors.SelectSelector):
    """Waits for nothing; tells the loop to move its clock instead."""

    jump: Callable[[float | None], None]

    def select(self, timeout: float | None = None) -> list[Any]:
        self.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. Its clock starts at 0 seconds."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self.steps = 0
        selector = _Jump()
        selector.jump = self._jump
        super().__init__(selector)
        # Timers less than this apart are due together; floats of a few days' seconds are finer than this.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._now_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """The call, made on the loop as soon as it is its turn."""
        future: asyncio.Future[Any] = self.create_future()
        self.call_soon(self._call, POWER.get(), future, func, args)
        return future

    def _call(
        self, power: Power | None, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        if future.cancelled():
            return
        if power is not None and not power.is_on:
            future.cancel()
            return
        fate = Fate.RUN if power is None else power.fate_of(_name_of(func))
        if fate is not Fate.DIE_BEFORE:
            try:
                result = func(*args)
            except Exception as exc:
                future.set_exception(exc)
                return
            if fate is Fate.RUN:
                future.set_result(result)
                return
        assert power is not None
        power.die()
        future.cancel()

    def _jump(self, timeout: float | None) -> None:
        self.steps += 1
        if timeout is None:
            raise StalledError
        self._now_s += timeout


def _name_of(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", "call")
