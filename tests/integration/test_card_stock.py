"""Numbered card stock from the hub's allotment to the minutes of its destruction, in two offices and at the hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
from typer.testing import CliRunner

from hub.cli import app as hub_app
from hub.merge import registry
from hub.merge.store import HubStore
from hub.stock.allot import allot
from hub.stock.index import INDEX, stock_books
from node.cli import app as node_app
from node.desk.absorb import absorb
from node.desk.confirm import confirm, resolve
from node.desk.doctor import examine
from node.desk.status import warnings
from node.printing.condition import Conditions, Limits, Stopper
from node.printing.ledger import Ledger
from node.printing.render import qr_text
from node.printing.spool import JobState
from node.settings import KEY_NAME
from node.stock import SerialRange, Stock, Story
from node.stock.minutes import draw_minutes, minutes_of
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.serials import SerialSet
from sepe.stock import StockBooks, StockSum
from sepe_io import keys, logs
from sepe_io.frames import seal_frame
from sepe_io.sqlite import transaction
from tests.support.hubs import new_hub, send
from tests.support.office import HOME_NIK, NOW_MS, ScriptedPrinter, line, make_office, record
from tests.support.turns import PRINTER, turn

DAY_MS = 86_400_000
KTP = "ktp-el"
SECOND = "5371044101909002"
A, B = "537104-1", "537105-1"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in this process must not tie the log to its own stderr, which ends with it."""
    monkeypatch.setattr(logs, "set_up", lambda level: None)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[NodeStore]:
    store = make_office(tmp_path / "a", A, blanks=10)
    yield store
    store.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[NodeStore]:
    store = make_office(tmp_path / "b", B)
    yield store
    store.close()


def knowing(directory: Path, *offices: NodeStore, database: str = "") -> HubStore:
    store = new_hub(directory, is_durable=False, database=database)
    with transaction(store.connection):
        for node in offices:
            key = keys.load(node.folder / KEY_NAME).public_key
            registry.add_key(store.connection, node.node, key, now_ms=NOW_MS)
    return store


@pytest.fixture
def hub(tmp_path: Path, office: NodeStore, other: NodeStore) -> Iterator[HubStore]:
    with knowing(tmp_path / "hub", office, other) as store:
        yield store


@pytest.fixture
def either_hub(tmp_path: Path, office: NodeStore, other: NodeStore, database: str) -> Iterator[HubStore]:
    with knowing(tmp_path / "hub", office, other, database=database) as store:
        yield store


def relay(hub: HubStore, *stores: NodeStore, received_ms: int = NOW_MS + 9 * DAY_MS) -> StockBooks:
    """Everything that these offices have to say, and the books after it."""
    for store in stores:
        page = store.page(0)
        assert page is not None
        frame = seal_frame(
            node=store.node, epoch=store.epoch, first_seq=1, chain_before=store.chain_at(0) or b"",
            columns=page.columns, signer=keys.load(store.folder / KEY_NAME),
        )  # fmt: skip
        send(hub, [frame], received_ms=received_ms)
    return stock_books(hub)


def span(first: str, last: str = "") -> SerialRange:
    return SerialRange(KTP, first, last or first)


def sepe(*words: object) -> tuple[int, str]:
    """Exit code and stdout of the command, in this process."""
    app = {"node": node_app, "hub": hub_app}[str(words[0])]
    done = CliRunner().invoke(app, [str(word) for word in words[1:]])
    return done.exit_code, done.stdout


def sums_close(store: NodeStore) -> dict[str, StockSum]:
    sums = Stock(store).sums(KTP)
    assert all(one.closes for one in sums.values()), sums
    assert all(one.is_ok for one in examine(store)), examine(store)
    return sums


def test_a_week_of_stock_closes_at_the_office_and_at_the_hub_each_day(
    office: NodeStore, other: NodeStore, either_hub: HubStore
) -> None:
    hub, stock = either_hub, Stock(office)
    record(office, line(), line(SECOND))
    printer = ScriptedPrinter()
    turn(office, printer)
    two, three = NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS
    stock.take_out(span("A000009", "A000010"), "moved_out", now_ms=two, story=Story(other_node=B))
    (job,) = Ledger(office).of_resident(int(SECOND))
    _, again = resolve(
        office, job.id, came_out=True, is_spoiled=True, operator="op-1", now_ms=two, spoiled_by="no-chip"
    )
    stock.take_out(span("A000005"), "spoiled", now_ms=two, story=Story("physical-damage"))
    counted = stock.count(KTP, SerialSet.of(["A000003", "A000006", "A000007"]), now_ms=three)
    assert (counted.held, str(counted.lost), str(counted.found)) == (3, "A000004, A000008", "")
    turn(office, printer, now_ms=three)
    assert again is not None and Ledger(office).job(again.id).serial == "A000003", "made again on a new blank"
    counted = stock.count(KTP, SerialSet.of(["A000004", "A000006", "A000007"]), now_ms=three)
    assert (counted.held, str(counted.lost), str(counted.found)) == (3, "", "A000004")
    assert stock.destroy(None, witnesses=["ANA BOLE", "YOHANES LAY"], operator="op-1", now_ms=three) == 1
    assert list(sums_close(office).values()) == [
        StockSum(received=10, printed=2, closing=8),
        StockSum(opening=8, printed=-1, spoiled=2, moved_out=2, closing=5),
        StockSum(opening=5, printed=1, lost=1, closing=3),
    ]

    books = relay(hub, office, other) if other.page(0) else relay(hub, office)
    assert books.faults() == []
    (at_a,) = books.machines
    assert list(at_a.days.values()) == list(Stock(office).sums(KTP).values())
    assert [(one.receiver, str(one.serials)) for one in books.transits] == [(B, "A000009-A000010")]
    Stock(other).receive(span("A000009", "A000010"), now_ms=three, story=Story(other_node=A))
    books = relay(hub, office, other)
    assert not books.faults() and not books.transits
    assert [len(one.held) for one in books.machines] == [3, 2]
    (hub.directory / INDEX).unlink()
    assert stock_books(hub) == books, "the index is made again from the log"


def test_an_office_whose_clock_is_a_year_ahead_keeps_its_books_in_order(office: NodeStore, hub: HubStore) -> None:
    stock = Stock(office)
    stock.take_out(span("A000009", "A000010"), "moved_out", now_ms=NOW_MS + 1, story=Story(other_node=B))
    stock.receive(span("A000010"), now_ms=NOW_MS + 2, story=Story(other_node=B))
    record(office, line())
    turn(office, ScriptedPrinter(), now_ms=NOW_MS + 3)
    stock.count(KTP, SerialSet.of([*(f"A00000{n}" for n in range(2, 9)), "A000010"]), now_ms=NOW_MS + 4)
    # Every stamp is capped to one instant, so only the machine's own stamps still tell what came first.
    books = relay(hub, office, received_ms=NOW_MS - 365 * DAY_MS)
    (at_a,) = books.machines
    assert not books.faults() and len(at_a.held) == 8 and list(at_a.days) == ["2023-11-24"]
    assert [str(one.serials) for one in books.transits] == ["A000009"]


def test_a_serial_that_two_offices_report_is_a_case_at_the_hub(
    office: NodeStore, other: NodeStore, hub: HubStore
) -> None:
    Stock(other).receive(span("A000008", "A000012"), now_ms=NOW_MS)
    books = relay(hub, office, other)
    assert [(one.nodes, str(one.serials)) for one in books.conflicts] == [((A, B), "A000008-A000010")]
    listed = sepe("hub", "cases", hub.directory)[1]
    assert f"blank_conflict  ktp-el A000008-A000010  {A} and {B}" in listed


def test_the_hub_gives_each_serial_once_and_knows_it_under_way_until_it_is_received(
    office: NodeStore, other: NodeStore, either_hub: HubStore
) -> None:
    hub = either_hub
    allot(hub, B, span("B000001", "B000100"), now_ms=NOW_MS)
    for taken in (span("B000100", "B000101"), span("A000010", "A000012")):
        relay(hub, office)
        with pytest.raises(InvalidInputError, match="given once"):
            allot(hub, B, taken, now_ms=NOW_MS)
    with pytest.raises(InvalidInputError, match="not enrolled"):
        allot(hub, "537199-1", span("C1"), now_ms=NOW_MS)
    Stock(other).receive(span("B000001", "B000060"), now_ms=NOW_MS)
    books = relay(hub, office, other)
    assert [(one.sender, one.receiver, str(one.serials)) for one in books.transits] == [
        ("hub", B, "B000061-B000100")
    ]
    with pytest.raises(InvalidInputError, match="given once"):
        allot(hub, B, span("B000050"), now_ms=NOW_MS)


def test_minutes_name_every_serial_with_its_reason_and_come_out_the_same_again(office: NodeStore) -> None:
    stock = Stock(office)
    stock.take_out(span("A000002", "A000004"), "spoiled", now_ms=NOW_MS, story=Story("no-chip"))
    stock.take_out(span("A000006"), "spoiled", now_ms=NOW_MS, story=Story("encode-failure"))
    with pytest.raises(InvalidInputError, match="dua orang"):
        stock.destroy(None, witnesses=["ANA BOLE", " "], operator="op-1", now_ms=NOW_MS)
    number = stock.destroy(None, witnesses=["ANA BOLE", "YOHANES LAY"], operator="op-1", now_ms=NOW_MS)
    assert number == 1 and stock.destroy(None, witnesses=["A", "B"], operator="", now_ms=NOW_MS) is None
    minutes = minutes_of(office, number)
    assert minutes.day == date(2024, 11, 23) and minutes.count == 4
    drawn = draw_minutes(minutes)
    assert drawn == draw_minutes(minutes_of(office, number))
    page = pypdfium2.PdfDocument(drawn)[0].get_textpage().get_text_bounded()
    for word in (
        "A000002-A000004",
        "tanpa chip",
        "A000006",
        "gagal encode",
        "ANA BOLE",
        "YOHANES LAY",
        "SPECIMEN",
    ):
        assert word in page
    assert stock.counts()[KTP] == {"at_hand": 6, "destroyed": 4}
    assert sums_close(office)["2024-11-23"].spoiled == 4


def test_a_scan_is_proof_whatever_the_printer_says_and_whichever_blank_the_feeder_took(
    office: NodeStore,
) -> None:
    record(office, line(), line(SECOND))
    printer = ScriptedPrinter(is_forgetful=True)
    turn(office, printer)
    turn(office, printer)
    ledger = Ledger(office)
    first, second = ledger.in_state(JobState.SUBMITTED, JobState.IN_DOUBT)
    with pytest.raises(InvalidInputError, match="sebutkan yang mana"):
        confirm(office, "A000007", operator="op-1", now_ms=NOW_MS)
    with pytest.raises(InvalidInputError, match="persediaan"):
        confirm(office, "A000099", job_id=first.id, operator="op-1", now_ms=NOW_MS)
    # The feeder took the seventh blank for the first card; the second card says itself whose it is.
    done = confirm(office, "A000007", job_id=first.id, operator="op-1", now_ms=NOW_MS)
    assert (done.state, done.serial) == (JobState.PRINTED, "A000007")
    done = confirm(office, qr_text(second.name, 1), operator="op-1", now_ms=NOW_MS)
    assert (done.state, done.serial) == (JobState.PRINTED, second.serial)
    assert confirm(office, second.serial, operator="op-1", now_ms=NOW_MS) == done, "a second scan changes nothing"
    assert Stock(office).counts()[KTP] == {"at_hand": 8, "printed": 2}
    sums_close(office)


def test_a_row_that_was_altered_no_longer_fits_the_books(office: NodeStore) -> None:
    office.connection.execute("UPDATE blank SET state = 'lost' WHERE serial = 'A000003'")
    (found,) = Stock(office).sums(KTP).values()
    assert (found.gap, found.closes) == (1, False)
    assert ["differ (ktp-el -1)" in one.detail for one in examine(office) if not one.is_ok] == [True]


def test_ribbon_and_heat_are_counted_per_card_and_told_before_they_stop_the_queue(office: NodeStore) -> None:
    conditions = Conditions(office)
    conditions.change_ribbon(PRINTER, NOW_MS, cards=2)
    conditions.set_limits(PRINTER, Limits(day_cards=2, run_cards=2, rest_s=600))
    record(office, line(), line(SECOND), line(reason="lost"))
    printer = ScriptedPrinter(says={})
    turn(office, printer)
    now = conditions.of(PRINTER, "2024-11-23")
    assert (now.ribbon_left, now.cards_today, now.day_left) == (0, len(printer.cards), 0)
    assert set(now.stoppers(NOW_MS)) == set(Stopper) and now.rests_until_ms(NOW_MS) == NOW_MS + 600_000
    assert {"blanks_low", "ribbon_low", "printer_hot"} <= {one.code for one in warnings(office, NOW_MS)}
    conditions.change_ribbon(PRINTER, NOW_MS)
    tomorrow = conditions.of(PRINTER, "2024-11-24")
    assert (tomorrow.cards_left, tomorrow.ribbon_left) == (2, 500)
    assert tomorrow.stoppers(NOW_MS + DAY_MS) == ()
    # A clock that went back by years makes it rest no longer than it should.
    assert now.rests_until_ms(0) == 600_000


def test_a_backup_that_comes_back_spends_no_serial_twice_and_gives_no_card_another_ones_name(
    tmp_path: Path, office: NodeStore, hub: HubStore
) -> None:
    record(office, line(), line(SECOND))
    office.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(office.folder, tmp_path / "backup")
    turn(office, ScriptedPrinter())
    spent = {job.name: job.serial for job in Ledger(office).all(10)}
    restored = NodeStore.open(tmp_path / "backup")
    try:
        page = office.page(restored.position().last_seq)
        assert page is not None
        absorb(restored, office.epoch, page.first_seq, page.columns)
        assert {job.name: job.serial for job in Ledger(restored).all(10)} == spent
        assert Stock(restored).counts() == Stock(office).counts()
        sums_close(restored)
        printer = ScriptedPrinter()
        turn(restored, printer)
        assert printer.cards == []
    finally:
        restored.close()


def test_a_backup_that_prints_before_it_hears_the_hub_is_found_out_by_name_and_by_serial(
    tmp_path: Path, office: NodeStore, hub: HubStore
) -> None:
    record(office, line())
    office.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(office.folder, tmp_path / "backup")
    turn(office, ScriptedPrinter())
    restored = NodeStore.open(tmp_path / "backup")
    try:
        turn(restored, ScriptedPrinter())
        (one,), (two,) = (Ledger(store).of_resident(int(HOME_NIK)) for store in (office, restored))
        assert one.serial == two.serial and one.name != two.name
        last_seq = NodeStore.position(restored).last_seq
        restored.open_epoch("restored", last_seq - 2, NOW_MS)
        relay(hub, office)
        hub.project()
        books = relay(hub, restored)
        hub.project()
        assert any(f"printed on twice: {one.serial}" in fault for fault in books.faults())
        kinds = hub.connection.execute("SELECT kind FROM resident_case WHERE is_open").fetchall()
        assert ("double_print",) in kinds
    finally:
        restored.close()


def test_the_commands_take_the_directory_first_and_last(tmp_path: Path, hub: HubStore, office: NodeStore) -> None:
    relay(hub, office)

    office.close()
    assert sepe("node", "blanks", office.folder, "spoil", "--product", KTP, "--first", "A000001",
                "--reason", "tanpa chip")[0] == 0  # fmt: skip
    out = tmp_path / "minutes.pdf"
    code, text = sepe("node", "blanks", office.folder, "destroy", "--witness", "ANA", "--witness", "YOHANES",
                      "--minutes", out, "--json")  # fmt: skip
    assert code == 0 and json.loads(text)["count"] == 1 and out.read_bytes().startswith(b"%PDF")
    code, text = sepe("node", "blanks", office.folder, "--json")
    assert code == 0 and [one["closing"] for one in json.loads(text) if one["product"] == KTP] == [10, 9]
    code, text = sepe("hub", "blanks", hub.directory, "--json")
    assert code == 0 and json.loads(text)["nodes"][0]["received"] == 10
    assert json.loads(sepe("hub", "blanks", hub.directory, "--below", 10, "--json")[1])["nodes"] == []
    code, text = sepe("hub", "blanks", hub.directory, "where", "A000003", "--json")
    assert code == 0 and json.loads(text)[0]["now"] == [f"at hand at {A}"]
