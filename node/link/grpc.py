"""The line over gRPC: one bidirectional stream, frames up and acks down; and fetching our own frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
from grpc import aio

from node.link.link import (
    CLOSE_TIMEOUT_S,
    GREET_TIMEOUT_S,
    OPEN_TIMEOUT_S,
    SEND_TIMEOUT_S,
    LinkDownError,
    OnAck,
    OnDown,
    Pull,
    PullAll,
)
from node.link.trouble import OnTrouble, diagnose
from node.link.trust import HubTrust
from sepe.errors import PeerProtocolError
from sepe.rpc.v1 import sync_pb2 as rpc
from sepe.rpc.v1.sync_pb2_grpc import SyncStub
from sepe.wire.v1 import sync_pb2

if TYPE_CHECKING:
    # The generator writes these for type checkers only.
    from sepe.rpc.v1.sync_pb2_grpc import SyncAsyncStub

# The longest pause between two frames of a pull before the line counts as dead.
PULL_PAUSE_S = 30.0

_HUB_SAYS_NO = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT}
)
# The hub takes a stream that opens with our greeting for ours, and refuses another's frames on it.
HELLO_METADATA = "sepe-hello-bin"

_Push = aio.StreamStreamCall[rpc.PushRequest, rpc.PushResponse]


class GrpcLink:
    """One channel and one Push stream. See `node.link.link.Link`."""

    name = "grpc"

    def __init__(
        self,
        target: str,
        on_ack: OnAck,
        on_down: OnDown,
        trust: HubTrust | None = None,
        on_trouble: OnTrouble = lambda trouble: None,
    ) -> None:
        self._target = target
        self._on_ack = on_ack
        self._on_down = on_down
        self._trust = trust or HubTrust()
        self._on_trouble = on_trouble
        self._channel: aio.Channel | None = None
        self._stub: SyncAsyncStub | None = None
        self._push: _Push | None = None
        self._read_task: asyncio.Task[None] | None = None
        self._is_open = False

    @property
    def healthy(self) -> bool:
        return self._is_open

    async def open(self) -> None:
        try:
            self._channel = self._trust.channel(self._target)
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._channel.channel_ready()
        except (TimeoutError, aio.AioRpcError, aio.UsageError, LinkDownError) as exc:
            await self.close()
            trouble = await diagnose(self._target, self._trust)
            self._on_trouble(trouble)
            word = f"does not answer within {OPEN_TIMEOUT_S:g} s" if trouble is None else trouble.english
            raise LinkDownError(f"grpc: {self._target}: {word}") from exc
        self._on_trouble(None)
        self._stub = SyncStub(self._channel)
        self._is_open = True

    async def greet(self, hello: sync_pb2.SignedHello) -> sync_pb2.Ack:
        if self._stub is None:
            raise LinkDownError("grpc: the line is closed")
        try:
            answer = await self._stub.Hello(rpc.HelloRequest(hello=hello), timeout=GREET_TIMEOUT_S)
        except aio.AioRpcError as exc:
            raise LinkDownError(_said(exc)) from exc
        if self._push is None:
            self._begin((HELLO_METADATA, hello.SerializeToString()))
        return answer.ack

    async def send(self, frame: bytes) -> None:
        if not self._is_open:
            raise LinkDownError("grpc: the line is closed")
        push = self._push or self._begin()
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await push.write(rpc.PushRequest(frame=frame))
        except TimeoutError as exc:
            raise LinkDownError(f"grpc: the line took no frame for {SEND_TIMEOUT_S:g} s") from exc
        except aio.AioRpcError as exc:
            raise LinkDownError(_said(exc)) from exc
        except asyncio.InvalidStateError as exc:
            raise LinkDownError("grpc: the stream has ended") from exc

    async def close(self) -> None:
        self._is_open = False
        if self._push is not None:
            self._push.cancel()
        if self._read_task is not None:
            self._read_task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await asyncio.wait({self._read_task}, timeout=CLOSE_TIMEOUT_S)
        if self._channel is not None:
            channel, self._channel = self._channel, None
            with suppress(TimeoutError, aio.AioRpcError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await channel.close()

    def _begin(self, *metadata: tuple[str, bytes]) -> _Push:
        assert self._stub is not None
        self._push = self._stub.Push(metadata=aio.Metadata(*metadata))
        self._read_task = asyncio.create_task(self._read(self._push))
        return self._push

    async def _read(self, push: _Push) -> None:
        reason = "grpc: the hub ended the stream"
        try:
            async for response in push:
                self._on_ack(response.ack)
        except aio.AioRpcError as exc:
            reason = _said(exc)
        except asyncio.CancelledError:
            # gRPC also raises this in us when the call is cancelled underneath; then nobody asked us to end.
            if not self._is_open:
                raise
        if self._is_open:
            self._is_open = False
            self._on_down(reason)


def pull_from(target: str, trust: HubTrust | None = None) -> Pull:
    """How to fetch a node's own frames of one epoch from the hub at ``target``."""

    def pull(hello: sync_pb2.SignedHello, epoch: bytes, after_seq: int) -> AsyncGenerator[bytes, None]:
        return _pulled(target, trust, rpc.PullRequest(hello=hello, epoch=epoch, after_seq=after_seq))

    return pull


def pull_all_from(target: str, trust: HubTrust | None = None) -> PullAll:
    """How to fetch a node's own frames of every epoch but for what it holds."""

    def pull(hello: sync_pb2.SignedHello, held: Mapping[bytes, int]) -> AsyncGenerator[bytes, None]:
        known = [rpc.HeldHistory(epoch=epoch, seq=seq) for epoch, seq in held.items()]
        return _pulled(target, trust, rpc.PullRequest(hello=hello, held=known))

    return pull


async def _pulled(target: str, trust: HubTrust | None, request: rpc.PullRequest) -> AsyncGenerator[bytes, None]:
    channel = (trust or HubTrust()).channel(target)
    stub: SyncAsyncStub = SyncStub(channel)
    try:
        call = stub.Pull(request)
        while True:
            async with asyncio.timeout(PULL_PAUSE_S):
                response = await call.read()
            if not isinstance(response, rpc.PullResponse):  # aio.EOF
                break
            yield response.frame
        await call.code()
    except TimeoutError as exc:
        raise LinkDownError(f"grpc: no frame within {PULL_PAUSE_S:g} s") from exc
    except aio.AioRpcError as exc:
        if exc.code() in _HUB_SAYS_NO:
            raise PeerProtocolError("pull_refused", exc.code().name) from exc
        raise LinkDownError(_said(exc)) from exc
    finally:
        await channel.close()


def _said(exc: aio.AioRpcError) -> str:
    return f"grpc: {exc.code().name.lower()}: {(exc.details() or '')[:200]}"
