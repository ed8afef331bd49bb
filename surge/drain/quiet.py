"""One office that is not in a hurry: it records now and then while others flood, and waits for the hub's word.

Its waits say whether the flood stands in its way: from the commit in its own database until the hub's commit is
known there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from node.clock import now_ms
from node.outbox.office import open_office
from node.outbox.view import RelayView
from node.storage.store import NodeStore
from sepe.errors import SepeError
from sepe_io.tasks import end_tasks
from surge.drain.offices import Backlog, one_draft

EVERY_S = 0.25
LOOK_S = 0.005
WAIT_S_MAX = 120.0


@dataclass(slots=True)
class Waits:
    """How long each recording waited for the hub's word, milliseconds, in order."""

    times_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Median, the time under which 99 of 100 stay, and the longest."""
        if not self.times_ms:
            return {}
        ordered = sorted(self.times_ms)
        return {
            "quiet_acks": len(ordered),
            "quiet_p50_ms": round(ordered[len(ordered) // 2], 1),
            "quiet_p99_ms": round(ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)], 1),
            "quiet_max_ms": round(ordered[-1], 1),
        }


@asynccontextmanager
async def quiet_office(one: Backlog, *, hub: str, nats: str) -> AsyncIterator[Waits]:
    """It records and waits until the block ends; the last recording has its answer by then."""
    waits, stop = Waits(), asyncio.Event()
    async with open_office(one.folder, hub=hub, nats=nats) as office:
        relaying = asyncio.create_task(office.relay.run())
        recording = asyncio.create_task(_record(one, office.relay.view, waits, stop))
        try:
            yield waits
            stop.set()
            await recording
        finally:
            await end_tasks([recording, relaying])


async def _record(one: Backlog, view: RelayView, waits: Waits, stop: asyncio.Event) -> None:
    seq = 0
    while not stop.is_set():
        await asyncio.to_thread(_append, one, seq)
        seq += 1
        began = time.monotonic()
        while view.durable_seq < seq:
            if time.monotonic() - began > WAIT_S_MAX:
                raise SepeError(
                    f"a quiet office had no answer within {WAIT_S_MAX:.0f} s: {view.reason or view.link}"
                )
            await asyncio.sleep(LOOK_S)
        waits.times_ms.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(EVERY_S)


def _append(one: Backlog, number: int) -> None:
    store = NodeStore.open(one.folder)
    try:
        store.append([one_draft(one, number)], now_ms())
    finally:
        store.close()
