"""The outbox's own statements: its end, a digest, a run of rows, a new epoch.

SQLite's errors pass through; the store translates them.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable

from node.outbox.plan import Row
from node.settings import DATABASE_NAME
from node.storage.position import Tail
from sepe.codec import chain_start, fact_digest
from sepe.ids import EPOCH_BYTES
from sepe_io.sqlite import Connection, StorageDamagedError


def tail_of(connection: Connection, node: str) -> Tail:
    """Everything that the next event needs to know.

    Raises:
        StorageDamagedError: there is not even a first epoch.
    """
    row = connection.execute(
        "SELECT e.number, e.epoch, e.durable_seq, coalesce(o.seq, 0), o.chain, "
        "max(coalesce(o.stamp, 0), e.stamp_floor), c.hub_ms, c.heard_ms, c.skew_ms "
        "FROM clock c, (SELECT * FROM epoch ORDER BY number DESC LIMIT 1) e "
        "LEFT JOIN outbox o ON o.epoch = e.number "
        "AND o.seq = (SELECT max(seq) FROM outbox WHERE epoch = e.number)"
    ).fetchone()
    if row is None:
        raise StorageDamagedError(f"{DATABASE_NAME} holds no epoch; restore it from a backup")
    tail = Tail._make(row)
    return tail if tail.last_seq else tail._replace(last_chain=chain_start(node, tail.epoch))


def chain_at(connection: Connection, node: str, number: int, seq: int) -> bytes | None:
    """The digest after ``seq`` of the ``number``-th epoch; ``None`` when that row is not held."""
    if seq <= 0:
        row = connection.execute("SELECT epoch FROM epoch WHERE number = ?", (number,)).fetchone()
        return None if row is None else chain_start(node, row[0])
    row = (
        connection.execute("SELECT chain FROM outbox WHERE epoch = ? AND seq = ?", (number, seq)).fetchone()
        or connection.execute(
            "SELECT pruned_chain FROM epoch WHERE number = ? AND pruned_seq = ?", (number, seq)
        ).fetchone()
    )
    return None if row is None else bytes(row[0])


def rows_after(connection: Connection, number: int, after_seq: int, limit: int = -1) -> Connection:
    """A cursor of (seq, nik, stamp, kind, body, chain) above ``after_seq`` in order, at most ``limit``."""
    return connection.execute(
        "SELECT seq, nik, stamp, kind, body, chain FROM outbox WHERE epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
        (number, after_seq, limit),
    )


def is_in(facts: Collection[bytes], row: Row) -> bool:
    """Whether an event is among these, by `codec.fact_digest`."""
    return bool(facts) and fact_digest(row.nik, row.stamp, row.kind, row.body) in facts


def insert(connection: Connection, rows: Iterable[tuple[int, int, int, int, int, bytes, bytes]]) -> None:
    """Add (epoch's number, seq, nik, stamp, kind, body, chain), in the caller's transaction."""
    connection.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def insert_epoch(connection: Connection, reason: str, now_ms: int, *, stamp_floor: int) -> tuple[int, bytes]:
    """Begin a new epoch in the caller's transaction; its number and its 16 bytes."""
    epoch = secrets.token_bytes(EPOCH_BYTES)
    cursor = connection.execute(
        "INSERT INTO epoch (epoch, opened_ms, reason, stamp_floor) VALUES (?, ?, ?, ?)",
        (epoch, now_ms, reason, stamp_floor),
    )
    return int(cursor.lastrowid), epoch
