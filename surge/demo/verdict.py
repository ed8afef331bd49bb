"""Did the demo lose or double anything? Pure: figures in, named checks out.

What was planned (`surge.demo.plot`), what the desks answered, what the printers physically put out and what the
hub holds are four independent accounts; the checks compare them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surge.check import Check
from surge.demo.plot import Plot

OUT_OF_PRINTER = frozenset({"printed", "handed_over"})


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
        jobs: ``node prints --json`` of all offices together.
        sheets: physical sheets by office, as the printers noted them.
    """

    answers: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    status: Mapping[str, Any]
    cases: Sequence[Mapping[str, Any]]
    digest: str
    rebuilt_digest: str
    nodes: Mapping[str, Mapping[str, Any]]
    jobs: Sequence[Mapping[str, Any]]
    sheets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One line of the closing table. It closes when each person who came is in exactly one of the right columns.

    Attributes:
        came: planned visits; ``merged``: recordings at the hub.
        printed: documents out of a printer.
        waiting: print jobs that wait for a right, a due day, a decision.
        asked_again: the document was already on its way, so nothing new was printed.
        nothing_to_print: IKD lives on the phone.
    """

    product: str
    came: int
    merged: int
    printed: int
    waiting: int
    asked_again: int
    nothing_to_print: int

    @property
    def closes(self) -> bool:
        return self.came == self.merged == self.printed + self.waiting + self.asked_again + self.nothing_to_print


def judge(plot: Plot, figures: Figures) -> list[Check]:
    """Every check, in the order in which people ask."""
    recorded = [str(answer["event"]) for answer in figures.answers if answer["ok"]]
    merged = Counter(str(event["event"]) for event in figures.events if event["kind"] == "recorded")
    printed = Counter(_card(event) for event in figures.events if _is_print(event))
    rows = product_table(plot, figures)
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
        Check("products whose line in the table does not close", 0, sum(not row.closes for row in rows)),
        Check("quarantined frames", 0, figures.status["quarantined"]),
        Check("the state rebuilt from the log", figures.digest[:16], figures.rebuilt_digest[:16]),
    ]


def product_table(plot: Plot, figures: Figures) -> list[ProductRow]:
    """One row per product, most wanted first."""
    product_of = {
        event["event"]: event["body"]["product"] for event in figures.events if event["kind"] == "recorded"
    }
    merged = Counter(product_of.values())
    printed = Counter(event["body"]["product"] for event in figures.events if _is_print(event))
    waiting = Counter(job["product"] for job in figures.jobs if job["state"] not in OUT_OF_PRINTER)
    answered: dict[str, Counter[str]] = {"already_requested": Counter(), "recorded": Counter()}
    for answer in figures.answers:
        if answer["status"] in answered:
            answered[answer["status"]][product_of.get(answer["event"], "")] += 1
    return [
        ProductRow(
            product,
            came,
            merged[product],
            printed[product],
            waiting[product],
            answered["already_requested"][product],
            answered["recorded"][product],
        )
        for product, came in plot.products.most_common()
    ]


def _is_print(event: Mapping[str, Any]) -> bool:
    return bool(event["kind"] == "card_moved" and event["body"]["state"] == "CARD_STATE_PRINTED")


def _card(event: Mapping[str, Any]) -> tuple[object, ...]:
    return event["nik"], event["body"]["product"], event["body"]["issue"]
