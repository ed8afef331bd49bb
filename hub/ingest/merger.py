"""The merger: frames from every transport, through one bounded queue, into the database in fair batches.

Both ingests offer deliveries; one thread owns the database's writing connection and merges a batch at a time.
Batches size themselves: an idle hub merges the one frame that came (low latency), a hub that is behind merges
what has gathered (one commit for thousands of events). Frames wait in *lanes*, one per sender, and a batch takes
one frame of each lane in turn, so an office that floods waits behind itself only.

A hub that is behind has the next batch proven by other processes while it writes (`hub.merge.ahead`).

Order of duty for a batch: merge, **commit**, then settle each delivery on the transport it came by and announce
the acks on the other. When the store cannot take frames (disk full, database held by another), nothing is
acknowledged: every waiting delivery is deferred, and the next try comes after a growing pause.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from hub.ingest.acks import coalesced, later
from hub.ingest.tidy import Tidy, TidyStore
from hub.ingest.writer import Urgency, WriterThread, shown
from hub.merge import ahead
from hub.merge.ahead import Prover
from hub.merge.proving import Arrival, Proof
from hub.merge.store import Outcome, StaleWriterError
from hub.metrics import Metrics
from sepe.errors import PeerProtocolError, TransientError
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import peek_header
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError

# About 0.3 s of merging: long enough that a commit's fsync costs little and that pages which many residents share
# are written once, short enough that acks flow. Against 32,000 a hub merges a fifth more, one with five million
# residents from everywhere half as much again; 128,000 would bring nothing but there.
BATCH_EVENTS_MAX = 64_000
# On a slower or busier machine a batch is smaller: a quiet office may have to wait for two of them.
BATCH_S = 0.5
BATCH_EVENTS_MIN = 2_000
BATCH_EVENTS_FIRST = 8_000
BATCH_FRAMES_MAX = 256
BATCH_BYTES_MAX = 16 << 20
# What waits: a few batches. Above it gRPC stops reading and NATS stops fetching.
QUEUE_FRAMES_MAX = 1_024
QUEUE_BYTES_MAX = 48 << 20
LANE_FRAMES_MAX = 64
# Frames that streams hold in hand until there is room; above it, and after so long, the answer is "later".
HELD_BYTES_MAX = 32 << 20
ADMIT_S = 8.0
# When those who were told "later" come again: as soon as the hub can have served what waits, within these bounds.
LATER_S_MIN = 1.0
LATER_S_MAX = 60.0
PAUSE_S_MIN = 0.5
PAUSE_S_MAX = 8.0
STALE_TRIES_MAX = 5
# What an ack tells of the hub's own time is at most this.
HELD_MS_MAX = 600_000
# Longer than the longest pause: a trouble that nothing confirmed since then is over, or nobody is sending.
TROUBLE_S = 30.0

_log = logger("hub.ingest")


class MergeStore(TidyStore, Protocol):
    """What the merger needs of the hub's storage; `hub.merge.store.HubStore` is one."""

    def merge(self, arrivals: Sequence[Arrival], proven: Proof | None = None) -> list[Outcome]:
        """Commit a batch. Raises TransientError when nothing of it could be stored."""


class Delivery(Protocol):
    """One frame and the way back to whoever sent it. Called on the event loop; must not block or raise."""

    @property
    def arrival(self) -> Arrival:
        """The frame."""

    def settled(self, outcome: Outcome) -> None:
        """It is committed, or refused for good."""

    def deferred(self, ack: sync_pb2.Ack | None, retry_after_ms: int) -> None:
        """The hub cannot take it now; ``ack`` says so to the sender when the frame names one."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame of so many events, at the hub since a time of the loop's clock."""

    delivery: Delivery
    events: int
    since_s: float


@dataclass(slots=True)
class _Lane:
    """What one sender has waiting."""

    name: str
    waiting: deque[_Waiting] = field(default_factory=deque)


@dataclass(slots=True)
class _Batch:
    """Frames that are merged together. ``proof``: what is being found of them meanwhile."""

    waiting: list[_Waiting]
    proof: Future[Proof | None] | None = None

    @property
    def deliveries(self) -> list[Delivery]:
        return [one.delivery for one in self.waiting]


class Merger:
    """See the module. ``announce`` gets the acks of each batch for the transports that broadcast them.

    Args:
        prover: proves batches ahead; ``None``: each is proven by the thread that writes it.
    """

    def __init__(
        self, store: MergeStore, writer: WriterThread, metrics: Metrics, prover: Prover | None = None
    ) -> None:
        self._store = store
        self._prover = prover
        self._ahead: _Batch | None = None
        self._writer = writer
        self._metrics = metrics
        self._lanes: dict[str, _Lane] = {}
        self._turn: deque[_Lane] = deque()
        self._frames = 0
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Condition()
        self._held_bytes = 0
        # How long a frame takes at this hub, as last measured, and how many were turned away since there was room.
        self._frame_s = 0.001
        self._events_max = BATCH_EVENTS_FIRST
        self._turned_away = 0
        self._held_ms = 0
        self._tidy = Tidy(store, writer)
        self.announce: Callable[[list[sync_pb2.Ack]], None] = lambda acks: None
        self._trouble = ""
        self._troubled_at = 0.0

    @property
    def trouble(self) -> str:
        """Why nothing can be stored now; ``""`` while all is well, or nothing has failed for a while."""
        return self._trouble if time.monotonic() - self._troubled_at < TROUBLE_S else ""

    @property
    def waiting_frames(self) -> int:
        return self._frames

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    @property
    def held_ms(self) -> int:
        """For how long the hub had the frame that it committed last; 0 when none waits."""
        return self._held_ms if self._frames or self._ahead is not None else 0

    def offer(self, lane: str, delivery: Delivery, waited_s: float = 0.0) -> None:
        """Take a delivery in. Wait for `room` or `admit` right before: what is offered is kept, however much.

        Args:
            lane: the sender as the transport knows it (a subject, a stream), never what the frame claims:
                else anybody could fill another's lane.
            waited_s: for how long the hub, or its broker, has had it already.
        """
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = _Lane(lane)
            self._turn.append(found)
        since_s = asyncio.get_running_loop().time() - waited_s
        found.waiting.append(_Waiting(delivery, _events_of(delivery.arrival.data), since_s))
        self._count(1, len(delivery.arrival.data))
        self._arrived.set()

    async def room(self, lane: str = "") -> None:
        """Returns when the queue, and the lane if named, can take more."""
        if self._has_room(lane):
            return
        async with self._room:
            await self._room.wait_for(lambda: self._has_room(lane))

    async def admit(self, lane: str, size: int) -> int:
        """Wait for room with a frame of ``size`` bytes in hand; offer it at once when the answer is 0.

        Returns:
            After how many milliseconds the sender should come again, because the hub has more than it can hold.
        """
        if not self._has_room(lane):
            if self._held_bytes + size > HELD_BYTES_MAX:
                return self._turn_away()
            self._held_bytes += size
            try:
                async with asyncio.timeout(ADMIT_S):
                    await self.room(lane)
            except TimeoutError:
                return self._turn_away()
            finally:
                self._held_bytes -= size
        self._turned_away = 0
        return 0

    def _turn_away(self) -> int:
        """When to come again: spread over the time that serving all takes, so that not all come at once."""
        self._turned_away += 1
        self._metrics.deferred(1)
        wait_s = (self._frames + self._turned_away) * self._frame_s
        return int(1000 * min(max(wait_s, LATER_S_MIN), LATER_S_MAX) * random.uniform(1, 2))

    async def run(self) -> None:
        """Merge until cancelled. Cancelling between two batches leaves what waits without an ack."""
        pause_s = PAUSE_S_MIN
        while True:
            await self._wait()
            batch = self._ahead or self._take()
            self._ahead = None
            if not batch.deliveries:
                continue
            outcomes = await self._merge(batch)
            if outcomes is None:
                await self._defer(batch.deliveries, pause_s)
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
                continue
            pause_s = PAUSE_S_MIN
            self._settle(batch, outcomes)
            await self._tell_room()

    async def _wait(self) -> None:
        """Returns when something waits; uses the idle time, and at times not so idle a one, to tidy up."""
        if self._tidy.is_due:
            await self._tidy_up()
        if self._frames or self._ahead is not None:
            return
        self._arrived.clear()
        try:
            async with asyncio.timeout(self._tidy.after_s):
                await self._arrived.wait()
        except TimeoutError:
            await self._tidy_up()

    async def _tidy_up(self) -> None:
        try:
            await self._tidy.run(lambda: self._frames > 0)
        except DiskFailedError as exc:
            self._troubled(str(exc))
            raise

    def _take(self) -> _Batch:
        """The next batch: one frame of each lane in turn, up to the limits."""
        batch: list[_Waiting] = []
        events = size = 0
        while (
            self._turn and events < self._events_max and size < BATCH_BYTES_MAX and len(batch) < BATCH_FRAMES_MAX
        ):
            lane = self._turn.popleft()
            one = lane.waiting.popleft()
            batch.append(one)
            events += one.events
            size += len(one.delivery.arrival.data)
            if lane.waiting:
                self._turn.append(lane)
            else:
                del self._lanes[lane.name]
        self._count(-len(batch), -size)
        return _Batch(batch)

    def _look_ahead(self) -> None:
        """Have what waits proven while the batch before it is written."""
        if self._prover is not None and self._bytes >= ahead.BYTES_MIN:
            self._ahead = self._take()
            self._ahead.proof = self._prover.start([one.arrival for one in self._ahead.deliveries])

    async def _merge(self, batch: _Batch) -> list[Outcome] | None:
        """The outcomes, committed; ``None`` when nothing could be stored."""
        arrivals = [delivery.arrival for delivery in batch.deliveries]
        # First, so that no prover rests while the other finishes this batch.
        self._look_ahead()
        proven = None if batch.proof is None else await asyncio.wrap_future(batch.proof)
        for _ in range(STALE_TRIES_MAX):
            began = time.monotonic()
            try:
                outcomes = await self._writer.call_as(Urgency.MERGE, self._store.merge, arrivals, proven)
            except StaleWriterError:
                continue  # Another worker was faster; what it merged are duplicates now.
            except TransientError as exc:
                self._troubled(str(exc))
                return None
            except DiskFailedError as exc:
                self._troubled(str(exc))
                raise  # Only a new start, which proves the disk, can use the database again.
            except Exception as exc:
                # The store isolates poison by itself, so this is damage or our own mistake. Without an ack
                # nothing is lost: the offices keep what they sent.
                self._troubled(shown(exc))
                return None
            took_s = time.monotonic() - began
            self._pace(outcomes, took_s)
            self._metrics.merged(arrivals, outcomes, took_s)
            if any(outcome.events_merged for outcome in outcomes):
                self._tidy.merged()
                self._recovered()
            return outcomes
        self._troubled("other workers keep moving the watermarks")
        return None

    def _pace(self, outcomes: Sequence[Outcome], took_s: float) -> None:
        """Learn from a batch how many events take `BATCH_S`. Small batches are all commit and tell nothing."""
        self._frame_s = took_s / len(outcomes)
        events = sum(outcome.events_merged for outcome in outcomes)
        if events >= BATCH_EVENTS_MIN // 2:
            fitting = int(events * BATCH_S / max(took_s, 0.001))
            self._events_max = min(max((self._events_max + fitting) // 2, BATCH_EVENTS_MIN), BATCH_EVENTS_MAX)

    def _settle(self, batch: _Batch, outcomes: Sequence[Outcome]) -> None:
        now_s = asyncio.get_running_loop().time()
        for one, outcome in zip(batch.waiting, outcomes, strict=True):
            self._held_ms = min(max(int((now_s - one.since_s) * 1000), 0), HELD_MS_MAX)
            if outcome.ack is not None:
                outcome.ack.held_ms = self._held_ms
            one.delivery.settled(outcome)
        self.announce(coalesced([outcome.ack for outcome in outcomes if outcome.ack is not None]))

    async def _defer(self, batch: list[Delivery], pause_s: float) -> None:
        """Answer "later" to the batch and to all that waits, then pause."""
        if self._ahead is not None:
            batch += self._ahead.deliveries
            self._ahead = None
        while batch:
            for delivery in batch:
                # Spread over twice the pause: thousands of offices must not all come back in one moment.
                retry_after_ms = int(pause_s * 1000 * random.uniform(1, 2))
                delivery.deferred(later(delivery.arrival, retry_after_ms, self._trouble), retry_after_ms)
            self._metrics.deferred(len(batch))
            batch = self._take().deliveries
        await self._tell_room()
        await asyncio.sleep(pause_s)

    def _troubled(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.error("storage.troubled", trouble=trouble)
        self._trouble, self._troubled_at = trouble, time.monotonic()

    def _recovered(self) -> None:
        """Something was written. A batch of duplicates and gaps writes nothing and proves nothing."""
        if self._trouble:
            _log.info("storage.recovered")
        self._trouble = ""

    def _count(self, frames: int, size: int) -> None:
        self._frames += frames
        self._bytes += size
        self._metrics.queue(self._frames, self._bytes)

    def _has_room(self, lane: str) -> bool:
        if self._frames >= QUEUE_FRAMES_MAX or self._bytes >= QUEUE_BYTES_MAX:
            return False
        found = self._lanes.get(lane) if lane else None
        return found is None or len(found.waiting) < LANE_FRAMES_MAX

    async def _tell_room(self) -> None:
        async with self._room:
            self._room.notify_all()


def _events_of(data: bytes) -> int:
    try:
        return peek_header(data).count
    except PeerProtocolError:
        return 1
