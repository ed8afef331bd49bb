"""What a benchmark brings: a figure, the reference of the same run, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

REACHED, MISSED, NONE = "reached", "missed", ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted of a row; every bound that is given must hold.

    Attributes:
        ratio_min, ratio_max: bounds of value over reference.
        value_min, value_max: bounds of the value, in the row's unit.
    """

    ratio_min: float | None = None
    ratio_max: float | None = None
    value_min: float | None = None
    value_max: float | None = None

    def is_reached(self, value: float, ratio: float | None) -> bool:
        """Whether all bounds hold; a bound on a ratio that there is none of does not."""
        return _within(value, self.value_min, self.value_max) and (
            (self.ratio_min is None and self.ratio_max is None)
            or (ratio is not None and _within(ratio, self.ratio_min, self.ratio_max))
        )

    def __str__(self) -> str:
        bounds = (
            ("≥ {:g} ×", self.ratio_min), ("≤ {:g} ×", self.ratio_max),
            ("≥ {:,g}", self.value_min), ("≤ {:,g}", self.value_max),
        )  # fmt: skip
        return ", ".join(text.format(bound) for text, bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        reference: what ran beside it in the same run; ``""`` where there is nothing to compare with.
        target: what is wanted; ``None`` for a figure that is only to be known.
    """

    name: str
    value: float
    unit: str
    reference: str = ""
    reference_value: float | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """Value over reference."""
        return self.value / self.reference_value if self.reference_value else None

    @property
    def verdict(self) -> str:
        """``reached`` or ``missed``; ``""`` where nothing is wanted."""
        if self.target is None:
            return NONE
        return REACHED if self.target.is_reached(self.value, self.ratio) else MISSED

    @classmethod
    def of(cls, given: Row | Mapping[str, Any]) -> Row:
        """A row as a module gave it; a mapping may name a target by its bounds, as ``{"ratio_min": 2.0}``."""
        if isinstance(given, Row):
            return given
        target = given.get("target")
        return cls(
            given["name"], given["value"], given["unit"], str(given.get("reference") or ""),
            given.get("reference_value"), Target(**target) if isinstance(target, Mapping) else target,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """All of it, ratio and verdict included."""
        return {**asdict(self), "ratio": self.ratio, "verdict": self.verdict}


def shown(number: float | None) -> str:
    """A figure with four digits that mean something."""
    if number is None:
        return ""
    return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"


def _within(number: float, least: float | None, most: float | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)
