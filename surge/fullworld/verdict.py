"""How a full world ended."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Verdict:
    """See the module.

    Attributes:
        problems: per checker what it found; only checkers that found something are in it.
        figures: counts, for reading.
        trace: digest of the story; equal for equal seeds.
    """

    seed: int
    problems: dict[str, list[str]]
    figures: dict[str, int] = field(default_factory=dict)
    story: tuple[str, ...] = ()
    trace: str = ""

    @property
    def is_green(self) -> bool:
        return not any(self.problems.values())

    @property
    def red(self) -> list[str]:
        """Names of the checkers that found something."""
        return [name for name, found in self.problems.items() if found]
