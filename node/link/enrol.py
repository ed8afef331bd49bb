"""First contact: making this machine's key known to the hub with the one-time token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from grpc import aio

from node.link.link import GREET_TIMEOUT_S, LinkDownError
from node.link.notes import EARLIER_KEYS_KEY, ENROL_REFUSAL_KEY, join_keys
from node.link.trust import HubTrust
from sepe.rpc.v1 import enrolment_pb2
from sepe.rpc.v1.enrolment_pb2_grpc import EnrolmentStub
from sepe_io.keys import Signer
from sepe_io.logs import logger

if TYPE_CHECKING:
    # The generator writes these for type checkers only.
    from sepe.rpc.v1.enrolment_pb2_grpc import EnrolmentAsyncStub

ENROL_PREFIX = b"sepe-enrol-1\0"
# What the store keeps: the token until it was accepted, and where NATS listens.
TOKEN_KEY = "enrol_token"
NATS_KEY = "nats_url"
# The hub's public sealing key, in hexadecimal; `node.attach.shelf` reads it.
SEALING_KEY = "sealing_key"

_log = logger("node.enrol")


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    """The hub's answer. ``reason`` is its code for a refusal; ``nats_url`` may be empty.

    ``earlier_keys``: every public key under which this node ever signed. ``sealing_key``: what attachments are
    sealed to.
    """

    accepted: bool
    reason: str
    nats_url: str
    earlier_keys: tuple[bytes, ...] = ()
    sealing_key: bytes = b""


class Memory(Protocol):
    """Small things that outlive the process; `node.outbox.worker.OutboxWorker` is one."""

    async def recall(self, key: str) -> str:
        """What was noted under ``key``, ``""`` when nothing was."""

    async def note(self, key: str, text: str) -> None:
        """Remember ``text``; ``""`` forgets."""


async def enrol(target: str, node: str, token: str, signer: Signer, trust: HubTrust | None = None) -> EnrolAnswer:
    """Offer the token and the key. A repeat gives the same answer, so a lost one does no harm.

    Raises:
        LinkDownError: no line, or no answer in time.
    """
    request = enrolment_pb2.EnrolRequest(
        node=node,
        token=token,
        public_key=signer.public_key,
        proof=signer.sign(ENROL_PREFIX + token.encode()),
    )
    channel = (trust or HubTrust()).channel(target)
    try:
        stub: EnrolmentAsyncStub = EnrolmentStub(channel)
        answer = await stub.Enrol(request, timeout=GREET_TIMEOUT_S)
    except aio.AioRpcError as exc:
        raise LinkDownError(f"grpc: {exc.code().name.lower()} at the enrolment") from exc
    finally:
        await channel.close()
    return EnrolAnswer(
        answer.accepted, answer.reason, answer.nats_url, tuple(answer.earlier_public_keys), answer.sealing_key
    )


@dataclass(frozen=True, slots=True)
class Enrolling:
    """Enrols while a token is stored.

    Attributes:
        on_nats: told where the hub's NATS listens.
    """

    target: str
    node: str
    signer: Signer
    on_nats: Callable[[str], None]
    trust: HubTrust | None = None

    async def attempt(self, memory: Memory) -> bool:
        """Offer the token if there is one; whether nothing is left to do. A refused token is kept: the hub may be
        restored, or the person may ask for another one, which replaces it.

        Raises:
            LinkDownError: try again later.
        """
        token = await memory.recall(TOKEN_KEY)
        if not token:
            return True
        answer = await enrol(self.target, self.node, token, self.signer, self.trust)
        if not answer.accepted:
            if await memory.recall(ENROL_REFUSAL_KEY) != answer.reason:
                _log.error("enrolment.refused", reason=answer.reason)
                await memory.note(ENROL_REFUSAL_KEY, answer.reason)
            return False
        _log.info("node.enrolled", node=self.node)
        if answer.nats_url:
            await memory.note(NATS_KEY, answer.nats_url)
            self.on_nats(answer.nats_url)
        if answer.sealing_key:
            await memory.note(SEALING_KEY, answer.sealing_key.hex())
        earlier = join_keys(await memory.recall(EARLIER_KEYS_KEY), *answer.earlier_keys)
        await memory.note(EARLIER_KEYS_KEY, earlier)
        await memory.note(ENROL_REFUSAL_KEY, "")
        # Last: a kill before this only repeats the enrolment, which gives the same answer.
        await memory.note(TOKEN_KEY, "")
        return True
