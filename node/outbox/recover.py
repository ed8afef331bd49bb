"""Finding where our history and the hub's part, after a restore or a clone.

Two histories of one epoch that agree at a seq agree everywhere below (the chain), so one seq says it all: up to
it both hold the same events; ours above it must be written again under new names, theirs above it are what this
machine lost (or what its clone wrote).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sepe.codec import Columns
from sepe.errors import PeerProtocolError
from sepe_io.frames import OpenedFrame


@dataclass(frozen=True, slots=True)
class LostRun:
    """Events that the hub holds under our name and we do not: ``first_seq`` and onward in ``epoch``."""

    epoch: bytes
    first_seq: int
    columns: Columns


@dataclass(slots=True)
class Comparison:
    """Compares the hub's frames, fed in order of seq, with our rows.

    Attributes:
        common_seq: both hold the same up to here; starts at the seq that the hub was asked from.
        has_parted: a seq was met at which the two differ.
        reached_seq: the hub's frames were read up to here.
    """

    own_chain_at: Callable[[int], bytes | None]
    own_last_seq: int
    common_seq: int
    has_parted: bool = False
    reached_seq: int = field(init=False)
    is_untouched: bool = True

    def __post_init__(self) -> None:
        self.reached_seq = self.common_seq

    def starts_agreed(self, frame: OpenedFrame) -> bool:
        """Whether the two agree at the seq that the hub was asked from; ``False``: ask again from the very start.

        The first frame may begin below that seq, and agreement there says nothing about it: a hub that was
        restored and then heard a clone of ours first holds another branch from somewhere inside the frame.
        """
        first_seq = frame.header.first_seq
        seq = max(self.common_seq, first_seq - 1)
        own = self.own_chain_at(seq)
        theirs = frame.header.chain_before if seq < first_seq else frame.chains[seq - first_seq]
        return own is None or own == theirs

    def feed(self, frame: OpenedFrame) -> LostRun | None:
        """Take in one frame; return its events that we do not hold.

        Raises:
            PeerProtocolError: ``pull_gap``, the hub left out a run of events.
        """
        header = frame.header
        if header.first_seq > self.reached_seq + 1:
            raise PeerProtocolError("pull_gap", f"seq {self.reached_seq + 1} to {header.first_seq - 1}")
        for index in range(self.reached_seq + 1 - header.first_seq, header.count):
            seq = header.first_seq + index
            if not self.has_parted and self._agrees(seq, frame.chains[index]):
                self.common_seq = seq
            else:
                self.has_parted = True
        self.is_untouched = False
        self.reached_seq = max(self.reached_seq, header.last_seq)
        skip = max(self.common_seq - header.first_seq + 1, 0)
        if skip >= header.count:
            return None
        columns = frame.columns
        lost = Columns(columns.niks[skip:], columns.stamps[skip:], columns.kinds[skip:], columns.bodies[skip:])
        return LostRun(header.epoch, header.first_seq + skip, lost)

    def _agrees(self, seq: int, chain: bytes) -> bool:
        if seq > self.own_last_seq:
            return False
        own = self.own_chain_at(seq)
        return own is None or own == chain  # A pruned row was durable, so it was theirs too.
