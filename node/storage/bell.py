"""The bell: whoever commits an event rings, and the running relay looks at once instead of at its next turn.

A datagram on the loopback, because it costs neither side anything while nothing happens and works wherever Python
does. It carries no data, only the token of this run, which who may read the folder may read: others ring in vain.
A ring that is lost costs nothing either: the relay looks every few hundredths of a second anyway.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType

from sepe_io.sqlite import Connection, transaction

BELL_NAME = "bell"
TOKEN_BYTES = 8
# Where nobody listened a moment ago, nobody is looked for.
DEAF_S = 0.5
_HOST = "127.0.0.1"


class Ringer:
    """Rings the bell of one node directory, if anybody is there to hear it.

    Attributes:
        has_news: the transaction that is open wrote events.
    """

    def __init__(self, folder: Path) -> None:
        self.has_news = False
        self._path = folder / BELL_NAME
        self._seen_ns = 0
        self._port, self._token = 0, b""
        self._deaf_until = 0.0
        self._socket: socket.socket | None = None

    def ring(self) -> None:
        """Some 10 µs where a relay runs; never raises, never waits."""
        if time.monotonic() < self._deaf_until:
            return
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._seen_ns:
                port, token = self._path.read_text("ascii").split()
                self._port, self._token, self._seen_ns = int(port), bytes.fromhex(token), changed_ns
            if self._socket is None:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(self._token, (_HOST, self._port))
        except (OSError, ValueError):
            self._deaf_until = time.monotonic() + DEAF_S

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class RingingTransaction:
    """A write transaction (`sepe_io.sqlite.transaction`) that rings after its commit if it wrote events."""

    __slots__ = ("_inner", "_ringer")

    def __init__(self, connection: Connection, ringer: Ringer) -> None:
        self._ringer = ringer
        self._inner = transaction(connection)

    def __enter__(self) -> None:
        self._ringer.has_news = False
        self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, exc, trace)
        if self._ringer.has_news:
            self._ringer.ring()


@asynccontextmanager
async def hearing(folder: Path, on_ring: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``on_ring`` in the event loop at each ring. Without a loopback or a disk to tell of it: never."""
    token, path = secrets.token_bytes(TOKEN_BYTES), folder / BELL_NAME
    transport: asyncio.DatagramTransport | None = None
    try:
        with suppress(OSError):
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Ear(token, on_ring), local_addr=(_HOST, 0)
            )
            half = folder / f".{BELL_NAME}.part"
            half.touch(mode=0o600)
            half.write_text(f"{transport.get_extra_info('sockname')[1]} {token.hex()}\n", "ascii")
            half.replace(path)
        yield
    finally:
        if transport is not None:
            transport.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, token: bytes, on_ring: Callable[[], None]) -> None:
        self._token = token
        self._on_ring = on_ring

    def datagram_received(self, data: bytes, addr: object) -> None:
        if secrets.compare_digest(data, self._token):
            self._on_ring()
