"""What a trial says at its end, and how the hub is judged: nothing lost, nothing twice, the same digest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from surge.check import Check
from surge.drain.judge import held_against_one_hub
from surge.trials.crowd import Crowd


@dataclass(slots=True)
class TrialReport:
    """``waits``: by phase, see `Crowd.figures`. ``figures``: whatever else was measured."""

    name: str
    checks: list[Check] = field(default_factory=list)
    waits: dict[str, dict[str, object]] = field(default_factory=dict)
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(one.holds for one in self.checks)

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "trial": self.name, "verdict": "kept" if self.passed else "broken",
            "checks": [one.document() for one in self.checks],
            "waits": self.waits, "figures": self.figures,
        }  # fmt: skip

    def text(self) -> str:
        """For people."""
        rows = [f"{phase}: {json.dumps(found)}" for phase, found in self.waits.items()]
        rows += [f"{name}: {json.dumps(found)}" for name, found in self.figures.items()]
        return "\n".join([*rows, *(one.text() for one in self.checks)])


def judge(crowd: Crowd, hub_dir: Path, folder: Path, report: TrialReport) -> None:
    """Compare the hub with one SQLite hub that is given the same outboxes by hand. Nobody may write any more."""
    report.waits = crowd.figures()
    report.checks.append(Check("recordings confirmed at an office", crowd.recorded, len(crowd.waits)))
    report.checks += held_against_one_hub(crowd.made, hub_dir, folder / "reference", crowd.recorded)
