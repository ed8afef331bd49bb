"""Fetching frames from the pipe: one pull loop per partition keeps one request open at the broker.

A delivery is acknowledged to the broker only when the merger settled it, which is after the database's commit. A
pull request asks for a heartbeat: silence then means that the broker, the consumer or the line is gone, and the
pipe is looked at instead of waited for.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from hub.ingest.merger import Merger
from hub.ingest.pipe import Activity
from hub.merge.store import Arrival, Outcome
from sepe import subjects
from sepe.errors import TransientError
from sepe.wire.v1 import sync_pb2
from sepe_io.channel import MESSAGE_BYTES_MAX
from sepe_io.tasks import end_tasks

PULL_FRAMES = 32
# What one request may bring: a full batch of ordinary frames, or a few of the largest.
PULL_BYTES = 4 * MESSAGE_BYTES_MAX
PULL_EXPIRES_S = 30
HEARTBEAT_S = 4
# Two heartbeats missed.
SILENCE_S = 9.0

# What the broker says of a pull request that simply ended; anything else means: look at the pipe.
_ENDED = frozenset({"404", "408"})
_FULL = "Message Size Exceeds MaxBytes"
_HEARTBEAT = "100"
# Of a delivery's reply subject without a domain; with one there are two or three more.
_REPLY_PARTS = 9
# A frame that waited longer than any office waits for its ack comes of a backlog that nobody times.
WAITED_S_MAX = 600.0


class Session(Protocol):
    """What fetched frames need of the connection that they came by."""

    def publish(self, subject: str, data: bytes) -> None:
        """Queue a message."""

    def publish_ack(self, ack: sync_pb2.Ack) -> None:
        """Queue the hub's word to a node."""

    def settled(self, arrival: Arrival, outcome: Outcome) -> None:
        """A frame is committed, or refused for good."""

    def look(self) -> None:
        """Look at the connection and the pipe now."""


@dataclass(slots=True, eq=False)
class _Delivery:
    """One frame from the stream."""

    session: Session
    activity: Activity
    reply: str
    arrival: Arrival

    def settled(self, outcome: Outcome) -> None:
        self.activity.unsettled -= 1
        self.session.publish(self.reply, b"+ACK")
        self.session.settled(self.arrival, outcome)

    def deferred(self, ack: sync_pb2.Ack | None, retry_after_ms: int) -> None:
        self.activity.unsettled -= 1
        self.session.publish(self.reply, b'-NAK {"delay": %d}' % (retry_after_ms * 1_000_000))
        if ack is not None:
            self.session.publish_ack(ack)


class Pulls:
    """The pull loops of one connection.

    Args:
        activity: by partition that is read; call `recut` after adding or removing one.
    """

    def __init__(
        self, client: NatsClient, activity: Mapping[int, Activity], merger: Merger, session: Session
    ) -> None:
        self._client = client
        self._activity = activity
        self._merger = merger
        self._session = session
        self._changed = asyncio.Event()

    def recut(self) -> None:
        """Other partitions are to be read."""
        self._changed.set()

    async def run(self) -> None:
        """One pull loop for each partition that is read, until one fails or this is cancelled."""
        loops: dict[int, asyncio.Task[None]] = {}
        read: dict[int, Activity] = {}
        try:
            while True:
                self._changed.clear()
                # By the object: a partition that was given away and came back begins anew.
                gone = [partition for partition, one in read.items() if self._activity.get(partition) is not one]
                await end_tasks([loops.pop(partition) for partition in gone])
                read = dict(self._activity)
                for partition in read.keys() - loops.keys():
                    loops[partition] = asyncio.create_task(self._pull(partition, read[partition]))
                changed = asyncio.create_task(self._changed.wait())
                try:
                    done, _ = await asyncio.wait([changed, *loops.values()], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await end_tasks([changed])
                _check_ended(done - {changed})
        finally:
            await end_tasks(loops.values())

    async def _pull(self, partition: int, activity: Activity) -> None:
        """Keep one request for frames open, as long as the merger has room."""
        inbox = self._client.new_inbox()
        # Unbounded: what comes was asked for, PULL_FRAMES at a time; a dropped frame would wait for ACK_WAIT_S.
        came: asyncio.Queue[Msg] = asyncio.Queue()
        answers = await self._client.subscribe(
            f"{inbox}.*", cb=came.put, pending_msgs_limit=0, pending_bytes_limit=0
        )
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.STREAM}.{subjects.consumer(partition)}"
        request = json.dumps(
            {
                "batch": PULL_FRAMES,
                "max_bytes": PULL_BYTES,
                "expires": PULL_EXPIRES_S * 1_000_000_000,
                "idle_heartbeat": HEARTBEAT_S * 1_000_000_000,
            }
        ).encode()
        number = 0
        try:
            while True:
                await self._merger.room()
                number += 1
                reply = f"{inbox}.{number}"
                await self._client.publish(subject, request, reply=reply)
                if not await self._receive(activity, came, reply):
                    self._session.look()
                    await asyncio.sleep(0.25)
        finally:
            with suppress(nats.errors.Error):
                await answers.unsubscribe()

    async def _receive(self, activity: Activity, came: asyncio.Queue[Msg], reply: str) -> bool:
        """Take what one request brings; whether it ended as it should."""
        for_us = 0
        while for_us < PULL_FRAMES:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await came.get()
            except TimeoutError:
                return False
            status = (message.headers or {}).get("Status", "") if not message.data else ""
            if not status:
                for_us += 1
                activity.heard_at = time.monotonic()
                activity.unsettled += 1
                delivery = self._delivery(activity, message)
                self._merger.offer(message.subject, delivery, _waited_s(message, delivery.arrival.received_ms))
            elif message.subject == reply and status != _HEARTBEAT:
                return status in _ENDED or (message.headers or {}).get("Description", "").startswith(_FULL)
        return True

    def _delivery(self, activity: Activity, message: Msg) -> _Delivery:
        # The subject's last part names the sender: with TLS the broker's permissions vouch for it, and on one
        # machine it keeps a frame from travelling under another office's quota.
        sender = message.subject.rpartition(".")[2]
        arrival = Arrival(message.data, "nats", time.time_ns() // 1_000_000, sender)
        return _Delivery(self._session, activity, message.reply, arrival)


def _waited_s(message: Msg, now_ms: int) -> float:
    """For how long the stream had it, by the broker's clock and ours; 0 when that cannot be."""
    # $JS.ACK.[domain.account.]stream.consumer.deliveries.stream seq.consumer seq.nanoseconds.pending[.token]
    parts = message.reply.split(".")
    try:
        stored_ns = int(parts[7] if len(parts) == _REPLY_PARTS else parts[9])
    except (IndexError, ValueError):
        return 0.0
    waited_s = now_ms / 1000 - stored_ns / 1e9
    return waited_s if 0 < waited_s < WAITED_S_MAX else 0.0


async def first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, which only an error or a cancellation makes them; pass it on."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        _check_ended(done)
    finally:
        await end_tasks(tasks)


def _check_ended(done: Iterable[asyncio.Task[Any]]) -> None:
    for task in done:
        if task.cancelled():
            # nats-py cancels the waiting calls of a connection that it closes.
            raise TransientError("the connection was closed")
        task.result()
