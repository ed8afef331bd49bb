"""The centre of a full world: the real store and the real merger; the transports are the world's.

As in the product, what comes by either transport is offered to one merger, which merges, commits and only then
settles; acks go out on the line that a frame came by and are announced at the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hub.ingest.merger import Merger
from hub.ingest.writer import WriterThread
from hub.merge import log
from hub.merge.store import Arrival, HubStore, Outcome
from hub.metrics import Metrics
from node.link.link import LinkDownError
from sepe.wire.v1 import sync_pb2
from surge.fullworld import disk
from surge.fullworld.loop import Fate
from surge.fullworld.machine import Machine
from surge.world.broker import Message

if TYPE_CHECKING:
    from surge.fullworld.network import GrpcLink
    from surge.fullworld.world import FullWorld


@dataclass(frozen=True, eq=False)
class _FromBroker:
    """One message of the stream, in the hub's hands until it is settled."""

    hub: HubMachine
    message: Message
    arrival: Arrival

    def settled(self, outcome: Outcome) -> None:
        self.hub.unsettled.remove(self)

    def deferred(self, ack: sync_pb2.Ack | None, retry_after_ms: int) -> None:
        if ack is not None:
            self.hub.announce([ack])
        self.hub.world.after(retry_after_ms / 1000, self._again)

    def _again(self) -> None:
        if self in self.hub.unsettled:
            self.hub.unsettled.remove(self)
            self.hub.world.broker.give_back([self.message])
            self.hub.pump()


@dataclass(frozen=True, eq=False)
class _FromStream:
    """One frame of a gRPC stream."""

    hub: HubMachine
    link: GrpcLink
    arrival: Arrival

    def settled(self, outcome: Outcome) -> None:
        if outcome.ack is not None:
            self.hub.note_told(outcome.ack)
            self.link.hub_says(outcome.ack)

    def deferred(self, ack: sync_pb2.Ack | None, retry_after_ms: int) -> None:
        if ack is not None:
            self.link.hub_says(ack)


class HubMachine(Machine):
    """One hub directory, running or without power. ``life`` counts its starts."""

    store: HubStore
    _merger: Merger
    _writer: WriterThread

    def __init__(self, world: FullWorld, folder: Path) -> None:
        super().__init__(world, "hub", folder)
        self.life = 0
        self.unsettled: list[_FromBroker] = []
        # The highest watermark that was acknowledged of each history since the last restore.
        self.told: dict[tuple[str, bytes], int] = {}
        self._wake = asyncio.Event()

    # Power

    def boot(self) -> None:
        """Open the directory and begin to merge."""
        self.life += 1
        self.store = HubStore.open(self.folder)
        self.world.close_later(self.store)
        for (node, epoch), seq in self.told.items():
            if log.epoch_state(self.store.connection, node, epoch).durable_seq < seq:
                self.world.problem("ack_means_committed", f"the hub acknowledged {node} up to {seq} and lost it")
        self._writer = WriterThread()
        self._merger = Merger(self.store, self._writer, Metrics())
        self._merger.announce = self.announce
        self._wake = asyncio.Event()
        self._wake.set()
        self.spawn(self._merge())
        self.spawn(self._pull())

    def halt(self) -> None:
        """What the hub had in its hands is delivered again."""
        messages = [one.message for one in self.unsettled]
        self.unsettled = []
        self.world.broker.give_back(messages)
        self.world.network.hub_died()

    def fate_of(self, call: str) -> Fate:
        if not self.world.strikes(self.world.faults.kill_hub):
            return Fate.RUN
        return self.world.rng.choice((Fate.DIE_BEFORE, Fate.DIE_AFTER))

    def fill_disk(self, is_full: bool) -> None:
        """Let no page be added to the database, or let them again."""
        self.limit_pages([self.store.connection] if self.is_on else [], is_full)

    # Ways in

    def pump(self) -> None:
        """The broker has something."""
        self._wake.set()

    def stream(self, link: GrpcLink, data: bytes) -> None:
        """A frame came by gRPC."""
        if self.is_on:
            arrival = Arrival(data, "grpc", self.now_ms())
            self._merger.offer(f"grpc {link.number}", _FromStream(self, link, arrival))

    async def greet(self, hello: sync_pb2.SignedHello, via: str) -> sync_pb2.Ack:
        """The answer to a greeting.

        Raises:
            LinkDownError: the hub died over it.
        """
        if not self.is_on:
            raise LinkDownError("no hub")
        task = self.spawn(self._greet(hello, via))
        await asyncio.wait({task})
        if task.cancelled():
            raise LinkDownError("the hub went away")
        return task.result()

    async def pull(
        self, node: str, epoch: bytes | None, after_seq: int, held: Mapping[bytes, int]
    ) -> AsyncGenerator[bytes, None]:
        """A node's own frames. Raises `LinkDownError` when the hub is or goes away."""
        life = self.life
        frames = list(self.store.frames_of(node, epoch, after_seq, held)) if self.is_on else []
        for frame in frames:
            yield frame
            await asyncio.sleep(self.world.network.way_s())
            if life != self.life:
                break
        if not self.is_on or life != self.life:
            raise LinkDownError("the hub went away")

    # Words

    def announce(self, acks: list[sync_pb2.Ack]) -> None:
        """Publish acks at the broker."""
        for ack in acks:
            self.note_told(ack)
            self.world.network.announce(ack)

    def note_told(self, ack: sync_pb2.Ack) -> None:
        """A word leaves the hub; it must hold from now on."""
        key = (ack.node, bytes(ack.epoch))
        if ack.verdict == sync_pb2.VERDICT_DURABLE and ack.durable_seq > self.told.get(key, 0):
            self.told[key] = ack.durable_seq
            self.world.tell(f"hub acknowledges {ack.node} {ack.epoch.hex()[:8]} up to {ack.durable_seq}")

    def watermark(self, node: str, epoch: bytes) -> int:
        """How much of a history is committed."""
        return log.epoch_state(self.store.connection, node, epoch).durable_seq

    def bodies(self) -> list[bytes]:
        """Every event body in the log, as often as it was counted."""
        return [event.body for frame in log.all_frames(self.store.connection) for event in log.events_in(frame)]

    # Private

    async def _greet(self, hello: sync_pb2.SignedHello, via: str) -> sync_pb2.Ack:
        ack = await self._writer.call(self.store.greet, hello, now_ms=self.now_ms(), via=via)
        self.note_told(ack)
        return ack

    async def _merge(self) -> None:
        try:
            await self._merger.run()
        except Exception as exc:
            self.world.problem("no_crash", f"the merger ended with {exc!r}")

    async def _pull(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while True:
                await self._merger.room()
                taken = self.world.broker.take(1)
                if not taken:
                    break
                for message in taken:
                    arrival = Arrival(message.data, "nats", self.now_ms(), message.node)
                    delivery = _FromBroker(self, message, arrival)
                    self.unsettled.append(delivery)
                    self._merger.offer(f"nats {message.node}", delivery)
                await asyncio.sleep(0)

    def restore(self, backup: Path) -> None:
        """Go on, without power as yet, from an older copy."""
        self.world.tell("the hub is restored from a backup")
        self.folder = disk.copied(backup, self.world.new_path("hub"))
        self.told.clear()
