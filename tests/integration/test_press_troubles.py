"""The press and the ledger against a printer that jams, runs out, opens, forgets, replays and lies about cancelling."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.desk.confirm import confirm, resolve
from node.desk.doctor import examine
from node.desk.status import warnings
from node.printing.driver import Document, open_driver
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.printing.spool import JobState
from node.stock import Stock
from node.storage.store import NodeStore
from sepe.serials import SerialSet
from sepe.stock import StockSum
from surge.printer import VirtualPrinter
from tests.support.office import NOW_MS, line, make_office, record
from tests.support.printing import card_document

KTP = "ktp-el"
BLANKS = 6


class Maker:
    """The smallest card that a printer takes."""

    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        return lambda: card_document(job.name)


class Office:
    """One office with its press; the test plays the person."""

    def __init__(self, store: NodeStore, printer: VirtualPrinter) -> None:
        self.store = store
        self.ledger = Ledger(store)
        own = NodeStore.open(store.folder)
        self.press = Press(own, open_driver(printer.url), Maker(), printer=printer.url, rights=None,
                           now_ms=lambda: NOW_MS)  # fmt: skip
        self._own = own

    async def close(self) -> None:
        await self.press.close()
        self._own.close()

    def jobs(self) -> list[Job]:
        return self.ledger.all(10)[::-1]

    def states(self) -> list[JobState]:
        return [job.state for job in self.jobs()]

    async def until(self, *states: JobState) -> None:
        """Turns of the press until the jobs stand so, oldest first."""
        async with asyncio.timeout(10):
            while self.states() != list(states):
                await self.press.turn()
                await asyncio.sleep(0.005)

    def sum(self) -> StockSum:
        (found,) = Stock(self.store).sums(KTP).values()
        assert found.closes and all(one.is_ok for one in examine(self.store)), examine(self.store)
        return found


@asynccontextmanager
async def office(folder: Path, printer: VirtualPrinter, cards: int = 1) -> AsyncIterator[Office]:
    store = make_office(folder / "node", blanks=BLANKS)
    record(store, *(line(f"537104410190{9001 + number}") for number in range(cards)))
    made = Office(store, printer)
    try:
        yield made
    finally:
        await made.close()
        store.close()


@pytest.mark.parametrize(
    ("stop", "mend"),
    [
        (lambda printer: printer.load(blanks=0), lambda printer: printer.load(blanks=9)),
        (lambda printer: printer.load(ribbon=0), lambda printer: printer.load(ribbon=9)),
        (VirtualPrinter.open_cover, VirtualPrinter.close_cover),
        (VirtualPrinter.jam, VirtualPrinter.clear_jam),
    ],
    ids=["empty", "ribbon out", "cover open", "jam"],
)  # fmt: skip
async def test_a_printer_that_stands_still_is_given_nothing_and_goes_on_where_it_was(
    tmp_path: Path, stop: Callable[[VirtualPrinter], None], mend: Callable[[VirtualPrinter], None]
) -> None:
    async with VirtualPrinter() as printer, office(tmp_path, printer, cards=2) as here:
        stop(printer)
        for _ in range(3):
            await here.press.turn()
        assert set(here.states()) <= {JobState.QUEUED, JobState.READY} and not printer.engine.jobs
        mend(printer)
        await here.until(JobState.PRINTED, JobState.PRINTED)
        assert [sheet.job_name for sheet in printer.tray] == [job.name for job in here.jobs()]
        assert here.sum() == StockSum(received=BLANKS, printed=2, closing=BLANKS - 2)


@pytest.mark.parametrize("supply", ["blanks", "ribbon"])
async def test_a_supply_that_ends_in_the_batch_leaves_no_doubt(tmp_path: Path, supply: str) -> None:
    async with VirtualPrinter(**{supply: 1}) as printer, office(tmp_path, printer, cards=3) as here:
        await here.until(JobState.PRINTED, JobState.SUBMITTED, JobState.QUEUED)
        for _ in range(3):
            await here.press.turn()
        # The second card waits inside the stopped printer: under way, and no doubt.
        assert here.states() == [JobState.PRINTED, JobState.SUBMITTED, JobState.QUEUED]
        printer.load(**{supply: 9})
        await here.until(*[JobState.PRINTED] * 3)
        assert max(Counter(sheet.job_name for sheet in printer.tray).values()) == 1
        here.sum()


async def test_a_card_redone_after_a_jam_is_one_card_and_the_eaten_blank_is_found_by_counting(
    tmp_path: Path,
) -> None:
    async with VirtualPrinter(pace_s=0.3, grip_fraction=0.0) as printer, office(tmp_path, printer) as here:
        await here.until(JobState.SUBMITTED)
        await printer.until(lambda: printer.engine.is_gripped)
        printer.jam()
        await printer.until(lambda: bool(printer.spoiled))
        for _ in range(3):
            await here.press.turn()
        assert here.states() == [JobState.SUBMITTED], "the printer still has it, so there is no doubt"
        printer.clear_jam()
        await here.until(JobState.PRINTED)
        assert (len(printer.tray), len(printer.spoiled)) == (1, 1)
        # Two blanks went and the ledger knows of one: the scan says which card it is, the count that one is missing.
        confirmed = confirm(here.store, "A000001", operator="op-1", now_ms=NOW_MS)
        counted = Stock(here.store).count(KTP, SerialSet.between("A000003", "A000006"), now_ms=NOW_MS)
        assert confirmed.state is JobState.PRINTED and str(counted.lost) == "A000002"
        assert here.sum() == StockSum(received=BLANKS, printed=1, lost=1, closing=4)


async def test_a_job_given_up_over_a_jam_is_made_again_on_a_new_blank_with_its_reason(tmp_path: Path) -> None:
    async with VirtualPrinter(pace_s=60) as printer, office(tmp_path, printer) as here:
        await here.until(JobState.SUBMITTED)
        printer.jam(abort=True)
        await here.until(JobState.SPOILED)
        (job,) = here.jobs()
        reason = here.store.connection.execute("SELECT reason FROM blank WHERE serial = ?", (job.serial,))
        assert (job.serial, reason.fetchone()[0]) == ("A000001", "print-failure")
        assert "to_make_again" in {one.code for one in warnings(here.store, NOW_MS)}
        again = here.ledger.retry(job.id, NOW_MS)
        assert "to_make_again" not in {one.code for one in warnings(here.store, NOW_MS)}
        printer.clear_jam()
        await here.until(JobState.SPOILED, JobState.SUBMITTED)
        assert here.ledger.job(again.id).serial == "A000002" and here.ledger.job(again.id).name != job.name
        assert here.sum() == StockSum(received=BLANKS, spoiled=1, closing=BLANKS - 1)


async def test_a_job_called_cancelled_whose_card_comes_out_is_proven_by_its_scan(tmp_path: Path) -> None:
    async with VirtualPrinter(pace_s=0.3, grip_fraction=0.0) as printer, office(tmp_path, printer) as here:
        await here.until(JobState.SUBMITTED)
        await printer.until(lambda: printer.engine.is_gripped)
        printer.engine.cancel(printer.engine.jobs[1])
        await here.until(JobState.IN_DOUBT)
        await printer.until(lambda: len(printer.tray) == 1)
        (job,) = here.jobs()
        assert confirm(here.store, job.serial, operator="op-1", now_ms=NOW_MS).state is JobState.PRINTED
        await here.press.turn()
        assert here.states() == [JobState.PRINTED] and len(printer.tray) == 1
        here.sum()


async def test_a_scan_before_the_printer_has_reported_stands_whatever_the_printer_says_later(
    tmp_path: Path,
) -> None:
    async with VirtualPrinter(pace_s=0.3) as printer, office(tmp_path, printer, cards=2) as here:
        stop = asyncio.Event()
        running = asyncio.create_task(here.press.run(stop))
        async with asyncio.timeout(10):
            while here.states()[0] is not JobState.SUBMITTED:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.005)
            confirm(here.store, here.jobs()[0].serial, operator="op-1", now_ms=NOW_MS)
            started_s = asyncio.get_running_loop().time()
            while here.states() != [JobState.PRINTED] * 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        # A turn that fails is taken again after five seconds.
        assert asyncio.get_running_loop().time() - started_s < 4
        stop.set()
        await running
        here.sum()


async def test_a_power_cut_in_the_batch_and_ids_from_one_again_mix_up_no_two_cards(tmp_path: Path) -> None:
    async with VirtualPrinter(pace_s=0.3, grip_fraction=0.0) as printer, office(tmp_path, printer, 3) as here:
        await here.until(JobState.PRINTED, JobState.SUBMITTED, JobState.QUEUED)
        await printer.until(lambda: printer.engine.is_gripped)
        await printer.restart()
        # Job 1 of the restarted printer is the third card: it says nothing of the second.
        await here.until(JobState.PRINTED, JobState.IN_DOUBT, JobState.PRINTED)
        assert printer.engine.jobs[1].name == here.jobs()[2].name
        assert [sheet.job_name for sheet in printer.spoiled] == [here.jobs()[1].name]
        doubt = here.jobs()[1]
        resolve(here.store, doubt.id, came_out=False, is_spoiled=True, operator="op-1", now_ms=NOW_MS)
        await here.until(JobState.PRINTED, JobState.SPOILED, JobState.PRINTED, JobState.PRINTED)
        assert len({job.serial for job in here.jobs()}) == 4
        assert here.sum() == StockSum(received=BLANKS, printed=3, spoiled=1, closing=BLANKS - 4)


async def test_what_a_spooler_replays_after_a_reboot_never_enters_the_ledger_and_is_found_by_counting(
    tmp_path: Path,
) -> None:
    async with VirtualPrinter() as printer, office(tmp_path, printer, cards=2) as here:
        await here.until(JobState.PRINTED, JobState.PRINTED)
        await printer.restart(replay=1)
        await printer.until(lambda: len(printer.tray) == 3)
        for _ in range(3):
            await here.press.turn()
        second = here.jobs()[1]
        assert [sheet.job_name for sheet in printer.tray][1:] == [second.name] * 2
        assert here.states() == [JobState.PRINTED, JobState.PRINTED]
        counted = Stock(here.store).count(KTP, SerialSet.between("A000004", "A000006"), now_ms=NOW_MS)
        assert (counted.held, str(counted.lost)) == (3, "A000003")
        here.sum()
