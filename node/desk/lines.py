"""Input cut into lines, whatever its writer does: endless lines, blank lines, no line end at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sepe.recording import LINE_BYTES_MAX

# A recording takes under 0.2 ms, so a batch holds the write lock for under 50 ms: a person recording beside a
# long import does not notice it.
BATCH_LINES_MAX = 250
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class InputLine:
    """One line of input, counted from 1; over-long ones are cut just above the limit, so that they are refused."""

    number: int
    data: bytes


class Source(Protocol):
    """A buffered binary file or standard input."""

    def read1(self, size: int, /) -> bytes: ...


def batches(source: Source, lines_max: int = BATCH_LINES_MAX) -> Iterator[list[InputLine]]:
    """Lines in batches: whatever is there, at most ``lines_max``; blank lines count but are left out.

    ``read1`` returns what a pipe holds, so a single line typed by hand comes at once and alone.
    """
    number = 0
    rest = b""
    while chunk := source.read1(CHUNK_BYTES):
        *ended, rest = (rest + chunk).split(b"\n")
        lines: list[InputLine] = []
        for data in ended:
            number += 1
            if data.strip():
                lines.append(InputLine(number, data))
        # The part of an endless line beyond the limit is not kept, however long it grows.
        rest = rest[: LINE_BYTES_MAX + 1]
        for start in range(0, len(lines), lines_max):
            yield lines[start : start + lines_max]
    if rest.strip():
        yield [InputLine(number + 1, rest)]
