"""The thread that writes, and what may be told of its errors."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from sepe.errors import SepeError

P = ParamSpec("P")
T = TypeVar("T")


class WriterThread:
    """The one thread that uses the database's writing connection."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub-writer")

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` after what was asked for before it."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Wait for the call that runs and drop those that wait."""
        self._executor.shutdown(wait=True, cancel_futures=True)


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
