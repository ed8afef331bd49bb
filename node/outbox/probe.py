"""Whether a better line is worth going over to."""

from __future__ import annotations

import asyncio

from node.link.choice import Line, Lines
from node.link.link import LinkDownError, LinkKind
from node.outbox.worker import OutboxWorker


async def proven(lines: Lines, kind: LinkKind, worker: OutboxWorker, wake: asyncio.Event, timeout_ms: int) -> Line:
    """An open line over which the hub answered for a frame that it already has, which changes nothing there.

    A greeting alone proves too little: a broker without our stream, or whose consumer is stuck, passes it on. (The
    hub announces acks over NATS for frames of either line, so while a backlog drains an ack may be another
    frame's; a line that swallows frames is then found out by the ack's deadline, and waits longer each time.)

    Raises:
        LinkDownError: it is not, nothing is left open; or `TransientError` when the outbox cannot be read.
    """
    line = await lines.open_line(kind, wake)
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await line.link.greet(await worker.hello())
            proof = await worker.proof()
            if proof is not None:
                await line.link.send(proof.data)
                await line.spoke.wait()
        if line.lost:
            raise LinkDownError(line.lost)
    except TimeoutError as exc:
        await line.link.close()
        raise LinkDownError(f"{kind.name}: no ack for the proof") from exc
    except BaseException:
        await line.link.close()
        raise
    return line
