"""What the ledger may count on from every driver, and what each kind of trouble looks like through it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node.printing.driver import (
    Document,
    JobOutcome,
    Media,
    PrintDriver,
    PrinterBusyError,
    PrinterRefusedError,
    PrinterState,
    PrinterUnreachableError,
    open_driver,
)
from node.printing.ipp.client import IppDriver, PrinterAddress
from node.printing.ipp.codec import Group, Message, Tag, encode
from node.printing.ipp.registry import Operation, Status
from node.printing.lp import server_address
from node.printing.render import render
from sepe.errors import InvalidInputError
from surge.printer import LineFault, VirtualPrinter
from tests.support.cups import cups_queue, ippeveprinter
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


async def settled(driver: PrintDriver, job_name: str, *, until: JobOutcome) -> None:
    async with asyncio.timeout(20):
        while True:
            if await driver.outcome(job_name) is until:
                return
            await asyncio.sleep(0.005)


def addressed(printer: VirtualPrinter, **deadlines: float) -> IppDriver:
    host, port = printer.url.removeprefix("ipp://").split("/")[0].split(":")
    return IppDriver(PrinterAddress(host, int(port), "/ipp/print"), **deadlines)


# --- every driver ---------------------------------------------------------------------------------


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


# --- CUPS -------------------------------------------------------------------------------------------


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
    # A printer for paper that prints one side only and refuses what it does not offer.
    async with ippeveprinter(is_card_printer=False) as (url, spool):
        driver = open_driver(url)
        await driver.submit(Document("paper-1", Media.A4, paper))
        await settled(driver, "paper-1", until=JobOutcome.PRINTED)
        assert kept(spool, "paper-1") == [paper]
        with pytest.raises(PrinterRefusedError):
            await driver.submit(Document("card-2", Media.CARD, card))


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


# --- addresses --------------------------------------------------------------------------------------


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


# --- folder -----------------------------------------------------------------------------------------


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


# --- the machine ------------------------------------------------------------------------------------


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
        assert await driver.outcome("job-1") is JobOutcome.CANCELED
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


# --- memory -----------------------------------------------------------------------------------------


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


# --- the line ---------------------------------------------------------------------------------------


async def test_a_printer_that_is_not_there_has_accepted_nothing() -> None:
    async with VirtualPrinter() as printer:
        driver = open_driver(printer.url)
        await printer.unplug()
        with pytest.raises(PrinterUnreachableError) as caught:
            await driver.submit(card_document("job-1"))
        assert not caught.value.maybe_accepted
        with pytest.raises(PrinterUnreachableError):
            await driver.report()
        await printer.plug()
        await driver.submit(card_document("job-1"))
        await settled(driver, "job-1", until=JobOutcome.PRINTED)


@pytest.mark.parametrize(
    ("fault", "cards"),
    [(LineFault.HANG_UP, 1), (LineFault.GARBAGE, 1), (LineFault.STALL, 1), (LineFault.LOSE, 0)],
)
async def test_a_line_that_fails_while_submitting_leaves_the_job_in_doubt(fault: LineFault, cards: int) -> None:
    async with VirtualPrinter() as printer:
        driver = addressed(printer, submit_s_max=0.3)
        printer.break_next(fault)
        with pytest.raises(PrinterUnreachableError) as caught:
            await driver.submit(card_document("job-1"))
        assert caught.value.maybe_accepted
        # From here the driver looks the same in every case; only the printer's memory tells them apart.
        expected = JobOutcome.PRINTED if cards else JobOutcome.UNKNOWN
        await settled(driver, "job-1", until=expected)
        assert len(printer.tray) == cards


async def test_a_cable_pulled_while_the_job_is_underway_leaves_it_in_doubt_and_it_prints() -> None:
    async with VirtualPrinter() as printer:
        driver = open_driver(printer.url)
        printer.break_next(LineFault.STALL)
        submission = asyncio.create_task(driver.submit(card_document("job-1")))
        await printer.until(lambda: bool(printer.tray))
        await printer.unplug()
        with pytest.raises(PrinterUnreachableError) as caught:
            await submission
        assert caught.value.maybe_accepted
        await printer.plug()
        assert await driver.outcome("job-1") is JobOutcome.PRINTED


@pytest.mark.parametrize("fault", [LineFault.HANG_UP, LineFault.GARBAGE, LineFault.STALL])
async def test_an_unreadable_answer_to_a_question_says_nothing_and_the_next_one_works(fault: LineFault) -> None:
    async with VirtualPrinter() as printer:
        driver = addressed(printer, query_s_max=0.3)
        printer.break_next(fault, Operation.GET_PRINTER_ATTRIBUTES)
        with pytest.raises(PrinterUnreachableError) as caught:
            await driver.report()
        assert not caught.value.maybe_accepted
        assert (await driver.report()).state is PrinterState.IDLE


async def test_a_document_that_is_no_pdf_is_refused_for_good() -> None:
    async with VirtualPrinter() as printer:
        with pytest.raises(PrinterRefusedError, match="0x0411"):
            await open_driver(printer.url).submit(Document("job-1", Media.CARD, b"not a PDF"))
        assert printer.tray == []


async def serve_once(answer: bytes) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"ipp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("answer", "error", "is_doubtful"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", PrinterRefusedError, None),
        (b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", PrinterRefusedError, None),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", PrinterBusyError, None),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", PrinterUnreachableError, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", PrinterUnreachableError, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", PrinterUnreachableError, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", PrinterUnreachableError, True),
        (b"HTTP/1.1 200 OK\r\n\r\n", PrinterUnreachableError, True),
        (b"SSH-2.0-OpenSSH_9.2\r\n", PrinterUnreachableError, True),
        (b"\x15\x03\x01\x00\x02\x02\x16" * 20_000, PrinterUnreachableError, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, PrinterUnreachableError, True),
        (b"", PrinterUnreachableError, True),
    ],
)
async def test_whatever_answers_instead_of_a_printer_becomes_one_of_our_errors(
    answer: bytes, error: type[Exception], is_doubtful: bool | None
) -> None:
    server, url = await serve_once(answer)
    async with server:
        with pytest.raises(error) as caught:
            await open_driver(url).submit(card_document("job-1"))
    if is_doubtful is not None:
        assert isinstance(caught.value, PrinterUnreachableError) and caught.value.maybe_accepted is is_doubtful


@pytest.mark.parametrize(
    ("status", "error", "is_doubtful"),
    [
        (Status.BUSY, PrinterBusyError, None),
        (Status.NOT_ACCEPTING_JOBS, PrinterBusyError, None),
        (Status.TOO_MANY_JOBS, PrinterBusyError, None),
        (Status.TEMPORARY_ERROR, PrinterBusyError, None),
        (Status.DEVICE_ERROR, PrinterUnreachableError, True),
        (Status.INTERNAL_ERROR, PrinterUnreachableError, True),
        (Status.JOB_CANCELED, PrinterUnreachableError, True),
        (Status.BAD_REQUEST, PrinterRefusedError, None),
        (Status.TOO_LARGE, PrinterRefusedError, None),
        (Status.FORMAT_NOT_SUPPORTED, PrinterRefusedError, None),
    ],
)
async def test_each_ipp_status_says_whether_the_job_may_exist(
    status: Status, error: type[Exception], is_doubtful: bool | None
) -> None:
    body = encode(Message(status, 1, (Group(Tag.OPERATION),)))
    server, url = await serve_once(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    async with server:
        with pytest.raises(error) as caught:
            await open_driver(url).submit(card_document("job-1"))
    if is_doubtful is not None:
        assert isinstance(caught.value, PrinterUnreachableError) and caught.value.maybe_accepted is is_doubtful


async def test_an_answer_to_another_request_is_not_taken_for_ours() -> None:
    body = encode(Message(Status.OK, 77, (Group(Tag.OPERATION),)))
    server, url = await serve_once(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    async with server:
        with pytest.raises(PrinterUnreachableError) as caught:
            await open_driver(url).submit(card_document("job-1"))
    assert caught.value.maybe_accepted


# --- ipps -------------------------------------------------------------------------------------------


def self_signed(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A TLS context with a fresh self-signed certificate, as printers come with, and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "printer.local")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1))
    certificate = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    no_password = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, certificate.fingerprint(hashes.SHA256()).hex()


async def test_ipps_prints_to_the_pinned_printer_and_sends_nothing_to_another(tmp_path: Path) -> None:
    tls, fingerprint = self_signed(tmp_path)
    async with VirtualPrinter(tls=tls) as printer:
        pinned = open_driver(f"{printer.url}?fingerprint={fingerprint.upper()}")
        await pinned.submit(card_document("job-1"))
        await settled(pinned, "job-1", until=JobOutcome.PRINTED)
        for url in (printer.url, f"{printer.url}?fingerprint={'0' * 64}"):
            with pytest.raises(PrinterUnreachableError) as caught:
                await open_driver(url).submit(card_document("job-2"))
            assert not caught.value.maybe_accepted
        assert [sheet.job_name for sheet in printer.tray] == ["job-1"]
