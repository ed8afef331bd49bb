"""The quarantine's table: bounded, without copies.

Whoever can reach the hub can send it rubbish, so what it keeps of each sender is bounded and a frame that comes
again only counts. What does not fit is counted in `quarantine_overflow`. Nothing is lost by that: an office keeps
in its outbox whatever the hub has not committed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sepe_io.sqlite import Connection

# Room for a day's frames of one office that is not enrolled yet, at a few frames a minute; 64 MiB is at most 123
# full frames.
FRAMES_MAX = 512
BYTES_MAX = 64 << 20
BYTES_TOTAL_MAX = 2 << 30
# Senders that nothing vouches for share one shelf: an invented node name must not open another.
UNPROVEN = "?"


@dataclass(frozen=True, slots=True)
class Held:
    """One frame in quarantine.

    Attributes:
        node: the node it names, unproven for most reasons; ``""`` when it names none that can be read.
        times: how often it came.
    """

    id: int
    reason: str
    detail: str
    node: str
    first_received_ms: int
    last_received_ms: int
    times: int
    via: str
    size: int


def hold(
    connection: Connection,
    data: bytes,
    *,
    reason: str,
    detail: str,
    node: str,
    bucket: str,
    received_ms: int,
    via: str,
) -> bool:
    """Keep a frame, inside the caller's transaction; ``False`` when its shelf is full and it was only counted.

    Args:
        bucket: whose room it takes: the proven node, the sender that the transport vouches for, or `UNPROVEN`.
    """
    digest = hashlib.sha256(data).digest()
    again = connection.execute(
        "UPDATE quarantine SET times = times + 1, last_received_ms = ? WHERE digest = ?", (received_ms, digest)
    )
    if again.rowcount:
        return True
    frames, size = connection.execute(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM quarantine WHERE bucket = ? AND reason = ?", (bucket, reason)
    ).fetchone()
    total = connection.execute("SELECT COALESCE(SUM(size), 0) FROM quarantine").fetchone()[0]
    if frames >= FRAMES_MAX or size + len(data) > BYTES_MAX or total + len(data) > BYTES_TOTAL_MAX:
        connection.execute(
            "INSERT INTO quarantine_overflow (bucket, reason, times, last_received_ms) VALUES (?, ?, 1, ?)"
            " ON CONFLICT DO UPDATE SET times = quarantine_overflow.times + 1,"
            " last_received_ms = excluded.last_received_ms",
            (bucket, reason, received_ms),
        )
        return False
    connection.execute(
        "INSERT INTO quarantine (digest, reason, detail, node, bucket, first_received_ms, last_received_ms, times,"
        " via, size, data) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
        (digest, reason, detail[:200], node, bucket, received_ms, received_ms, via, len(data), data),
    )
    return True


def held(connection: Connection, *, reason: str = "", node: str = "") -> list[Held]:
    """What is in quarantine, oldest first; ``""`` is no restriction."""
    rows = connection.execute(
        "SELECT id, reason, detail, node, first_received_ms, last_received_ms, times, via, size FROM quarantine"
        " WHERE (? = '' OR reason = ?) AND (? = '' OR node = ?) ORDER BY id",
        (reason, reason, node, node),
    )
    return [Held(*row) for row in rows]


def frame_of(connection: Connection, number: int) -> tuple[bytes, int] | None:
    """The bytes of one held frame and when it first came; ``None`` when it is not there (any more)."""
    row = connection.execute("SELECT data, first_received_ms FROM quarantine WHERE id = ?", (number,)).fetchone()
    return None if row is None else (row[0], row[1])


def remove(connection: Connection, number: int) -> bool:
    """Take one frame off the shelf, inside the caller's transaction."""
    return bool(connection.execute("DELETE FROM quarantine WHERE id = ?", (number,)).rowcount)
