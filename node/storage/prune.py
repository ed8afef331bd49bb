"""Forgetting what the hub holds for sure, a little at a time."""

from __future__ import annotations

from node.storage.schema import JOB_IS_OPEN
from sepe import hlc
from sepe_io.sqlite import Connection

KEEP_MS = 30 * 86_400_000
KEEP_BYTES = 2 * 1024**3
# One transaction of a prune: short enough that a recording beside it does not wait noticeably.
ROWS_MAX = 5_000
_ALL = (1 << 62) - 1


def prune_batch(connection: Connection, current: int, last_seq: int, *, before_ms: int, keep_bytes: int) -> int:
    """Delete some rows that may go, in the caller's transaction; 0 when there are none left.

    Args:
        current: number of the current epoch, whose last row ``last_seq`` stays: the next event continues it.
        before_ms: rows stamped before this may go; any age may while the file holds over ``keep_bytes``.
    """
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    before_stamp = hlc.stamp_of(before_ms) if (pages - free) * size <= keep_bytes else _ALL
    epochs = connection.execute(
        "SELECT number, durable_seq, (SELECT n.carried_seq FROM epoch n WHERE n.number = e.number + 1) "
        "FROM epoch e ORDER BY number"
    ).fetchall()
    durable_now = epochs[-1][1]
    for number, durable_seq, carried_seq in epochs:
        if number == current:
            until_seq = min(durable_seq, last_seq - 1)
        elif number + 1 < current or carried_seq <= durable_now:
            until_seq = _ALL  # What the hub lacked of this epoch was carried into the next, and arrived.
        else:
            until_seq = durable_seq
        if count := _delete(connection, number, until_seq, before_stamp):
            return count
    return 0


def _delete(connection: Connection, number: int, until_seq: int, before_stamp: int) -> int:
    doomed = connection.execute(
        "SELECT seq, chain, stamp FROM outbox WHERE epoch = ? AND seq <= ? ORDER BY seq LIMIT ?",
        (number, until_seq, ROWS_MAX),
    ).fetchall()
    count = next((index for index, row in enumerate(doomed) if row[2] >= before_stamp), len(doomed))
    if count == 0:
        return 0
    seq, chain, _ = doomed[count - 1]
    # An unfinished job still needs its recording to print from.
    connection.execute(
        "UPDATE job SET body = (SELECT body FROM outbox o WHERE o.epoch = job.epoch AND o.seq = job.seq) "
        f"WHERE epoch = ? AND seq <= ? AND body IS NULL AND {JOB_IS_OPEN}",
        (number, seq),
    )
    connection.execute("DELETE FROM outbox WHERE epoch = ? AND seq <= ?", (number, seq))
    connection.execute("UPDATE epoch SET pruned_seq = ?, pruned_chain = ? WHERE number = ?", (seq, chain, number))
    return count
