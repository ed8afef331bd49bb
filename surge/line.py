"""A bad line on purpose: a TCP proxy on loopback between an office and the hub.

It carries NATS and gRPC alike. One `Line` is one office's cable: cut it, freeze it (a half-open connection:
nothing arrives, nothing is refused), slow it down, and let it heal, while both ends run unchanged.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

CHUNK_BYTES = 16 * 1024


@dataclass(slots=True)
class Shape:
    """How the line behaves now.

    Attributes:
        delay_ms: added one way to every chunk.
        bytes_per_second: the rate of each direction and connection; 0 for no limit.
        is_cut: connections are reset and new ones closed at once.
        is_frozen: bytes are taken and nothing is passed on; connections stay.
    """

    delay_ms: float = 0.0
    bytes_per_second: float = 0.0
    is_cut: bool = False
    is_frozen: bool = False


@dataclass(slots=True)
class Line:
    """A shaped line to ``host:port``; ``async with`` opens its listening end on a free port of 127.0.0.1."""

    host: str
    port: int
    shape: Shape = field(default_factory=Shape)
    passed_bytes: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _thawed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Line:
        self._thawed.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def address(self) -> str:
        """``127.0.0.1:port`` of the office's end."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Reset every connection and refuse new ones until `heal`."""
        self.shape.is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Let connections stand and pass nothing on: what a dead satellite link looks like from both ends."""
        self.shape.is_frozen = True
        self._thawed.clear()

    def heal(self) -> None:
        """Let new connections through again; what a freeze held back is passed on."""
        self.shape.is_cut = self.shape.is_frozen = False
        self._thawed.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shape.is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction of one connection; when it ends, the other direction sees the close."""
        try:
            while chunk := await source.read(CHUNK_BYTES):
                if self.shape.delay_ms:
                    await asyncio.sleep(self.shape.delay_ms / 1000)
                if self.shape.bytes_per_second:
                    await asyncio.sleep(len(chunk) / self.shape.bytes_per_second)
                await self._thawed.wait()
                sink.write(chunk)
                self.passed_bytes += len(chunk)
                await sink.drain()
        except OSError:
            pass  # A reset is an end like any other; the office's own timers are what is under test.
        finally:
            self._writers.discard(sink)
            sink.transport.abort() if self.shape.is_cut else sink.close()
