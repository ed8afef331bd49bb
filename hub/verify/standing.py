"""What the hub holds of each office, by its last reading: the line that an office may hold on to."""

from __future__ import annotations

from dataclasses import dataclass

from sepe.ids import HUB_NODE
from sepe_io.sqlite import Connection

DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class Standing:
    """One node.

    Attributes:
        events: of all its epochs, read back and in order. ``missing``: acknowledged once and not readable now.
        not_sent: what it last said it has beyond the hub's watermark.
        epoch, seq, digest: the current epoch was followed from its start up to ``seq``; hexadecimal, empty when
            nothing of it was read yet.
    """

    node: str
    events: int
    missing: int
    not_sent: int
    epoch: str
    seq: int
    digest: str
    at_ms: int

    def line(self) -> str:
        """The proof in one line."""
        if self.missing:
            held = f"the hub holds {self.events:,} of your {self.events + self.missing:,} events"
            held += f"; {self.missing:,} are damaged or gone and asked for again"
        else:
            held = f"the hub holds all {self.events:,} of your events"
        waiting = f"; {self.not_sent:,} more wait on the way" if self.not_sent else ""
        return f"{self.node}: {held}, digest {self.digest[:DIGEST_CHARS] or 'none yet'}{waiting}"


def standings(connection: Connection, node: str = "") -> list[Standing]:
    """Every office's node that was ever enrolled, or one, by name."""
    rows = connection.execute(
        "WITH current AS (SELECT n.node, n.told_seq, COALESCE(n.epoch, (SELECT e.epoch FROM epoch e"
        "   WHERE e.node = n.node ORDER BY e.last_seen_ms DESC LIMIT 1)) AS epoch FROM node n)"
        " SELECT c.node, c.epoch, c.told_seq, COALESCE(e.durable_seq, 0), COALESCE(p.seq, 0), p.chain,"
        "  (SELECT COALESCE(SUM(events), 0) FROM proof WHERE node = c.node),"
        "  (SELECT COALESCE(MAX(at_ms), 0) FROM proof WHERE node = c.node),"
        "  (SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM wanted WHERE node = c.node)"
        " FROM current c LEFT JOIN epoch e ON e.node = c.node AND e.epoch = c.epoch"
        " LEFT JOIN proof p ON p.node = c.node AND p.epoch = c.epoch"
        " WHERE c.node <> ?1 AND ?2 IN ('', c.node) ORDER BY c.node",
        (HUB_NODE, node),
    )
    return [
        Standing(
            name, events, missing, max(told_seq - durable_seq, 0), epoch.hex() if epoch else "", seq,
            chain.hex() if chain else "", at_ms,
        )
        for name, epoch, told_seq, durable_seq, seq, chain, events, at_ms, missing in rows
    ]  # fmt: skip
