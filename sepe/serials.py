"""Serial numbers of card stock: single ones, ranges, and sets of them that stay small however many they hold.

A serial is a prefix and a number of a fixed width (``A00012001``). Packs are numbered through, so stock is held,
moved and compared as ranges: a pack of a hundred thousand is one pair of numbers, never a list.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sepe.errors import InvalidInputError

RANGE_MAX = 100_000
_SERIAL = re.compile(r"([A-Z0-9/.-]*?)([0-9]{1,18})\Z")
SHOWN_RANGES_MAX = 5

# (prefix, width): serials with different series are never neighbours.
Series = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SerialRange:
    """Serials from ``first`` to ``last``, both included, of one product."""

    product: str
    first: str
    last: str

    @property
    def serials(self) -> list[str]:
        """Every serial of the range, in order.

        Raises:
            InvalidInputError: not a range of blanks; see `serials_between`.
        """
        return serials_between(self.first, self.last)

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first}-{self.last}"


def number_of(serial: str) -> tuple[Series, int]:
    """A serial's series and its number in it.

    Raises:
        InvalidInputError: not a serial.
    """
    found = _SERIAL.match(serial)
    if found is None:
        raise InvalidInputError(
            "nomor blangko: huruf besar, angka, / . -, dan diakhiri angka",
            field="serial",
            value=serial,
            hint="Contoh: A00012001",
        )
    return (found[1], len(found[2])), int(found[2])


def span_of(first: str, last: str) -> tuple[Series, int, int]:
    """A range as its series and its first and last number.

    Raises:
        InvalidInputError: different series, last before first, or over `RANGE_MAX` serials.
    """
    series, start = number_of(first)
    other, end = number_of(last)
    if series != other:
        raise InvalidInputError(
            "nomor pertama dan terakhir harus berawalan dan berpanjang sama", field="last", value=last
        )
    if not start <= end < start + RANGE_MAX:
        raise InvalidInputError(
            f"nomor terakhir harus setelah yang pertama, paling banyak {RANGE_MAX} blangko",
            field="last",
            value=last,
        )
    return series, start, end


def serials_between(first: str, last: str) -> list[str]:
    """All serials from ``first`` to ``last``; see `span_of` for what is refused."""
    series, start, end = span_of(first, last)
    return [text_of(series, number) for number in range(start, end + 1)]


def text_of(series: Series, number: int) -> str:
    """The serial with this number."""
    prefix, width = series
    return f"{prefix}{number:0{width}d}"


class SerialSet:
    """A set of serials, kept as sorted, disjoint ranges that do not touch."""

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        # By series: the starts and the ends, in step.
        self._spans: dict[Series, tuple[list[int], list[int]]] = {}

    @classmethod
    def of(cls, serials: Iterable[str]) -> SerialSet:
        """The set of these serials, in any order."""
        numbers: dict[Series, list[int]] = {}
        for serial in serials:
            series, number = number_of(serial)
            numbers.setdefault(series, []).append(number)
        found = cls()
        for series, listed in numbers.items():
            starts, ends = found._spans.setdefault(series, ([], []))
            for number in sorted(set(listed)):
                if ends and ends[-1] == number - 1:
                    ends[-1] = number
                else:
                    starts.append(number)
                    ends.append(number)
        return found

    @classmethod
    def between(cls, first: str, last: str) -> SerialSet:
        """The set of one range; see `span_of` for what is refused."""
        found = cls()
        found.add(*span_of(first, last))
        return found

    def add(self, series: Series, start: int, end: int) -> None:
        """Take in the numbers from ``start`` to ``end``, both included."""
        starts, ends = self._spans.setdefault(series, ([], []))
        low = bisect_left(ends, start - 1)
        high = bisect_right(starts, end + 1)
        if low < high:
            start, end = min(start, starts[low]), max(end, ends[high - 1])
        starts[low:high], ends[low:high] = [start], [end]

    def discard(self, series: Series, start: int, end: int) -> None:
        """Take out the numbers from ``start`` to ``end``; those that are not in are no matter."""
        if series not in self._spans:
            return
        starts, ends = self._spans[series]
        low = bisect_left(ends, start)
        high = bisect_right(starts, end)
        if low >= high:
            return
        left = [(starts[low], start - 1)] if starts[low] < start else []
        right = [(end + 1, ends[high - 1])] if ends[high - 1] > end else []
        starts[low:high] = [one for one, _ in left + right]
        ends[low:high] = [one for _, one in left + right]

    def update(self, other: SerialSet) -> None:
        """Take in another set."""
        for span in other.spans():
            self.add(*span)

    def __sub__(self, other: SerialSet) -> SerialSet:
        found = self.copy()
        for span in other.spans():
            found.discard(*span)
        return found

    def __and__(self, other: SerialSet) -> SerialSet:
        return self - (self - other)

    def __contains__(self, serial: str) -> bool:
        series, number = number_of(serial)
        starts, ends = self._spans.get(series, ([], []))
        at = bisect_left(ends, number)
        return at < len(ends) and starts[at] <= number

    def __len__(self) -> int:
        return sum(end - start + 1 for _, start, end in self.spans())

    def __bool__(self) -> bool:
        return any(starts for starts, _ in self._spans.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SerialSet) and list(self.spans()) == list(other.spans())

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        """The ranges, the first few of them: ``A001-A017, A020 …``."""
        ranges = list(self.ranges())
        shown = ", ".join(
            first if first == last else f"{first}-{last}" for first, last in ranges[:SHOWN_RANGES_MAX]
        )
        return shown + (" …" if len(ranges) > SHOWN_RANGES_MAX else "")

    def copy(self) -> SerialSet:
        found = SerialSet()
        found._spans = {series: (list(starts), list(ends)) for series, (starts, ends) in self._spans.items()}
        return found

    def spans(self) -> Iterator[tuple[Series, int, int]]:
        """Series, first and last number of each range, in order."""
        for series, (starts, ends) in sorted(self._spans.items()):
            yield from ((series, start, end) for start, end in zip(starts, ends, strict=True))

    def ranges(self) -> Iterator[tuple[str, str]]:
        """First and last serial of each range, in order."""
        for series, start, end in self.spans():
            yield text_of(series, start), text_of(series, end)

    def serials(self) -> Iterator[str]:
        """Every serial, in order."""
        for series, start, end in self.spans():
            yield from (text_of(series, number) for number in range(start, end + 1))
