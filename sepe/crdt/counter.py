"""A counter that each node raises for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeCounter:
    """Grow-only counter: one total per node, joined by the greater (Shapiro et al. 2011, G-Counter)."""

    totals: Mapping[str, int] = field(default_factory=dict)

    def add(self, node: str, amount: int) -> NodeCounter:
        """``amount`` more at ``node``; must not be negative."""
        assert amount >= 0
        return NodeCounter({**self.totals, node: self.totals.get(node, 0) + amount})

    def join(self, other: NodeCounter) -> NodeCounter:
        nodes = self.totals.keys() | other.totals.keys()
        return NodeCounter({node: max(self.totals.get(node, 0), other.totals.get(node, 0)) for node in nodes})

    @property
    def value(self) -> int:
        return sum(self.totals.values())
