"""A bad line on purpose: a TCP proxy on loopback between an office and the hub.

It carries NATS and gRPC alike. One `Line` is one listening end; the lines of an office share one `Shape`, as its
connections share one cable: cut it, freeze it (a half-open connection: nothing arrives, nothing is refused), slow
it down, lose packets on it, and let it heal, while both ends run unchanged.

What leaves an end waits for its turn on the cable (``bytes_per_second``), then travels (``delay_ms``), and arrives
in order. A long cable carries many bytes at once: the delay is no limit on what passes in a second. A lost packet
is sent again by TCP, so at this height a loss shows as a pause: what was lost, and all behind it on that
connection, arrives one round trip and a retransmission timeout later.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

# What may wait for its turn on one side before the sender is held, as a router's buffer would.
BUFFER_BYTES_MAX = 64 * 1024
# RFC 6298 wants a second at least; Linux waits 200 ms and a round trip.
RETRANSMIT_S = 0.2
PACKET_BYTES = 1_448
CONNECT_TIMEOUT_S = 10.0
Dial = Callable[["_End"], None]


@dataclass(slots=True)
class Way:
    """One direction of a cable: when it is free again, and what it has carried."""

    free_at: float = 0.0
    passed_bytes: int = 0


@dataclass(slots=True)
class Shape:
    """How the cable behaves now.

    Attributes:
        delay_ms: one way.
        jitter_ms: up to so much more, drawn for each chunk; chunks of a connection keep their order.
        bytes_per_second: of each direction, all connections together; 0 for no limit.
        loss: share of packets that get lost, 0 to below 1.
        is_cut: connections are reset and new ones closed at once.
        is_frozen: bytes are taken and nothing is passed on; connections stay.
        up, down: from the office to the hub, and back.
    """

    delay_ms: float = 0.0
    bytes_per_second: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    is_cut: bool = False
    is_frozen: bool = False
    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)

    def arrival(self, way: Way, size: int, now: float, chance: Random) -> float:
        """When a chunk that is handed over ``now`` arrives; the way is taken until its last byte has left.

        A chunk is many packets; one loss among them delays the whole, as TCP hands bytes on in order.
        """
        leaves = now
        if self.bytes_per_second:
            leaves = max(now, way.free_at) + size / self.bytes_per_second
            way.free_at = leaves
        arrives = leaves + self.delay_ms / 1000
        if self.jitter_ms:
            arrives += chance.random() * self.jitter_ms / 1000
        if self.loss:
            packets = -(-size // PACKET_BYTES)
            if chance.random() < 1 - (1 - self.loss) ** packets:
                arrives += 2 * self.delay_ms / 1000 + RETRANSMIT_S
        return arrives


@dataclass(slots=True)
class Line:
    """A shaped line to ``host:port``; ``async with`` opens its listening end on a free port of 127.0.0.1."""

    host: str
    port: int
    shape: Shape = field(default_factory=Shape)
    chance: Random = field(default_factory=lambda: Random(0))
    _server: asyncio.Server | None = None
    _ends: set[_End] = field(default_factory=set)
    _dials: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Line:
        self._server = await asyncio.get_running_loop().create_server(self._near_end, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._dials):
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)

    @property
    def address(self) -> str:
        """``127.0.0.1:port`` of the office's end."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def passed_bytes(self) -> int:
        """Both directions of the cable, all its lines."""
        return self.shape.up.passed_bytes + self.shape.down.passed_bytes

    def cut(self) -> None:
        """Reset every connection and refuse new ones until `heal`."""
        self.shape.is_cut = True
        for end in list(self._ends):
            end.abort()

    def freeze(self) -> None:
        """Let connections stand and pass nothing on: what a dead satellite link looks like from both ends."""
        self.shape.is_frozen = True

    def heal(self) -> None:
        """Let new connections through again; what a freeze held back is passed on."""
        self.shape.is_cut = self.shape.is_frozen = False
        for end in list(self._ends):
            end.deliver()

    def _near_end(self) -> _End:
        return _End(self, self.shape.up, self._dial)

    def _dial(self, near: _End) -> None:
        task = asyncio.create_task(self._reach(near))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _reach(self, near: _End) -> None:
        """The other half of a connection that an office has opened."""
        far = _End(self, self.shape.down, None)
        far.other = near
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(lambda: far, self.host, self.port)
        except OSError:
            near.abort()
            return
        if far.is_of_itself:
            far.give_port_back()
        if near.is_lost or self.shape.is_cut or far.is_of_itself:
            near.abort()
            far.abort()
            return
        near.other = far
        near.deliver()


class _End(asyncio.Protocol):
    """One end of one connection: takes what its program sends and hands it to the other end in its time.

    Attributes:
        way: the direction that leads away from this end's program.
    """

    def __init__(self, line: Line, way: Way, dial: Dial | None) -> None:
        self._line, self.way, self._dial = line, way, dial
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # (when it arrives, bytes): on its way to the other end.
        self._underway: deque[tuple[float, bytes]] = deque()
        self._underway_bytes = 0
        self._last_arrival = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._has_ended = False
        self._is_held = False
        self.other: _End | None = None
        self.is_lost = False

    @property
    def is_of_itself(self) -> bool:
        """Whether nobody is at the other end but we: TCP lets a socket that dials a free port of this machine meet
        itself there, and the hub that comes back then finds its port taken."""
        transport = self._transport
        return transport is not None and transport.get_extra_info("sockname") == transport.get_extra_info(
            "peername"
        )

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._line.shape.is_cut:
            transport.abort()
            return
        self._line._ends.add(self)
        if self._dial is not None:
            self._dial(self)

    def data_received(self, data: bytes) -> None:
        now, shape = self._loop.time(), self._line.shape
        # In order on one connection, whatever was lost before.
        self._last_arrival = max(shape.arrival(self.way, len(data), now, self._line.chance), self._last_arrival)
        self._underway.append((self._last_arrival, data))
        self._underway_bytes += len(data)
        self._hold()
        if self._last_arrival <= now:
            self.deliver()
        elif self._timer is None:
            self._timer = self._loop.call_at(self._underway[0][0], self.deliver)

    def eof_received(self) -> bool:
        self._has_ended = True
        self.deliver()
        return True  # The other direction may have things on their way yet.

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._line._ends.discard(self)
        self._drop_timer()
        self._underway.clear()
        if self.other is not None and not self.other.is_lost:
            self.other.close()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other._hold(is_full=True)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.deliver()

    # What the line does

    def give_port_back(self) -> None:
        """Have this connection end with a reset: after any other end its port stays taken for a minute."""
        assert self._transport is not None
        option = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)

    def abort(self) -> None:
        """Reset this connection, and with it the other half."""
        if self._transport is not None:
            self._transport.abort()
        if self.other is not None and self.other._transport is not None:
            self.other._transport.abort()

    def close(self) -> None:
        """The other half has gone: its program has heard all that was on its way, as far as the cable stands."""
        if self._transport is not None:
            self._transport.abort() if self._line.shape.is_cut else self._transport.close()

    def deliver(self) -> None:
        """Hand on what has arrived by now."""
        self._drop_timer()
        other = self.other
        if other is None or other._transport is None or other.is_lost or self._line.shape.is_frozen:
            return
        now = self._loop.time()
        while self._underway and self._underway[0][0] <= now:
            _, data = self._underway.popleft()
            self._underway_bytes -= len(data)
            self.way.passed_bytes += len(data)
            other._transport.write(data)
        self._let_go()
        if self._underway:
            self._timer = self._loop.call_at(self._underway[0][0], self.deliver)
        elif self._has_ended:
            self._pass_end(other)

    def _pass_end(self, other: _End) -> None:
        """All that this end's program said has arrived, and it will say no more."""
        assert other._transport is not None
        if other._has_ended and not other._underway:
            self.close()
            other.close()
        elif not other._transport.is_closing() and other._transport.can_write_eof():
            try:
                other._transport.write_eof()
            except OSError:
                # Its program reset it a moment ago, and the loop has not heard of it yet.
                self.abort()

    def _hold(self, *, is_full: bool = False) -> None:
        if not self._is_held and self._transport is not None and (
            is_full or self._underway_bytes > self._room_bytes()
        ):  # fmt: skip
            self._is_held = True
            self._transport.pause_reading()

    def _let_go(self) -> None:
        if self._is_held and self._transport is not None and self._underway_bytes <= self._room_bytes() // 2:
            self._is_held = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _room_bytes(self) -> float:
        """The buffer, and what a long fast cable holds in itself."""
        shape = self._line.shape
        return BUFFER_BYTES_MAX + 2 * shape.bytes_per_second * shape.delay_ms / 1000

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
