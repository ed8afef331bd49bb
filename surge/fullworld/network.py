"""Lines of a full world: the Link protocol of the product over seeded delays, losses and cuts."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.link.link import (
    GREET_TIMEOUT_S,
    OPEN_TIMEOUT_S,
    SEND_TIMEOUT_S,
    LinkDownError,
    LinkKind,
    OnAck,
    OnDown,
)
from sepe.wire.v1 import sync_pb2

if TYPE_CHECKING:
    from surge.fullworld.world import FullWorld

# How long a broken connection may stay unnoticed when the other end says goodbye.
NOTICE_S_MAX = 3.0
DELAY_S_MAX = 60.0


@dataclass(slots=True)
class Wire:
    """An office's way to the centre. ``way_s``: one way, in seconds."""

    way_s: float
    is_cut: bool = False


class Network:
    """All lines."""

    def __init__(self, world: FullWorld) -> None:
        self._world = world
        self._links: list[_Link] = []
        self.opened = 0

    def kinds(self, node: str, wire: Wire) -> list[LinkKind]:
        """The ways that an office has, best first."""
        world = self._world
        return [
            LinkKind("nats", lambda on_ack, on_down: NatsLink(world, node, wire, on_ack, on_down)),
            LinkKind("grpc", lambda on_ack, on_down: GrpcLink(world, node, wire, on_ack, on_down)),
        ]

    def way_s(self, wire: Wire | None = None) -> float:
        """How long the next message takes."""
        rng, faults = self._world.rng, self._world.faults
        way_s = (0.05 if wire is None else wire.way_s) * rng.uniform(0.8, 1.5)
        return way_s + (rng.uniform(0, DELAY_S_MAX) if self._world.strikes(faults.delay) else 0.0)

    async def pull(
        self, node: str, wire: Wire, epoch: bytes | None, after_seq: int, held: Mapping[bytes, int] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """A node's own frames from the hub, of one epoch or of all. Raises `LinkDownError`."""
        await asyncio.sleep(self.way_s(wire))
        if wire.is_cut:
            raise LinkDownError("no line")
        async for frame in self._world.hub.pull(node, epoch, after_seq, held or {}):
            await asyncio.sleep(self.way_s(wire))
            if wire.is_cut or self._world.strikes(self._world.faults.cut_mid_frame):
                raise LinkDownError("the line broke")
            yield frame

    def announce(self, ack: sync_pb2.Ack) -> None:
        """The hub's word at the broker: every machine of that name hears it, clones too."""
        world = self._world
        if not world.broker.is_up:
            return
        for link in self._links:
            if isinstance(link, NatsLink) and link.node == ack.node and not world.strikes(world.faults.loss):
                copies = 1 + world.strikes(world.faults.duplicate)
                for _ in range(copies):
                    world.after(self.way_s(link.wire), link.hear, ack)

    def joined(self, link: _Link) -> None:
        self._links.append(link)

    def left(self, link: _Link) -> None:
        if link in self._links:
            self._links.remove(link)

    def forget(self, wire: Wire) -> None:
        """The office at that line is without power; it hears nothing any more."""
        self._links = [link for link in self._links if link.wire is not wire]

    def hub_died(self) -> None:
        """Streams to the hub are gone; now and then the offices are not told."""
        self._break(GrpcLink, "the hub is gone")

    def broker_fell(self) -> None:
        self._break(NatsLink, "the broker is gone")

    def cut(self, wire: Wire, *, is_noticed: bool) -> None:
        """A line carries nothing any more."""
        wire.is_cut = True
        for link in self._links:
            if link.wire is wire and is_noticed:
                self._world.after(self._world.rng.uniform(0, NOTICE_S_MAX), link.fail, "the line is cut")

    def _break(self, kind: type[_Link], reason: str) -> None:
        for link in self._links:
            if isinstance(link, kind):
                link.is_torn = True
                if self._world.rng.random() < 0.75:
                    self._world.after(self._world.rng.uniform(0, NOTICE_S_MAX), link.fail, reason)


class _Link(ABC):
    """What both kinds share. ``is_torn``: carries nothing although nobody said so."""

    name = ""

    def __init__(self, world: FullWorld, node: str, wire: Wire, on_ack: OnAck, on_down: OnDown) -> None:
        self.world, self.node, self.wire = world, node, wire
        self._on_ack, self._on_down = on_ack, on_down
        self.is_open = self.is_torn = False
        world.network.opened += 1
        self.number = world.network.opened

    @property
    def healthy(self) -> bool:
        return self.is_open

    @property
    def carries(self) -> bool:
        """Whether a message gets through now."""
        return self.is_open and not self.is_torn and not self.wire.is_cut and self._far_end_is_up()

    async def open(self) -> None:
        await asyncio.sleep(2 * self.world.network.way_s(self.wire))
        if self.wire.is_cut:
            await asyncio.sleep(OPEN_TIMEOUT_S)
            raise LinkDownError(f"{self.name}: no line")
        if not self._far_end_is_up():
            raise LinkDownError(f"{self.name}: nobody there")
        self.is_open = True
        self.world.network.joined(self)

    async def greet(self, hello: sync_pb2.SignedHello) -> sync_pb2.Ack:
        try:
            async with asyncio.timeout(GREET_TIMEOUT_S):
                await self._cross()
                ack = await self.world.hub.greet(hello, self.name)
                await self._cross()
        except TimeoutError as exc:
            raise LinkDownError(f"{self.name}: no answer to the greeting") from exc
        return ack

    async def close(self) -> None:
        self.is_open = False
        self.world.network.left(self)

    def hear(self, ack: sync_pb2.Ack) -> None:
        """A word reached this end."""
        if self.is_open and not self.wire.is_cut:
            self._on_ack(ack)

    def fail(self, reason: str) -> None:
        """This end learns that the connection is gone."""
        if self.is_open:
            self.is_open = False
            self.world.network.left(self)
            self._on_down(f"{self.name}: {reason}")

    async def _cross(self) -> None:
        """One message's way; what does not get through is waited for until somebody gives up."""
        await asyncio.sleep(self.world.network.way_s(self.wire))
        if not self.carries or (self.name == "nats" and self.world.strikes(self.world.faults.loss)):
            await asyncio.sleep(2 * SEND_TIMEOUT_S)
            raise LinkDownError(f"{self.name}: lost")

    def _damaged(self, frame: bytes) -> bytes:
        """The frame, or one with a flipped bit."""
        if not self.world.strikes(self.world.faults.corrupt):
            return frame
        bits = bytearray(frame)
        bits[self.world.rng.randrange(len(bits))] ^= 1 << self.world.rng.randrange(8)
        return bytes(bits)

    def _breaks_now(self) -> bool:
        if self.world.strikes(self.world.faults.cut_mid_frame):
            self.fail("the line broke in the middle of a frame")
            return True
        return False

    @abstractmethod
    def _far_end_is_up(self) -> bool:
        """Whether who answers at the other end has power."""


class NatsLink(_Link):
    """By the broker: a publish that it acknowledges, which proves nothing."""

    name = "nats"

    async def send(self, frame: bytes) -> None:
        if self._breaks_now():
            raise LinkDownError("nats: the line broke")
        way_s, data = self.world.network.way_s(self.wire), self._damaged(frame)
        if self.carries and not self.world.strikes(self.world.faults.loss):
            self.world.after(way_s, self.world.broker.publish, self.node, data)
        elif not self.carries:
            way_s = SEND_TIMEOUT_S
        await asyncio.sleep(min(2 * way_s, SEND_TIMEOUT_S))
        if not self.is_open or 2 * way_s >= SEND_TIMEOUT_S or self.world.strikes(self.world.faults.loss):
            raise LinkDownError("nats: the broker did not confirm")

    def _far_end_is_up(self) -> bool:
        return self.world.broker.is_up


class GrpcLink(_Link):
    """A stream to the hub: in order, each way."""

    name = "grpc"

    def __init__(self, world: FullWorld, node: str, wire: Wire, on_ack: OnAck, on_down: OnDown) -> None:
        super().__init__(world, node, wire, on_ack, on_down)
        self._up_s = self._down_s = 0.0

    async def send(self, frame: bytes) -> None:
        if self._breaks_now():
            raise LinkDownError("grpc: the line broke")
        world = self.world
        self._up_s = max(self._up_s, world.now_s + world.network.way_s(self.wire))
        world.after(self._up_s - world.now_s, self._arrive, self._damaged(frame))
        await asyncio.sleep(0)

    def hub_says(self, ack: sync_pb2.Ack) -> None:
        """The hub writes an ack to this stream."""
        world = self.world
        self._down_s = max(self._down_s, world.now_s + world.network.way_s(self.wire))
        world.after(self._down_s - world.now_s, self.hear, ack)

    def hear(self, ack: sync_pb2.Ack) -> None:
        if not self.is_torn:
            super().hear(ack)

    def _arrive(self, frame: bytes) -> None:
        if self.carries:
            self.world.hub.stream(self, frame)

    def _far_end_is_up(self) -> bool:
        return self.world.hub.is_on
