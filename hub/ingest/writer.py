"""The thread that writes, who goes first in it, and what may be told of its errors.

All that uses the database's writing connection goes through one thread. Under load something always waits, so each
call has an urgency: a person at a printer waits for a right, thousands of offices for an answer to their greeting,
frames for their commit, and cases for an idle moment. The most urgent waiting call runs next. None starves: after
`ROW_MAX` calls in a row that overtook others, the one that has waited longest is let through.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sepe.errors import SepeError

P = ParamSpec("P")
T = TypeVar("T")

ROW_MAX = 64


class Urgency(IntEnum):
    """Who goes first; the smaller, the sooner."""

    RIGHT = 0
    WORD = 1
    MERGE = 2
    TIDY = 3


@dataclass(frozen=True, slots=True)
class _Call:
    number: int
    work: Callable[[], Any]
    result: Future[Any]


class WriterThread:
    """The one thread that uses the database's writing connection."""

    def __init__(self) -> None:
        # The executor belongs to the loop's own way to threads, so a simulated loop can stand in for it.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub-writer")
        self._waiting: dict[Urgency, deque[_Call]] = {one: deque() for one in Urgency}
        self._lock = threading.Lock()
        self._numbers = count()
        self._is_closed = False
        # Calls in a row that were taken although another had waited longer.
        self._row = 0

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` as a word that somebody waits for; see `call_as`."""
        return await self.call_as(Urgency.WORD, function, *args, **kwargs)

    async def call_as(self, urgency: Urgency, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` after what is as urgent and was asked for before it, and after what is more urgent."""
        result: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the writer is closed")
            call = _Call(next(self._numbers), partial(function, *args, **kwargs), result)
            self._waiting[urgency].append(call)
        # As many turns as calls: whichever call each of them takes, all are taken.
        turn = asyncio.get_running_loop().run_in_executor(self._executor, self._take_turn)
        turn.add_done_callback(lambda done: result.cancel() if done.cancelled() else None)
        return await asyncio.wrap_future(result)

    def close(self) -> None:
        """Wait for the call that runs and drop those that wait."""
        with self._lock:
            self._is_closed = True
            dropped = [call for waiting in self._waiting.values() for call in waiting]
            for waiting in self._waiting.values():
                waiting.clear()
        for call in dropped:
            call.result.cancel()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _take_turn(self) -> None:
        call = self._next()
        if call is None or not call.result.set_running_or_notify_cancel():
            return
        try:
            call.result.set_result(call.work())
        except BaseException as exc:
            call.result.set_exception(exc)

    def _next(self) -> _Call | None:
        """The call to run now; ``None`` when all were dropped."""
        with self._lock:
            heads = [waiting for waiting in self._waiting.values() if waiting]
            if not heads:
                return None
            oldest = min(heads, key=lambda waiting: waiting[0].number)
            overtakes = heads[0] is not oldest
            if overtakes and self._row >= ROW_MAX:
                overtakes = False
            self._row = self._row + 1 if overtakes else 0
            return (heads[0] if overtakes else oldest).popleft()


def shown(exc: BaseException) -> str:
    """An error as a log, a page and an ack may show it.

    Ours say what they may; the text of any other (``KeyError: 5371…``) can hold a resident's data, so of those
    only the kind and the place are told.
    """
    if isinstance(exc, SepeError):
        return str(exc)
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(exc).__name__}{place}"
