"""Forgetting what the hub holds for sure, a little at a time."""

from __future__ import annotations

from collections.abc import Iterator

from node.storage.schema import JOB_IS_OPEN
from sepe_io.sqlite import Connection

KEEP_MS = 30 * 86_400_000
KEEP_BYTES = 2 * 1024**3
# One transaction of a prune: short enough that a recording beside it does not wait noticeably.
ROWS_MAX = 5_000
_ALL = _EVER_MS = (1 << 62) - 1
_HOUR_MS = 3_600_000


def note_confirmed(connection: Connection, number: int, seq: int, at_ms: int) -> None:
    """Remember that the hub confirmed an epoch up to ``seq``, in the caller's transaction.

    Rows may go a while after *this*, not after they were written: an office that was dark for five weeks must be
    able to send them again, should the hub be restored the day after. One row an hour, so that a month is little.

    Args:
        at_ms: the later of our clock and the hub's; a clock that was wrong makes us keep rows longer, not shorter.
    """
    connection.execute(
        "INSERT OR REPLACE INTO confirmed VALUES (?, ?, ?, ?)", (number, at_ms // _HOUR_MS, seq, at_ms)
    )


def forget_confirmed(connection: Connection, number: int, seq: int) -> None:
    """The hub lost what lies above ``seq``: that counts from when it is confirmed again."""
    connection.execute("DELETE FROM confirmed WHERE epoch = ? AND seq > ?", (number, seq))


def prune_batch(connection: Connection, current: int, last_seq: int, *, before_ms: int, keep_bytes: int) -> int:
    """Delete some rows that may go, in the caller's transaction; 0 when there are none left.

    Args:
        current: number of the current epoch, whose last row ``last_seq`` stays: the next event continues it.
        before_ms: what was confirmed until then may go; all that is confirmed while the file holds over
            ``keep_bytes``.
    """
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    before_ms = before_ms if (pages - free) * size <= keep_bytes else _EVER_MS
    for number, until_seq in _confirmed_until(connection, current, before_ms):
        if count := _delete(connection, number, min(until_seq, last_seq - 1 if number == current else _ALL)):
            return count
    return 0


def _confirmed_until(connection: Connection, current: int, before_ms: int) -> Iterator[tuple[int, int]]:
    """Of each epoch, by number, the last seq that the hub had confirmed by then."""
    epochs = connection.execute(
        "SELECT number, (SELECT n.carried_seq FROM epoch n WHERE n.number = e.number + 1),"
        " coalesce((SELECT max(c.seq) FROM confirmed c WHERE c.epoch = e.number AND c.at_ms <= ?), 0) "
        "FROM epoch e ORDER BY number",
        (before_ms,),
    ).fetchall()
    confirmed_now = epochs[-1][2]
    for number, carried_seq, confirmed in epochs:
        # What the hub lacked of an earlier epoch was carried into the next.
        has_arrived = (
            number != current and confirmed_now and (number + 1 < current or carried_seq <= confirmed_now)
        )
        yield number, _ALL if has_arrived else confirmed


def _delete(connection: Connection, number: int, until_seq: int) -> int:
    doomed = connection.execute(
        "SELECT seq, chain FROM outbox WHERE epoch = ? AND seq <= ? ORDER BY seq LIMIT ?",
        (number, until_seq, ROWS_MAX),
    ).fetchall()
    if not doomed:
        return 0
    seq, chain = doomed[-1]
    # An unfinished job still needs its recording to print from.
    connection.execute(
        "UPDATE job SET body = (SELECT body FROM outbox o WHERE o.epoch = job.epoch AND o.seq = job.seq) "
        f"WHERE epoch = ? AND seq <= ? AND body IS NULL AND {JOB_IS_OPEN}",
        (number, seq),
    )
    connection.execute("DELETE FROM outbox WHERE epoch = ? AND seq <= ?", (number, seq))
    connection.execute("UPDATE epoch SET pruned_seq = ?, pruned_chain = ? WHERE number = ?", (seq, chain, number))
    connection.execute("DELETE FROM confirmed WHERE epoch = ? AND seq < ?", (number, seq))
    return len(doomed)
