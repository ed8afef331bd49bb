"""A new signing key for this machine, made known to the hub by the old one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grpc import aio

from node.link.link import GREET_TIMEOUT_S, LinkDownError
from node.link.trust import HubTrust
from sepe.rpc.v1 import enrolment_pb2
from sepe.rpc.v1.enrolment_pb2_grpc import EnrolmentStub
from sepe_io.keys import Signer

if TYPE_CHECKING:
    # The generator writes these for type checkers only.
    from sepe.rpc.v1.enrolment_pb2_grpc import EnrolmentAsyncStub

ROTATE_PREFIX = b"sepe-rotate-1\0"


@dataclass(frozen=True, slots=True)
class RotateAnswer:
    """The hub's answer; what the old key signed is taken until ``old_valid_until_ms`` by the hub's clock."""

    accepted: bool
    reason: str
    old_valid_until_ms: int


async def rotate(target: str, node: str, old: Signer, new: Signer, trust: HubTrust) -> RotateAnswer:
    """Name ``new`` the successor of ``old``. A repeat gives the same answer, so a lost one does no harm.

    Raises:
        LinkDownError: no line, or no answer in time; both keys are as they were.
    """
    request = enrolment_pb2.RotateRequest(node=node, old_key_id=old.key_id, new_public_key=new.public_key)
    said = ROTATE_PREFIX + request.SerializeToString(deterministic=True)
    request.old_signature, request.new_signature = old.sign(said), new.sign(said)
    channel = trust.channel(target)
    try:
        stub: EnrolmentAsyncStub = EnrolmentStub(channel)
        answer = await stub.Rotate(request, timeout=GREET_TIMEOUT_S)
    except aio.AioRpcError as exc:
        raise LinkDownError(f"grpc: {exc.code().name.lower()} at the rotation") from exc
    finally:
        await channel.close()
    return RotateAnswer(answer.accepted, answer.reason, answer.old_valid_until_ms)
