"""Asking the hub for the right to print one issue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from grpc import aio

from node.clock import now_ms
from node.link.link import CLOSE_TIMEOUT_S, LinkDownError
from node.link.trust import HubTrust
from node.printing.rights import RightAnswer
from sepe.rpc.v1 import rights_pb2
from sepe.rpc.v1.rights_pb2_grpc import RightsStub
from sepe_io.keys import Signer

if TYPE_CHECKING:
    # The generator writes these for type checkers only.
    from sepe.rpc.v1.rights_pb2_grpc import RightsAsyncStub

CLAIM_PREFIX = b"sepe-claim-1\0"
# Somebody stands at the desk and waits for the card.
CLAIM_TIMEOUT_S = 2.0


def signed_part(request: rights_pb2.ClaimRequest) -> bytes:
    """What a claim signs: the message without its signature."""
    copy = rights_pb2.ClaimRequest()
    copy.CopyFrom(request)
    copy.ClearField("signature")
    return CLAIM_PREFIX + copy.SerializeToString(deterministic=True)


class GrpcRights:
    """`node.printing.rights.RightsClient` over gRPC. Used in one event loop; close it there.

    Args:
        signer: our key, or a function that says which is ours now.
        skew_ms: our clock minus the hub's, as last heard. The hub refuses a claim signed minutes from its own
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

    async def claim(self, nik: int, product: str, issue: int) -> RightAnswer:
        """Ask for the right to print one issue. Raises `LinkDownError`."""
        answer = await self._claim(nik, product, issue, now_ms())
        skew_ms = self._skew_ms()
        if answer.reason == "clock" and skew_ms:
            answer = await self._claim(nik, product, issue, now_ms() - skew_ms)
        return answer

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close(CLOSE_TIMEOUT_S)

    async def _claim(self, nik: int, product: str, issue: int, clock_ms: int) -> RightAnswer:
        signer = self._signer()
        request = rights_pb2.ClaimRequest(
            nik=nik, product=product, issue=issue, node=self._node, key_id=signer.key_id,
            clock_ms=max(clock_ms, 0),
        )  # fmt: skip
        request.signature = signer.sign(signed_part(request))
        self._channel = self._channel or self._trust.channel(self._target)
        stub: RightsAsyncStub = RightsStub(self._channel)
        try:
            answer = await stub.Claim(request, timeout=CLAIM_TIMEOUT_S)
        except aio.AioRpcError as exc:
            raise LinkDownError(f"grpc: {exc.code().name.lower()} at a claim") from exc
        return RightAnswer(answer.granted, answer.right.fence, answer.reason, answer.right.holder)
