"""Events that the hub acknowledged once and cannot read any more: asked for, and put back when they come.

An office keeps what it sent for a month. So what `hub.verify` finds damaged is asked for with the next word
to the
node, for each damaged frame the very run of events that it held: the office cuts the same frame again, down
to the bit while its key is the same one. It comes as a duplicate, and instead of being dropped it takes its
old place, so nothing that points to it changes. A frame whose row is gone altogether is logged anew.

Whoever brings the frame (the office, a courier's file, another hub's export) has to fit: its signature is
checked at the door, and it must lead from the digest before the hole to the digest after it, which its
neighbours commit to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub.merge import log
from hub.merge.proving import Arrival, Proven
from sepe.hlc import cap_of, wall_ms_of
from sepe.wire.v1 import sync_pb2
from sepe_io.logs import logger
from sepe_io.sqlite import Connection

# What one word to a node asks for: a few frames, so that a thin line goes on carrying new events between them.
ASKED_MAX = 4
# In ``meta``: something was put back, or must be looked at soon, so the log is to be read again.
DUE = "verify_due"

_log = logger("hub.wanted")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run of events that is asked for.

    Attributes:
        number: the frame whose bytes are damaged, ``None`` when its row is gone.
        before, after: the digests between which the events must fit; ``None`` or empty where what stands
        there is
            damaged too.
    """

    node: str
    epoch: bytes
    first_seq: int
    last_seq: int
    number: int | None
    before: bytes | None
    after: bytes

    @property
    def events(self) -> int:
        return self.last_seq - self.first_seq + 1


def any_wanted(connection: Connection) -> bool:
    """Whether anything is asked for; costs one look at a page that is empty on nearly every hub."""
    return connection.execute("SELECT 1 FROM wanted LIMIT 1").fetchone() is not None


def wanted_of(connection: Connection, node: str = "") -> list[Wanted]:
    """What is asked of a node, or of all (``""``), in order."""
    rows = connection.execute(
        "SELECT node, epoch, first_seq, last_seq, number, before, after FROM wanted WHERE ? IN ('', node)"
        " ORDER BY node, epoch, first_seq",
        (node,),
    )
    return [Wanted(*row) for row in rows]


def replace_all(connection: Connection, found: Iterable[Wanted], now_ms: int) -> None:
    """Ask for these runs, and for none beside them; inside a transaction. How often one was asked for is kept."""
    runs = list(found)
    asked = {
        (node, bytes(epoch), first_seq): (found_ms, times)
        for node, epoch, first_seq, found_ms, times in connection.execute(
            "SELECT node, epoch, first_seq, found_ms, asked FROM wanted"
        )
    }
    connection.execute("DELETE FROM wanted")
    connection.executemany(
        "INSERT INTO wanted (node, epoch, first_seq, last_seq, number, before, after, found_ms, asked)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                one.node, one.epoch, one.first_seq, one.last_seq, one.number, one.before, one.after,
                *asked.get((one.node, one.epoch, one.first_seq), (now_ms, 0)),
            )
            for one in runs
        ],
    )  # fmt: skip


def runs_of(connection: Connection, node: str) -> list[sync_pb2.Wanted]:
    """What to ask a node for next: what it was asked for least often."""
    rows = connection.execute(
        "SELECT epoch, first_seq, last_seq FROM wanted WHERE node = ? ORDER BY asked, found_ms, first_seq LIMIT ?",
        (node, ASKED_MAX),
    )
    return [
        sync_pb2.Wanted(epoch=epoch, first_seq=first_seq, last_seq=last_seq)
        for epoch, first_seq, last_seq in rows
    ]  # fmt: skip


def ask(connection: Connection, word: sync_pb2.Ack) -> None:
    """Add to a word to a node what is asked of it; inside a transaction."""
    for run in runs_of(connection, word.node):
        word.wanted.append(run)
        connection.execute(
            "UPDATE wanted SET asked = asked + 1 WHERE node = ? AND epoch = ? AND first_seq = ?",
            (word.node, run.epoch, run.first_seq),
        )


def mend(connection: Connection, arrival: Arrival, proven: Proven) -> int:
    """Put a frame that is known already where the log lacks it; return how many events came back.

    Inside the merge's transaction. 0 when the frame is not what is asked for, which is the rule.
    """
    header = proven.header
    mended = 0
    for one in wanted_of(connection, header.node):
        overlaps = one.first_seq <= header.last_seq and one.last_seq >= header.first_seq
        if one.epoch == header.epoch and overlaps:
            mended += (_put_bytes if one.number else _log_anew)(connection, one, arrival, proven)
    if mended:
        mark_due(connection)
        _log.info("log.mended", node=header.node, first_seq=header.first_seq, events=mended)
    return mended


def mark_due(connection: Connection) -> None:
    """Have the log read again soon; inside a transaction."""
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (DUE, b"1"))


def _put_bytes(connection: Connection, one: Wanted, arrival: Arrival, proven: Proven) -> int:
    """Give a damaged row its bytes back. Only the very same run fits: the heads point into it by index."""
    header = proven.header
    if (header.first_seq, header.last_seq, header.chain_after) != (one.first_seq, one.last_seq, one.after):
        return 0
    if one.before is not None and header.chain_before != one.before:
        return 0
    connection.execute("UPDATE frame SET data = ? WHERE number = ?", (arrival.data, one.number))
    _forget(connection, one)
    return one.events


def _log_anew(connection: Connection, one: Wanted, arrival: Arrival, proven: Proven) -> int:
    """Log the first part of a hole, or all of it. The heads counted these events when they first came.

    The state that is read back next points the heads to the new row.
    """
    header = proven.header
    skip = one.first_seq - header.first_seq
    if skip < 0 or header.last_seq > one.last_seq:
        return 0
    before = proven.chains[skip - 1] if skip else header.chain_before
    if one.before is not None and before != one.before:
        return 0
    if header.last_seq == one.last_seq and one.after and header.chain_after != one.after:
        return 0
    if _is_covered(connection, one, header.last_seq):
        _forget(connection, one)  # Somebody was faster; the next reading sorts it out.
        mark_due(connection)
        return 0
    received_ms = _received_ms(connection, one, arrival)
    log.insert(
        connection, log.next_number(connection), header, skip=skip, received_ms=received_ms,
        cap_ms=wall_ms_of(cap_of(received_ms)), via=arrival.via, data=arrival.data,
    )  # fmt: skip
    _forget(connection, one)
    if header.last_seq < one.last_seq:
        connection.execute(
            "INSERT INTO wanted (node, epoch, first_seq, last_seq, before, after, found_ms) VALUES"
            " (?, ?, ?, ?, ?, ?, ?)",
            (
                one.node, one.epoch, header.last_seq + 1, one.last_seq, header.chain_after, one.after,
                arrival.received_ms,
            ),
        )  # fmt: skip
    return header.last_seq - one.first_seq + 1


def _is_covered(connection: Connection, one: Wanted, last_seq: int) -> bool:
    """Whether the log holds any event up to ``last_seq`` of the hole by now."""
    row = connection.execute(
        "SELECT first_seq + skip FROM frame WHERE node = ? AND epoch = ? AND last_seq >= ?"
        " ORDER BY last_seq LIMIT 1",
        (one.node, one.epoch, one.first_seq),
    ).fetchone()
    return row is not None and row[0] <= last_seq


def _received_ms(connection: Connection, one: Wanted, arrival: Arrival) -> int:
    """When it came the first time, at the latest: when the frame after it came.

    It bounds the stamps of a node whose clock is ahead. Of a frame in order the bound is far above every stamp.
    """
    row = connection.execute(
        "SELECT received_ms FROM frame WHERE node = ? AND epoch = ? AND last_seq > ? ORDER BY last_seq LIMIT 1",
        (one.node, one.epoch, one.last_seq),
    ).fetchone()
    return arrival.received_ms if row is None else int(row[0])


def _forget(connection: Connection, one: Wanted) -> None:
    connection.execute(
        "DELETE FROM wanted WHERE node = ? AND epoch = ? AND first_seq = ?", (one.node, one.epoch, one.first_seq)
    )
