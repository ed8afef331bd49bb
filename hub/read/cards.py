"""Rights and cards as an officer reads them."""

from __future__ import annotations

from typing import Any

from hub.dispatch.book import entry_of
from hub.merge.project import state_name
from hub.read.person import at_ms
from sepe.nik import NIK_DIGITS
from sepe_io.sqlite import Connection


def rights(connection: Connection, *, node: str = "", only_waiting: bool = False) -> list[dict[str, Any]]:
    """Rights that moved or that somebody waits for, by NIK; of one ``node``: those it holds or waits for."""
    waiting: dict[tuple[int, str, int], list[str]] = {}
    for nik, product, issue, name in connection.execute(
        "SELECT nik, product, issue, node FROM right_wish ORDER BY wished_ms, node"
    ):
        waiting.setdefault((nik, product, issue), []).append(name)
    keys = set(waiting)
    if not only_waiting:
        keys |= set(connection.execute("SELECT nik, product, issue FROM print_right").fetchall())
    found = []
    for nik, product, issue in sorted(keys):
        entry, _ = entry_of(connection, nik, product, issue)
        names = waiting.get((nik, product, issue), [])
        if node and node != entry.holder and node not in names:
            continue
        asked = connection.execute(
            "SELECT asked_ms, kept FROM right_ask WHERE nik = ? AND product = ? AND issue = ? AND fence = ?",
            (nik, product, issue, entry.fence),
        ).fetchone()
        found.append(
            {
                "nik": str(nik).zfill(NIK_DIGITS), "product": product, "issue": issue, "holder": entry.holder,
                "fence": entry.fence, "waiting": names, "asked": at_ms(asked[0]) if asked else None,
                "kept": asked[1] if asked else "",
            }
        )  # fmt: skip
    return found


def forced(connection: Connection, node: str = "") -> list[dict[str, Any]]:
    """Cards that a supervisor had made without the right, incomplete or before the proven day, latest first."""
    rows = connection.execute(
        "SELECT nik, product, issue, attempt, node, serial, state, reason, at_ms, forced FROM forced_card"
        " WHERE ?1 = '' OR node = ?1 ORDER BY at_ms DESC, nik",
        (node,),
    )
    return [
        {
            "nik": str(nik).zfill(NIK_DIGITS), "product": product, "issue": issue, "attempt": attempt,
            "node": made_by, "serial": serial, "state": state_name(state), "reason": reason, "at": at_ms(made_ms),
            "without": forced_.split(),
        }
        for nik, product, issue, attempt, made_by, serial, state, reason, made_ms, forced_ in rows
    ]  # fmt: skip


def recalled(connection: Connection, node: str = "") -> list[dict[str, Any]]:
    """Cards to be collected, by the office that made them and must collect them, oldest first."""
    rows = connection.execute(
        "SELECT nik, product, issue, attempt, node, serial, reason, at_ms FROM recalled_card"
        " WHERE ?1 = '' OR node = ?1 ORDER BY node, at_ms, nik",
        (node,),
    )
    return [
        {
            "nik": str(nik).zfill(NIK_DIGITS), "product": product, "issue": issue, "attempt": attempt,
            "node": made_by, "serial": serial, "reason": reason, "why": reason, "at": at_ms(made_ms),
        }
        for nik, product, issue, attempt, made_by, serial, reason, made_ms in rows
    ]  # fmt: skip
