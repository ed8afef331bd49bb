"""Tallies of a batch's frames, summed to one row for each NIK: stamps, sums and order are done with arrays.

`sepe.head.add_frame` is the rule, and the property tests hold both equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hub.engine.rows import HeadRows
from hub.merge.tally import Tally
from sepe.head import HASH_MASK, NO_IDENTITY_MIN, NO_NIK, REF_INDEX_BITS

N = TypeVar("N", bound=np.generic)


def head_rows(parts: Sequence[tuple[Tally, int, int]]) -> HeadRows:
    """One row for each NIK of (tally, number of its frame, index of its first event); at least one of them."""
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
