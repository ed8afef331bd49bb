"""Frames and greetings over NATS JetStream.

One connection at a time, used until it breaks, then another (see `sepe_io.channel`). On each: the stream and the
consumers are made as they should be, frames are fetched (`hub.ingest.pull`), greetings are answered, acks are
published.

Which partitions are read follows the hub's count, see `hub.ingest.partitions`. A partition that is not used any
more is read on until every office must have heard of it and nothing is left in it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from hub.ingest.acks import corrupt
from hub.ingest.greetings import Greetings
from hub.ingest.leases import LeaseKeeper
from hub.ingest.merger import Merger
from hub.ingest.partitions import EVERYTHING, NOTHING, Share
from hub.ingest.pipe import Activity, Pipe
from hub.ingest.policy import StreamPolicy
from hub.ingest.pull import Pulls, first_of
from hub.merge.store import Arrival, Outcome
from hub.metrics import Metrics
from sepe import subjects
from sepe.errors import SepeError, TransientError
from sepe.ids import PARTITIONS
from sepe.wire.v1 import sync_pb2
from sepe_io.channel import NatsIdentity, close_nats, connect_nats
from sepe_io.logs import logger
from sepe_io.tasks import end_tasks

WATCH_EVERY_S = 5.0
COUNT_EVERY_S = 1.0
# Longer than an idle office goes without a greeting, so the last that may use the old count has heard the new one.
LEAVE_S = 1_200.0
# How long partitions that go to another process may take to settle.
GIVE_S = 2.0
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 3.0
ACKS_WAITING_MAX = 100_000

_ADVISORIES = (
    f"$JS.EVENT.ADVISORY.STREAM.DELETED.{subjects.STREAM}",
    f"$JS.EVENT.ADVISORY.CONSUMER.DELETED.{subjects.STREAM}.*",
)

_log = logger("hub.nats")


class NatsIngest:
    """See the module.

    Attributes:
        connected: whether NATS is there and the pipe was found, or made, in order.
    """

    def __init__(
        self,
        url: str,
        merger: Merger,
        greetings: Greetings,
        metrics: Metrics,
        *,
        share: Share = EVERYTHING,
        leases: LeaseKeeper | None = None,
        read_settings: Callable[[], Awaitable[tuple[int, StreamPolicy]]] | None = None,
        name: str = "sepe-hub",
        identity: NatsIdentity | None = None,
    ) -> None:
        self.url = url
        self._identity = identity
        self.merger = merger
        self.greetings = greetings
        self.metrics = metrics
        # With leases the share is what the table of partitions gives us.
        self.share = share if leases is None else NOTHING
        self.leases = leases
        # Over how many partitions offices spread their frames, and how the stream must be, as it was last read.
        self.count = PARTITIONS
        self.policy = StreamPolicy()
        self._read_settings = read_settings
        self.ready = asyncio.Event()
        # The last word on each node that is enrolled: a judged frame's signature was good.
        self.last_acks: dict[str, sync_pb2.Ack] = {}
        self._name = name
        self._session: _Session | None = None

    @property
    def connected(self) -> bool:
        return self._session is not None and self.ready.is_set()

    def announce(self, acks: list[sync_pb2.Ack]) -> None:
        """Publish acks to their nodes; without a connection they are dropped, a greeting tells the same later."""
        if self._session is not None:
            for ack in acks:
                self._session.publish_ack(ack)

    async def run(self) -> None:
        """Serve until cancelled, over one connection after the other."""
        await self._look_at_count()
        await first_of(self._serve(), self._keep_count())

    async def _keep_count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_EVERY_S)
            await self._look_at_count()

    async def _look_at_count(self) -> None:
        if self._read_settings is None:
            return
        try:
            self.count, self.policy = await self._read_settings()
        except SepeError as exc:
            # Whatever the database has, the merger tells of it; the count stays.
            _log.warning("partitions.unknown", reason=str(exc))

    async def _serve(self) -> None:
        backoff_s = BACKOFF_S_MIN
        while True:
            try:
                client = await connect_nats(
                    self.url,
                    name=self._name,
                    on_error=self._complain,
                    on_down=self._on_down,
                    identity=self._identity,
                )
            except TransientError as exc:
                if backoff_s == BACKOFF_S_MIN:
                    _log.warning("nats.unreachable", reason=str(exc))
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1))
                backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)
                continue
            backoff_s = BACKOFF_S_MIN
            session = self._session = _Session(self, client)
            try:
                _log.info("nats.connected")
                await session.serve()
            except TransientError as exc:
                _log.warning("nats.lost", reason=str(exc))
            finally:
                self._session = None
                session.set_ready(False)
                await close_nats(client)
            await asyncio.sleep(BACKOFF_S_MIN)

    def _on_down(self) -> None:
        if self._session is not None:
            self._session.look()

    @staticmethod
    def _complain(exc: Exception) -> None:
        # A refused permission looks like a time-out to whoever publishes; here is the only place that hears it.
        _log.error("nats.complained", error=str(exc))


class _Session:
    """What happens on one connection."""

    def __init__(self, ingest: NatsIngest, client: NatsClient) -> None:
        self.ingest = ingest
        self.client = client
        # The count that is read, and the one that offices hear of: told only once its consumers are there, so that
        # no frame is sent where nobody may ever read when the count changes twice in a moment.
        self.count = self.told_count = ingest.count
        self.share = ingest.share
        self.activity = {partition: Activity() for partition in ingest.share.of(self.count)}
        # Of partitions that are not used any more: since when.
        self._leaving: dict[int, float] = {}
        # Partitions that had a consumer when we came: of a larger count than today's, perhaps.
        self._left_over: set[int] = set()
        self._pulls = Pulls(client, self.activity, ingest.merger, self)
        self.pipe = Pipe(client, self.activity, ingest.policy)
        # One page of figures outlives the connections.
        self.pipe.state = ingest.metrics.pipe
        self._suspect = asyncio.Event()
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(ACKS_WAITING_MAX)
        self._greetings: set[asyncio.Task[None]] = set()

    def publish(self, subject: str, data: bytes) -> None:
        """Queue a message; dropped on a dead connection, because every ack can be had again."""
        if self.client.is_connected:
            with suppress(asyncio.QueueFull):
                self._outgoing.put_nowait((subject, data))

    def settled(self, arrival: Arrival, outcome: Outcome) -> None:
        """A frame from the stream is committed, or refused for good."""
        last_acks, node = self.ingest.last_acks, arrival.sender
        if node is None:
            return
        if outcome.judgement is not None and outcome.ack is not None:
            last_acks[node] = outcome.ack
        elif outcome.ack is None and node in last_acks:
            # Nobody can tell whose it was, but it came under the node's subject: should it be the node's own, a
            # word on its current epoch makes it send again at once.
            self.publish_ack(corrupt(last_acks[node], outcome.reason))

    def publish_ack(self, ack: sync_pb2.Ack) -> None:
        """Queue the hub's word to a node; with it goes the count of partitions."""
        ack.partitions = self.told_count
        self.publish(subjects.ack(ack.node), ack.SerializeToString())

    def look(self) -> None:
        """Look at the connection and the pipe now."""
        self._suspect.set()

    async def serve(self) -> None:
        """Serve until the connection is lost.

        Raises:
            TransientError: it is lost, or what must be done on it failed.
        """
        try:
            await self._until_ensured()
            self._leave(self._left_over)
            for subject in _ADVISORIES:
                await self.client.subscribe(subject, cb=self._on_advisory)
            await self.client.subscribe(subjects.HELLO_ALL, queue="hub", cb=self._on_greeting)
            await self.client.flush(5)
            self.set_ready(True)
            await first_of(self._watch(), self._send(), self._pulls.run(), self._keep_leases())
        except asyncio.CancelledError:
            await self._leave_leases()
            raise
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise TransientError(f"{type(exc).__name__} {exc}") from exc
        finally:
            await end_tasks(list(self._greetings))

    async def _until_ensured(self) -> None:
        """JetStream may need a moment after the broker's start."""
        while True:
            try:
                await self.pipe.ensure()
                self._left_over = await self.pipe.left_over()
                if self.ingest.leases is not None:
                    await self._beat(self.ingest.leases)
                    await self.pipe.ensure()
                return
            except TransientError as exc:
                _log.warning("pipe.unready", reason=str(exc))
                self._check_connected()
                await asyncio.sleep(0.5)

    async def _watch(self) -> None:
        """Look at the connection each second, at the pipe every few seconds and whenever it is suspect."""
        looked_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._suspect.wait()
            self._check_connected()
            self._follow()
            if not self._suspect.is_set() and time.monotonic() - looked_at < WATCH_EVERY_S:
                continue
            self._suspect.clear()
            before = self.pipe.remade
            try:
                await self.pipe.ensure()
                self._tell_count()
                await self._drop_left()
                self.set_ready(True)
            except TransientError as exc:
                _log.warning("pipe.unready", reason=str(exc))
                self.set_ready(False)
                await asyncio.sleep(0.5)
                self._suspect.set()
            self.ingest.metrics.consumers_remade.inc(self.pipe.remade - before)
            looked_at = time.monotonic()

    def _follow(self) -> None:
        """Read more partitions, or begin to leave some, when the count or our share is another one."""
        if self.pipe.policy != self.ingest.policy:
            self.pipe.policy = self.ingest.policy
            self.look()
        if self.count == self.ingest.count and self.share == self.ingest.share:
            return
        _log.info("partitions.changed", before=self.count, count=self.ingest.count)
        self.count, self.share = self.ingest.count, self.ingest.share
        for partition in [one for one in self.activity if not self.share.takes(one)]:
            # Another process reads it now.
            del self.activity[partition]
            self._leaving.pop(partition, None)
        wanted = self.share.of(self.count)
        for partition in wanted:
            self._leaving.pop(partition, None)
            self.activity.setdefault(partition, Activity())
        self._leave((self.activity.keys() | self._left_over) - wanted)
        self._pulls.recut()
        self.look()

    async def _keep_leases(self) -> None:
        """Tell the other processes that we live, and take and give up partitions."""
        if (leases := self.ingest.leases) is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(leases.pause_s)
            try:
                await self._beat(leases)
            except TransientError as exc:
                _log.warning("leases.unready", reason=str(exc))

    async def _beat(self, leases: LeaseKeeper) -> None:
        partitions = max([self.ingest.count, PARTITIONS, *(one + 1 for one in self._left_over)])
        held = await leases.beat(self.client, partitions, self.ingest.policy.replicas, self._give)
        self.ingest.share = Share.held(held)
        self._follow()

    async def _give(self, partitions: frozenset[int]) -> None:
        """Stop reading these and wait, not for long, until what came of them is settled."""
        waiting = [self.activity[one] for one in partitions if one in self.activity]
        self.ingest.share = Share.held(self.ingest.share.numbers - partitions)
        self._follow()
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVE_S):
                while any(one.unsettled for one in waiting):  # noqa: ASYNC110 - settled by the merger
                    await asyncio.sleep(0.01)

    async def _leave_leases(self) -> None:
        if self.ingest.leases is not None:
            with suppress(TransientError, TimeoutError):
                async with asyncio.timeout(GIVE_S / 2):
                    await self.ingest.leases.leave(self.client, self.ingest.policy.replicas)

    def _tell_count(self) -> None:
        if self.told_count != self.count:
            self.told_count = self.count
            for ack in self.ingest.last_acks.values():
                self.publish_ack(ack)

    def _leave(self, partitions: Iterable[int]) -> None:
        """Read these on, though they are not used any more, until `_drop_left` finds them empty."""
        unused = {one for one in partitions if self.share.takes(one)} - self.share.of(self.count)
        for partition in unused:
            self.activity.setdefault(partition, Activity())
            self._leaving.setdefault(partition, time.monotonic())

    async def _drop_left(self) -> None:
        for partition, since in list(self._leaving.items()):
            if time.monotonic() - since > LEAVE_S and await self.pipe.drop_empty(partition):
                # Another process may have been given it meanwhile.
                self._leaving.pop(partition, None)
                self.activity.pop(partition, None)
                self._left_over.discard(partition)
                self._pulls.recut()

    def set_ready(self, is_ready: bool) -> None:
        """Tell whether frames can travel."""
        (self.ingest.ready.set if is_ready else self.ingest.ready.clear)()
        self.ingest.metrics.nats_connected.set(int(is_ready))

    def _check_connected(self) -> None:
        if not self.client.is_connected:
            raise TransientError("the connection is gone")

    async def _send(self) -> None:
        while True:
            subject, data = await self._outgoing.get()
            await self.client.publish(subject, data)

    async def _on_advisory(self, message: Msg) -> None:
        self.look()

    async def _on_greeting(self, message: Msg) -> None:
        if message.reply:
            task = asyncio.create_task(self._greet(message))
            self._greetings.add(task)
            task.add_done_callback(self._greetings.discard)

    async def _greet(self, message: Msg) -> None:
        try:
            signed = sync_pb2.SignedHello.FromString(message.data)
        except DecodeError:
            signed = sync_pb2.SignedHello()
        sender = message.subject.rpartition(".")[2]
        ack = await self.ingest.greetings.answer(signed, via="nats", sender=sender)
        ack.partitions = self.told_count
        self.publish(message.reply, ack.SerializeToString())
