"""The press against a printer that does what the test says, and a power cut at every step."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.desk.confirm import resolve
from node.desk.doctor import examine
from node.desk.hand_over import hand_over
from node.printing.driver import (
    DocumentRefusedError,
    JobOutcome,
    PrinterBusyError,
    PrinterUnreachableError,
)
from node.printing.folder import FolderDriver
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.paper import Paper
from node.printing.press import Press
from node.printing.spool import JobState
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe.card import issues_of
from sepe.errors import InvalidInputError
from sepe.events import Event, Kind
from sepe.ids import EventId
from sepe.resident import fold
from sepe.wire.v1 import event_pb2
from tests.support.office import (
    HOME_NIK,
    NOW_MS,
    PowerCutError,
    ScriptedPrinter,
    jobs,
    line,
    make_office,
    record,
    states,
)
from tests.support.processes import ROOT
from tests.support.turns import PRINTER, turn


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return make_office(tmp_path / "node", blanks=5)


def card_steps(store: NodeStore, nik: str = HOME_NIK) -> list[tuple[str, int, str]]:
    """(attempt, state, serial) of each card event in the outbox."""
    events = [
        Event(EventId(store.node, store.epoch, row.seq), row.stamp, row.kind, row.nik, row.body)
        for row in store.events_after(0)
        if row.nik == int(nik) and row.kind == Kind.CARD_MOVED
    ]
    return [(step.attempt, step.state, step.serial) for step in sorted(fold(events).steps)]


def is_whole(store: NodeStore) -> None:
    found = examine(store)
    assert all(one.is_ok for one in found), found


def test_a_recorded_card_is_printed_on_the_next_blank_and_the_centre_hears_of_it(store: NodeStore) -> None:
    record(store, line())
    printer = ScriptedPrinter()
    turn(store, printer)
    (job,) = jobs(store)
    assert (job.state, job.serial, job.fence) == (JobState.PRINTED, "A000001", 0)
    assert printer.cards == [job.name]
    assert card_steps(store) == [(job.name, 30, "A000001"), (job.name, 50, "A000001")]
    assert Stock(store).counts()["ktp-el"] == {"at_hand": 4, "printed": 1}
    is_whole(store)


def test_nothing_personal_is_in_the_job_name(store: NodeStore) -> None:
    record(store, line())
    (job,) = jobs(store)
    assert HOME_NIK not in job.name and "MARIA" not in job.name and len(job.name) == 24


class Cut:
    """Cuts the power around one call of the ledger."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str, *, after: bool) -> None:
        original: Callable[..., Any] = getattr(Ledger, method)

        def cut(ledger: Ledger, *arguments: Any, **keywords: Any) -> Any:
            if not after:
                raise PowerCutError
            original(ledger, *arguments, **keywords)
            raise PowerCutError

        monkeypatch.setattr(Ledger, method, cut)


@pytest.mark.parametrize(
    ("method", "after", "cards", "state"),
    [
        ("allot", False, 0, JobState.PRINTED),
        ("allot", True, 0, JobState.PRINTED),
        ("intend", False, 0, JobState.PRINTED),
        # From here on a card may exist. The printer does not know the job, so a person must look.
        ("intend", True, 0, JobState.IN_DOUBT),
        # The card came out, and the printer remembers its name.
        ("settle", False, 1, JobState.PRINTED),
        ("settle", True, 1, JobState.PRINTED),
    ],
)
def test_a_power_cut_at_any_step_never_makes_a_second_card(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch, method: str, after: bool, cards: int, state: JobState
) -> None:
    record(store, line())
    printer = ScriptedPrinter()
    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        Cut(patch, "settle" if method == "settle" else method, after=after)
        if method == "settle":
            # `intend` settles too; only the settlement after the printing is to be cut.
            patch.setattr(Ledger, "intend", _intend_unsettled)
        turn(store, printer)
    assert len(printer.cards) == cards
    for _ in range(3):
        turn(store, printer)
    assert states(store) == [state]
    assert len(printer.cards) == (1 if state is JobState.PRINTED else 0)
    is_whole(store)


def _intend_unsettled(ledger: Ledger, job_id: int, *, printer: str, now_ms: int) -> Job:
    """`Ledger.intend` written out, for the test that cuts `settle`."""
    store = ledger._store
    with store.transaction():
        store.connection.execute(
            "UPDATE job SET printer = ?, state = 'reserved', announced = 30 WHERE id = ?", (printer, job_id)
        )
        job = ledger.job(job_id)
        store.append([ledger._card_moved(job, 30, "", "")], now_ms)
        return job


def test_a_printer_that_dies_with_the_job_leaves_a_doubt_that_stays(store: NodeStore) -> None:
    record(store, line())
    printer = ScriptedPrinter(is_forgetful=True)
    printer.after_submit = PrinterUnreachableError("cut off", maybe_accepted=True)
    for _ in range(4):
        turn(store, printer)
    assert states(store) == [JobState.IN_DOUBT]
    assert len(printer.cards) == 1
    assert [state for _, state, _ in card_steps(store)] == [30, 40]
    is_whole(store)


def test_a_doubt_ends_by_itself_when_the_printer_remembers(store: NodeStore) -> None:
    record(store, line())
    printer = ScriptedPrinter()
    printer.after_submit = PrinterUnreachableError("cut off", maybe_accepted=True)
    turn(store, printer)
    assert states(store) == [JobState.IN_DOUBT]
    turn(store, printer)
    assert states(store) == [JobState.PRINTED]


def test_a_printer_that_forgets_a_job_it_took_leaves_a_doubt(store: NodeStore) -> None:
    record(store, line())
    printer = ScriptedPrinter(is_forgetful=True)
    turn(store, printer)
    assert states(store) == [JobState.SUBMITTED]
    turn(store, printer)
    assert states(store) == [JobState.IN_DOUBT]


def test_a_job_called_cancelled_is_not_taken_for_unprinted(store: NodeStore) -> None:
    record(store, line())
    printer = ScriptedPrinter(is_forgetful=True)
    turn(store, printer)
    printer.says[jobs(store)[0].name] = JobOutcome.CANCELED
    turn(store, printer)
    turn(store, printer)
    assert states(store) == [JobState.IN_DOUBT]


@pytest.mark.parametrize("error", [PrinterBusyError("busy"), PrinterUnreachableError("no answer")])
def test_a_printer_that_surely_lacks_the_job_gets_it_again_on_the_same_blank(
    store: NodeStore, error: Exception
) -> None:
    record(store, line())
    printer = ScriptedPrinter(on_submit=error)
    turn(store, printer)
    (job,) = jobs(store)
    assert (job.state, job.serial, printer.cards) == (JobState.READY, "A000001", [])
    turn(store, printer)
    assert (states(store), printer.cards) == ([JobState.PRINTED], [job.name])
    assert [(state, serial) for _, state, serial in card_steps(store)] == [(30, "A000001"), (50, "A000001")]


def test_a_refused_document_fails_gives_the_blank_back_and_lets_others_pass(store: NodeStore) -> None:
    record(store, line(), line("5371044101909002"))
    printer = ScriptedPrinter(on_submit=DocumentRefusedError("wrong format"))
    turn(store, printer)
    assert states(store) == [JobState.FAILED]
    assert states(store, "5371044101909002") == [JobState.PRINTED]
    assert Stock(store).counts()["ktp-el"] == {"at_hand": 4, "printed": 1}


def test_without_blanks_cards_wait_and_paper_goes_on(tmp_path: Path) -> None:
    store = make_office(tmp_path / "node")
    record(store, line(), line(product="kk"))
    printer = ScriptedPrinter()
    turn(store, printer)
    assert states(store) == [JobState.WAITING_BLANK, JobState.PRINTED]
    Stock(store).receive(SerialRange("ktp-el", "B1", "B1"), now_ms=NOW_MS)
    turn(store, printer)
    assert states(store) == [JobState.PRINTED, JobState.PRINTED]


def test_stock_never_goes_below_nothing(tmp_path: Path) -> None:
    store = make_office(tmp_path / "node", blanks=3)
    record(store, *(line(f"537104410190{serial}") for serial in range(9001, 9008)))
    printer = ScriptedPrinter()
    for _ in range(3):
        turn(store, printer)
    assert Ledger(store).counts() == {"printed": 3, "waiting_blank": 4}
    assert Stock(store).counts()["ktp-el"] == {"at_hand": 0, "printed": 3}
    is_whole(store)


def test_a_person_who_saw_the_card_settles_the_doubt(store: NodeStore) -> None:
    doubtful(store)
    job, successor = resolve(store, 1, came_out=True, is_spoiled=False, operator="op-1", now_ms=NOW_MS)
    assert (job.state, successor) == (JobState.PRINTED, None)
    assert hand_over(store, int(HOME_NIK), product=None, operator="op-1", now_ms=NOW_MS).job.state == "handed_over"
    assert [state for _, state, _ in card_steps(store)] == [30, 40, 50, 70]
    with pytest.raises(InvalidInputError):
        hand_over(store, int(HOME_NIK), product=None, operator="op-1", now_ms=NOW_MS)
    is_whole(store)


@pytest.mark.parametrize(("is_spoiled", "serial"), [(False, "A000001"), (True, "A000002")])
def test_a_card_that_did_not_come_out_is_made_again_by_another_attempt(
    store: NodeStore, is_spoiled: bool, serial: str
) -> None:
    doubtful(store)
    resolve(store, 1, came_out=False, is_spoiled=is_spoiled, operator="op-1", now_ms=NOW_MS)
    printer = ScriptedPrinter()
    turn(store, printer)
    first, second = jobs(store)
    assert (first.state, second.state) == (JobState.SPOILED if is_spoiled else JobState.VOID, JobState.PRINTED)
    assert first.name != second.name and second.serial == serial
    events = [
        Event(EventId(store.node, store.epoch, row.seq), row.stamp, row.kind, row.nik, row.body)
        for row in store.events_after(0)
        if row.nik
    ]
    (issue,) = issues_of(fold(events))
    assert issue.valid is not None and issue.valid.attempt == second.name and not issue.recalled
    is_whole(store)


def doubtful(store: NodeStore) -> None:
    record(store, line())
    printer = ScriptedPrinter(is_forgetful=True)
    printer.after_submit = PrinterUnreachableError("cut off", maybe_accepted=True)
    turn(store, printer)
    assert states(store) == [JobState.IN_DOUBT]


def test_the_real_folder_printer_gets_a_real_card(store: NodeStore, tmp_path: Path) -> None:
    record(store, line(), line(product="kk", kk="5371042501100012"))
    driver = FolderDriver(tmp_path / "cards")

    async def one() -> None:
        press = Press(store, driver, Paper(store), printer=PRINTER, rights=None, now_ms=lambda: NOW_MS)
        try:
            await press.turn()
        finally:
            await press.close()

    asyncio.run(one())
    assert states(store) == [JobState.PRINTED, JobState.PRINTED]
    for job in jobs(store):
        assert (tmp_path / "cards" / f"{job.name}.pdf").read_bytes().startswith(b"%PDF")


KILLED = """
import asyncio, sys
from pathlib import Path
from node.printing.folder import FolderDriver
from node.printing.press import Press
from node.storage.store import NodeStore
from tests.support.office import NOW_MS, PlainMaker
from tests.support.processes import ROOT
from tests.support.turns import PRINTER

async def main():
    store = NodeStore.open(Path(sys.argv[1]))
    driver = FolderDriver(Path(sys.argv[2]))
    press = Press(store, driver, PlainMaker(), printer=PRINTER, rights=None, now_ms=lambda: NOW_MS)
    while await press.turn():
        print(flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_killed_press_leaves_no_card_without_its_event_and_prints_none_twice(tmp_path: Path, turns: int) -> None:
    store = make_office(tmp_path / "node", blanks=80)
    record(store, *(line(f"537104410190{serial}") for serial in range(9001, 9061)))
    cards = tmp_path / "cards"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "node"), str(cards)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(turns):
        process.stdout.readline()
    while turns == 0 and not list(cards.glob("*.pdf")):
        time.sleep(0.002)  # The first card, whatever turn it is made in.
    process.kill()
    process.wait(10)
    process.stdout.close()
    printed = {path.stem for path in cards.glob("*.pdf")}
    assert printed
    announced = {
        step.attempt
        for row in store.events_after(0)
        if row.kind == Kind.CARD_MOVED
        for step in [event_pb2.CardMoved.FromString(row.body)]
    }
    assert printed <= announced
    driver = FolderDriver(cards)
    for _ in range(5):
        turn(store, driver)
    counts = Ledger(store).counts()
    assert counts.get("in_doubt", 0) <= 1 and sum(counts.values()) == 60
    assert counts["printed"] == len(list(cards.glob("*.pdf"))) == 60 - counts.get("in_doubt", 0)
    assert Stock(store).counts()["ktp-el"]["at_hand"] == 20
    is_whole(store)
