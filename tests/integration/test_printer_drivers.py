"""What the ledger may count on from every driver, CUPS' own programs and folders among them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.printing.driver import (
    Document,
    JobOutcome,
    Media,
    PrintDriver,
    PrinterRefusedError,
    PrinterState,
    PrinterUnreachableError,
    open_driver,
)
from node.printing.lp import server_address
from node.printing.render import render
from sepe.errors import InvalidInputError
from surge.printer import VirtualPrinter
from tests.support.cups import cups_queue, ippeveprinter
from tests.support.drivers import settled
from tests.support.printing import card_document, content


@asynccontextmanager
async def address_of(kind: str, folder: Path) -> AsyncIterator[str]:
    """A printer of that kind: ours, CUPS' scheduler behind lp, CUPS' own printer program."""
    match kind:
        case "lp":
            async with cups_queue() as server:
                yield f"lp:kartu@{server}"
        case "ippeveprinter":
            async with ippeveprinter(is_card_printer=True) as (url, _):
                yield url
        case "ipp":
            async with VirtualPrinter(jobs_max=8) as printer:
                yield printer.url
        case _:
            yield f"folder:{folder}" + ("?confirm=vendor" if kind == "folder-vendor" else "")


@asynccontextmanager
async def driver_of(kind: str, folder: Path) -> AsyncIterator[PrintDriver]:
    async with address_of(kind, folder) as address:
        driver = open_driver(address)
        try:
            yield driver
        finally:
            await driver.close()


@pytest.mark.parametrize("kind", ["folder", "folder-vendor", "ipp", "lp", "ippeveprinter"])
class TestEveryDriver:
    async def test_a_printer_knows_nothing_of_a_job_it_never_had(self, kind: str, tmp_path: Path) -> None:
        async with driver_of(kind, tmp_path) as driver:
            assert await driver.report()
            assert await driver.outcome("never") is JobOutcome.UNKNOWN

    async def test_a_submitted_job_is_known_by_our_name(self, kind: str, tmp_path: Path) -> None:
        async with driver_of(kind, tmp_path) as driver:
            await driver.submit(card_document("job-1"))
            if kind == "ippeveprinter":  # It takes one job at a time.
                await settled(driver, "job-1", until=JobOutcome.PRINTED)
            await driver.submit(Document("job-2", Media.A4, b"%PDF-1.4 /Type /Page", copies=2))
            if kind == "folder-vendor":
                for name in ("job-1", "job-2"):
                    assert await driver.outcome(name) is JobOutcome.PENDING
                    (tmp_path / f"{name}.pdf").replace(tmp_path / "done" / f"{name}.pdf")
            for name in ("job-1", "job-2"):
                await settled(driver, name, until=JobOutcome.PRINTED)
            assert await driver.outcome("job-3") is JobOutcome.UNKNOWN

    async def test_a_new_driver_for_the_same_printer_finds_the_job(self, kind: str, tmp_path: Path) -> None:
        async with address_of(kind, tmp_path) as address:
            await open_driver(address).submit(card_document("job-1"))
            until = JobOutcome.PENDING if kind == "folder-vendor" else JobOutcome.PRINTED
            await settled(open_driver(address), "job-1", until=until)

    async def test_cancelling_an_unknown_or_finished_job_changes_nothing(self, kind: str, tmp_path: Path) -> None:
        async with driver_of(kind, tmp_path) as driver:
            await driver.report()
            await driver.cancel("never")
            await driver.submit(card_document("job-1"))
            if kind == "folder-vendor":
                (tmp_path / "job-1.pdf").replace(tmp_path / "done" / "job-1.pdf")
            await settled(driver, "job-1", until=JobOutcome.PRINTED)
            await driver.cancel("job-1")
            assert await driver.outcome("job-1") is JobOutcome.PRINTED

    async def test_an_idle_printer_reports_so(self, kind: str, tmp_path: Path) -> None:
        async with driver_of(kind, tmp_path) as driver:
            report = await driver.report()
        assert (report.state, report.reasons, report.queued, report.accepting) == (PrinterState.IDLE, (), 0, True)
        assert (report.up_time_s is None) == kind.startswith("folder")


async def test_a_card_goes_through_a_cups_queue_to_the_printer_behind_it() -> None:
    async with VirtualPrinter() as printer, cups_queue(printer.url) as server:
        driver = open_driver(f"lp:kartu@{server}")
        await driver.submit(Document("card-1", Media.CARD, render(content())))
        await settled(driver, "card-1", until=JobOutcome.PRINTED)
        # This queue has no filters ("raw"), so CUPS does not pass on that two pages are two sides of one card.
        assert {(sheet.job_name, sheet.media) for sheet in printer.tray} == {("card-1", Media.CARD.value)}


async def test_a_cups_server_that_is_down_or_lacks_the_queue_makes_no_job_fail_for_good() -> None:
    async with cups_queue() as server:
        with pytest.raises(PrinterUnreachableError) as caught:
            await open_driver(f"lp:other@{server}").submit(card_document("job-1"))
        assert not caught.value.maybe_accepted
    with pytest.raises(PrinterUnreachableError) as caught:
        await open_driver(f"lp:kartu@{server}").submit(card_document("job-1"))
    assert not caught.value.maybe_accepted


def kept(spool: Path, job_name: str) -> list[bytes]:
    """The documents of a job that the printer kept; beside each lies what its print command said."""
    return [data for one in spool.glob(f"*{job_name}*") if (data := one.read_bytes())]


async def test_the_driver_prints_real_documents_to_cups_own_printer() -> None:
    card, paper = render(content()), render(content("akta-kelahiran"))
    async with ippeveprinter(is_card_printer=True) as (url, spool):
        driver = open_driver(url)
        await driver.submit(Document("card-1", Media.CARD, card))
        await settled(driver, "card-1", until=JobOutcome.PRINTED)
        assert kept(spool, "card-1") == [card]
    # A printer for paper that prints one side only.
    async with ippeveprinter(is_card_printer=False) as (url, spool):
        driver = open_driver(url)
        await driver.submit(Document("paper-1", Media.A4, paper))
        await settled(driver, "paper-1", until=JobOutcome.PRINTED)
        assert kept(spool, "paper-1") == [paper]
        # What it does not offer, CUPS 2.4.2 (Debian 12) refuses and later ones (2.4.10, Debian 13) print as they
        # can. We rely on an honest answer alone: a refusal leaves nothing there, and what is taken is printed
        # whole.
        try:
            await driver.submit(Document("card-2", Media.CARD, card))
        except PrinterRefusedError:
            assert kept(spool, "card-2") == []
        else:
            await settled(driver, "card-2", until=JobOutcome.PRINTED)
            assert kept(spool, "card-2") == [card]


@pytest.mark.parametrize(
    "server", ["/run/cups/cups.sock", "localhost", "10.0.0.5:6310", "[::1]:631", "cups.kupang.go.id"]
)
def test_the_server_is_found_as_lpstat_names_it(server: str) -> None:
    found = server_address(server, "kartu")
    assert found.path == "/printers/kartu" and (found.socket == server) == server.startswith("/")
    assert found.port == (6310 if "6310" in server else 631) and "]" not in found.host


def test_lp_is_refused_clearly_where_there_is_no_lp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.name", "nt")
    with pytest.raises(InvalidInputError, match="not for Windows"):
        open_driver("lp:kartu")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InvalidInputError, match="cups-client"):
        open_driver("lp:kartu")


@pytest.mark.parametrize(
    "url",
    [
        "", "lpr://host/queue", "folder:", "folder:x?confirm=perhaps", "folder:x?colour=red", "ipp://", "ipp:///path",
        "ipp://host:99999/p", "ipp://user:secret@host/p", "ipp://host/p?fingerprint=00", "ipp://host/a\r\nX: y",
        "http://host:631/", "lp:", "lp:a b", "lp:-d", "lp:a/b", "lp:kartu@ho st",
    ],
)  # fmt: skip
def test_a_wrong_address_is_refused_before_anything_is_contacted(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        open_driver(url)
    assert caught.value.field == "printer" and "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "con", "LPT1", "x" * 65, "naïve", "a\n"])
def test_a_job_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="job name"):
        Document(name, Media.CARD, b"%PDF")


async def test_a_folder_job_is_a_pdf_and_a_ticket_without_personal_data(tmp_path: Path) -> None:
    await open_driver(f"folder:{tmp_path}").submit(card_document("job-1", copies=2))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["job-1.json", "job-1.pdf"]
    assert (tmp_path / "job-1.pdf").read_bytes() == card_document("job-1").data
    assert (tmp_path / "job-1.json").read_text() == (
        '{"job": "job-1", "media": "custom_id-1_53.98x85.6mm", "copies": 2}'
    )


async def test_the_vendors_software_answers_by_moving_the_file(tmp_path: Path) -> None:
    driver = open_driver(f"folder:{tmp_path}?confirm=vendor")
    for name in ("good", "bad", "late"):
        await driver.submit(card_document(name))
    assert (await driver.report()).queued == 3
    (tmp_path / "good.pdf").replace(tmp_path / "done" / "good.pdf")
    (tmp_path / "bad.pdf").replace(tmp_path / "failed" / "bad.pdf")
    await driver.cancel("late")
    outcomes = [await driver.outcome(name) for name in ("good", "bad", "late")]
    assert outcomes == [JobOutcome.PRINTED, JobOutcome.ABORTED, JobOutcome.CANCELED]
    assert (await driver.report()).queued == 0


async def test_a_folder_that_cannot_be_made_is_unreachable_and_nothing_was_accepted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    driver = open_driver(f"folder:{tmp_path / 'file' / 'cards'}")
    with pytest.raises(PrinterUnreachableError) as caught:
        await driver.submit(card_document("job-1"))
    assert not caught.value.maybe_accepted
    with pytest.raises(PrinterUnreachableError):
        await driver.outcome("job-1")
