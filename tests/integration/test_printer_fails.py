"""A printer that fails is named and rests, and no job pays for it; a document that nobody takes fails by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from node.desk.status import warnings
from node.printing import lane
from node.printing.driver import (
    DocumentRefusedError,
    JobOutcome,
    PrinterBusyError,
    PrinterRefusedError,
    PrinterUnreachableError,
    open_driver,
)
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.printing.printers import Mode, Printer
from node.printing.spool import JobState
from node.printing.troubles import troubles, words
from node.storage.store import NodeStore
from tests.support.office import NOW_MS, PlainMaker, ScriptedPrinter, line, make_office, record
from tests.support.printing import card_document

A, B, C = (f"537104410190900{number}" for number in (1, 2, 3))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NodeStore]:
    found = make_office(tmp_path / "node", blanks=9)
    yield found
    found.close()


def press(store: NodeStore, **drivers: object) -> Press:
    found = Press(
        store, None, PlainMaker(), rights=None, now_ms=lambda: NOW_MS,
        open_printer=lambda address: drivers[address.partition(":")[2]],  # type: ignore[arg-type, return-value]
    )  # fmt: skip
    return found


async def turns(store: NodeStore, count: int, **drivers: object) -> None:
    found = press(store, **drivers)
    try:
        await found.use([Printer(f"folder:{name}", "", frozenset({"card", "a4"}), Mode.ON) for name in drivers])
        for _ in range(count):
            await found.turn()
    finally:
        await found.close()


def states(store: NodeStore) -> list[JobState]:
    return [Ledger(store).of_resident(int(nik))[-1].state for nik in (A, B, C)]


class Refusing(ScriptedPrinter):
    """Refuses what ``refuses`` names, or everything, in words of its own."""

    refuses: str = ""

    async def submit(self, document: object) -> None:
        if not self.refuses or self.refuses in document.data.decode():  # type: ignore[attr-defined]
            raise PrinterRefusedError("not allowed")
        await super().submit(document)  # type: ignore[arg-type]


async def test_a_printer_that_refuses_everything_makes_no_job_fail_and_is_named(store: NodeStore) -> None:
    record(store, line(A), line(B), line(C))
    await turns(store, 5, only=Refusing())
    assert all(state in (JobState.READY, JobState.QUEUED) for state in states(store))
    assert [one.printer for one in troubles(store)] == ["folder:only"]
    assert "printer_trouble" in {one.code for one in warnings(store, NOW_MS)}


async def test_beside_one_that_works_every_card_comes_out(store: NodeStore) -> None:
    record(store, line(A), line(B), line(C))
    good = ScriptedPrinter()
    await turns(store, 8, bad=Refusing(), good=good)
    assert states(store) == [JobState.PRINTED] * 3 and len(good.cards) == 3


async def test_a_document_that_a_printer_refuses_while_it_takes_others_fails_alone(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "REST_SECONDS_MIN", 0.0)
    record(store, line(A), line(B), line(C))
    printer = Refusing()
    printer.refuses = "A000001"  # PlainMaker's document names its blank.
    await turns(store, 8, only=printer)
    assert sorted(states(store)) == [JobState.FAILED, JobState.PRINTED, JobState.PRINTED]


async def test_a_wrong_document_fails_at_once(store: NodeStore) -> None:
    record(store, line(A))
    await turns(store, 2, only=ScriptedPrinter(on_submit=DocumentRefusedError("wrong format")))
    assert Ledger(store).of_resident(int(A))[-1].state is JobState.FAILED


async def test_a_printer_that_takes_jobs_and_knows_none_gets_two_and_no_more_until_somebody_looked(
    store: NodeStore,
) -> None:
    record(store, *(line(f"53710441019090{number:02}") for number in range(10, 20)))
    printer = ScriptedPrinter(is_forgetful=True)
    await turns(store, 12, only=printer)
    assert Ledger(store).counts()["in_doubt"] == lane.DOUBTS_MAX


async def test_known_keywords_are_words_and_unknown_ones_are_shown() -> None:
    assert words("media-jam-error") == ("kartu atau kertas macet", "card or paper jam")
    assert "media-jam" not in " ".join(words("cover-open media-empty-warning"))
    assert "com.vendor-x" in words("com.vendor-x")[0]


@asynccontextmanager
async def hostile(answers: Iterator[bytes]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(64 * 1024)
            writer.write(next(answers))
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ipp://127.0.0.1:{server.sockets[0].getsockname()[1]}/ipp/print"
    finally:
        server.close()


def garbage(seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    head = b"HTTP/1.1 200 OK\r\n"
    while True:
        body = chance.randbytes(chance.randrange(200))
        yield chance.choice([
            body,
            head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"a" * 70_000,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"-5\r\n" + body,
            head + b"X: " + b"y" * 70_000,
            head + b"Content-Length: \xd9\xa3\r\n\r\n",
            b"HTTP/1.1 \xff\xfe\r\n\r\n",
            b"\x02\x00\x00\x00" + body,
        ])  # fmt: skip


async def test_whatever_a_printer_sends_is_an_error_of_its_driver() -> None:
    async with hostile(garbage(20241127)) as url:
        driver = open_driver(url)
        for number in range(80):
            calls = (
                driver.submit(card_document(f"job-{number}")),
                driver.outcome(f"job-{number}"),
                driver.report(),
            )
            for call in calls:
                with suppress(PrinterUnreachableError, PrinterBusyError, PrinterRefusedError):
                    assert await call in (None, JobOutcome.UNKNOWN)
        await driver.close()
