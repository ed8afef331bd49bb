"""Did the demo lose or double anything? Pure: figures in, named checks out.

What was planned (`surge.demo.plot`), what the desks answered, what the printers physically put out and what the
hub holds are four independent accounts; the checks compare them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surge.demo.plot import Plot


@dataclass(frozen=True, slots=True)
class Figures:
    """What everybody says at the end.

    Attributes:
        answers: every desk's answer lines, all offices together.
        events: the hub's log as ``hub export --what events`` gives it.
        status: ``hub status --json``.
        cases: ``hub cases --json``, open ones.
        digest, rebuilt_digest: ``hub digest`` before and after ``hub rebuild``.
        nodes: ``node status --json`` by node.
        sheets: physical sheets by office, as the printers noted them.
    """

    answers: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    status: Mapping[str, Any]
    cases: Sequence[Mapping[str, Any]]
    digest: str
    rebuilt_digest: str
    nodes: Mapping[str, Mapping[str, Any]]
    sheets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its answer. ``expected`` and ``found`` are shown side by side."""

    name: str
    expected: object
    found: object

    @property
    def holds(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One line of the closing table; what came to the desks must equal what was merged."""

    product: str
    came: int
    merged: int
    printed: int


def judge(plot: Plot, figures: Figures) -> list[Check]:
    """Every check, in the order in which people ask."""
    recorded = [str(answer["event"]) for answer in figures.answers if answer["ok"]]
    merged = Counter(str(event["event"]) for event in figures.events if event["kind"] == "recorded")
    printed = Counter(_card(event) for event in figures.events if _is_print(event))
    return [
        Check("people who came were recorded", len(plot.arrivals), len(recorded)),
        Check("recordings missing at the hub", 0, sum(event not in merged for event in recorded)),
        Check("recordings doubled at the hub", 0, sum(count - 1 for count in merged.values())),
        Check("events still waiting in an office", 0, sum(node["pending"] for node in figures.nodes.values())),
        Check("residents", plot.residents, figures.status["residents"]),
        Check("duplicates found", plot.duplicates, figures.status["duplicates"]),
        Check(
            "one NIK, two names: open cases",
            plot.conflicts,
            sum(case["kind"] == "nik_conflict" for case in figures.cases),
        ),
        Check(
            "sheets out of the printers = cards and papers in the hub",
            sum(figures.sheets.values()),
            printed.total(),
        ),
        Check("two cards for one (NIK, product, issue)", 0, sum(count - 1 for count in printed.values())),
        Check("quarantined frames", 0, figures.status["quarantined"]),
        Check("the state rebuilt from the log", figures.digest[:16], figures.rebuilt_digest[:16]),
    ]


def product_table(plot: Plot, figures: Figures) -> list[ProductRow]:
    """Planned, merged and printed by product."""
    recorded = plot.products
    merged = Counter(event["body"]["product"] for event in figures.events if event["kind"] == "recorded")
    printed = Counter(event["body"]["product"] for event in figures.events if _is_print(event))
    return [
        ProductRow(product, recorded[product], merged[product], printed[product])
        for product in sorted(recorded.keys() | merged.keys(), key=lambda one: -recorded[one])
    ]


def _is_print(event: Mapping[str, Any]) -> bool:
    return bool(event["kind"] == "card_moved" and event["body"]["state"] == "CARD_STATE_PRINTED")


def _card(event: Mapping[str, Any]) -> tuple[object, ...]:
    return event["nik"], event["body"]["product"], event["body"]["issue"]
