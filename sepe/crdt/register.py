"""A last-writer-wins register that keeps the losers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from sepe.crdt.version import Version

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Register(Generic[T]):
    """Every write ever made to one field; the greatest version is its value.

    A plain last-writer-wins register forgets what lost. Here two offices may both be right about the past,
    and no value may disappear silently, so the join is the union of the writes.
    """

    writes: frozenset[tuple[Version, T]] = frozenset()

    @classmethod
    def write(cls, version: Version, value: T) -> Register[T]:
        return cls(frozenset({(version, value)}))

    def join(self, other: Register[T]) -> Register[T]:
        return Register(self.writes | other.writes)

    @property
    def top(self) -> tuple[Version, T] | None:
        """The winning write, ``None`` before the first."""
        return max(self.writes, key=lambda write: write[0], default=None)

    @property
    def history(self) -> tuple[tuple[Version, T], ...]:
        """The writes that lost, latest first, without those that only repeat the winner's value."""
        top = self.top
        losers = (write for write in self.writes if top is not None and write[1] != top[1])
        return tuple(sorted(losers, key=lambda write: write[0], reverse=True))
