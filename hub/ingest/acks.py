"""The hub's words to its offices that are not the store's: fewer of the same, "later", "unreadable"."""

from __future__ import annotations

from collections.abc import Sequence

from hub.merge.store import Arrival
from sepe.errors import PeerProtocolError
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import peek_header


def coalesced(acks: Sequence[sync_pb2.Ack]) -> list[sync_pb2.Ack]:
    """The acks without those that a later one of the same epoch makes superfluous; order is kept."""
    result: list[sync_pb2.Ack] = []
    last: dict[tuple[str, bytes], int] = {}
    for ack in acks:
        key = (ack.node, ack.epoch)
        at = last.get(key)
        if at is not None and result[at].verdict == ack.verdict == sync_pb2.VERDICT_DURABLE:
            result[at] = ack
        else:
            last[key] = len(result)
            result.append(ack)
    return result


def later(arrival: Arrival, retry_after_ms: int, reason: str = "") -> sync_pb2.Ack | None:
    """The ack that asks for patience; ``None`` when the frame names nobody that may be answered."""
    try:
        header = peek_header(arrival.data)
    except PeerProtocolError:
        return None
    if arrival.sender is not None and header.node != arrival.sender:
        return None
    return sync_pb2.Ack(
        node=header.node,
        epoch=header.epoch,
        verdict=sync_pb2.VERDICT_LATER,
        reason=reason[:80],
        retry_after_ms=retry_after_ms,
        hub_ms=max(arrival.received_ms, 0),
    )


def corrupt(last: sync_pb2.Ack | None, reason: str) -> sync_pb2.Ack:
    """The ack to a frame that cannot be read, on the epoch that was spoken of last."""
    ack = sync_pb2.Ack()
    if last is not None:
        ack.CopyFrom(last)
        ack.ClearField("held_ms")
    ack.verdict, ack.reason = sync_pb2.VERDICT_CORRUPT, reason
    return ack
