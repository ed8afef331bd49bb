"""How the queue and the printers are shown, as text and as JSON."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from node.cli.common import print_table
from node.cli.words import say
from node.printing.driver import PrinterState, PrinterUnreachableError, open_driver
from node.printing.outlook import OfficeDay
from sepe.dispatch.order import Waiting

PROBE_SECONDS = 3.0


async def stopped_printers(addresses: list[str]) -> dict[str, str]:
    """Printers that do not work now, and why."""

    async def look(address: str) -> str:
        driver = open_driver(address)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                report = await driver.report()
        except (PrinterUnreachableError, TimeoutError):
            return "unreachable"
        finally:
            await driver.close()
        return ",".join(report.reasons) or "stopped" if report.state is PrinterState.STOPPED else ""

    found = await asyncio.gather(*map(look, addresses))
    return {address: why for address, why in zip(addresses, found, strict=True) if why}


def day_document(day: OfficeDay, stopped: dict[str, str]) -> dict[str, object]:
    """The outlook and the printers, for ``--json``."""
    return {
        "now_ms": day.now_ms,
        "close_ms": day.seen.close_ms,
        "waiting": len(day.queue),
        "in_printers": day.in_printers,
        "in_doubt": day.in_doubt,
        "expected": day.expected,
        "done_by_close": day.seen.done_by_close,
        "left_at_close": day.seen.left_at_close,
        "last_ms": day.seen.played.last_ms or None,
        "binding": [str(one) for one in day.seen.binding],
        "blanks": day.blanks,
        "printers": [
            {
                "name": one.printer.name,
                "address": one.printer.address,
                "media": sorted(one.printer.media),
                "mode": str(one.printer.mode),
                "stopped": stopped.get(one.printer.address, ""),
                "in_hand": one.in_hand,
                "seconds_per_card": round(one.pace.ms_per_card / 1000, 1),
                "measured_cards": one.pace.samples,
                "cards_today": one.condition.cards_today,
                "cards_a_day": one.condition.limits.day_cards,
                "ribbon_left": one.condition.ribbon_left,
            }
            for one in day.stations
        ],
    }


def printer_table(day: OfficeDay, stopped: dict[str, str]) -> None:
    """The printers, one a line."""
    heads = (
        say("pencetak", "printer"), say("keadaan", "mode"), say("detik/kartu", "s/card"),
        say("hari ini", "today"), say("batas", "limit"), say("pita", "ribbon"), say("alamat", "address"),
    )  # fmt: skip
    print_table(
        heads,
        [
            (
                one.printer.name, stopped.get(one.printer.address) or str(one.printer.mode),
                f"{one.pace.ms_per_card / 1000:.0f}" + ("" if one.pace.samples else "?"),
                one.condition.cards_today,
                one.condition.limits.day_cards or "-",
                "-" if one.condition.ribbon_left is None else one.condition.ribbon_left, one.printer.address,
            )
            for one in day.stations
        ],
    )  # fmt: skip


def finish_of(day: OfficeDay, one: Waiting) -> int | None:
    """When the card will be out; ``None``: not in sight."""
    return day.seen.played.finish_ms.get(one.job)


def printer_of(day: OfficeDay, one: Waiting) -> str:
    """The name of the printer that will make it."""
    address = day.seen.played.machine.get(one.job, one.printer)
    return next((it.printer.name for it in day.stations if it.printer.address == address), "")


def product_of(one: Waiting) -> str:
    """The product of a card; of papers, that it is one."""
    return one.blank or one.media


def clock_of(day: OfficeDay, ms: int) -> str:
    """The time of day at this office; with the date when it is another day."""
    hours = day.policy.hours
    at = datetime.fromtimestamp(ms / 1000 + hours.offset_min * 60, UTC)
    is_today = hours.midnight_ms(ms) == hours.midnight_ms(day.now_ms)
    return f"{at:%H.%M}" if is_today else f"{at:%d-%m %H.%M}"
