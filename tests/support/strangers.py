"""Strangers on a loopback port: connections that say nothing, half a word or the wrong word, by the hundred.

Bounded in number and time; every socket is closed at the end.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

# The first bytes of a TLS greeting, cut off within its length.
HALF_TLS = bytes.fromhex("16030100c8010000c4")
HALF_HTTP2 = b"PRI * HTTP/2.0\r\n"
HALF_HTTP = b"GET /metrics HTTP/1.1\r\nHost: "
SAID = (b"", HALF_TLS, HALF_HTTP2, HALF_HTTP, b"\x00" * 64)
CONNECT_TIMEOUT_S = 5.0


@contextmanager
def connected(address: str, count: int, *, said: bytes = b"", reset: bool = False) -> Iterator[int]:
    """``count`` connections that said ``said`` and then nothing; how many were let in.

    Args:
        reset: they end with a reset instead of an orderly close.
    """
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        found = 0
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.settimeout(CONNECT_TIMEOUT_S)
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                one.connect((host, int(port)))
                one.sendall(said)
                found += 1
        yield found


async def storm(address: str, *, rounds: int) -> None:
    """Rounds of 20 to 600 connections at once that come, say something or nothing, and go."""
    host, _, port = address.rpartition(":")

    async def one(said: bytes, hold_s: float) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(said)
            await asyncio.sleep(hold_s)
            writer.close()

    for turn in range(rounds):
        count, hold_s = (20, 100, 300, 600)[turn % 4], (0, 0.01, 0.3)[turn % 3]
        said = b"" if turn % 2 else SAID[turn // 2 % len(SAID)]
        await asyncio.gather(*(one(said, hold_s) for _ in range(count)))
