"""The relay's worker for hundreds of offices in one process: its work is the product's, its threads are shared.

A real office has a thread of its own for all that touches its disk. A thousand such threads would measure Python's
scheduler, so here a few do the commits of all offices, and reads and sealing run on the event loop. Calls of one
office never overlap, as in the product.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from node.outbox.worker import OutboxWorker

_T = TypeVar("_T")

# Told of each watermark once it is on the office's disk: (seq, whether the hub went back).
OnDurable = Callable[[int, bool], None]
# What waits for no disk. Everything else is given to a thread.
_QUICK = frozenset({
    "_position_if_changed", "_position_and_chain", "position", "_hello", "_frame", "_earlier_frame", "chain_at",
    "get", "_proof", "_open", "_look", "earlier_epochs",
})  # fmt: skip


class SharedHands(OutboxWorker):
    """See the module.

    Args:
        threads: for the commits.
        on_durable: see `OnDurable`; called on the event loop.
    """

    def __init__(
        self, *arguments: Any, threads: Executor, on_durable: OnDurable | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._threads, self._on_durable = threads, on_durable
        self._turn = asyncio.Lock()

    async def run(self, call: Callable[..., _T], *arguments: object) -> _T:
        """The result of a call, after those before it."""
        async with self._turn:
            if getattr(call, "__name__", "") in _QUICK:
                return call(*arguments)
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def store_durable(self, seq: int, *, went_back: bool, hub_ms: int) -> None:
        await super().store_durable(seq, went_back=went_back, hub_ms=hub_ms)
        if self._on_durable is not None:
            self._on_durable(seq, went_back)
