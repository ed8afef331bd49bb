"""Answering greetings, however they come: verified and noted by the store, refused softly when too many wait.

After a power cut at a province thousands of offices greet within a minute. Each greeting is a small transaction,
so those that would wait long are asked to come back, each at another moment, instead of all timing out at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol

from google.protobuf.message import DecodeError

from hub.ingest.writer import WriterThread, shown
from hub.metrics import Metrics
from sepe.errors import TransientError
from sepe.wire.v1 import sync_pb2
from sepe_io.logs import logger

# About a second of greetings.
WAITING_MAX = 200
RETRY_AFTER_MS = (2_000, 10_000)

_log = logger("hub.greetings")


class GreetStore(Protocol):
    """What greetings need of the hub's storage."""

    def greet(self, signed: sync_pb2.SignedHello, *, now_ms: int, via: str) -> sync_pb2.Ack:
        """The answer; never raises because of what the peer sent."""


class Greetings:
    """The door of both transports.

    Args:
        held_ms: for how long the hub has frames at the moment before it commits them.
    """

    def __init__(
        self,
        store: GreetStore,
        writer: WriterThread,
        metrics: Metrics,
        held_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._held_ms = held_ms
        self._store = store
        self._writer = writer
        self._metrics = metrics
        self._waiting = 0

    async def answer(self, signed: sync_pb2.SignedHello, *, via: str, sender: str | None = None) -> sync_pb2.Ack:
        """The ack to a greeting; LATER when the hub cannot say now.

        Args:
            sender: the node that the transport vouches for; a greeting in another's name is refused.
        """
        if sender is not None and (named := _named(signed)) is not None and named.node != sender:
            _log.warning("greeting.refused", reason="wrong_sender", sender=sender)
            # It names who asked, not whom the greeting names: nobody may have us refuse a third one.
            refusal = sync_pb2.Ack(
                node=sender, epoch=named.epoch, verdict=sync_pb2.VERDICT_REFUSED, reason="wrong_sender",
                hub_ms=time.time_ns() // 1_000_000,
            )  # fmt: skip
            return self._counted(refusal, via)
        if self._waiting >= WAITING_MAX:
            return self._counted(_later(signed), via)
        self._waiting += 1
        try:
            ack = await self._writer.call(self._store.greet, signed, now_ms=time.time_ns() // 1_000_000, via=via)
            ack.held_ms = self._held_ms()
        except TransientError as exc:
            _log.warning("greeting.deferred", reason=str(exc))
            ack = _later(signed)
        except Exception as exc:
            _log.error("greeting.failed", error=shown(exc))
            ack = _later(signed)
        finally:
            self._waiting -= 1
        return self._counted(ack, via)

    def _counted(self, ack: sync_pb2.Ack, via: str) -> sync_pb2.Ack:
        self._metrics.greeted(via, sync_pb2.Verdict.Name(ack.verdict).removeprefix("VERDICT_").lower())
        return ack


def _later(signed: sync_pb2.SignedHello) -> sync_pb2.Ack:
    """Unproven, but it goes back to whoever asked and tells nothing."""
    ack = sync_pb2.Ack(
        verdict=sync_pb2.VERDICT_LATER,
        retry_after_ms=random.randint(*RETRY_AFTER_MS),
        hub_ms=time.time_ns() // 1_000_000,
    )
    if (hello := _named(signed)) is not None:
        ack.node, ack.epoch = hello.node, hello.epoch
    return ack


def _named(signed: sync_pb2.SignedHello) -> sync_pb2.Hello | None:
    """What the greeting says, unproven; ``None`` when it cannot be read."""
    try:
        return sync_pb2.Hello.FromString(signed.hello)
    except (DecodeError, UnicodeDecodeError):
        return None
