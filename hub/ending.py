"""How a hub or a worker ends: because it was asked to, because a part failed, because its data moved."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from hub.engine import place
from hub.ingest.writer import shown
from hub.merge.store import HubStore
from sepe.errors import SepeError
from sepe_io import supervisor
from sepe_io.logs import logger

STOP_TIMEOUT_S = 4.5
PLACE_LOOK_S = 0.5

_log = logger("hub.run")


class MovedError(SepeError):
    """The hub's data is in another database now; begin again there."""


async def until_stopped(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the request to end.

    Raises:
        SepeError: a part ended by itself, which is a mistake of ours; whoever supervises us starts us again.
    """
    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda task: None if task.cancelled() else _begin_to_stop())
    done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in done - {stopping}:
        cause = task.exception()
        if isinstance(cause, MovedError):
            raise cause
        told = "without an error" if cause is None else shown(cause)
        _log.error("part.ended", part=task.get_name(), error=told)
        raise SepeError(f"the hub's part {task.get_name()!r} ended: {told}") from cause


async def until_moved(store: HubStore) -> None:
    """Raises when the directory names another database than the one that is open."""
    url = place.url_open(store.connection)
    while True:
        # A look that fails, for want of a file handle say, is no move; the next one tells.
        with suppress(OSError):
            if place.url_of(store.directory) != url:
                raise MovedError("the hub's data was moved to another database")
        await asyncio.sleep(PLACE_LOOK_S)


def _begin_to_stop() -> None:
    """Whatever a part waits for, the process ends in time."""
    supervisor.stopping()
    timer = threading.Timer(STOP_TIMEOUT_S, leave)
    timer.daemon = True
    timer.start()


def leave() -> None:
    """End the process here and now. Safe at any moment, by the same argument as for a power cut."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Returns when one of them is set."""
    tasks = [asyncio.create_task(one.wait()), asyncio.create_task(other.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
