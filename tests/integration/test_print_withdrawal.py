"""A card that a person wants made again, while the printer may still have the old job."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.desk.confirm import settle_doubt
from node.desk.status import warnings
from node.printing.driver import Document, JobOutcome, open_driver
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.printing.spool import Fact, JobState
from node.printing.withdrawal import Withdrawals
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from surge.printer import VirtualPrinter
from tests.support.cups import Cupsd
from tests.support.office import NOW_MS, line, make_office, record
from tests.support.printing import card_document


class Maker:
    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        return lambda: card_document(job.name)


class Office:
    """One office with one card to print; the test plays the person, and the clock."""

    def __init__(self, store: NodeStore, address: str) -> None:
        self.store, self.ledger, self.now_ms = store, Ledger(store), NOW_MS
        self._own = NodeStore.open(store.folder)
        self.press = Press(self._own, open_driver(address), Maker(), printer=address, rights=None,
                           now_ms=lambda: self.now_ms)  # fmt: skip

    async def close(self) -> None:
        await self.press.close()
        self._own.close()

    def states(self) -> list[JobState]:
        return [job.state for job in self.ledger.all(10)[::-1]]

    async def send(self) -> Job:
        """The card goes to the printer, which is then not heard of again."""
        await self.press.turn()
        return self.ledger.settle(1, Fact.FORGOTTEN, now_ms=self.now_ms)

    async def until(self, *states: JobState) -> None:
        async with asyncio.timeout(20):
            while self.states() != list(states):
                await self.press.turn()
                await asyncio.sleep(0.01)

    async def say(
        self, *, came_out: bool = False, is_spoiled: bool = False, is_printer_gone: bool = False
    ) -> None:
        await settle_doubt(
            self.store, 1, came_out=came_out, is_spoiled=is_spoiled, operator="op-1", now_ms=self.now_ms,
            is_printer_gone=is_printer_gone,
        )  # fmt: skip

    def cautions(self) -> set[str]:
        return {one.code for one in warnings(self.store, self.now_ms)}


@asynccontextmanager
async def office(folder: Path, address: str) -> AsyncIterator[Office]:
    store = make_office(folder / "node", blanks=3)
    record(store, line())
    made = Office(store, address)
    try:
        yield made
    finally:
        await made.close()
        store.close()


async def test_a_card_is_made_again_only_once_its_printer_has_let_go_of_the_old_job(tmp_path: Path) -> None:
    async with VirtualPrinter(pace_s=0.4, grip_fraction=0.0) as printer, office(tmp_path, printer.url) as here:
        await here.send()
        await printer.until(lambda: printer.engine.is_gripped)
        # The card is in the machine: it comes out although the job is called cancelled, while the person looks.
        with pytest.raises(InvalidInputError, match="lihat bakinya sekali lagi"):
            await here.say()
        assert here.states() == [JobState.IN_DOUBT] and len(printer.tray) == 1
        await here.say(came_out=True)
        await here.press.turn()
        assert here.states() == [JobState.PRINTED] and len(printer.tray) == 1


async def test_a_job_that_waits_in_a_stopped_printer_is_cancelled_there_before_it_is_made_again(
    tmp_path: Path,
) -> None:
    async with VirtualPrinter(pace_s=0.05) as printer, office(tmp_path, printer.url) as here:
        await here.send()
        printer.jam()
        # The jam was before the grip or spoiled the card; in either case the printer would redo it.
        with pytest.raises(InvalidInputError, match="dibatalkan"):
            await here.say()
        await here.say()
        printer.clear_jam()
        await here.until(JobState.VOID, JobState.PRINTED)
        names = [sheet.job_name for sheet in printer.tray]
        assert names == [here.ledger.job(2).name] and "ghost_card" not in here.cautions()


async def test_what_a_silent_printer_still_holds_is_cancelled_when_it_is_back(tmp_path: Path) -> None:
    async with VirtualPrinter(pace_s=0.05) as printer, office(tmp_path, printer.url) as here:
        await here.send()
        printer.jam()
        await printer.unplug()
        with pytest.raises(InvalidInputError, match="--printer-gone"):
            await here.say()
        await here.say(is_printer_gone=True)
        assert here.states() == [JobState.VOID, JobState.QUEUED]
        await printer.plug()
        await here.press.turn()
        printer.clear_jam()
        await here.until(JobState.VOID, JobState.PRINTED)
        assert [sheet.job_name for sheet in printer.tray] == [here.ledger.job(2).name]


async def test_a_card_that_came_out_after_all_is_shown_until_it_is_destroyed(tmp_path: Path) -> None:
    async with VirtualPrinter() as printer, office(tmp_path, printer.url) as here:
        job = here.ledger.allot(1, NOW_MS)
        assert job is not None
        here.ledger.intend(1, printer=printer.url, now_ms=NOW_MS)
        here.ledger.settle(1, Fact.LOST, now_ms=NOW_MS)
        await printer.unplug()
        await here.say(is_printer_gone=True)
        await printer.plug()
        await open_driver(printer.url).submit(card_document(job.name))
        await printer.until(lambda: len(printer.tray) == 1)
        await here.press.turn()
        assert "ghost_card" in here.cautions() and "musnahkan" in here.ledger.job(1).reason
        Withdrawals(here.store).destroyed(1)
        assert "ghost_card" not in here.cautions()
        with pytest.raises(InvalidInputError):
            Withdrawals(here.store).destroyed(1)


async def test_a_card_that_the_printer_calls_printed_is_not_made_again_as_if_its_blank_were_whole(
    tmp_path: Path,
) -> None:
    async with VirtualPrinter() as printer, office(tmp_path, printer.url) as here:
        job = here.ledger.allot(1, NOW_MS)
        assert job is not None
        here.ledger.intend(1, printer=printer.url, now_ms=NOW_MS)
        here.ledger.settle(1, Fact.LOST, now_ms=NOW_MS)
        await open_driver(printer.url).submit(card_document(job.name))
        await printer.until(lambda: len(printer.tray) == 1)
        with pytest.raises(InvalidInputError, match="--blank-spoiled"):
            await here.say()
        await here.say(is_spoiled=True)
        assert here.states() == [JobState.SPOILED, JobState.QUEUED] and "ghost_card" not in here.cautions()


async def test_a_job_that_cups_brings_back_from_its_disk_after_a_reboot_is_cancelled_there(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sepe-cups-") as name:
        # A card printer that is switched off: CUPS keeps the job and tries again.
        cupsd = Cupsd(Path(name), "socket://127.0.0.1:1")
        address = f"ipp://{cupsd.server}/printers/kartu"
        async with office(tmp_path, address) as here:
            async with cupsd.running():
                job = await here.send()
            with pytest.raises(InvalidInputError, match="tidak menjawab"):
                await here.say()
            await here.say(is_printer_gone=True)
            async with cupsd.running():
                driver = open_driver(address)
                assert await driver.outcome(job.name) in (JobOutcome.PENDING, JobOutcome.PRINTING)
                async with asyncio.timeout(20):
                    while Withdrawals(here.store).watched(address, here.now_ms):
                        await here.press.turn()
                        await asyncio.sleep(0.05)
                assert await driver.outcome(job.name) is JobOutcome.CANCELED
                assert here.states()[0] is JobState.VOID
