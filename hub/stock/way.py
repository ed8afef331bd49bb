"""The way of one serial: every report that names it, and where it is now."""

from __future__ import annotations

from typing import Any

from hub.read.person import at_ms
from hub.stock.index import books
from sepe.ids import HUB_NODE
from sepe.serials import number_of, span_of
from sepe.stock import Movement, StockBooks
from sepe_io.sqlite import Connection


def way(index: Connection, serial: str) -> list[dict[str, Any]]:
    """One entry for each product that has this serial: ``now`` (where it is) and ``reports``, oldest first.

    Raises:
        InvalidInputError: not a serial.
    """
    series, number = number_of(serial)
    reports: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for node, ms, product, movement, first, last, other in index.execute(
        "SELECT node, at_ms, product, movement, first, last, other_node FROM move WHERE movement <> ?",
        (str(Movement.COUNTED),),
    ):
        its_series, start, end = span_of(first, last)
        if its_series == series and start <= number <= end:
            said = {"at": at_ms(ms), "node": node, "what": movement, "other_node": other}
            reports.setdefault(product, []).append((ms, said))
    for product, node, attempt, printed, spoiled in index.execute(
        "SELECT product, node, attempt, printed_ms, spoiled_ms FROM spent WHERE serial = ?", (serial,)
    ):
        for ms, what in ((printed, "printed"), (spoiled, "spoiled")):
            if ms:
                said = {"at": at_ms(ms), "node": node, "what": what, "attempt": attempt}
                reports.setdefault(product, []).append((ms, said))
    known = books(index)
    return [
        {
            "product": product,
            "serial": serial,
            "now": _now(known, product, serial),
            "reports": [said for _, said in sorted(listed, key=lambda one: one[0])],
        }
        for product, listed in sorted(reports.items())
    ]


def _now(known: StockBooks, product: str, serial: str) -> list[str]:
    """Every place that has it; more than one is a conflict."""
    found = []
    for one in known.machines:
        if one.product != product:
            continue
        for name, serials in (("at hand", one.held), ("spent", one.spent), ("lost", one.lost)):
            if serial in serials:
                found.append(f"{name} at {one.node}")
    for transit in known.transits:
        if transit.product == product and serial in transit.serials:
            sender = "allotted" if transit.sender == HUB_NODE else f"on the way from {transit.sender}"
            found.append(f"{sender} to {transit.receiver}")
    return found
