"""The day's report: every recording counted once, in parts that add up. Source of the rule: a press table of
September 2024 whose parts add to 6,334 under a total of 9,062 (DOMAIN §1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from node.storage.store import NodeStore
from sepe.products import PRODUCTS

# What may become of a recording, as `node.desk.plan` says it.
STATUSES = ("queued", "not_yet_due", "on_hold", "already_requested", "recorded")


# Those that asked for something to be printed; each has one wish in the ledger.
ASKED = ("queued", "not_yet_due", "on_hold")


@dataclass(frozen=True, slots=True)
class ProductLine:
    """One product's row of the report.

    Attributes:
        parts: status at the desk, to how many recordings of the day.
        prints: how far what was asked for that day has come by now, by the state of its last attempt.
    """

    product: str
    parts: Mapping[str, int] = field(default_factory=dict)
    prints: Mapping[str, int] = field(default_factory=dict)

    @property
    def recorded(self) -> int:
        return sum(self.parts.values())

    @property
    def closes(self) -> bool:
        """Every recording that asked for a print is in the ledger, and nothing is there that was not asked for."""
        return sum(self.parts.get(status, 0) for status in ASKED) == sum(self.prints.values())


@dataclass(frozen=True, slots=True)
class DayReport:
    """All products of one day, in the order of the product list."""

    day: date
    lines: tuple[ProductLine, ...]

    @property
    def recorded(self) -> int:
        return sum(line.recorded for line in self.lines)

    @property
    def closes(self) -> bool:
        return all(line.closes for line in self.lines)


def day_report(store: NodeStore, day: date) -> DayReport:
    """The report of one day at this machine."""
    parts: dict[str, dict[str, int]] = {product: {} for product in PRODUCTS}
    prints: dict[str, dict[str, int]] = {product: {} for product in PRODUCTS}
    for product, status, count in store.connection.execute(
        "SELECT product, status, count FROM tally WHERE day = ?", (day.isoformat(),)
    ):
        parts[product][status] = count
    for product, state, count in store.connection.execute(
        "SELECT product, (SELECT state FROM job last WHERE last.nik = job.nik AND last.product = job.product "
        "AND last.issue = job.issue ORDER BY id DESC LIMIT 1) AS now, count(*) FROM job WHERE asked_day = ? "
        "GROUP BY product, now",
        (day.isoformat(),),
    ):
        prints[product][state] = count
    return DayReport(day, tuple(ProductLine(product, parts[product], prints[product]) for product in PRODUCTS))
