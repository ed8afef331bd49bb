"""A frame at the hub's door: whose keys prove it, and what is answered when nothing does."""

from __future__ import annotations

from dataclasses import dataclass

from hub.merge import log, registry
from hub.merge.proving import VIA_RELEASE, Arrival
from hub.quarantine import shelf
from sepe.codec import Header
from sepe.errors import PeerProtocolError
from sepe.sync.centre import EpochState, Judgement, ack
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import KeyLookup, peek_header
from sepe_io.logs import logger
from sepe_io.sqlite import Connection

# Faults of the sender, not of the way: sending again will not help until somebody acts.
REFUSALS = frozenset({"unknown_node", "unknown_key", "revoked", "retired_key", "forbidden_kind", "wrong_sender"})
# Found behind the signature, so the frame is its node's.
_PROVEN = frozenset({"forbidden_kind", "bad_chain", "oversized_event", "unreadable_payload", "merge_error"})

_log = logger("hub.merge")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an arrival.

    Attributes:
        ack: to be sent to the node by the way the frame came; ``None`` when the frame names no node and epoch
            that may be answered.
        judgement: ``None`` when the frame was not fit to be judged; ``reason`` says why.
    """

    ack: sync_pb2.Ack | None
    judgement: Judgement | None
    reason: str = ""
    events_merged: int = 0


def key_lookup(connection: Connection, arrival: Arrival) -> KeyLookup:
    """Which key a frame must be signed with, as this database knows it now."""
    released = arrival.via == VIA_RELEASE

    def public_key_of(node: str, key_id: bytes) -> bytes:
        return registry.public_key_of(connection, node, key_id, even_revoked=released, now_ms=arrival.received_ms)

    return public_key_of


def refuse(connection: Connection, arrival: Arrival, fault: PeerProtocolError) -> Outcome:
    """Put what cannot be merged in quarantine and answer its node, if that is safe; inside a transaction.

    Safe: nobody may make us tell a *third* node that its frames are refused, so a frame that comes from another
    than it names is not answered.
    """
    header = _readable_header(arrival.data)
    node = "" if header is None else _printable(header.node)
    _log.warning("frame.refused", reason=fault.reason, node=node, via=arrival.via)
    bucket = node if fault.reason in _PROVEN else arrival.sender or shelf.UNPROVEN
    hold(connection, arrival, reason=fault.reason, detail=fault.detail, node=node, bucket=bucket)
    if header is None or fault.reason == "wrong_sender":
        return Outcome(None, None, fault.reason)
    verdict = sync_pb2.VERDICT_REFUSED if fault.reason in REFUSALS else sync_pb2.VERDICT_CORRUPT
    # A stranger is not told how far a history reaches.
    is_stranger = fault.reason in ("unknown_node", "unknown_key", "revoked", "retired_key")
    state = (
        EpochState.new(header.node, header.epoch)
        if is_stranger
        else log.epoch_state(connection, header.node, header.epoch)
    )
    return Outcome(ack(state, verdict, hub_ms=arrival.received_ms, reason=fault.reason), None, fault.reason)


def hold_fork(connection: Connection, arrival: Arrival, header: Header) -> None:
    """Keep the frame of another branch of a history, and mark the history; inside a transaction."""
    _log.error("fork.found", node=header.node, first_seq=header.first_seq, last_seq=header.last_seq)
    detail = f"seq {header.first_seq} to {header.last_seq}"
    hold(connection, arrival, reason="fork", detail=detail, node=header.node, bucket=header.node)
    connection.execute(
        "UPDATE epoch SET forked_ms = ? WHERE node = ? AND epoch = ?",
        (arrival.received_ms, header.node, header.epoch),
    )
    connection.execute("UPDATE node SET forked_ms = ? WHERE node = ?", (arrival.received_ms, header.node))


def hold(connection: Connection, arrival: Arrival, *, reason: str, detail: str, node: str, bucket: str) -> None:
    """Keep a frame in quarantine; one that was released from there is there already."""
    if arrival.via == VIA_RELEASE:
        return
    shelf.hold(
        connection,
        arrival.data,
        reason=reason,
        detail=detail,
        node=node,
        bucket=bucket,
        received_ms=arrival.received_ms,
        via=arrival.via,
    )


def shown_node(data: bytes) -> str:
    """The node that a frame names, unproven; ``""`` when it names none that can be read."""
    header = _readable_header(data)
    return "" if header is None else header.node


def _readable_header(data: bytes) -> Header | None:
    try:
        return peek_header(data)
    except PeerProtocolError:
        return None


def _printable(node: str) -> str:
    """An unproven node name as a list may show it."""
    return "".join(char for char in node[:20] if char.isascii() and char.isprintable())
