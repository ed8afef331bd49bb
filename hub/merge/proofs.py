"""What the hub last read back of each history: the ground for "the hub holds all of your events"."""

from __future__ import annotations

from dataclasses import dataclass

from sepe.wire.v1 import sync_pb2
from sepe_io.sqlite import Connection


@dataclass(frozen=True, slots=True)
class Proof:
    """One history, read back and followed from its start up to ``seq``, where the digest is ``chain``.

    Attributes:
        events: how many were read and fit; more than ``seq`` when some lie behind a hole.
    """

    node: str
    epoch: bytes
    events: int
    seq: int
    chain: bytes
    at_ms: int


def store(connection: Connection, found: list[Proof]) -> None:
    """Keep these instead of what was kept before; inside a transaction."""
    connection.execute("DELETE FROM proof")
    connection.executemany(
        "INSERT INTO proof (node, epoch, events, seq, chain, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
        [(one.node, one.epoch, one.events, one.seq, one.chain, one.at_ms) for one in found],
    )


def tell(connection: Connection, word: sync_pb2.Ack) -> None:
    """Add to the answer to a greeting what was last read back of the node's events."""
    row = connection.execute(
        "SELECT seq, chain, at_ms FROM proof WHERE node = ? AND epoch = ?", (word.node, word.epoch)
    ).fetchone()
    if row is None:
        return
    events = connection.execute("SELECT SUM(events) FROM proof WHERE node = ?", (word.node,)).fetchone()[0]
    missing = connection.execute(
        "SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM wanted WHERE node = ?", (word.node,)
    ).fetchone()[0]
    seq, chain, at_ms = row
    word.proof.CopyFrom(sync_pb2.Proof(events=events, missing=missing, seq=seq, chain=chain, at_ms=at_ms))
