"""Which rows of the outbox travel next: the longest contiguous run that one frame can hold."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sepe import codec
from sepe.codec import Columns


@dataclass(frozen=True, slots=True)
class Row:
    """One event of the outbox. ``chain`` is the digest after it."""

    seq: int
    nik: int
    stamp: int
    kind: int
    body: bytes
    chain: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A contiguous run of events, ready to be sealed into one frame.

    Attributes:
        chain_before: digest before the first event.
        columns: the events, at least one, within the codec's limits.
        chain_after: digest after the last event, where it was computed from the events; else ``b""``.
    """

    first_seq: int
    chain_before: bytes
    columns: Columns
    chain_after: bytes = b""

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.columns) - 1


def next_page(chain_before: bytes, after_seq: int, rows: Iterable[Row], events_max: int) -> Page | None:
    """The longest run of ``rows`` from ``after_seq + 1`` that fits one frame; ``None`` when that row is absent.

    Rows must come in order of seq. The run ends at the first gap, so a pruned or lost row can never be jumped.
    """
    taken: list[Row] = []
    payload_bytes = 0
    for row in rows:
        is_next = row.seq == after_seq + len(taken) + 1
        if not is_next or len(taken) >= events_max or not codec.fits(len(taken), payload_bytes, row.body):
            break
        taken.append(row)
        payload_bytes += codec.event_bytes(row.body)
    if not taken:
        return None
    columns = Columns(
        tuple(row.nik for row in taken),
        tuple(row.stamp for row in taken),
        tuple(row.kind for row in taken),
        tuple(row.body for row in taken),
    )
    return Page(taken[0].seq, chain_before, columns)


def sound_page(
    chain_before: bytes, after_seq: int, rows: Sequence[tuple[int, int, int, int, bytes, bytes]]
) -> Page | None:
    """What `next_page` gives for rows of which each follows from the one before it; else ``None``: look closer.

    The same for a whole frame at once, without an object for each row: a long outage's backlog goes through here.

    Args:
        rows: at least one; (seq, nik, stamp, kind, body, chain) in order of seq, no seq twice.
    """
    seqs, niks, stamps, kinds, bodies, digests = zip(*rows, strict=True)
    if seqs[0] != after_seq + 1 or seqs[-1] != after_seq + len(seqs):
        return None
    count = codec.fitting(bodies)
    columns = Columns(niks[:count], stamps[:count], kinds[:count], bodies[:count])
    try:
        chains = codec.chains(chain_before, columns)
    except struct.error:
        return None
    if count == 0 or chains != list(digests[:count]):
        return None
    return Page(seqs[0], chain_before, columns, chains[-1])
