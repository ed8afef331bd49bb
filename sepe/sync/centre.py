"""The hub's side of the sync protocol: judging one frame or greeting against one epoch's watermark.

The judgement is a pure function of the frame, the epoch's row and the hub's own log. The shell then, in this
order: puts a refused or forked frame in quarantine; logs an accepted one, folds it, moves the watermark with
compare-and-set, **commits**, and only then sends the ack on the transport the frame came by. A duplicate is
acked again at once: its ack was lost, or it came by the other pipe.

========== =================================================== ==========================================
verdict    when                                                 the shell
========== =================================================== ==========================================
ACCEPT     begins at the watermark + 1, or overlaps it and      logs it, folds the events from ``skip``
           agrees with it
DUPLICATE  ends at or under the watermark and agrees            acks again
GAP        begins above the watermark + 1                       acks with the watermark: send from there
FORK       disagrees with the log at a seq both hold            quarantine, alarm, orders a new epoch
========== =================================================== ==========================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from sepe.codec import Header, chain_start
from sepe.wire.v1 import sync_pb2

# The version of this contract that we speak; a peer's lower or higher one is served all the same, because
# unknown fields and kinds travel untouched. It is shown, for support.
CONTRACT = 2


class Judgement(Enum):
    ACCEPT = "accept"
    DUPLICATE = "duplicate"
    GAP = "gap"
    FORK = "fork"


@dataclass(frozen=True, slots=True)
class EpochState:
    """The hub's row of one epoch. ``durable_seq`` is 0 and ``chain`` the epoch's start before the first."""

    node: str
    epoch: bytes
    durable_seq: int
    chain: bytes

    @classmethod
    def new(cls, node: str, epoch: bytes) -> EpochState:
        return cls(node, epoch, 0, chain_start(node, epoch))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a frame. ``skip``: how many of its first events are already in the log."""

    judgement: Judgement
    skip: int = 0


ChainAt = Callable[[int], bytes | None]


def judge(state: EpochState, header: Header, chains: Sequence[bytes], chain_at: ChainAt) -> Verdict:
    """Judge a frame whose signature and chain were checked.

    Args:
        chains: digest after each event of the frame, from `codec.check_chain`.
        chain_at: the log's digest at a seq at or under the watermark; ``None`` when the log no longer
            reaches back so far, which is taken for agreement.
    """
    before = header.first_seq - 1
    if before > state.durable_seq:
        return Verdict(Judgement.GAP)
    if header.last_seq <= state.durable_seq:
        held = state.chain if header.last_seq == state.durable_seq else chain_at(header.last_seq)
        agrees = held is None or held == header.chain_after
        return Verdict(Judgement.DUPLICATE if agrees else Judgement.FORK)
    skip = state.durable_seq - before
    at_watermark = chains[skip - 1] if skip else header.chain_before
    if at_watermark != state.chain:
        return Verdict(Judgement.FORK)
    return Verdict(Judgement.ACCEPT, skip)


def advanced(state: EpochState, header: Header) -> EpochState:
    """The epoch's row after an accepted frame."""
    return EpochState(state.node, state.epoch, header.last_seq, header.chain_after)


def welcome(state: EpochState, hello: sync_pb2.Hello, chain_at: ChainAt) -> sync_pb2.Verdict.ValueType:
    """The verdict on a greeting.

    A node behind us is told our watermark and finds out by itself that it was rolled back. A node at or ahead
    of us compares our digest with its own. The one case only we can see is a node that is behind us *and* on
    another branch: its last digest is not the one we hold at that seq.
    """
    if 0 < hello.last_seq <= state.durable_seq:
        held = state.chain if hello.last_seq == state.durable_seq else chain_at(hello.last_seq)
        if held is not None and held != hello.last_chain:
            return sync_pb2.VERDICT_FORK
    return sync_pb2.VERDICT_DURABLE


def ack(
    state: EpochState,
    verdict: sync_pb2.Verdict.ValueType,
    *,
    hub_ms: int,
    reason: str = "",
    retry_after_ms: int = 0,
) -> sync_pb2.Ack:
    """The hub's word on an epoch as a message."""
    return sync_pb2.Ack(
        node=state.node,
        epoch=state.epoch,
        verdict=verdict,
        durable_seq=state.durable_seq,
        durable_chain=state.chain,
        reason=reason,
        retry_after_ms=retry_after_ms,
        hub_ms=max(hub_ms, 0),
    )
