"""Two results side by side: what got better, what got worse. Pure.

A figure has changed when it moved by more than `NOISE` of the greater; two runs of one program differ by that.
Counts of what must not happen have no noise: one more is worse.
"""

from __future__ import annotations

from dataclasses import dataclass

from surge.run.amounts import amount
from surge.run.result import Result

NOISE = 0.1
# Below this a time is the scheduler's.
NOISE_S = 0.02


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both runs. ``direction``: 1 better, -1 worse, 0 the same."""

    key: str
    title: str
    before: float
    after: float
    unit: str
    direction: int

    @property
    def before_text(self) -> str:
        return amount(self.before, self.unit)

    @property
    def after_text(self) -> str:
        return amount(self.after, self.unit)

    @property
    def ratio_text(self) -> str:
        """`` (×1.40)`` where that says something."""
        return f" (×{self.after / self.before:.2f})" if self.before and self.direction else ""


@dataclass(frozen=True, slots=True)
class _Figure:
    title: str
    value: float | None
    unit: str
    less_is_better: bool = True
    is_exact: bool = False


def compare(before: Result, after: Result) -> list[Change]:
    """Every figure that both have, the worse ones first, then the better."""
    was, now = _figures(before), _figures(after)
    changes = []
    for key, figure in now.items():
        old = was.get(key)
        if old is not None and old.value is not None and figure.value is not None:
            changes.append(
                Change(key, figure.title, old.value, figure.value, figure.unit, _direction(old.value, figure))
            )
    return sorted(changes, key=lambda one: ((-1, 1, 0).index(one.direction), one.key))


def unlike(before: Result, after: Result) -> list[str]:
    """Why the two can hardly be compared, in sentences; empty when they can."""
    found = []
    if before.scenario.name != after.scenario.name:
        found.append(f"another scenario: {before.scenario.name}")
    if before.scenario.offices != after.scenario.offices:
        found.append(f"{before.scenario.offices} machines then, {after.scenario.offices} now")
    if before.run.faster != after.run.faster:
        found.append(f"{before.run.faster:g} times real time then, {after.run.faster:g} now")
    if before.scenario.events != after.scenario.events:
        found.append(f"{before.scenario.events:,} recordings then, {after.scenario.events:,} now")
    if (before.machine.processor, before.machine.cores) != (after.machine.processor, after.machine.cores):
        found.append(f"another machine: {before.machine.processor}, {before.machine.cores} cores")
    return found


def _direction(before: float, figure: _Figure) -> int:
    after = figure.value
    assert after is not None
    moved = abs(after - before)
    least = 0.0 if figure.is_exact else NOISE * max(abs(before), abs(after))
    if figure.unit == "s":
        least = max(least, NOISE_S)
    if moved <= least:
        return 0
    return 1 if (after < before) is figure.less_is_better else -1


def _figures(result: Result) -> dict[str, _Figure]:
    found = {}
    for one in result.thresholds:
        found[one.key] = _Figure(
            one.title,
            one.value,
            one.unit,
            one.comparison != ">=",
            is_exact=one.limit == 0 and one.comparison == "<=",
        )
    for link in result.latency:
        found[f"ack_p95_s:{link.link}"] = _Figure(
            f"commit to durable ack, 95 of 100, {link.link}", link.p95_s, "s"
        )
        found[f"ack_p99_s:{link.link}"] = _Figure(
            f"commit to durable ack, 99 of 100, {link.link}", link.p99_s, "s"
        )
    found["catch_up_p95_s"] = _Figure("coming level after a line returned, 95 of 100", result.catch_up.p95_s, "s")
    found["fairness"] = _Figure("fairness of catching up", result.catch_up.fairness, "", less_is_better=False)
    found["bytes_per_event"] = _Figure("bytes on the line per event", result.totals.bytes_per_event, "bytes/event")
    if result.hub.cpu_s and result.totals.acked:
        found["hub_cpu_us"] = _Figure(
            "CPU of the hub per event, µs", round(result.hub.cpu_s / result.totals.acked * 1e6, 1), ""
        )
        found["hub_memory"] = _Figure("most memory of the hub", float(result.hub.memory_max_bytes), "bytes")
    if result.printers is not None:
        found["cards"] = _Figure("cards", float(sum(result.printers.cards)), "", less_is_better=False)
    return found
