"""Ending asyncio tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.2


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when all have ended; what they raise is dropped.

    One `cancel` is not enough: Python 3.11's ``asyncio.wait_for`` loses a cancellation that comes in the same turn
    of the loop as the result it waits for (python/cpython#86296), and libraries use it around each request. So the
    tasks are cancelled again until they obey. In our own code ``asyncio.timeout`` has no such gap.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
