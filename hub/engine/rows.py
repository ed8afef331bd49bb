"""Rows of the head table as columns: what a batch adds to the residents it touches, one entry per NIK.

A batch is tens of thousands of rows. As arrays they are sorted, summed and put into the form that an engine reads
without one Python object per number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepe.head import REF

Numbers = NDArray[np.int64]
NUMBER_COLUMNS = ("nik", "events", "claims", "identity_min", "identity_max", "prints", "decisions", "checksum")


@dataclass(frozen=True, slots=True, eq=False)
class HeadRows:
    """Rows to be added to the stored ones, ascending by NIK, each NIK once.

    Attributes:
        numbers: one array for each of `NUMBER_COLUMNS`.
        refs: the pointers of all rows end to end, in the order of arrival within a row.
        ref_counts: how many of them belong to each row.
    """

    numbers: tuple[Numbers, ...]
    refs: NDArray[np.uint64]
    ref_counts: Numbers

    def __len__(self) -> int:
        return len(self.ref_counts)

    @property
    def niks(self) -> Numbers:
        return self.numbers[0]

    def ref_bytes(self) -> bytes:
        """`refs` as they are stored, little-endian."""
        return self.refs.astype("<u8", copy=False).tobytes()

    def part(self, start: int, stop: int) -> HeadRows:
        """Some of the rows."""
        first = int(self.ref_counts[:start].sum())
        counts = self.ref_counts[start:stop]
        refs = self.refs[first : first + int(counts.sum())]
        return HeadRows(tuple(column[start:stop] for column in self.numbers), refs, counts)

    def where(self, chosen: NDArray[np.bool_]) -> HeadRows:
        """The rows that a mask names."""
        refs = self.refs[np.repeat(chosen, self.ref_counts)]
        return HeadRows(tuple(column[chosen] for column in self.numbers), refs, self.ref_counts[chosen])

    def tuples(self) -> list[tuple[Any, ...]]:
        """The rows as a driver binds them: `NUMBER_COLUMNS`, then the pointers."""
        data = self.ref_bytes()
        sizes = self.ref_counts * REF.size
        ends = zip(np.cumsum(sizes).tolist(), sizes.tolist(), strict=True)
        pieces = [data[end - size : end] for end, size in ends]
        return list(zip(*(column.tolist() for column in self.numbers), pieces, strict=True))

    def suspects(self) -> Numbers:
        """NIK that must be folded for what these rows alone say; see `sepe.head.is_suspect`."""
        _, _, claims, identity_min, identity_max, prints, decisions, _ = self.numbers
        found: NDArray[np.bool_] = ((claims > 1) & (identity_min != identity_max)) | (prints > 1) | (decisions > 0)
        return self.niks[found]
