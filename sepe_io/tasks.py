"""Ending asyncio tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

_AGAIN_S = 0.2


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when all have ended; what they raise is dropped.

    One `cancel` is not enough: Python 3.11's ``asyncio.wait_for`` loses a cancellation that comes in the same turn
    of the loop as the result it waits for (python/cpython#86296), and libraries use it around each request. So the
    tasks are cancelled again until they obey. In our own code ``asyncio.timeout`` has no such gap.
    """
    found = list(tasks)
    pending = {task for task in found if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    for task in found:
        if not task.cancelled():
            task.exception()  # Looked at, so that asyncio does not log it as forgotten.


async def end_within(tasks: Iterable[asyncio.Task[Any]], *, orderly_s: float, timeout_s: float) -> None:
    """Cancel tasks once, and those that live on after ``orderly_s`` again and again; return after ``timeout_s``.

    For tasks that let go of files and lines in their own time: a second cancellation would break into that.
    Whoever is left at the end has ignored all of them.
    """
    found = list(tasks)
    for task in found:
        task.cancel()
    if not found:
        return
    _, pending = await asyncio.wait(found, timeout=orderly_s)
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s - orderly_s):
            await end_tasks(pending)
