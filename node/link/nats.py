"""The line over NATS: frames into JetStream, acks from the hub over core NATS.

JetStream's own ack says that the broker has a frame, which is not what we wait for; it is read for one thing
only, to notice at once that the stream is missing or refuses us. A publish without permission gets no answer at
all: only the client's error callback hears of it.

A connection is used once; the relay has the one retry policy. The library's notice of a dead line may come late
(it waits for unsent bytes, which on a half-open line never leave), so its state is watched as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg

from node.link.link import (
    GREET_TIMEOUT_S,
    OPEN_TIMEOUT_S,
    SEND_TIMEOUT_S,
    LinkDownError,
    OnAck,
    OnDown,
)
from node.link.trouble import OnTrouble
from sepe import subjects
from sepe.errors import TransientError
from sepe.ids import PARTITIONS, PARTITIONS_MAX
from sepe.wire.v1 import sync_pb2
from sepe_io.channel import NatsIdentity, close_nats, connect_nats

WATCH_INTERVAL_S = 0.5
_NO_RESPONDERS = "503"

_T = TypeVar("_T")


class NatsLink:
    """One connection to NATS. See `node.link.link.Link`."""

    name = "nats"

    def __init__(
        self,
        url: str,
        node: str,
        on_ack: OnAck,
        on_down: OnDown,
        *,
        identity: Callable[[], NatsIdentity | None] = lambda: None,
        on_trouble: OnTrouble = lambda trouble: None,
    ) -> None:
        self._url = url
        self._node = node
        self._on_ack = on_ack
        self._on_down = on_down
        self._identity = identity
        self._on_trouble = on_trouble
        self._client: Client | None = None
        self._receipts = ""
        self._partitions = PARTITIONS
        self._watch_task: asyncio.Task[None] | None = None
        self._is_open = False

    @property
    def healthy(self) -> bool:
        return self._is_open and self._client is not None and self._client.is_connected

    async def open(self) -> None:
        try:
            self._client = await connect_nats(
                self._url,
                name=f"sepe node {self._node}",
                on_error=lambda exc: self._down(str(exc) or type(exc).__name__),
                on_down=lambda: self._down("the connection was closed"),
                timeout_s=OPEN_TIMEOUT_S,
                identity=self._identity(),
            )
            await _within(OPEN_TIMEOUT_S, self._subscribe(self._client))
        except TransientError as exc:
            await self.close()
            raise exc if isinstance(exc, LinkDownError) else LinkDownError(f"nats: {exc}") from exc
        self._on_trouble(None)
        self._is_open = True
        self._watch_task = asyncio.create_task(self._watch(self._client))

    async def greet(self, hello: sync_pb2.SignedHello) -> sync_pb2.Ack:
        client = self._opened()
        payload = hello.SerializeToString()
        request = client.request(subjects.hello(self._node), payload, timeout=GREET_TIMEOUT_S)
        answer = await _within(GREET_TIMEOUT_S, request)
        try:
            return self._heard(sync_pb2.Ack.FromString(answer.data))
        except DecodeError as exc:
            raise LinkDownError("nats: the answer to the greeting is unreadable") from exc

    async def send(self, frame: bytes) -> None:
        subject = subjects.up(self._node, self._partitions)
        publish = self._opened().publish(subject, frame, reply=self._receipts)
        await _within(SEND_TIMEOUT_S, publish)

    async def close(self) -> None:
        self._is_open = False
        if self._watch_task is not None:
            self._watch_task.cancel()
        if self._client is not None:
            client, self._client = self._client, None
            await close_nats(client)

    def _heard(self, ack: sync_pb2.Ack) -> sync_pb2.Ack:
        """Follow the hub's count of partitions from the next frame on.

        Frames on their way in the old partition may then come after those in the new one. That is harmless: the
        hub takes only the next contiguous frame, answers a gap for one that is early, and drops one it has.
        Nothing is remembered beyond the connection: each begins with a greeting, whose answer tells the count.
        """
        if 0 < ack.partitions <= PARTITIONS_MAX:
            self._partitions = ack.partitions
        return ack

    async def _subscribe(self, client: Client) -> None:
        self._receipts = client.new_inbox()
        await client.subscribe(self._receipts, cb=self._on_receipt)
        await client.subscribe(subjects.ack(self._node), cb=self._on_message)
        # The round trip makes sure that both stand before the first frame leaves.
        await client.flush(timeout=int(OPEN_TIMEOUT_S))

    async def _watch(self, client: Client) -> None:
        while client.is_connected:  # noqa: ASYNC110 - the library offers nothing to wait for
            await asyncio.sleep(WATCH_INTERVAL_S)
        self._down("the broker stopped answering")

    def _opened(self) -> Client:
        if self._client is None or not self._is_open:
            raise LinkDownError("nats: the line is closed")
        return self._client

    async def _on_message(self, message: Msg) -> None:
        # An unreadable ack is no ack; the next one says the same. One for another node is that node's doing: it
        # named our subject as the address for the hub's answer.
        with suppress(DecodeError):
            ack = sync_pb2.Ack.FromString(message.data)
            if ack.node == self._node:
                self._on_ack(self._heard(ack))

    async def _on_receipt(self, message: Msg) -> None:
        if (message.headers or {}).get("Status") == _NO_RESPONDERS:
            self._down("no stream takes our frames")
            return
        try:
            error = json.loads(message.data).get("error")
        except (ValueError, AttributeError):
            return
        if error:
            self._down(f"the stream refused a frame: {str(error)[:200]}")

    def _down(self, reason: str) -> None:
        if self._is_open:
            self._is_open = False
            self._on_down(f"nats: {reason}")


async def _within(seconds: float, call: Awaitable[_T]) -> _T:
    """The call's result; every way in which NATS can fail becomes `LinkDownError`."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as exc:
        raise LinkDownError(f"nats: no answer within {seconds:g} s") from exc
    except nats.errors.NoRespondersError as exc:
        raise LinkDownError("nats: the broker is there, the hub is not") from exc
    # ValueError: the library parses URLs and the server's first line with int() and json.
    except (nats.errors.Error, OSError, ValueError) as exc:
        raise LinkDownError(f"nats: {exc or type(exc).__name__}") from exc
