"""The gRPC server: frames and greetings when NATS does not carry them, print rights, enrolment.

Whatever a peer sends, a stream answers and lives on: a frame that cannot be read gets its verdict like any other.
Back pressure is HTTP/2's: a stream has credit for `CREDIT_FRAMES` frames whose answers it has not fetched, and is
not read beyond it, nor while the merger has no room. What all streams together hold in hand is bounded as well:
above it a frame is dropped and answered "later", with a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from hub.attach.service import SERVICE as ATTACHMENTS
from hub.attach.service import AttachmentsService
from hub.dispatch.service import RightsService, RightsStore
from hub.ingest.acks import corrupt, later
from hub.ingest.greetings import Greetings
from hub.ingest.merger import Merger
from hub.ingest.writer import WriterThread
from hub.merge.store import Arrival, Outcome
from sepe.errors import InvalidInputError, PeerProtocolError, SepeError, TransientError
from sepe.ids import HUB_NODE, check_node
from sepe.rpc.v1 import (
    attachments_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    rights_pb2,
    rights_pb2_grpc,
    sync_pb2,
    sync_pb2_grpc,
)
from sepe.wire.v1 import sync_pb2 as wire
from sepe_io import handles
from sepe_io.address import AddressBusyError
from sepe_io.channel import grpc_server, listen, server_credentials
from sepe_io.frames import open_hello
from sepe_io.keys import signed_part, verify
from sepe_io.logs import logger
from sepe_io.tasks import end_tasks

ENROL_PREFIX = b"sepe-enrol-1\0"
ROTATE_PREFIX = b"sepe-rotate-1\0"
# A Push call that carries the node's greeting here is that node's: a frame of another is refused.
HELLO_METADATA = "sepe-hello-bin"
STOP_GRACE_S = 1.0
LOOK_EVERY_S = 2.0
# More than an office has in flight; a peer that sends and never listens stops there.
CREDIT_FRAMES = 64

SERVICES = (
    sync_pb2.DESCRIPTOR.services_by_name["Sync"].full_name,
    rights_pb2.DESCRIPTOR.services_by_name["Rights"].full_name,
    enrolment_pb2.DESCRIPTOR.services_by_name["Enrolment"].full_name,
)

_log = logger("hub.grpc")


class RpcStore(RightsStore, Protocol):
    """What the services need of the hub's storage; `hub.merge.store.HubStore` is one."""

    def keys_of(self, node: str) -> list[bytes]:
        """Every public key that the node ever had."""

    def frames_of(
        self, node: str, epoch: bytes | None, after_seq: int, held: Mapping[bytes, int] = ...
    ) -> Iterator[bytes]:
        """A node's frames; any thread may read them."""

    def redeem(self, node: str, token: str, public_key: bytes, *, now_ms: int) -> tuple[bool, str]:
        """(accepted, reason)."""

    def rotate(self, node: str, old_key_id: bytes, new_key: bytes, *, now_ms: int) -> tuple[bool, str, int]:
        """(accepted, reason, until when the old key signs)."""


@dataclass(slots=True, eq=False)
class _Stream:
    """One Push call. Answers queue up in the order in which the frames came."""

    answers: asyncio.Queue[wire.Ack | None] = field(default_factory=asyncio.Queue)
    unanswered: int = 0
    read_all: bool = False
    credit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CREDIT_FRAMES))
    # Who opened the stream, when it said so and proved it.
    opener: str | None = None
    # The hub's last word on this stream, once a frame's signature was found good: a stream is one office's.
    last: wire.Ack | None = None

    @property
    def sender(self) -> str | None:
        return self.opener or (None if self.last is None else self.last.node)

    def answer(self, ack: wire.Ack) -> None:
        self.unanswered -= 1
        self.answers.put_nowait(ack)
        self.end_if_done()

    def end_if_done(self) -> None:
        if self.read_all and self.unanswered == 0:
            self.answers.put_nowait(None)


@dataclass(slots=True, eq=False)
class _Delivery:
    """One frame of a Push call."""

    stream: _Stream
    arrival: Arrival

    def settled(self, outcome: Outcome) -> None:
        if outcome.judgement is not None:
            self.stream.last = outcome.ack
        self.stream.answer(outcome.ack or corrupt(self.stream.last, outcome.reason))

    def deferred(self, ack: wire.Ack | None, retry_after_ms: int) -> None:
        self.stream.answer(ack or wire.Ack(verdict=wire.VERDICT_LATER, retry_after_ms=retry_after_ms))


class SyncService(sync_pb2_grpc.SyncServicer):
    """Hello, Push, Pull."""

    def __init__(self, store: RpcStore, writer: WriterThread, merger: Merger, greetings: Greetings) -> None:
        self._store = store
        self._writer = writer
        self._merger = merger
        self._greetings = greetings
        self._streams = 0

    async def Hello(self, request: sync_pb2.HelloRequest, context: Any) -> sync_pb2.HelloResponse:
        return sync_pb2.HelloResponse(ack=await self._greetings.answer(request.hello, via="grpc"))

    async def Push(
        self, request_iterator: AsyncIterator[sync_pb2.PushRequest], context: Any
    ) -> AsyncIterator[sync_pb2.PushResponse]:
        self._streams += 1
        stream, lane = _Stream(opener=await self._opener(context)), f"grpc-{self._streams}"
        reader = asyncio.create_task(self._read(request_iterator, stream, lane))
        try:
            while (ack := await stream.answers.get()) is not None:
                yield sync_pb2.PushResponse(ack=ack)
                stream.credit.release()
        finally:
            await end_tasks([reader])

    async def Pull(self, request: sync_pb2.PullRequest, context: Any) -> AsyncIterator[sync_pb2.PullResponse]:
        try:
            hello = await self._writer.call(open_hello, request.hello, self._key_now)
        except PeerProtocolError as exc:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, exc.reason)
        except TransientError as exc:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc))
        after_seq = min(request.after_seq, 1 << 62)
        held = {one.epoch: min(one.seq, 1 << 62) for one in request.held}
        frames = self._store.frames_of(hello.node, request.epoch or None, after_seq, held)
        try:
            while (frame := await asyncio.to_thread(next, frames, None)) is not None:
                yield sync_pb2.PullResponse(frame=frame)
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                await asyncio.to_thread(close)

    def _key_now(self, node: str, key_id: bytes) -> bytes:
        return self._store.public_key_of(node, key_id, now_ms=_now_ms())

    async def _opener(self, context: Any) -> str | None:
        """The node whose greeting the call carries; also one that was shut out: its frames are kept as its own.

        ``None`` for a call that proves nothing: each frame still stands or falls by its own signature.
        """

        def ever_known(node: str, key_id: bytes) -> bytes:
            return self._store.public_key_of(node, key_id, even_revoked=True)

        for name, value in context.invocation_metadata() or ():
            if name == HELLO_METADATA and isinstance(value, bytes):
                try:
                    signed = wire.SignedHello.FromString(value)
                    return (await self._writer.call(open_hello, signed, ever_known)).node
                except (DecodeError, PeerProtocolError, TransientError):
                    return None
        return None

    async def _read(self, requests: AsyncIterator[sync_pb2.PushRequest], stream: _Stream, lane: str) -> None:
        try:
            async for request in requests:
                stream.unanswered += 1
                began_s = time.monotonic()
                arrival = Arrival(request.frame, "grpc", _now_ms(), stream.sender)
                delivery = _Delivery(stream, arrival)
                if retry_after_ms := await self._merger.admit(lane, len(request.frame)):
                    delivery.deferred(later(arrival, retry_after_ms, "overloaded"), retry_after_ms)
                else:
                    self._merger.offer(lane, delivery, time.monotonic() - began_s)
                await stream.credit.acquire()
        finally:
            stream.read_all = True
            stream.end_if_done()


class EnrolmentService(enrolment_pb2_grpc.EnrolmentServicer):
    """A token and the proof of a key, for a place in the registry."""

    def __init__(
        self,
        store: RpcStore,
        writer: WriterThread,
        nats_url: str,
        on_change: Callable[[], None],
        sealing_key: bytes = b"",
    ) -> None:
        self._sealing_key = sealing_key
        self._store = store
        self._writer = writer
        self._nats_url = nats_url
        self._on_change = on_change

    async def Enrol(self, request: enrolment_pb2.EnrolRequest, context: Any) -> enrolment_pb2.EnrolResponse:
        proof = ENROL_PREFIX + request.token.encode()
        if not verify(request.public_key, request.proof, proof):
            return enrolment_pb2.EnrolResponse(reason="bad_proof")
        try:
            node = check_node(request.node)
            accepted, reason = await self._writer.call(
                self._store.redeem, node, request.token, request.public_key, now_ms=_now_ms()
            )
            earlier = await self._writer.call(self._store.keys_of, node) if accepted else []
        except InvalidInputError:
            return enrolment_pb2.EnrolResponse(reason="wrong_node")
        except TransientError as exc:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc))
        _log.info("node.enrolled" if accepted else "enrolment.refused", node=node, reason=reason)
        if not accepted:
            return enrolment_pb2.EnrolResponse(reason=reason)
        self._on_change()
        return enrolment_pb2.EnrolResponse(
            accepted=True, nats_url=self._nats_url, earlier_public_keys=earlier, sealing_key=self._sealing_key
        )

    async def Rotate(self, request: enrolment_pb2.RotateRequest, context: Any) -> enrolment_pb2.RotateResponse:
        try:
            accepted, reason, until_ms = await self._writer.call(self._rotate, request)
        except PeerProtocolError as exc:
            return enrolment_pb2.RotateResponse(reason=exc.reason)
        except TransientError as exc:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc))
        _log.info("key.rotated" if accepted else "rotation.refused", node=request.node[:20], reason=reason)
        if accepted:
            self._on_change()
        return enrolment_pb2.RotateResponse(accepted=accepted, reason=reason, old_valid_until_ms=until_ms)

    def _rotate(self, request: enrolment_pb2.RotateRequest) -> tuple[bool, str, int]:
        """Raises PeerProtocolError: one of the two keys is not the sender's."""
        now_ms = _now_ms()
        if request.node == HUB_NODE:
            raise PeerProtocolError("unknown_node")
        old_key = self._store.public_key_of(request.node, request.old_key_id, now_ms=now_ms)
        said = ROTATE_PREFIX + signed_part(request, "old_signature", "new_signature")
        if not (
            verify(old_key, request.old_signature, said)
            and verify(request.new_public_key, request.new_signature, said)
        ):
            raise PeerProtocolError("bad_proof")
        return self._store.rotate(request.node, request.old_key_id, request.new_public_key, now_ms=now_ms)


class GrpcIngest:
    """The server with all services; `start` makes it serve, `stop` ends it within `STOP_GRACE_S`.

    Args:
        nats_url: where offices find NATS.
        pair: (key, certificate) as they are now, for TLS; without it the server is plain. A renewed one is taken
        up by
            a fresh listener on the same port (`follow`): an office sees a lost line and comes again.
        on_change: called when a node's keys changed.
        attachments: ``None`` when they cannot be stored; events go on.
    """

    def __init__(
        self,
        store: RpcStore,
        writer: WriterThread,
        merger: Merger,
        greetings: Greetings,
        *,
        nats_url: str,
        pair: Callable[[], tuple[bytes, bytes]] | None = None,
        on_change: Callable[[], None] = lambda: None,
        attachments: AttachmentsService | None = None,
    ) -> None:
        self._pair = pair
        self._served: tuple[bytes, bytes] | None = None
        self._server: grpc.aio.Server | None = None
        self._host, self.port = "", 0
        self._health = health.aio.HealthServicer()
        self._sync = SyncService(store, writer, merger, greetings)
        self._rights = RightsService(store, writer)
        self._enrolment = EnrolmentService(
            store, writer, nats_url, on_change, b"" if attachments is None else attachments.sealing_key
        )
        self._attachments = attachments
        self._services = SERVICES if attachments is None else (*SERVICES, ATTACHMENTS)

    async def start(self, host: str, port: int) -> int:
        """Listen and serve; return the port (a free one for 0).

        Raises:
            AddressBusyError: another program has it.
        """
        self._host = host
        self.port = await self._serve(port, None if self._pair is None else self._pair())
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return self.port

    async def follow(self) -> None:
        """Take up renewed certificates until cancelled. One that cannot be served is not tried again."""
        if self._pair is None:
            await asyncio.Event().wait()
            return
        refused: tuple[bytes, bytes] | None = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(SepeError, OSError):  # Not readable at this moment: the old one serves on.
                pair = self._pair()
                if pair not in (self._served, refused) and not await self._take_up(pair):
                    refused = pair

    async def stop(self) -> None:
        """Refuse new calls and end those that run."""
        await self._health.enter_graceful_shutdown()
        self._rights.close()
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)

    async def _take_up(self, pair: tuple[bytes, bytes]) -> bool:
        """Serve with another certificate on the same port; ``False``: with the old one again, for it is none."""
        before, served = self._server, self._served
        assert before is not None
        await before.stop(STOP_GRACE_S)
        try:
            await self._serve(self.port, pair)
        except AddressBusyError as exc:
            _log.error("certificate.refused", reason=str(exc))
            await self._serve(self.port, served)
            return False
        _log.info("certificate.taken_up")
        return True

    async def _serve(self, port: int, pair: tuple[bytes, bytes] | None) -> int:
        """Listen with a fresh server; the port. Raises AddressBusyError."""
        server = grpc_server(handles.connections_max())
        sync_pb2_grpc.add_SyncServicer_to_server(self._sync, server)
        rights_pb2_grpc.add_RightsServicer_to_server(self._rights, server)
        enrolment_pb2_grpc.add_EnrolmentServicer_to_server(self._enrolment, server)
        if self._attachments is not None:
            attachments_pb2_grpc.add_AttachmentsServicer_to_server(self._attachments, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        bound = listen(server, self._host, port, None if pair is None else server_credentials(pair))
        await server.start()
        self._server, self._served = server, pair
        return bound


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
