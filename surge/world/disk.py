"""Disks: what was committed stays, what was not is gone. A backup is a copy; a clone is too.

An office's disk holds its outbox, one run of rows for each of its epochs, and its print ledger. Each change of it
happens inside one call of `office.Office.commit`, so power fails before or after it, never in its middle: SQLite
promises that much, and tests on real files (``tests/e2e``) hold it to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sepe.codec import Columns, chain_next, chain_start
from sepe.ids import EventId
from sepe.rights import HOME_FENCE, Grip, is_home
from surge.world.standing import UNDISPUTED, Standing


class EpochRows:
    """The outbox rows of one epoch, ``floor_seq + 1`` to ``last_seq``; those up to ``floor_seq`` are pruned.

    Attributes:
        chains: digest after each row; ``floor_chain`` is the one before the first row held.
        durable_seq: the hub's watermark as last stored.
        marks: (watermark, hub's clock, our clock) as they were heard, oldest first; the retention margin counts
            from there.
    """

    __slots__ = (
        "bodies", "chains", "durable_seq", "epoch", "floor_chain", "floor_seq", "kinds", "marks", "niks", "stamps",
    )  # fmt: skip

    def __init__(self, node: str, epoch: bytes) -> None:
        self.epoch = epoch
        self.niks: list[int] = []
        self.stamps: list[int] = []
        self.kinds: list[int] = []
        self.bodies: list[bytes] = []
        self.chains: list[bytes] = []
        self.floor_seq = 0
        self.floor_chain = chain_start(node, epoch)
        self.durable_seq = 0
        self.marks: list[tuple[int, int, int]] = []

    @property
    def last_seq(self) -> int:
        return self.floor_seq + len(self.niks)

    @property
    def last_chain(self) -> bytes:
        return self.chains[-1] if self.chains else self.floor_chain

    def chain_at(self, seq: int) -> bytes | None:
        """Our digest at ``seq``; ``None`` above our last row, and below the floor: from there we cannot send."""
        index = seq - self.floor_seq
        if index == 0:
            return self.floor_chain
        return self.chains[index - 1] if 0 < index <= len(self.chains) else None

    def append(self, nik: int, stamp: int, kind: int, body: bytes) -> None:
        """One more row."""
        chains = self.chains
        chains.append(chain_next(chains[-1] if chains else self.floor_chain, nik, stamp, kind, body))
        self.niks.append(nik)
        self.stamps.append(stamp)
        self.kinds.append(kind)
        self.bodies.append(body)

    def page(self, after_seq: int, events_max: int) -> tuple[bytes, Columns] | None:
        """(chain before, events) from ``after_seq + 1``; ``None`` when that row is not held."""
        before = self.chain_at(after_seq)
        start = after_seq - self.floor_seq
        if before is None or start >= len(self.niks):
            return None
        part = slice(start, start + events_max)
        return before, Columns(
            tuple(self.niks[part]), tuple(self.stamps[part]), tuple(self.kinds[part]), tuple(self.bodies[part])
        )

    def rows_above(self, seq: int) -> list[tuple[int, int, int, bytes]]:
        """(nik, stamp, kind, body) of each row held above ``seq``."""
        start = max(seq - self.floor_seq, 0)
        return list(
            zip(self.niks[start:], self.stamps[start:], self.kinds[start:], self.bodies[start:], strict=True)
        )

    def cut(self, seq: int) -> None:
        """Drop every row above ``seq``."""
        part = slice(max(seq - self.floor_seq, 0), None)
        for column in (self.niks, self.stamps, self.kinds, self.bodies, self.chains):
            del column[part]

    def prune(self, seq: int) -> list[bytes]:
        """Forget the rows up to ``seq``; return their bodies."""
        count = min(seq - self.floor_seq, len(self.niks))
        if count <= 0:
            return []
        gone = self.bodies[:count]
        self.floor_chain = self.chains[count - 1]
        self.floor_seq += count
        for column in (self.niks, self.stamps, self.kinds, self.bodies, self.chains):
            del column[:count]
        return gone

    def copy(self) -> EpochRows:
        other = EpochRows.__new__(EpochRows)
        other.epoch = self.epoch
        other.niks, other.stamps, other.kinds = self.niks[:], self.stamps[:], self.kinds[:]
        other.bodies, other.chains = self.bodies[:], self.chains[:]
        other.floor_seq, other.floor_chain = self.floor_seq, self.floor_chain
        other.durable_seq, other.marks = self.durable_seq, self.marks[:]
        return other


class Job(NamedTuple):
    """One attempt to make one card, as the office's ledger has it.

    Attributes:
        attempt: its name; while nothing was tried, that of the wish.
        state: a ``CardState``.
        fence: of the right it was printed under; 0 until it is, and for a card without a right.
        machine: whose printer it went to: two clones share a ledger, not a printer.
        name: what the card says; ``claim``: the event that says so, where this ledger knows it.
        due_ms: before that day no card is made.
        is_doubtful: it came back with a lost disk's events, and a card of it may be out that these do not tell.
        is_again: the attempt before it came to nothing, and a person said so.
    """

    attempt: str
    nik: int
    issue: int
    state: int
    fence: int = 0
    serial: str = ""
    override: bool = False
    machine: str = ""
    name: str = ""
    claim: EventId | None = None
    due_ms: int = 0
    is_again: bool = False
    is_doubtful: bool = False


@dataclass(slots=True)
class OfficeDisk:
    """One office machine's database.

    Attributes:
        epochs: oldest first; the last is the one that is written to.
        last_stamp: of the newest event.
        hub_ms: the highest that the hub's clock was ever heard to show; ``hub_said_ms`` is the last.
        jobs: the print ledger, by attempt.
        grips: this machine's book of each (nik, issue) whose right it ever heard of or let go of.
        feed_id, feed_seen: which list of the hub's words it reads, and up to where it has.
        claimed: by NIK, what was claimed of it here and counts: the name, and the event that says so.
        standings: the hub's last word on each resident of whom it ever said one.
        is_fresh: made empty; its earlier history has not been fetched yet.
    """

    node: str
    epochs: list[EpochRows]
    last_stamp: int = 0
    hub_ms: int = 0
    hub_said_ms: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    grips: dict[tuple[int, int], Grip] = field(default_factory=dict)
    feed_id: int = 0
    feed_seen: int = 0
    is_fresh: bool = False
    claimed: dict[int, tuple[tuple[str, EventId | None], ...]] = field(default_factory=dict)
    standings: dict[int, Standing] = field(default_factory=dict)

    def standing(self, nik: int) -> Standing:
        """What the hub said last of a resident."""
        return self.standings.get(nik, UNDISPUTED)

    def is_disputed(self, nik: int) -> bool:
        """Whether what was claimed here disagrees."""
        return len({name for name, _ in self.claimed.get(nik, ())}) > 1

    def claim(self, nik: int, name: str, event: EventId | None) -> None:
        """One more claim."""
        self.claimed[nik] = (*self.claimed.get(nik, ()), (name, event))

    def last_event(self) -> EventId:
        """The name of the newest event."""
        return EventId(self.node, self.current.epoch, self.current.last_seq)

    def grip(self, nik: int, issue: int) -> Grip:
        """This machine's book of one right; the home machine holds its own roll's beforehand."""
        return self.grips.get((nik, issue)) or (Grip(HOME_FENCE) if is_home(nik, self.node) else Grip())

    @property
    def current(self) -> EpochRows:
        return self.epochs[-1]

    def rows_of(self, epoch: bytes) -> EpochRows | None:
        """The rows of an epoch, ``None`` when this machine never knew it."""
        for rows in self.epochs:
            if rows.epoch == epoch:
                return rows
        return None

    def bodies(self) -> Iterator[bytes]:
        """Every event held, as its bytes."""
        for rows in self.epochs:
            yield from rows.bodies

    def adopt(self, epoch: bytes, keep_seq: int, events: Sequence[tuple[int, int, int, bytes]]) -> None:
        """Take over what the hub holds of ``epoch`` above ``keep_seq``; what we had there is dropped."""
        rows = self.rows_of(epoch)
        if rows is None:
            rows = EpochRows(self.node, epoch)
            self.epochs.insert(0, rows)
        rows.cut(keep_seq)
        for event in events:
            rows.append(*event)
        rows.durable_seq = rows.last_seq
        rows.marks = [mark for mark in rows.marks if mark[0] <= rows.last_seq]

    def copy(self) -> OfficeDisk:
        return OfficeDisk(
            self.node, [rows.copy() for rows in self.epochs], self.last_stamp, self.hub_ms,
            self.hub_said_ms, dict(self.jobs), dict(self.grips), self.feed_id,
            self.feed_seen, self.is_fresh, dict(self.claimed), dict(self.standings),
        )  # fmt: skip
