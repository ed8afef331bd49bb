"""The JetStream pipe: the stream and its consumers as they must be, made again whenever they are not.

A pipe, never the record. Whatever somebody or something does to it (purge, delete, an empty broker in place of the
old one, a consumer that delivers nothing though it has something), the answer is the same: make it again as it
should be, and let the offices send again what the hub has not acknowledged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import nats.errors
import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
)

from hub.ingest.policy import StreamPolicy, corrected, differences
from hub.metrics import PipeState
from sepe import subjects
from sepe.errors import TransientError
from sepe_io.logs import logger

ACK_WAIT_S = 60.0
ACK_PENDING_MAX = 256
API_TIMEOUT_S = 5.0
# A consumer that has frames for us, an open request of ours, and delivers nothing for so long, is stuck.
STUCK_S = 15.0

_log = logger("hub.pipe")


@dataclass(slots=True)
class Activity:
    """What the ingest knows of one partition: how many frames are unsettled, when one came last."""

    unsettled: int = 0
    heard_at: float = field(default_factory=time.monotonic)


class Pipe:
    """The stream and the consumers of some partitions, over one connection.

    Attributes:
        policy: how the stream must be; may be replaced, the next `ensure` follows.
        remade: how many consumers were made again.
    """

    def __init__(
        self, client: NatsClient, activity: dict[int, Activity], policy: StreamPolicy | None = None
    ) -> None:
        self.policy = policy or StreamPolicy()
        self._js: JetStreamContext = client.jetstream(timeout=API_TIMEOUT_S)
        self._activity = activity
        self._marks: dict[int, tuple[int, int]] = {}
        self._resumed: set[int] = set()
        self.remade = 0
        # What the broker told at the last look, for the metrics.
        self.state = PipeState()

    async def ensure(self) -> None:
        """Make the stream and the consumers what they should be.

        Raises:
            TransientError: the broker does not answer, or JetStream refuses (no quorum, disk full).
        """
        try:
            await self._ensure_stream()
            # Whoever gets a partition back begins with it as if it were new.
            self._resumed &= self._activity.keys()
            for partition, activity in list(self._activity.items()):
                # Leases may take one away while we wait for the broker's word on another.
                if partition in self._activity:
                    await self._ensure_consumer(partition, activity)
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise TransientError(f"JetStream: {type(exc).__name__} {exc}") from exc

    async def left_over(self) -> set[int]:
        """Partitions that have a consumer at the broker.

        Raises:
            TransientError: the broker does not answer.
        """
        try:
            found = await self._js.consumers_info(subjects.STREAM)
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise TransientError(f"JetStream: {type(exc).__name__} {exc}") from exc
        numbers = {subjects.partition_of_consumer(info.name) for info in found}
        return {number for number in numbers if number is not None}

    async def drop_empty(self, partition: int) -> bool:
        """Drop the consumer of a partition that is not used any more, unless it still has frames for us.

        A frame that comes in this very moment stays in the stream unread. Its office, which must have missed the
        hub's word for a quarter of an hour, hears no ack, greets, and sends it again where the hub reads.

        Raises:
            TransientError: the broker does not answer.
        """
        name = subjects.consumer(partition)
        try:
            info = await self._js.consumer_info(subjects.STREAM, name)
            activity = self._activity.get(partition)
            if info.num_pending or info.num_ack_pending or activity is None or activity.unsettled:
                return False
            await self._js.delete_consumer(subjects.STREAM, name)
        except nats.js.errors.NotFoundError:
            pass  # Another process was faster, or the stream is gone and its frames with it.
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise TransientError(f"JetStream: {type(exc).__name__} {exc}") from exc
        self.state.waiting.pop(partition, None)
        self.state.unacked.pop(partition, None)
        _log.info("consumer.dropped", partition=partition)
        return True

    async def _ensure_stream(self) -> None:
        wanted = self.policy.config()
        try:
            info = await self._js.stream_info(subjects.STREAM)
        except nats.js.errors.NotFoundError:
            await self._js.add_stream(wanted)
            self._marks.clear()
            _log.info("stream.made", replicas=wanted.num_replicas)
            return
        peers = (info.cluster.replicas or []) if info.cluster else []
        self.state.messages, self.state.size = info.state.messages, info.state.bytes
        # The leader has everything: without one JetStream would not have answered.
        self.state.replicas = 1 + len(peers)
        self.state.replicas_current = 1 + sum(bool(one.current) for one in peers)
        changes = differences(info.config, self.policy)
        if not changes:
            return
        names = [one.name for one in changes]
        if any(one.is_fixed for one in changes):
            # A pipe, not the record: what was in it, the offices send again.
            await self._js.delete_stream(subjects.STREAM)
            await self._js.add_stream(wanted)
            self._marks.clear()
            _log.warning("stream.remade", differed=names)
            return
        await self._js.update_stream(corrected(info.config, self.policy, changes))
        _log.warning("stream.corrected", differed=names)

    async def _ensure_consumer(self, partition: int, activity: Activity) -> None:
        wanted = consumer_config(partition)
        try:
            info = await self._js.consumer_info(subjects.STREAM, subjects.consumer(partition))
        except nats.js.errors.NotFoundError:
            await self._js.add_consumer(subjects.STREAM, wanted)
            self.remade += 1
            _log.info("consumer.made", partition=partition)
        else:
            self.state.waiting[partition] = info.num_pending or 0
            self.state.unacked[partition] = info.num_ack_pending or 0
            found = info.config
            names = ("ack_policy", "ack_wait", "max_ack_pending", "filter_subject")
            if (
                any(getattr(found, name) != getattr(wanted, name) for name in names)
                or (found.max_deliver or -1) > 0
            ):
                await self._remake(partition, activity, info, "corrected")
            elif partition not in self._resumed and info.num_ack_pending:
                # Handed out before we came, to a hub that was killed; they would come again after ACK_WAIT_S.
                await self._remake(partition, activity, info, "resumed")
            elif self._is_stuck(partition, activity, info):
                await self._remake(partition, activity, info, "stuck")
        self._resumed.add(partition)

    def _is_stuck(self, partition: int, activity: Activity, info: ConsumerInfo) -> bool:
        """Whether it owes us frames, and has delivered nothing to anybody since the last look."""
        mark = (
            info.delivered.consumer_seq if info.delivered else 0,
            info.ack_floor.stream_seq if info.ack_floor else 0,
        )
        moved = self._marks.get(partition) != mark
        self._marks[partition] = mark
        owes = bool(info.num_pending or info.num_ack_pending)
        silent = time.monotonic() - activity.heard_at > STUCK_S
        return owes and silent and not moved and activity.unsettled == 0

    async def _remake(self, partition: int, activity: Activity, info: ConsumerInfo, reason: str) -> None:
        """Delete a consumer and make it again where it stood: what was not acknowledged is delivered at once."""
        name = subjects.consumer(partition)
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        await self._js.delete_consumer(subjects.STREAM, name)
        config = consumer_config(partition)
        if floor:
            config = config.evolve(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=floor + 1)
        await self._js.add_consumer(subjects.STREAM, config)
        self._marks.pop(partition, None)
        activity.heard_at = time.monotonic()
        self.remade += 1
        _log.info("consumer.remade", partition=partition, reason=reason)


def consumer_config(partition: int) -> ConsumerConfig:
    """One partition's consumer as it should be. Deliveries are unlimited: a hub that is down for a day must not
    burn them up."""
    return ConsumerConfig(
        durable_name=subjects.consumer(partition),
        filter_subject=subjects.up_partition(partition),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_deliver=-1,
        max_ack_pending=ACK_PENDING_MAX,
    )
