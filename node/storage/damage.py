"""Rows of the outbox that are not what was written: found, set apart, and put back from the hub's copy.

A digest that was altered is put right at once, for the row after it says what it was. An event that was
altered, or is gone, is noted in the table ``damaged``; nothing that is not what was written is ever sent.
Then:

- the hub holds it: its copy takes the place, if it leads from the digest before it to the one after it;
- the hub lacks it, and says so: the history goes on in a new epoch with every row but this one
  (`NodeStore.open_epoch`), and a person is told to record it again.

Recording goes on all the while.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from node.outbox.plan import Row
from sepe.antientropy import Fault, FaultKind, find_faults
from sepe.codec import chain_next, chain_start
from sepe_io.sqlite import Connection

OPEN, LOST = "open", "lost"
# One look's worth of rows: some five milliseconds.
ROWS_PER_STEP = 2_048
_ROW = "seq, nik, stamp, kind, body, chain"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reading of the outbox has come: behind this row."""

    number: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Damaged:
    """One row that is not what was written.

    Attributes:
        epoch: the epoch's 16 bytes; ``number`` is our own number of it.
        state: ``open``, or ``lost`` once the hub said that it does not hold it.
        nik: of the row as it lies there, perhaps altered; 0 when the row is gone.
    """

    number: int
    epoch: bytes
    seq: int
    state: str
    nik: int
    found_ms: int


class SoundRows:
    """Rows of an outbox up to the first that does not follow from the one before it.

    Attributes:
        stopped_seq: the seq of that row, 0 while there was none.
    """

    def __init__(self, chain: bytes, after_seq: int, rows: Iterable[Row]) -> None:
        self._chain, self._seq, self._rows = chain, after_seq, rows
        self.stopped_seq = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self._chain = chain_next(self._chain, row.nik, row.stamp, row.kind, row.body)
            if row.seq != self._seq + 1 or row.chain != self._chain:
                self.stopped_seq = row.seq
                return
            self._seq = row.seq
            yield row


def look(
    connection: Connection, node: str, place: Place, rows_max: int = ROWS_PER_STEP
) -> tuple[int, list[Fault], Place | None]:
    """Check some rows behind ``place``; (their epoch's number, faults, where to go on, ``None`` at the end)."""
    row = connection.execute(
        "SELECT number, epoch, pruned_seq, pruned_chain FROM epoch WHERE number >= ? ORDER BY number LIMIT 1",
        (place.number,),
    ).fetchone()
    if row is None:
        return 0, [], None
    number, epoch, pruned_seq, pruned_chain = row
    after_seq = place.seq if number == place.number else 0
    chain = chain_start(node, epoch)
    if after_seq < pruned_seq:
        after_seq, chain = pruned_seq, bytes(pruned_chain)
    elif after_seq:
        kept = connection.execute(
            "SELECT chain FROM outbox WHERE epoch = ? AND seq = ?", (number, after_seq)
        ).fetchone()
        if kept is None:  # It was pruned, or moved away, since the last look.
            return number, [], Place(number, max(pruned_seq, after_seq) + 1)
        chain = bytes(kept[0])
    # One row more than is judged: what follows a row tells which of its parts was altered.
    rows = _rows(connection, number, after_seq, rows_max + 1)
    faults = list(find_faults(chain, after_seq, rows))
    if len(rows) <= rows_max:
        return number, faults, Place(number + 1, 0)
    last_seq = rows[-2].seq
    return number, [one for one in faults if one.first_seq <= last_seq], Place(number, last_seq)


def note(connection: Connection, number: int, faults: Iterable[Fault], now_ms: int) -> int:
    """Put altered digests right and note the other faults, in the caller's transaction; how many are new."""
    count = 0
    for fault in faults:
        if fault.kind is FaultKind.DIGEST:
            connection.execute(
                "UPDATE outbox SET chain = ? WHERE epoch = ? AND seq = ?", (fault.digest, number, fault.first_seq)
            )
            count += 1
            continue
        for seq in range(fault.first_seq, fault.last_seq + 1):
            count += connection.execute(
                "INSERT OR IGNORE INTO damaged (epoch, seq, state, found_ms, nik, stamp, kind, body, chain)"
                " SELECT ?1, ?2, ?3, ?4, o.nik, o.stamp, o.kind, o.body, o.chain FROM (SELECT 1)"
                " LEFT JOIN outbox o ON o.epoch = ?1 AND o.seq = ?2",
                (number, seq, OPEN, now_ms),
            ).rowcount
    return count


def damaged(connection: Connection, state: str = "") -> list[Damaged]:
    """What is noted, in order; of one state or all."""
    rows = connection.execute(
        "SELECT d.epoch, e.epoch, d.seq, d.state, COALESCE(d.nik, 0), d.found_ms FROM damaged d"
        " JOIN epoch e ON e.number = d.epoch WHERE ? IN ('', d.state) ORDER BY d.epoch, d.seq",
        (state,),
    )
    return [
        Damaged(number, bytes(epoch), seq, said, nik, found_ms) for number, epoch, seq, said, nik, found_ms in rows
    ]


def seqs_of(connection: Connection, number: int) -> frozenset[int]:
    """The seqs of one epoch that are noted."""
    return frozenset(seq for (seq,) in connection.execute("SELECT seq FROM damaged WHERE epoch = ?", (number,)))


def put_back(
    connection: Connection, node: str, one: Damaged, row: Row, before: bytes, *, is_signed: bool = False
) -> bool:
    """Store the hub's copy of a row in its place, in the caller's transaction; ``False`` when it does not fit.

    It must fit every digest of ours that can be believed, and lead to one of them, or carry our own signature.

    Args:
        row: the hub's, its ``chain`` the digest after it. ``before``: the hub's digest before it.
        is_signed: the frame that it came in is signed with our key.
    """
    if chain_next(before, row.nik, row.stamp, row.kind, row.body) != row.chain:
        return False
    own_before = _digest_at(connection, node, one, one.seq - 1)
    if own_before is not None and own_before != before:
        return False
    is_vouched = is_signed or _stored_digest(connection, one) == row.chain
    after = _rows(connection, one.number, one.seq, 1)
    if after and after[0].seq == one.seq + 1 and not _is_noted(connection, one.number, one.seq + 1):
        next_row = after[0]
        if chain_next(row.chain, next_row.nik, next_row.stamp, next_row.kind, next_row.body) != next_row.chain:
            return False
        is_vouched = True
    if not is_vouched:
        return False
    connection.execute(
        "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)",
        (one.number, one.seq, row.nik, row.stamp, row.kind, row.body, row.chain),
    )
    connection.execute("DELETE FROM damaged WHERE epoch = ? AND seq = ?", (one.number, one.seq))
    return True


def put_back_own_copy(connection: Connection, node: str, one: Damaged) -> bool:
    """Put back a row of an earlier epoch from its copy in the epoch after it, in the caller's transaction."""
    found = connection.execute(
        "SELECT o.nik, o.stamp, o.kind, o.body FROM epoch n JOIN outbox o ON o.epoch = n.number"
        " WHERE n.number = ?1 + 1 AND n.left_out = 0 AND o.seq <= n.carried_seq AND o.seq ="
        " ?2 - ((SELECT MAX(seq) FROM outbox WHERE epoch = ?1) - n.carried_seq)",
        (one.number, one.seq),
    ).fetchone()
    before = _digest_at(connection, node, one, one.seq - 1)
    if found is None or before is None:
        return False
    nik, stamp, kind, body = found
    row = Row(one.seq, nik, stamp, kind, body, chain_next(before, nik, stamp, kind, body))
    return put_back(connection, node, one, row, before, is_signed=True)


def give_up(connection: Connection, one: Damaged) -> None:
    """The hub does not hold it, in the caller's transaction: a person must know."""
    connection.execute("UPDATE damaged SET state = ? WHERE epoch = ? AND seq = ?", (LOST, one.number, one.seq))


def forget_pruned(connection: Connection) -> None:
    """Forget what lies among rows that were pruned meanwhile: the hub holds those. In a transaction."""
    connection.execute(
        "DELETE FROM damaged WHERE state = ?"
        " AND seq <= (SELECT pruned_seq FROM epoch WHERE number = damaged.epoch)",
        (OPEN,),
    )


def _rows(connection: Connection, number: int, after_seq: int, limit: int) -> list[Row]:
    return [
        Row(*row)
        for row in connection.execute(
            f"SELECT {_ROW} FROM outbox WHERE epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
            (number, after_seq, limit),
        )
    ]


def _digest_at(connection: Connection, node: str, one: Damaged, seq: int) -> bytes | None:
    """Our digest at ``seq``, if what stands there can be believed."""
    if seq == 0:
        return chain_start(node, one.epoch)
    row = connection.execute(
        "SELECT chain FROM outbox WHERE epoch = ?1 AND seq = ?2"
        " UNION ALL SELECT pruned_chain FROM epoch WHERE number = ?1 AND pruned_seq = ?2",
        (one.number, seq),
    ).fetchone()
    return None if row is None or _is_noted(connection, one.number, seq) else bytes(row[0])


def _stored_digest(connection: Connection, one: Damaged) -> bytes | None:
    """The digest that lies beside the damaged row; it is right when the event alone was altered."""
    row = connection.execute(
        "SELECT chain FROM outbox WHERE epoch = ? AND seq = ?", (one.number, one.seq)
    ).fetchone()
    return None if row is None else bytes(row[0])


def _is_noted(connection: Connection, number: int, seq: int) -> bool:
    return (
        connection.execute("SELECT 1 FROM damaged WHERE epoch = ? AND seq = ?", (number, seq)).fetchone()
        is not None
    )
