"""Blows that land on real processes and on the broker's stream; each returns when it is over.

All tell whether there was something to hit: a verdict must not count a blow that met nobody.
"""

from __future__ import annotations

import asyncio
import signal

from sepe.subjects import STREAM
from surge.chaos.cast import Kept, broker_of

STREAM_TIMEOUT_S = 5


async def freeze(kept: Kept, for_s: float) -> bool:
    """Stop a process for a while, as a machine does that swaps."""
    landed = kept.send(signal.SIGSTOP)
    await asyncio.sleep(for_s)
    kept.send(signal.SIGCONT)
    return landed


async def strike_broker(hub: Kept, *, freeze_s: float | None = None) -> bool:
    """Kill the hub's own broker, or stop it for ``freeze_s``."""
    broker = broker_of(hub)
    if broker is None:
        return False
    if freeze_s is None:
        broker.send(signal.SIGKILL)
    else:
        broker.send(signal.SIGSTOP)
        await asyncio.sleep(freeze_s)
        broker.send(signal.SIGCONT)
    broker.close()
    return True


async def strike_stream(url: str, *, delete: bool) -> bool:
    """Empty the stream, or ``delete`` it with its settings."""
    import nats
    from nats.errors import Error

    async def expected(_: Exception) -> None:
        """The broker may be the one that was struck before; nats-py would print the traceback."""

    try:
        connection = await nats.connect(
            url, allow_reconnect=False, connect_timeout=STREAM_TIMEOUT_S, error_cb=expected
        )
        try:
            manager = connection.jsm()
            await (manager.delete_stream if delete else manager.purge_stream)(STREAM)
        finally:
            await connection.close()
    except (OSError, TimeoutError, Error):
        return False
    return True
