"""The gRPC service of attachments. Its work has a thread and a database of its own, so it never delays an event.

An office has at most `sepe.attach.WINDOW_CHUNKS` chunks here, and the thread takes one chunk of each stream in
turn: nobody starves the others. A request is signed like every other one; a stream's begin is checked again at
each chunk, so that revoking a machine ends its uploads too.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge

from hub.attach.store import Answer, AttachmentStore
from hub.dispatch.book import own_entry
from hub.dispatch.frames import FrameCache
from hub.dispatch.orders import owed_claim, photo_of
from hub.ingest.writer import WriterThread, shown
from hub.merge import project, registry
from sepe.errors import InvalidInputError, PeerProtocolError, TransientError
from sepe.ids import HUB_NODE
from sepe.rpc.v1 import attachments_pb2 as rpc
from sepe.rpc.v1 import attachments_pb2_grpc
from sepe_io.keys import signed_part, verify
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError, translated

SERVICE = rpc.DESCRIPTOR.services_by_name["Attachments"].full_name
WANTED_PREFIX = b"sepe-wanted-1\0"
OFFER_PREFIX = b"sepe-offer-1\0"
PUT_PREFIX = b"sepe-put-1\0"
GET_PREFIX = b"sepe-get-1\0"
# A question for somebody's photo is signed and used at once; the rest is for clocks.
GET_AGE_MS_MAX = 5 * 60_000
PIECE_BYTES = 16 * 1024
NIK_MAX = 10**16 - 1
OFFERS_MAX = 32
# Each open stream may have a chunk waiting for the disk: 64 of 64 KiB are a second of an old one.
STREAMS_MAX = 64
RETRY_AFTER_MS = (2_000, 10_000)
SCAN_EVERY_S = 2.0
# While frames come in, the log is followed so many frames at a time, which keeps it under a twentieth of a core:
# merging events goes first, and what names an attachment is needed once its office has no events left.
SCAN_FRAMES_BUSY = 8

_log = logger("hub.attach")
_T = TypeVar("_T")


class AttachmentsService(attachments_pb2_grpc.AttachmentsServicer):
    """Wanted, Offer, Put, Get."""

    def __init__(
        self, store: AttachmentStore, metrics: CollectorRegistry, *, streams_max: int = STREAMS_MAX
    ) -> None:
        self._store = store
        self._thread = WriterThread()
        self._frames = FrameCache()
        self._streams = 0
        self._streams_max = streams_max
        self._failure = ""
        self._is_closed = False
        self._bytes = Counter("sepe_hub_attachment_bytes", "Bytes of attachments stored", registry=metrics)
        self._completed = Counter(
            "sepe_hub_attachments_completed", "Attachments that became whole", registry=metrics
        )
        self._open = Gauge("sepe_hub_attachment_streams", "Attachments on their way now", registry=metrics)

    @property
    def sealing_key(self) -> bytes:
        """What attachments are sealed to."""
        return self._store.sealing_key.public_key

    async def run(self) -> None:
        """Read on in the frame log whenever nobody waits, so that nobody will."""
        seen = -1
        while not self._is_closed:
            try:
                at_end, newest = (True, seen) if self._failure else await self._call(self._scan, seen)
                is_busy, seen = newest != seen, newest
                if at_end or is_busy:
                    await asyncio.sleep(SCAN_EVERY_S)
            except (TransientError, PeerProtocolError):
                await asyncio.sleep(SCAN_EVERY_S)

    async def close(self) -> None:
        """Wait for the call that runs; then let go of the files."""
        self._is_closed = True
        await asyncio.to_thread(self._thread.close)
        self._store.close()

    async def Wanted(self, request: rpc.WantedRequest, context: Any) -> rpc.WantedResponse:
        def answer() -> tuple[list[bytes], int]:
            self._check(request, WANTED_PREFIX)
            return self._store.wanted(request.node)

        sha256s, total = await self._answered(answer, context)
        return rpc.WantedResponse(
            sha256=sha256s, total=total, sealing_key=self._store.sealing_key.public_key
        )  # fmt: skip

    async def Offer(self, request: rpc.OfferRequest, context: Any) -> rpc.OfferResponse:
        def answers() -> list[Answer]:
            self._check(request, OFFER_PREFIX)
            if len(request.items) > OFFERS_MAX:
                raise PeerProtocolError("too_many_offers")
            return [self._store.offer(request.node, item, _now_ms()) for item in request.items]

        found = await self._answered(answers, context)
        return rpc.OfferResponse(
            answers=[
                rpc.OfferAnswer(
                    verdict=one.verdict, held_bytes=one.held, reason=one.reason, retry_after_ms=one.retry_after_ms
                )
                for one in found
            ]
        )  # fmt: skip

    async def Put(
        self, request_iterator: AsyncIterator[rpc.PutRequest], context: Any
    ) -> AsyncIterator[rpc.PutResponse]:
        if self._streams >= self._streams_max:
            yield rpc.PutResponse(
                verdict=rpc.ATTACHMENT_VERDICT_LATER, reason="busy", retry_after_ms=random.randint(*RETRY_AFTER_MS)
            )
            return
        self._streams += 1
        self._open.set(self._streams)
        begin: rpc.PutBegin | None = None
        try:
            async for request in request_iterator:
                if request.WhichOneof("part") == "begin":
                    begin = request.begin
                    continue
                if begin is None:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no_begin")
                    return
                answer = await self._answered(self._putting(begin, request.chunk), context)
                yield rpc.PutResponse(
                    verdict=answer.verdict, held_bytes=answer.held, reason=answer.reason,
                    retry_after_ms=answer.retry_after_ms,
                )  # fmt: skip
                if answer.verdict != rpc.ATTACHMENT_VERDICT_HELD:
                    return
        finally:
            self._streams -= 1
            self._open.set(self._streams)

    async def Get(self, request: rpc.GetRequest, context: Any) -> AsyncIterator[rpc.GetResponse]:
        photo = await self._answered(lambda: self._photo(request), context)
        for at in range(request.offset, len(photo), PIECE_BYTES):
            yield rpc.GetResponse(data=photo[at : at + PIECE_BYTES])

    def _photo(self, request: rpc.GetRequest) -> bytes:
        """The photo, for the machine that has the right to print the card on which it belongs, or owes it.

        Raises:
            PeerProtocolError: that machine did not ask just now, or its card has another photo or none.
        """
        self._check(request, GET_PREFIX)
        if abs(request.clock_ms - _now_ms()) > GET_AGE_MS_MAX:
            raise PeerProtocolError("clock")
        log, key = self._store.log, (request.nik, request.product, request.issue)
        with translated():
            entry = own_entry(log, *key) if request.nik <= NIK_MAX else None
            events = self._frames.events_of(log, request.nik) if request.nik <= NIK_MAX else []
            owed = owed_claim(project.fold_events(events), request.product, request.issue)
            is_owed_here = owed is not None and owed.version.node == request.node
            if not is_owed_here and (entry is None or entry.holder != request.node):
                raise PeerProtocolError("not_holder")
        if not request.sha256 or photo_of(events, request.product, request.issue) != request.sha256:
            raise PeerProtocolError("other_photo")
        try:
            return self._store.plain_of(request.sha256)
        except InvalidInputError as exc:
            raise PeerProtocolError("no_photo") from exc

    def _scan(self, seen: int) -> tuple[bool, int]:
        """Whether the log's end was reached, and its newest frame; ``seen`` was the newest at the last look."""
        newest = self._store.newest_frame()
        at_end = self._store.scan() if newest == seen else self._store.scan(SCAN_FRAMES_BUSY)
        return at_end, newest

    def _putting(self, begin: rpc.PutBegin, chunk: rpc.PutChunk) -> Callable[[], Answer]:
        def put() -> Answer:
            self._check(begin, PUT_PREFIX)
            answer = self._store.put(begin.node, begin, chunk, _now_ms())
            self._bytes.inc(len(chunk.data))
            if answer.verdict == rpc.ATTACHMENT_VERDICT_COMPLETE:
                self._completed.inc()
            return answer

        return put

    def _check(
        self, request: rpc.WantedRequest | rpc.OfferRequest | rpc.PutBegin | rpc.GetRequest, prefix: bytes
    ) -> None:
        """Raises PeerProtocolError unless a node of this hub signed the request."""
        if request.node == HUB_NODE:
            raise PeerProtocolError("unknown_node")
        public_key = registry.public_key_of(self._store.log, request.node, request.key_id, now_ms=_now_ms())
        if not verify(public_key, request.signature, prefix + signed_part(request)):
            raise PeerProtocolError("bad_signature")

    async def _answered(self, call: Callable[[], _T], context: Any) -> _T:
        """The call's result, or the end of the request with a status that says whether to come again."""
        try:
            if self._failure:
                raise TransientError(self._failure)
            return await self._call(call)
        except PeerProtocolError as exc:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, exc.reason)
        except TransientError as exc:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc))
        raise AssertionError("abort raises")

    async def _call(self, call: Callable[..., _T], *arguments: int) -> _T:
        try:
            return await self._thread.call(call, *arguments)
        except DiskFailedError as exc:
            # Events have their own disk and their own judgement; only attachments end here until the next start.
            self._failure = shown(exc)
            _log.error("attachments.stopped", reason=self._failure)
            raise TransientError(self._failure) from exc


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
