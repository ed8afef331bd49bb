"""Mending an office's history after a restore or a clone, as a plan and its performance.

The hub's copy is compared with ours by their chains. What we hold above the common seq and the hub holds nowhere
is written again in another epoch, with its old stamp; what the hub holds and we do not takes its place. Rows that
the hub holds in *another* of our epochs (a backup restored twice) are known by stamp and body and not repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from surge.world.disk import EpochRows, OfficeDisk

Row = tuple[int, int, int, bytes]
# Per epoch: the events that the hub holds, from seq 1, and the digest after each.
History = dict[bytes, tuple[list[Row], list[bytes]]]


@dataclass(slots=True)
class Plan:
    """What to write, all in one commit.

    Attributes:
        adopted: (epoch, kept seq, events above it that the hub holds).
        again: rows to be written again.
        parted: the epoch whose histories part, ``None`` when the alarm was stale.
        learnt: events that are news to this machine.
    """

    parted: bytes | None = None
    opens: bool = False
    adopted: list[tuple[bytes, int, list[Row]]] = field(default_factory=list)
    again: list[Row] = field(default_factory=list)
    learnt: list[Row] = field(default_factory=list)

    @property
    def story(self) -> str:
        if self.parted is None:
            return f"finds nothing wrong and fetches {len(self.learnt)} events"
        where = "a new epoch" if self.opens else "its current epoch"
        return f"writes {len(self.again)} events again in {where} and fetches {len(self.learnt)}"


def plan(disk: OfficeDisk, epoch: bytes, history: History) -> Plan:
    """Compare every epoch that the hub knows of us with our rows; ``epoch`` is the one that was complained of."""
    result = Plan()
    held_elsewhere = {(row[1], row[3]) for other, (rows, _) in history.items() if other != epoch for row in rows}
    for other, (events, chains) in history.items():
        rows = disk.rows_of(other)
        if rows is None:
            result.adopted.append((other, 0, events))
            result.learnt += events
        elif other == epoch:
            _compare(result, rows, rows is disk.current, (events, chains), held_elsewhere)
    if epoch not in history:
        rows = disk.rows_of(epoch)
        if rows is not None:
            _compare(result, rows, rows is disk.current, ([], []), held_elsewhere)
    return result


def perform(disk: OfficeDisk, plan: Plan, new_epoch: bytes) -> None:
    """Write a plan; part of one commit."""
    for epoch, keep_seq, events in plan.adopted:
        disk.adopt(epoch, keep_seq, events)
    if plan.opens:
        disk.epochs.append(EpochRows(disk.node, new_epoch))
    for nik, stamp, kind, body in plan.again:
        disk.current.append(nik, stamp, kind, body)
    disk.is_fresh = False


def _compare(
    result: Plan,
    rows: EpochRows,
    is_current: bool,
    theirs: tuple[list[Row], list[bytes]],
    held_elsewhere: set[tuple[int, bytes]],
) -> None:
    events, chains = theirs
    hub_seq = min(len(events), len(chains))
    floor, last = rows.floor_seq, rows.last_seq
    common = min(last, hub_seq)
    while common > floor and rows.chain_at(common) != chains[common - 1]:
        common -= 1
    reaches_floor = hub_seq >= floor and (floor == 0 or rows.floor_chain == chains[floor - 1])
    if reaches_floor and common == hub_seq:
        return  # The hub's history is the beginning of ours: greet again and go on.
    # A hub that does not know our floor asks for rows that we pruned: what is left of ours goes on elsewhere.
    lost = events[common:] if reaches_floor else []
    result.parted = rows.epoch
    result.opens = is_current
    result.again = [row for row in rows.rows_above(common) if (row[1], row[3]) not in held_elsewhere]
    result.adopted.append((rows.epoch, max(common, floor), lost))
    result.learnt += lost
