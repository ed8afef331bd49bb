"""What each kind of trouble inside a printer looks like through its driver."""

from __future__ import annotations

import pytest

from node.printing.driver import (
    JobOutcome,
    Media,
    PrinterBusyError,
    PrinterState,
    open_driver,
)
from surge.printer import VirtualPrinter
from tests.support.drivers import settled
from tests.support.printing import card_document


async def test_a_printer_with_a_job_is_busy_and_prints_only_the_first() -> None:
    async with VirtualPrinter(pace_s=0.05) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        with pytest.raises(PrinterBusyError):
            await driver.submit(card_document("job-2"))
        report = await driver.report()
        assert (report.state, report.queued) == (PrinterState.PRINTING, 1)
        await printer.until(lambda: not printer.engine.unfinished)
        assert await driver.outcome("job-2") is JobOutcome.UNKNOWN
        assert [sheet.job_name for sheet in printer.tray] == ["job-1"]


async def test_a_printer_that_takes_no_jobs_is_busy_not_refusing() -> None:
    async with VirtualPrinter() as printer:
        printer.accept_jobs(False)
        driver = open_driver(printer.url)
        assert not (await driver.report()).accepting
        with pytest.raises(PrinterBusyError):
            await driver.submit(card_document("job-1"))


async def test_two_sides_are_one_card_and_copies_are_several() -> None:
    async with VirtualPrinter() as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1", copies=3))
        await settled(driver, "job-1", until=JobOutcome.PRINTED)
        assert [(sheet.job_name, sheet.media) for sheet in printer.tray] == [("job-1", Media.CARD)] * 3


async def test_a_jam_spoils_one_card_and_the_job_is_finished_after_clearing() -> None:
    async with VirtualPrinter(pace_s=0.2, grip_fraction=0.0) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        await printer.until(lambda: printer.engine.is_gripped)
        printer.jam()
        await printer.until(lambda: bool(printer.spoiled))
        report = await driver.report()
        assert (report.state, report.reasons) == (PrinterState.STOPPED, ("media-jam-error",))
        assert await driver.outcome("job-1") is JobOutcome.PRINTING
        printer.clear_jam()
        await settled(driver, "job-1", until=JobOutcome.PRINTED)
        assert (len(printer.tray), len(printer.spoiled)) == (1, 1)


async def test_a_printer_may_give_up_a_job_over_a_jam() -> None:
    async with VirtualPrinter(pace_s=60) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        printer.jam(abort=True)
        await settled(driver, "job-1", until=JobOutcome.ABORTED)
        assert printer.tray == []


@pytest.mark.parametrize(
    ("supply", "reason"), [("blanks", "media-empty-error"), ("ribbon", "marker-supply-empty-error")]
)
async def test_an_empty_supply_stops_after_the_last_card_until_it_is_loaded(supply: str, reason: str) -> None:
    async with VirtualPrinter(**{supply: 2}) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1", copies=3))
        await printer.until(lambda: reason in printer.engine.stoppers)
        await settled(driver, "job-1", until=JobOutcome.PRINTING)
        assert len(printer.tray) == 2 and reason in (await driver.report()).reasons
        printer.load(**{supply: 100})
        await settled(driver, "job-1", until=JobOutcome.PRINTED)
        assert len(printer.tray) == 3


async def test_a_hot_printer_rests_and_goes_on_by_itself() -> None:
    async with VirtualPrinter(heat_after=2, heat_pause_s=0.1) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1", copies=3))
        await printer.until(lambda: printer.engine.is_hot)
        report = await driver.report()
        assert report.reasons == ("fuser-over-temp-warning",) and len(printer.tray) == 2
        await settled(driver, "job-1", until=JobOutcome.PRINTED)
        assert len(printer.tray) == 3


async def test_an_open_cover_stops_the_printer_until_it_is_closed() -> None:
    async with VirtualPrinter() as printer:
        driver = open_driver(printer.url)
        printer.open_cover()
        await driver.submit(card_document("job-1"))
        assert (await driver.report()).reasons == ("cover-open-error",)
        assert await driver.outcome("job-1") in (JobOutcome.PENDING, JobOutcome.PRINTING)
        printer.close_cover()
        await settled(driver, "job-1", until=JobOutcome.PRINTED)


async def test_a_cancelled_job_still_prints_once_the_card_is_gripped() -> None:
    async with VirtualPrinter(pace_s=0.1, grip_fraction=0.0) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        await printer.until(lambda: printer.engine.is_gripped)
        await driver.cancel("job-1")
        assert await driver.outcome("job-1") is JobOutcome.PRINTING, "called cancelled, still inside"
        await printer.until(lambda: bool(printer.tray))
        assert [sheet.job_name for sheet in printer.tray] == ["job-1"]
        assert await driver.outcome("job-1") is JobOutcome.CANCELED


async def test_a_job_cancelled_in_time_leaves_the_blank_alone() -> None:
    async with VirtualPrinter(pace_s=60, blanks=5) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        await driver.cancel("job-1")
        assert await driver.outcome("job-1") is JobOutcome.CANCELED
        await printer.until(lambda: not printer.engine.unfinished and printer.engine.current is None)
        assert printer.tray == [] and printer.spoiled == [] and printer.engine.blanks == 5


async def test_a_restart_forgets_the_jobs_and_counts_from_one_again() -> None:
    async with VirtualPrinter() as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        await settled(driver, "job-1", until=JobOutcome.PRINTED)
        printer.engine._started_s -= 1000  # an hour-long wait without the hour
        before = (await driver.report()).up_time_s
        await printer.restart()
        after = (await driver.report()).up_time_s
        assert before is not None and after is not None and after < before
        assert await driver.outcome("job-1") is JobOutcome.UNKNOWN
        # The next job gets id 1, which the driver still remembers as job-1's.
        await driver.submit(card_document("job-2"))
        await settled(driver, "job-2", until=JobOutcome.PRINTED)
        assert await driver.outcome("job-1") is JobOutcome.UNKNOWN
        assert [sheet.job_name for sheet in printer.tray] == ["job-1", "job-2"]


async def test_a_remembered_id_that_now_means_another_job_is_not_believed() -> None:
    async with VirtualPrinter(pace_s=60) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        await printer.restart()
        await open_driver(printer.url).submit(card_document("job-2"))
        assert await driver.outcome("job-1") is JobOutcome.UNKNOWN
        assert await driver.outcome("job-2") is JobOutcome.PRINTING


async def test_a_power_cut_spoils_the_card_in_the_machine() -> None:
    async with VirtualPrinter(pace_s=60, grip_fraction=0.0) as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        await printer.until(lambda: printer.engine.is_gripped)
        await printer.restart()
        assert await driver.outcome("job-1") is JobOutcome.UNKNOWN
        assert printer.tray == [] and len(printer.spoiled) == 1


async def test_a_spooler_that_replays_its_jobs_prints_a_second_card() -> None:
    async with VirtualPrinter() as printer:
        driver = open_driver(printer.url)
        await driver.submit(card_document("job-1"))
        await settled(driver, "job-1", until=JobOutcome.PRINTED)
        await printer.restart(replay=1)
        await settled(driver, "job-1", until=JobOutcome.PRINTED)
        assert [sheet.job_name for sheet in printer.tray] == ["job-1", "job-1"]
