"""What a check of a whole run says: a question, what the answer must be, and what was found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its answer. ``expected`` and ``found`` are shown side by side."""

    name: str
    expected: object
    found: object

    @property
    def holds(self) -> bool:
        return self.expected == self.found
