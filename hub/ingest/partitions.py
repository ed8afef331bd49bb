"""How many partitions the offices' frames are spread over, and which of them a process takes.

The count is the hub's own setting, kept in its database, and told to the offices with each word over NATS. Running
processes read it again and again, so it can be changed at any time, with frames on their way. No order needs care:
frames are contiguous runs of a signed chain, so one that overtakes another in a different partition is a gap, one
that comes twice a duplicate, and the office sends again what the hub does not acknowledge.
"""

from __future__ import annotations

from dataclasses import dataclass

from sepe.errors import InvalidInputError
from sepe.ids import PARTITIONS, PARTITIONS_MAX
from sepe_io.sqlite import Connection

_SETTING = "partitions"


@dataclass(frozen=True, slots=True)
class Share:
    """Which partitions a process takes: those whose number, modulo ``base``, is among ``numbers``.

    So the processes of one hub, whose shares of one base leave nothing out, leave nothing out of any count either.
    """

    numbers: frozenset[int] = frozenset(range(PARTITIONS))
    base: int = PARTITIONS

    def __str__(self) -> str:
        return f"{','.join(map(str, sorted(self.numbers)))}/{self.base}"

    def takes(self, partition: int) -> bool:
        """Whether the partition is this process's."""
        return partition % self.base in self.numbers

    def of(self, count: int) -> set[int]:
        """The partitions to consume: of the ``count``, and always those that offices begin with."""
        return {partition for partition in range(max(count, PARTITIONS)) if self.takes(partition)}

    @classmethod
    def held(cls, numbers: frozenset[int]) -> Share:
        """Exactly these partitions, whatever the count."""
        return cls(numbers, PARTITIONS_MAX)

    @classmethod
    def parse(cls, text: str) -> Share:
        """The share of ``0-3``, ``0,2,5`` or ``0-7/16``; without a base, of `PARTITIONS`.

        Raises:
            InvalidInputError: it is none of these.
        """
        listed, _, base_text = text.partition("/")
        base = _number(base_text) if base_text or text.endswith("/") else PARTITIONS
        found: set[int] = set()
        for part in listed.split(","):
            first, _, last = part.partition("-")
            start, end = _number(first), _number(last or first)
            if not 0 < base <= PARTITIONS_MAX or not 0 <= start <= end < base:
                raise InvalidInputError(
                    f"partitions go from 0 to {base - 1 if base > 0 else PARTITIONS - 1}", field="--partitions",
                    value=text, hint="Example: 0-3, or 0-7/16 for half of sixteen.",
                )  # fmt: skip
            found.update(range(start, end + 1))
        return cls(frozenset(found), base)


EVERYTHING = Share()
NOTHING = Share(frozenset())


def count(connection: Connection) -> int:
    """Over how many partitions the offices spread their frames."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_SETTING,)).fetchone()
    return PARTITIONS if row is None else int(row[0])


def set_count(connection: Connection, wanted: int) -> None:
    """Change the count, inside a transaction; running processes follow within seconds.

    Raises:
        InvalidInputError: it is not from 1 to `PARTITIONS_MAX`.
    """
    if not 1 <= wanted <= PARTITIONS_MAX:
        raise InvalidInputError(f"a count from 1 to {PARTITIONS_MAX}", field="N", value=wanted)
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (_SETTING, str(wanted).encode()))


def _number(text: str) -> int:
    """-1 for what is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else -1
