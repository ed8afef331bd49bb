"""What a trial says at its end, and how the hub is judged: nothing lost, nothing twice, the same digest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hub.merge.digest import digest
from hub.merge.store import HubStore
from hub.read.status import counts
from node.clock import now_ms
from surge.check import Check
from surge.drain.offices import START_MS, Backlog, enrol, frames_of
from surge.trials.crowd import Crowd

MERGE_FRAMES = 32


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
            "checks": [
                {"name": one.name, "expected": one.expected, "found": one.found, "holds": one.holds}
                for one in self.checks
            ],
            "waits": self.waits, "figures": self.figures,
        }  # fmt: skip

    def text(self) -> str:
        """For people."""
        rows = [f"{phase}: {json.dumps(found)}" for phase, found in self.waits.items()]
        rows += [f"{name}: {json.dumps(found)}" for name, found in self.figures.items()]
        for one in self.checks:
            wanted = "" if one.holds else f", expected {json.dumps(one.expected)}"
            rows.append(f"{'held  ' if one.holds else 'BROKEN'} {one.name}: {json.dumps(one.found)}{wanted}")
        return "\n".join(rows)


def judge(crowd: Crowd, hub_dir: Path, folder: Path, report: TrialReport) -> None:
    """Compare the hub with one SQLite hub that is given the same outboxes by hand. Nobody may write any more."""
    report.waits = crowd.figures()
    with HubStore.open(hub_dir) as store:
        store.project()
        found, told = counts(store.connection), digest(store.connection).digest
        broken = store.connection.execute(
            "SELECT COUNT(*) FROM epoch e WHERE e.durable_seq <>"
            " (SELECT COALESCE(SUM(last_seq - first_seq + 1 - skip), 0) FROM frame f"
            "  WHERE f.node = e.node AND f.epoch = e.epoch)"
        ).fetchone()[0]
    expected = _digest_by_hand(crowd.made, folder / "reference")
    report.checks += [
        Check("recordings confirmed at an office", crowd.recorded, len(crowd.waits)),
        Check("recordings at the hub", crowd.recorded, found.events),
        Check("histories that are not whole, or hold an event twice", 0, int(broken)),
        Check("frames in quarantine", 0, found.quarantined),
        Check("digest, as of one SQLite hub with the same frames", expected, told),
    ]


def _digest_by_hand(made: Sequence[Backlog], directory: Path) -> str:
    with HubStore.create(directory, now_ms=START_MS) as store:
        enrol(store, made, now_ms=START_MS)
        for one in made:
            frames = list(frames_of(one, received_ms=now_ms()))
            for start in range(0, len(frames), MERGE_FRAMES):
                store.merge(frames[start : start + MERGE_FRAMES])
        store.project()
        return digest(store.connection).digest
