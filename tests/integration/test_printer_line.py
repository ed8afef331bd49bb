"""What each kind of trouble on the line to a printer means for the job: not there, in doubt, refused."""

from __future__ import annotations

import asyncio
import ssl
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
    PrinterBusyError,
    PrinterRefusedError,
    PrinterState,
    PrinterUnreachableError,
    open_driver,
)
from node.printing.ipp.codec import Group, Message, Tag, encode
from node.printing.ipp.registry import Operation, Status
from surge.printer import LineFault, VirtualPrinter
from tests.support.drivers import addressed, settled
from tests.support.printing import card_document


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
