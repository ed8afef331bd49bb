"""What a check of a whole run says: a question, what the answer must be, and what was found."""

from __future__ import annotations

import json
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

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        return {"name": self.name, "expected": self.expected, "found": self.found, "holds": self.holds}

    def text(self) -> str:
        """One line for people."""
        if self.holds:
            return f"held   {self.name}: {json.dumps(self.found)}"
        return f"BROKEN {self.name}: {json.dumps(self.found)}, expected {json.dumps(self.expected)}"
