"""What the relay needs of a line to the hub, whichever kind it is.

A link is used once: ``open``, ``greet``, any number of ``send``, ``close``. It speaks back through the two
callbacks it was made with: ``on_ack`` for each of the hub's words, ``on_down`` once when the line is gone.
Both are called on the event loop and must not block. A link never retries by itself; the relay has the one
retry policy. Every call has a hard deadline, so a line that swallows bytes costs seconds, not for ever.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sepe.errors import TransientError
from sepe.wire.v1 import sync_pb2

OPEN_TIMEOUT_S = 5.0
GREET_TIMEOUT_S = 8.0
# A frame of 512 KiB leaves a 64 kbit/s line in 65 s; the pace keeps frames far smaller there.
SEND_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 2.0


class LinkDownError(TransientError):
    """The line cannot be had or is gone; what was sent may or may not have arrived. Greet again, later."""


class NoAckError(LinkDownError):
    """The line took frames and the hub's word on them never came."""


class Link(Protocol):
    """One line to the hub."""

    @property
    def name(self) -> str:
        """``nats`` or ``grpc``."""

    @property
    def healthy(self) -> bool:
        """Whether it is open and nothing has gone wrong on it yet."""

    async def open(self) -> None:
        """Connect. Raises `LinkDownError`; the link is then closed."""

    async def greet(self, hello: sync_pb2.SignedHello) -> sync_pb2.Ack:
        """The hub's answer to a greeting. Raises `LinkDownError`."""

    async def send(self, frame: bytes) -> None:
        """Hand one frame to the line; its ack comes by ``on_ack``. Raises `LinkDownError`."""

    async def close(self) -> None:
        """Let go of everything within `CLOSE_TIMEOUT_S`; never raises, may be called twice."""


OnAck = Callable[[sync_pb2.Ack], None]
OnDown = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LinkKind:
    """A way to reach the hub. ``make`` gives a fresh link, not yet open."""

    name: str
    make: Callable[[OnAck, OnDown], Link]


# Fetches our own frames from the hub: (greeting, epoch, after_seq) -> sealed frames in order of seq.
# The generator raises LinkDownError when the line breaks, PeerProtocolError when the hub refuses.
Pull = Callable[[sync_pb2.SignedHello, bytes, int], AsyncGenerator[bytes, None]]
# Fetches our own frames of every epoch but for those that end at or under the seq given for theirs.
PullAll = Callable[[sync_pb2.SignedHello, Mapping[bytes, int]], AsyncGenerator[bytes, None]]
