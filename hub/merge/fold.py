"""Folding frames into head rows, and adding head rows to those stored.

`sepe.head.add_frame` is the rule and this is its fast form, with `hub.merge.tally`: stamps, sums and order are
done with arrays for a whole batch. The property tests hold both equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hub.engine import embedded
from hub.engine.place import is_postgres
from hub.engine.rows import HeadRows
from hub.merge.tally import NO_NIK, Tally, tally
from sepe.codec import Columns
from sepe.head import HASH_MASK, NO_IDENTITY_MIN, REF_INDEX_BITS, Parked
from sepe_io.sqlite import Connection

N = TypeVar("N", bound=np.generic)


class Heads:
    """What the frames of a batch add up to, per NIK. Not idempotent: the watermark lets each event in once."""

    def __init__(self) -> None:
        self._tallies: list[tuple[Tally, int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._tallies)

    def add(self, frame: Tally, *, frame_number: int, start: int) -> list[Parked]:
        """Take in a frame's events from index ``start``; return which of them could not be folded."""
        self._tallies.append((frame, frame_number, start))
        return [one for one in frame.parked if one.index >= start] if frame.parked else []

    def rows(self) -> HeadRows:
        """One row for each NIK. At least one frame was added."""
        parts = self._tallies
        niks = np.concatenate([part.niks[start:] for part, _, start in parts])
        # Stable, so that a resident's events keep the order in which they came.
        order = np.argsort(niks, kind="stable")
        niks = niks[order]
        first = np.flatnonzero(np.concatenate(((True,), niks[1:] != niks[:-1])))

        def column(pick: Callable[[Tally], NDArray[N]]) -> NDArray[N]:
            return np.concatenate([pick(part)[start:] for part, _, start in parts])[order]

        identities = column(lambda part: part.identities)
        is_claim = identities >= 0
        refs = np.concatenate(
            [
                np.arange(start, len(part.niks), dtype=np.uint64) + np.uint64(number << REF_INDEX_BITS)
                for part, number, start in parts
            ]
        )[order]
        events = np.diff(np.concatenate((first, (len(niks),))))
        numbers = (
            niks[first],
            events,
            np.add.reduceat(is_claim.astype(np.int64), first),
            np.minimum.reduceat(np.where(is_claim, identities, NO_IDENTITY_MIN), first),
            np.maximum.reduceat(identities, first),
            np.add.reduceat(column(lambda part: part.prints), first),
            np.add.reduceat(column(lambda part: part.decisions), first),
            # Words wrap at 2**64, of which 2**62 is a divisor.
            (np.add.reduceat(column(lambda part: part.checksums), first) & np.uint64(HASH_MASK)).astype(np.int64),
        )
        # The events of nobody come first and are not pointed to.
        nobodys = int(np.searchsorted(niks, NO_NIK, side="right"))
        return HeadRows(numbers, refs[nobodys:], events * (numbers[0] != NO_NIK))


def fold_frame(
    heads: Heads, columns: Columns, chains: list[bytes], *, frame_number: int, cap: int, start: int
) -> list[Parked]:
    """Add a frame's events, from index ``start``, to ``heads``; return those that could not be folded."""
    return heads.add(tally(columns, chains, cap), frame_number=frame_number, start=start)


def write_heads(connection: Connection, heads: Heads, table: str = "head") -> None:
    """Add ``heads`` to those stored, in the order of the NIK: neighbours share pages. In a transaction."""
    if heads:
        add_rows(connection, heads.rows(), table)


def add_rows(connection: Connection, rows: HeadRows, table: str) -> None:
    """Add rows to those stored in ``table``. In a transaction."""
    if is_postgres(connection):
        from hub.engine import heads as postgres

        postgres.write_heads(connection, rows, table)
    else:
        embedded.write_heads(connection, rows, table)
    if table == "head":
        # A row that was there already is looked at by a trigger.
        marks = [(nik,) for nik in rows.suspects().tolist()]
        connection.executemany("INSERT OR IGNORE INTO dirty (nik) VALUES (?)", marks)


def write_parked(connection: Connection, frame_number: int, parked: list[Parked], table: str = "parked") -> None:
    """Keep which events of a frame could not be folded."""
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} (frame, place, reason) VALUES (?, ?, ?)",
        [(frame_number, one.index, one.reason) for one in parked],
    )
