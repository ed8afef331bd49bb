"""The way to the hub's rights: claims, promises, and what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from grpc import StatusCode, aio

from node.clock import now_ms
from node.link.link import CLOSE_TIMEOUT_S, LinkDownError
from node.link.trust import HubTrust
from node.printing.rights import Asked, Right, RightAnswer
from sepe.attach import ATTACHMENT_BYTES_MAX
from sepe.errors import PeerProtocolError
from sepe.rpc.v1 import attachments_pb2, rights_pb2
from sepe.rpc.v1.attachments_pb2_grpc import AttachmentsStub
from sepe.rpc.v1.rights_pb2_grpc import RightsStub
from sepe_io.keys import Signer, signed_part

if TYPE_CHECKING:
    # The generator writes these for type checkers only.
    from node.printing.room import Word
    from sepe.rpc.v1.rights_pb2_grpc import RightsAsyncStub

CLAIM_PREFIX = b"sepe-claim-1\0"
CHANGES_PREFIX = b"sepe-changes-1\0"
# Somebody stands at the desk and waits for the card.
CLAIM_TIMEOUT_S = 2.0
# Beyond what the call itself asks the hub to wait.
CHANGES_TIMEOUT_S = 10.0
GET_PREFIX = b"sepe-get-1\0"
# The longest pause between two pieces of a photo before the line counts as dead.
PHOTO_PAUSE_S = 20.0
KEPT_MAX = 500

Request = TypeVar("Request", rights_pb2.ClaimRequest, rights_pb2.ReturnRequest, rights_pb2.ChangesRequest)
Response = TypeVar("Response", rights_pb2.ClaimResponse, rights_pb2.ReturnResponse, rights_pb2.ChangesResponse)


class GrpcRights:
    """`node.printing.rights.NewsClient` over gRPC. Used in one event loop; close it there.

    Args:
        signer: our key, or a function that says which is ours now.
        skew_ms: our clock minus the hub's, as last heard. The hub refuses a request signed minutes from its own
            clock; a machine with a dead clock battery asks again by the hub's.
    """

    def __init__(
        self,
        target: str,
        node: str,
        signer: Signer | Callable[[], Signer],
        *,
        skew_ms: Callable[[], int] = lambda: 0,
        trust: HubTrust | None = None,
    ) -> None:
        self._target = target
        self._trust = trust or HubTrust()
        self._channel: aio.Channel | None = None
        self._node = node
        self._signer = signer if callable(signer) else lambda: signer
        self._skew_ms = skew_ms

    async def claim(self, nik: int, product: str, issue: int, *, above: int = 0) -> RightAnswer:
        """Ask for the right to print one issue. Raises `LinkDownError`."""
        request = rights_pb2.ClaimRequest(nik=nik, product=product, issue=issue, above=above)
        answer = await self._ask(request, self._stub().Claim, CLAIM_TIMEOUT_S, CLAIM_PREFIX)
        return RightAnswer(
            answer.granted, answer.right.fence, answer.reason, answer.right.holder, answer.asked_ms, answer.kept,
            answer.holder_seen_ms, answer.printed_ms, answer.card_state, answer.serial, answer.next_issue,
        )  # fmt: skip

    async def give_back(self, right: Right, fence: int) -> bool:
        """Tell of a promise; whether the answer is definite. Raises `LinkDownError`."""
        request = rights_pb2.ReturnRequest(nik=right.nik, product=right.product, issue=right.issue, fence=fence)
        answer = await self._ask(request, self._stub().Return, CLAIM_TIMEOUT_S, CLAIM_PREFIX)
        # What the hub no longer needs to hear, it has heard.
        return answer.returned or answer.reason in ("not_holder", "stale_fence")

    async def changes(
        self, feed: bytes, after: int, *, wait_ms: int, kept: Sequence[Asked], word: Word | None = None
    ) -> rights_pb2.ChangesResponse:
        """What the centre has to tell. Raises `LinkDownError`, also when the hub does not know us."""
        request = rights_pb2.ChangesRequest(feed=feed, after=after, wait_ms=wait_ms)
        for one in kept[:KEPT_MAX]:
            nik, product, issue = one.right
            request.kept.add(nik=nik, product=product, issue=issue, fence=one.fence, reason=one.reason)
        if word is not None:
            request.print_room.CopyFrom(word.room)
            request.left.extend(word.left)
            request.left_total = word.total
        timeout_s = wait_ms / 1000 + CHANGES_TIMEOUT_S
        answer = await self._ask(request, self._stub().Changes, timeout_s, CHANGES_PREFIX)
        if answer.reason:
            raise LinkDownError(f"the hub answers {answer.reason} to a question for news")
        return answer

    async def photo(self, right: Right, sha256: bytes, have: bytearray) -> None:
        """Fetch the rest of a photo. Raises `LinkDownError`, and PeerProtocolError when the hub gives it not."""
        signer = self._signer()
        request = attachments_pb2.GetRequest(
            node=self._node, key_id=signer.key_id, clock_ms=max(now_ms() - self._skew_ms(), 0), nik=right.nik,
            product=right.product, issue=right.issue, sha256=sha256, offset=len(have),
        )  # fmt: skip
        request.signature = signer.sign(GET_PREFIX + signed_part(request))
        self._channel = self._channel or self._trust.channel(self._target)
        try:
            call = AttachmentsStub(self._channel).Get(request)
            while True:
                async with asyncio.timeout(PHOTO_PAUSE_S):
                    piece = await call.read()
                if not isinstance(piece, attachments_pb2.GetResponse):  # aio.EOF
                    break
                have += piece.data
                if len(have) > ATTACHMENT_BYTES_MAX:
                    raise PeerProtocolError("oversized", "a photo")
            if await call.code() is not StatusCode.OK:
                raise PeerProtocolError("photo_refused", await call.details())
        except TimeoutError as exc:
            raise LinkDownError(f"grpc: nothing of a photo within {PHOTO_PAUSE_S:g} s") from exc
        except aio.AioRpcError as exc:
            if exc.code() is StatusCode.PERMISSION_DENIED:
                raise PeerProtocolError("photo_refused", exc.details() or "") from exc
            raise LinkDownError(f"grpc: {exc.code().name.lower()} at a question for a photo") from exc

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close(CLOSE_TIMEOUT_S)

    def _stub(self) -> RightsAsyncStub:
        self._channel = self._channel or self._trust.channel(self._target)
        return RightsStub(self._channel)

    async def _ask(
        self, request: Request, call: Callable[..., Awaitable[Response]], timeout_s: float, prefix: bytes
    ) -> Response:
        """Sign and send; once more by the hub's clock when ours is off."""
        answer = await self._send(request, call, timeout_s, prefix, now_ms())
        skew_ms = self._skew_ms()
        if answer.reason == "clock" and skew_ms:
            answer = await self._send(request, call, timeout_s, prefix, now_ms() - skew_ms)
        return answer

    async def _send(
        self, request: Request, call: Callable[..., Awaitable[Response]], timeout_s: float, prefix: bytes,
        clock_ms: int,
    ) -> Response:  # fmt: skip
        signer = self._signer()
        request.node, request.key_id, request.clock_ms = self._node, signer.key_id, max(clock_ms, 0)
        request.signature = signer.sign(prefix + signed_part(request))
        try:
            return await call(request, timeout=timeout_s)
        except aio.AioRpcError as exc:
            raise LinkDownError(f"grpc: {exc.code().name.lower()} at a question for rights") from exc
