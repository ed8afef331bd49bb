"""Rights over gRPC: Claim and Return, each signed by the machine that asks, and Changes, which waits for news.

Claims gather while the ones before commit, and one transaction answers all that gathered: five hundred a second
cost some dozens of commits. Signatures are checked as the claims come in, while the writing thread waits for the
disk; whether a key still counts is asked in the writing thread, where a machine that was shut out is seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from hub.dispatch.feed import News
from hub.dispatch.rights import Answer, RightClaim, RightReturn
from hub.ingest.writer import Urgency, WriterThread
from sepe.errors import PeerProtocolError, SepeError, TransientError
from sepe.ids import HUB_NODE
from sepe.rights import FENCE_MAX
from sepe.rpc.v1 import rights_pb2, rights_pb2_grpc
from sepe_io.keys import signed_part, verify
from sepe_io.logs import logger

CLAIM_PREFIX = b"sepe-claim-1\0"
CHANGES_PREFIX = b"sepe-changes-1\0"
# A claim is signed and used at once; the rest is for clocks.
CLAIM_AGE_MS_MAX = 5 * 60_000
NIK_MAX = 9_999_999_999_999_999
PRODUCT_CHARS_MAX = 40
REASON_CHARS_MAX = 40
# One transaction; a frame of the hub's own holds a thousand events.
BATCH_MAX = 256
# What a call may wait for news, and how often the lists are looked at for those who wait. Another process (a
# command at the centre) writes into them too, so looking is all there is.
WAIT_MS_MAX = 30_000
BELL_SECONDS = 0.5
KEPT_MAX = 500
# Public keys by which a signature was good, by node and key id; a hub of the whole country has some 8,000.
KEYS_MAX = 20_000

_log = logger("hub.rights")

SignedRequest = rights_pb2.ClaimRequest | rights_pb2.ReturnRequest | rights_pb2.ChangesRequest


@dataclass(frozen=True, slots=True)
class _Asked:
    """A claim or return, and the public key by which its signature is good, ``b""`` if nobody looked."""

    request: SignedRequest
    proven_by: bytes


class RightsStore(Protocol):
    """What the service needs of the hub's storage; `hub.merge.store.HubStore` is one."""

    def public_key_of(
        self, node: str, key_id: bytes, *, now_ms: int | None = None, even_revoked: bool = False
    ) -> bytes:
        """Raises PeerProtocolError: ``unknown_node``, ``unknown_key``, ``revoked``, ``retired_key``."""

    def answer_rights(self, requests: Sequence[RightClaim | RightReturn], *, now_ms: int) -> list[Answer]:
        """Answers that are committed, in order."""

    def keep_rights(self, node: str, kept: Iterable[tuple[int, str, int, int, str]]) -> None:
        """Rights that a machine was asked for and keeps."""

    def hear_room(self, node: str, told: rights_pb2.ChangesRequest, *, now_ms: int) -> None:
        """What a machine tells of its printers."""

    def news_for(self, node: str, feed_id: bytes, after: int) -> News:
        """What a machine has not heard yet."""

    def list_id(self) -> bytes:
        """Names the lists of news."""

    def told_since(self, number: int) -> tuple[int, set[str]]:
        """The last number of the lists, and the machines told something above ``number``."""


@dataclass(slots=True)
class Bell:
    """Wakes those who wait for news."""

    store: RightsStore
    writer: WriterThread
    _waiting: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    is_closed: bool = False
    _number: int = 0
    _task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self, node: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when something is said to ``node``. Look at its list after entering."""
        event = asyncio.Event()
        self._waiting.setdefault(node, set()).add(event)
        if self._task is None or self._task.done():
            # While nobody waits nobody looks.
            self._number = (await self.writer.call(self.store.told_since, 1 << 62))[0]
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._ring())
        try:
            yield event
        finally:
            self._waiting[node].discard(event)
            if not self._waiting[node]:
                del self._waiting[node]

    def close(self) -> None:
        """Wake everybody and look no more: who waits is answered now, and a hub that stops stops at once."""
        self.is_closed = True
        for events in self._waiting.values():
            for event in events:
                event.set()
        if self._task is not None:
            self._task.cancel()

    async def _ring(self) -> None:
        while self._waiting:
            await asyncio.sleep(BELL_SECONDS)
            try:
                self._number, nodes = await self.writer.call(self.store.told_since, self._number)
            except SepeError:
                continue  # A busy or full disk; the merger says so.
            for node in nodes & self._waiting.keys():
                for event in self._waiting[node]:
                    event.set()


class RightsService(rights_pb2_grpc.RightsServicer):
    """Claim, Return and Changes. Call `close` before the server stops: calls that wait are answered then."""

    def __init__(self, store: RightsStore, writer: WriterThread) -> None:
        self._store = store
        self._writer = writer
        self._bell = Bell(store, writer)
        self._gathered: list[tuple[_Asked, asyncio.Future[Answer]]] = []
        self._keys: dict[tuple[str, bytes], bytes] = {}
        self._answering: asyncio.Task[None] | None = None

    def close(self) -> None:
        self._bell.close()

    async def Claim(self, request: rights_pb2.ClaimRequest, context: Any) -> rights_pb2.ClaimResponse:
        try:
            answer = await self._answer(request)
        except PeerProtocolError as exc:
            return rights_pb2.ClaimResponse(reason=exc.reason)
        except TransientError as exc:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc))
        right = rights_pb2.Right(
            nik=request.nik, product=request.product, issue=request.issue, holder=answer.holder, fence=answer.fence
        )
        return rights_pb2.ClaimResponse(
            granted=answer.granted, right=right, reason=answer.reason, asked_ms=answer.asked_ms, kept=answer.kept,
            holder_seen_ms=answer.holder_seen_ms, printed_ms=answer.printed_ms, card_state=answer.card_state,
            serial=answer.serial, next_issue=answer.next_issue,
        )  # fmt: skip

    async def Return(self, request: rights_pb2.ReturnRequest, context: Any) -> rights_pb2.ReturnResponse:
        try:
            answer = await self._answer(request)
        except PeerProtocolError as exc:
            return rights_pb2.ReturnResponse(reason=exc.reason)
        except TransientError as exc:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc))
        return rights_pb2.ReturnResponse(returned=answer.granted, reason=answer.reason)

    async def Changes(self, request: rights_pb2.ChangesRequest, context: Any) -> rights_pb2.ChangesResponse:
        try:
            await self._writer.call(self._hear, request)
            async with asyncio.timeout(min(request.wait_ms, WAIT_MS_MAX) / 1000 or None):
                return await self._news(request)
        except TimeoutError:
            # Nothing was said; the machine goes on from where it was.
            feed = await self._writer.call(self._store.list_id)
            return rights_pb2.ChangesResponse(feed=feed, last=request.after if request.feed == feed else 0)
        except PeerProtocolError as exc:
            return rights_pb2.ChangesResponse(reason=exc.reason)
        except TransientError as exc:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc))
            raise

    async def _news(self, request: rights_pb2.ChangesRequest) -> rights_pb2.ChangesResponse:
        """The news; with ``wait_ms`` once there are some."""
        async with self._bell.listening(request.node) as told:
            while True:
                feed = await self._writer.call(self._store.list_id)
                news = await self._writer.call(
                    self._store.news_for, request.node, request.feed, min(request.after, FENCE_MAX)
                )
                if news.changes or not request.wait_ms or request.feed != feed or self._bell.is_closed:
                    return rights_pb2.ChangesResponse(
                        feed=feed, last=news.last, changes=news.changes, more=news.more
                    )
                told.clear()
                await told.wait()

    async def _answer(self, request: rights_pb2.ClaimRequest | rights_pb2.ReturnRequest) -> Answer:
        """The answer, committed. Raises PeerProtocolError, TransientError."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._gathered.append((_Asked(request, self._proven_by(request)), future))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_gathered())
        return await future

    async def _answer_gathered(self) -> None:
        while self._gathered:
            batch, self._gathered = self._gathered[:BATCH_MAX], self._gathered[BATCH_MAX:]
            try:
                answers = await self._writer.call_as(Urgency.RIGHT, self._decide, [asked for asked, _ in batch])
            except Exception as exc:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(exc)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue  # The caller gave up waiting.
                if isinstance(answer, PeerProtocolError):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _proven_by(self, request: SignedRequest) -> bytes:
        """The key by which the signature is good, if we met it before; ``b""``: the writing thread looks.

        Raises:
            PeerProtocolError: it is not.
        """
        public_key = self._keys.get((request.node, request.key_id), b"")
        if public_key and not verify(public_key, request.signature, CLAIM_PREFIX + signed_part(request)):
            raise PeerProtocolError("bad_signature")
        return public_key

    def _decide(self, requests: Sequence[_Asked]) -> list[Answer | PeerProtocolError]:
        """In the writing thread: check each, and answer those that stand in one transaction."""
        now_ms = _now_ms()
        checked: list[RightClaim | RightReturn | PeerProtocolError] = []
        for asked in requests:
            try:
                checked.append(self._check(asked, now_ms))
            except PeerProtocolError as exc:
                checked.append(exc)
        answers = iter(
            self._store.answer_rights(
                [one for one in checked if not isinstance(one, PeerProtocolError)], now_ms=now_ms
            )
        )
        return [one if isinstance(one, PeerProtocolError) else next(answers) for one in checked]

    def _check(self, asked: _Asked, now_ms: int) -> RightClaim | RightReturn:
        """What is asked. Raises PeerProtocolError unless the machine asked it just now, within bounds."""
        request = asked.request
        self._check_sender(request, CLAIM_PREFIX, now_ms, asked.proven_by)
        assert not isinstance(request, rights_pb2.ChangesRequest)
        if not 0 < request.nik <= NIK_MAX:
            raise PeerProtocolError("invalid_nik")
        if not request.product or len(request.product) > PRODUCT_CHARS_MAX or request.issue == 0:
            raise PeerProtocolError("invalid_product")
        if isinstance(request, rights_pb2.ClaimRequest):
            if request.above >= FENCE_MAX:
                raise PeerProtocolError("invalid_fence")
            return RightClaim(request.nik, request.product, request.issue, request.node, request.above)
        if request.fence >= FENCE_MAX:
            raise PeerProtocolError("invalid_fence")
        return RightReturn(request.nik, request.product, request.issue, request.node, request.fence)

    def _hear(self, request: rights_pb2.ChangesRequest) -> None:
        """Note what the machine keeps and tells of its printers.

        Raises:
            PeerProtocolError: the machine did not ask just now.
        """
        self._check_sender(request, CHANGES_PREFIX, _now_ms())
        kept = [
            (one.nik, one.product, one.issue, one.fence, one.reason[:REASON_CHARS_MAX])
            for one in request.kept[:KEPT_MAX]
            if 0 < one.nik <= NIK_MAX and one.fence < FENCE_MAX
        ]
        if kept:
            self._store.keep_rights(request.node, kept)
        if request.HasField("print_room"):
            self._store.hear_room(request.node, request, now_ms=_now_ms())

    def _check_sender(self, request: SignedRequest, prefix: bytes, now_ms: int, proven_by: bytes = b"") -> None:
        if request.node == HUB_NODE:
            raise PeerProtocolError("unknown_node")
        public_key = self._store.public_key_of(request.node, request.key_id, now_ms=now_ms)
        if public_key != proven_by:
            if not verify(public_key, request.signature, prefix + signed_part(request)):
                raise PeerProtocolError("bad_signature")
            if len(self._keys) >= KEYS_MAX:
                self._keys.clear()
            self._keys[request.node, request.key_id] = public_key
        if abs(request.clock_ms - now_ms) > CLAIM_AGE_MS_MAX:
            raise PeerProtocolError("clock")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
