"""What the relay tells of itself: to the page in memory, to `sepe node status` by notes in the database.

A note that cannot be written, for want of disk, is left out; the relay goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from node.outbox.ports import PositionLike
from node.outbox.view import RelayTimes, RelayView
from node.outbox.worker import ALARM_KEY, REFUSAL_KEY, OutboxWorker
from sepe.errors import TransientError
from sepe_io.logs import logger

_log = logger("node.relay")


class Shows:
    """Keeps a relay's view, and the notes of it, up to date."""

    def __init__(self, view: RelayView, worker: OutboxWorker) -> None:
        self._view = view
        self._worker = worker

    async def recall(self) -> None:
        """An alarm stays until a person has looked, also over a restart."""
        self._view.alarm = await self._worker.recall(ALARM_KEY)

    async def chores(self, times: RelayTimes, clock_ms: Callable[[], int]) -> None:
        """Say every few seconds how the hub is reached; prune now and then. A full disk only delays both."""
        prune_due_ms = clock_ms()
        while True:
            with suppress(TransientError):
                await self._worker.report_link(self._view.link)
                if clock_ms() >= prune_due_ms:
                    prune_due_ms = clock_ms() + times.prune_ms
                    self._view.rows_pruned += await self._worker.prune()
            await asyncio.sleep(times.report_ms / 1000)

    def position(self, position: PositionLike) -> None:
        """Where the outbox stands."""
        self._view.last_seq, self._view.durable_seq = position.last_seq, position.durable_seq

    async def link(self, link: str) -> None:
        """How the hub is reached: ``nats``, ``grpc`` or ``offline``."""
        if self._view.link != link:
            self._view.link = link
            with suppress(TransientError):
                await self._worker.report_link(link)

    async def alarm(self, alarm: str) -> None:
        """What a person must look at; ``""`` when that is over."""
        if self._view.alarm != alarm:
            self._view.alarm = alarm
            if alarm:
                _log.error("relay.alarmed", alarm=alarm)
            with suppress(TransientError):
                await self._worker.note(ALARM_KEY, alarm)

    async def refusal(self, refusal: str) -> None:
        """The hub's reason while it refuses this node; ``""`` while it does not."""
        if self._view.refusal != refusal:
            self._view.refusal = refusal
            with suppress(TransientError):
                await self._worker.note(REFUSAL_KEY, refusal)
