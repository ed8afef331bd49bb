"""A thread for one database connection: calls wait in line, the urgent ones before the others."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

URGENT, USUAL, LAST = 0, 1, 2


class DatabaseThread:
    """Runs calls one after the other in a thread of its own.

    A commit waits for the disk for some milliseconds. With twenty printers the booking that lets a printer go on
    must not stand behind the bookings that only prepare.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._numbers = count()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[..., T], *arguments: object, rank: int = USUAL) -> T:
        """What the call returns or raises. Cancelling the wait does not take back a call that has begun."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def tell(result: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def work() -> None:
            if future.cancelled():
                return
            result, error = None, None
            try:
                result = call(*arguments)
            except BaseException as exc:  # Whatever it is, it belongs to the caller.
                error = exc
            try:
                loop.call_soon_threadsafe(tell, result, error)
            except RuntimeError:
                return  # The loop is closed: nobody waits any more.

        self._calls.put((rank, next(self._numbers), work))
        return await future

    async def close(self) -> None:
        """Let every call that waits be done, then end the thread."""
        self._calls.put((LAST, next(self._numbers), None))
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (call := self._calls.get()[2]) is not None:
            call()
