"""Printers that tell when a card is out, printers that only say so, and printers that can but be asked."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from node.printing.driver import Document, JobOutcome, PrinterState, open_driver
from node.printing.ipp.registry import Operation
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.storage.store import NodeStore
from surge.printer import LineFault, Tells, VirtualPrinter
from tests.integration.test_ipptool import run_suite
from tests.support.cups import cups_queue
from tests.support.office import NOW_MS, line, make_office, record
from tests.support.printing import card_document

CARDS, PACE_S = 4, 0.4


class Maker:
    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        return lambda: card_document(job.name)


async def print_batch(folder: Path, printer: VirtualPrinter) -> None:
    """A running press prints every card."""
    store = make_office(folder, blanks=CARDS)
    record(store, *(line(f"537104410190{9001 + number}") for number in range(CARDS)))
    own = NodeStore.open(folder)
    press = Press(own, open_driver(printer.url), Maker(), printer=printer.url, rights=None, now_ms=lambda: NOW_MS)
    stop = asyncio.Event()
    running = asyncio.create_task(press.run(stop))
    ledger = Ledger(store)
    async with asyncio.timeout(20):
        while ledger.counts() != {"printed": CARDS}:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
    stop.set()
    await running
    await press.close()
    own.close()
    store.close()


async def test_a_printer_that_tells_is_asked_far_less_for_the_same_cards(tmp_path: Path) -> None:
    asked = {}
    for tells in (Tells.NEVER, Tells.WAITS):
        async with VirtualPrinter(pace_s=PACE_S, tells=tells) as printer:
            await print_batch(tmp_path / tells, printer)
            assert len(printer.tray) == CARDS
            asked[tells] = printer.requests
    assert asked[Tells.WAITS]["CREATE_PRINTER_SUBSCRIPTIONS"] == 1
    assert asked[Tells.NEVER]["CREATE_PRINTER_SUBSCRIPTIONS"] == asked[Tells.NEVER]["GET_NOTIFICATIONS"] == 0
    questions = {tells: requests["GET_JOB_ATTRIBUTES"] for tells, requests in asked.items()}
    assert questions[Tells.WAITS] <= 3 * CARDS < 5 * CARDS <= questions[Tells.NEVER], asked
    assert asked[Tells.WAITS]["GET_NOTIFICATIONS"] <= 3 * CARDS, asked


async def test_news_of_a_card_comes_when_it_is_out_and_news_of_other_jobs_does_not_count() -> None:
    async with VirtualPrinter(pace_s=0.2, jobs_max=2) as printer:
        driver, other = open_driver(printer.url), open_driver(printer.url)
        await driver.report()
        await other.submit(card_document("other"))
        await driver.submit(card_document("ours"))
        assert await driver.news("ours", poll_s=60, quiet_s=10)
        assert len(printer.tray) == 2 and await driver.outcome("ours") is JobOutcome.PRINTED
        await driver.close()
        assert printer.engine.events.all() == []


@pytest.mark.parametrize("trouble", ["power cut", "cable", "refusal"])
async def test_a_subscription_that_is_gone_is_asked_for_again_and_the_card_is_found_by_asking(
    trouble: str,
) -> None:
    async with VirtualPrinter(pace_s=0.05) as printer:
        driver = open_driver(printer.url)
        await driver.report()
        await driver.submit(card_document("one"))
        assert await driver.news("one", poll_s=60, quiet_s=5)
        match trouble:
            case "power cut":
                await printer.restart()
            case "cable":
                await printer.unplug()
                await printer.plug()
            case "refusal":
                printer.engine.events.cancel(1)
        await driver.submit(card_document("two"))
        async with asyncio.timeout(5):
            while await driver.outcome("two") is not JobOutcome.PRINTED:
                await driver.news("two", poll_s=0.01, quiet_s=1)
        await driver.submit(card_document("three"))
        assert await driver.news("three", poll_s=60, quiet_s=5), "it tells again"
        assert len(printer.tray) == 3


async def test_a_printer_that_answers_at_once_is_polled_and_left_without_a_subscription() -> None:
    async with VirtualPrinter(pace_s=0.2, tells=Tells.AT_ONCE) as printer:
        driver = open_driver(printer.url)
        await driver.report()
        await driver.submit(card_document("one"))
        assert not await driver.news("one", poll_s=0.01, quiet_s=5)
        assert not await driver.news("one", poll_s=0.01, quiet_s=5)
        assert printer.requests["GET_NOTIFICATIONS"] == 1 and printer.engine.events.all() == []


@pytest.mark.parametrize("fault", [LineFault.HANG_UP, LineFault.GARBAGE])
@pytest.mark.parametrize("operation", [Operation.CREATE_PRINTER_SUBSCRIPTIONS, Operation.GET_NOTIFICATIONS])
async def test_a_line_that_fails_while_subscribing_or_listening_costs_nothing_but_the_news(
    fault: LineFault, operation: Operation
) -> None:
    async with VirtualPrinter(pace_s=0.05) as printer:
        driver = open_driver(printer.url)
        await driver.report()
        printer.break_next(fault, operation)
        await driver.submit(card_document("one"))
        async with asyncio.timeout(5):
            while await driver.outcome("one") is not JobOutcome.PRINTED:
                await driver.news("one", poll_s=0.01, quiet_s=1)
        assert len(printer.tray) == 1


async def test_cups_takes_a_subscription_and_is_polled_because_it_does_not_wait() -> None:
    # A printer that is switched off: the job stays, nothing happens, and CUPS has nothing to tell.
    async with cups_queue("socket://127.0.0.1:1") as server:
        driver = open_driver(f"ipp://{server}/printers/kartu")
        assert (await driver.report()).state is PrinterState.IDLE
        await driver.submit(card_document("one"))
        async with asyncio.timeout(8):
            while await driver.news("one", poll_s=0.05, quiet_s=2):
                pass
        assert await driver.outcome("one") in (JobOutcome.PENDING, JobOutcome.PRINTING)
        await driver.cancel("one")
        await driver.close()


async def test_ipptool_subscribes_and_reads_its_subscription(tmp_path: Path) -> None:
    for suite in ("create-printer-subscription.test", "get-subscriptions.test"):
        shutil.copy(f"/usr/share/cups/ipptool/{suite}", tmp_path)
    (tmp_path / "card.pdf").write_bytes(card_document("x").data)
    async with VirtualPrinter() as printer:
        for suite in ("create-printer-subscription.test", "get-subscriptions.test"):
            verdict = await run_suite(tmp_path, suite, printer.url)
            assert verdict.code == 0 and verdict.passed and not verdict.failed, verdict.output
        assert len(printer.engine.events.all()) == 1
