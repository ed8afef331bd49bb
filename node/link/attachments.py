"""The line for attachments: gRPC alone, on a channel of its own, so that a chunk never stands before a frame.

See ``sepe.rpc.v1.Attachments``; every request is signed with this machine's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import grpc
from grpc import aio

from node.attach.shelf import Attachment
from node.link.link import CLOSE_TIMEOUT_S, GREET_TIMEOUT_S, OPEN_TIMEOUT_S, LinkDownError
from sepe.errors import PeerProtocolError
from sepe.rpc.v1 import attachments_pb2 as rpc
from sepe.rpc.v1.attachments_pb2_grpc import AttachmentsStub
from sepe_io.keys import Signer

if TYPE_CHECKING:
    # The generator writes these for type checkers only.
    from sepe.rpc.v1.attachments_pb2_grpc import AttachmentsAsyncStub

WANTED_PREFIX = b"sepe-wanted-1\0"
OFFER_PREFIX = b"sepe-offer-1\0"
PUT_PREFIX = b"sepe-put-1\0"
# Two chunks of 64 KiB leave a 64 kbit/s line in 17 s, and an ack may then wait behind a hub's slow disk.
ACK_TIMEOUT_S = 60.0
_HUB_SAYS_NO = frozenset(
    {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT}
)
_Put = aio.StreamStreamCall[rpc.PutRequest, rpc.PutResponse]
_T = TypeVar("_T")
_Request = rpc.WantedRequest | rpc.OfferRequest | rpc.PutBegin


@dataclass(frozen=True, slots=True)
class Wish:
    """What the hub lacks of ours, oldest first and maybe not all, and what to seal to."""

    sha256s: list[bytes]
    total: int
    sealing_key: bytes


@dataclass(frozen=True, slots=True)
class HubWord:
    """The hub's word on one attachment: an ``ATTACHMENT_VERDICT_…`` and how many bytes it holds."""

    verdict: int
    held: int
    reason: str
    retry_after_ms: int


class PutStream:
    """One attachment on its way."""

    def __init__(self, call: _Put) -> None:
        self._call = call

    async def send(self, offset: int, data: bytes) -> None:
        """Hand one chunk to the line. Raises `LinkDownError`."""
        request = rpc.PutRequest(chunk=rpc.PutChunk(offset=offset, data=data))
        await _within(ACK_TIMEOUT_S, self._call.write(request))

    async def word(self) -> HubWord:
        """The hub's next word. Raises `LinkDownError`, `PeerProtocolError`."""
        answer = await _within(ACK_TIMEOUT_S, self._call.read())
        if not isinstance(answer, rpc.PutResponse):  # aio.EOF
            raise LinkDownError("grpc: the hub ended the stream")
        return HubWord(answer.verdict, answer.held_bytes, answer.reason, answer.retry_after_ms)


class AttachmentLine:
    """One channel to the hub; `opened` makes one and closes it.

    Args:
        signer: which key is ours now.
    """

    def __init__(self, channel: aio.Channel, node: str, signer: Callable[[], Signer]) -> None:
        self._stub: AttachmentsAsyncStub = AttachmentsStub(channel)
        self._node = node
        self._signer = signer

    async def wanted(self) -> Wish:
        """What the hub lacks. Raises `LinkDownError`, `PeerProtocolError`."""
        request = rpc.WantedRequest(node=self._node)
        self._sign(request, WANTED_PREFIX)
        answer = await _within(GREET_TIMEOUT_S, self._stub.Wanted(request, timeout=GREET_TIMEOUT_S))
        return Wish(list(answer.sha256), answer.total, answer.sealing_key)

    async def offer(self, rows: Sequence[Attachment]) -> list[HubWord]:
        """The hub's word on each, in order. Raises `LinkDownError`, `PeerProtocolError`."""
        request = rpc.OfferRequest(
            node=self._node,
            items=[
                rpc.OfferItem(
                    sha256=row.sha256,
                    sealed_sha256=row.sealed_sha256,
                    sealed_bytes=row.sealed_bytes,
                    kind=row.kind,
                )
                for row in rows
            ],
        )
        self._sign(request, OFFER_PREFIX)
        answer = await _within(GREET_TIMEOUT_S, self._stub.Offer(request, timeout=GREET_TIMEOUT_S))
        if len(answer.answers) != len(rows):
            raise PeerProtocolError("bad_answer", f"{len(answer.answers)} for {len(rows)} offers")
        return [HubWord(one.verdict, one.held_bytes, one.reason, one.retry_after_ms) for one in answer.answers]

    @asynccontextmanager
    async def put(self, row: Attachment) -> AsyncIterator[PutStream]:
        """A stream for one attachment, cancelled at the end. Raises `LinkDownError`."""
        begin = rpc.PutBegin(node=self._node, sha256=row.sha256, sealed_sha256=row.sealed_sha256)
        self._sign(begin, PUT_PREFIX)
        call: _Put = self._stub.Put()
        try:
            await _within(ACK_TIMEOUT_S, call.write(rpc.PutRequest(begin=begin)))
            yield PutStream(call)
        finally:
            call.cancel()

    def _sign(self, request: _Request, prefix: bytes) -> None:
        signer = self._signer()
        request.key_id = signer.key_id
        request.signature = signer.sign(prefix + request.SerializeToString(deterministic=True))


@asynccontextmanager
async def opened(
    open_channel: Callable[[], aio.Channel], node: str, signer: Callable[[], Signer]
) -> AsyncIterator[AttachmentLine]:
    """A line that answers. Raises `LinkDownError`."""
    channel = open_channel()
    try:
        await _within(OPEN_TIMEOUT_S, channel.channel_ready())
        yield AttachmentLine(channel, node, signer)
    finally:
        await channel.close(CLOSE_TIMEOUT_S)


async def _within(seconds: float, call: Awaitable[_T]) -> _T:
    """The call's result; every way in which gRPC can fail becomes one of our errors."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as exc:
        raise LinkDownError(f"grpc: no answer for an attachment within {seconds:g} s") from exc
    except aio.AioRpcError as exc:
        if exc.code() in _HUB_SAYS_NO:
            raise PeerProtocolError(exc.details() or exc.code().name.lower()) from exc
        raise LinkDownError(f"grpc: {exc.code().name.lower()}: {(exc.details() or '')[:200]}") from exc
    except (aio.UsageError, asyncio.InvalidStateError) as exc:
        raise LinkDownError("grpc: the stream has ended") from exc
    except asyncio.CancelledError as exc:
        # gRPC also raises this in us when the call is cancelled underneath; then nobody asked us to end.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise LinkDownError("grpc: the call was cancelled") from exc
