"""A machine restored from its backup takes back what it lost, and prints nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path

from node.desk.absorb import absorb, doubt_lost_wishes
from node.desk.doctor import examine
from node.printing.ledger import Ledger
from node.printing.spool import JobState
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe.codec import Columns
from sepe.events import Draft, Kind
from tests.support.office import HOME_NIK, NOW_MS, ScriptedPrinter, line, make_office, record
from tests.support.turns import turn

SECOND, THIRD = "5371044101909002", "5371044101909003"


def restored(tmp_path: Path) -> tuple[NodeStore, NodeStore]:
    """The machine as it was, and as its backup brought it back: after the first recording, before all else."""
    store = make_office(tmp_path / "node", blanks=2)
    record(store, line(address="JL. LAMA"))
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(tmp_path / "node", tmp_path / "backup")
    turn(store, ScriptedPrinter())
    record(store, line(SECOND), line(HOME_NIK, address="JL. BARU", reason="lost"))
    Stock(store).receive(SerialRange("ktp-el", "B1", "B2"), now_ms=NOW_MS)
    turn(store, ScriptedPrinter())
    record(store, line(THIRD))
    return store, NodeStore.open(tmp_path / "backup")


def test_what_was_lost_is_known_again_and_a_card_that_was_printed_is_not_printed_again(tmp_path: Path) -> None:
    before, after = restored(tmp_path)
    last_seq = after.position().last_seq
    page = before.page(last_seq)
    assert page is not None
    assert absorb(after, before.epoch, page.first_seq, page.columns) == len(page.columns)
    assert absorb(after, before.epoch, page.first_seq, page.columns) == 0, "a repeat changes nothing"
    assert doubt_lost_wishes(after, NOW_MS) == 1
    printer = ScriptedPrinter()
    for _ in range(3):
        turn(after, printer)
    assert printer.cards == []
    ledger, old = Ledger(after), Ledger(before)
    for nik in (HOME_NIK, SECOND):
        assert [(job.name, job.state, job.serial) for job in ledger.of_resident(int(nik))] == [
            (job.name, job.state, job.serial) for job in old.of_resident(int(nik))
        ]
    # Asked for, and no word of a card: it may have been printed after the hub's last event.
    assert [job.state for job in ledger.of_resident(int(THIRD))] == [JobState.IN_DOUBT]
    assert Stock(after).counts()["ktp-el"] == Stock(before).counts()["ktp-el"]
    claims = "SELECT nik, claims FROM resident ORDER BY nik"
    assert list(after.connection.execute(claims)) == list(before.connection.execute(claims))
    assert all(one.is_ok for one in examine(after)), examine(after)
    assert record(after, line(HOME_NIK, reason="lost"))[0].ok
    assert ledger.of_resident(int(HOME_NIK))[-1].issue == 3


def test_a_card_that_came_back_without_its_recording_is_not_asked_for_once_more(tmp_path: Path) -> None:
    """As of a resident whom another office recorded: his card was moved here, after this backup was made."""
    before, after = restored(tmp_path)
    page = before.page(after.position().last_seq)
    assert page is not None
    rows = zip(page.columns.niks, page.columns.stamps, page.columns.kinds, page.columns.bodies, strict=True)
    cards = [(Draft(kind, nik, body), stamp) for nik, stamp, kind, body in rows if kind == Kind.CARD_MOVED]
    assert absorb(after, before.epoch, page.first_seq, Columns.of(cards))
    [answer] = record(after, line(SECOND))
    assert (answer.ok, answer.status) == (True, "already_requested")
    assert len(Ledger(after).of_resident(int(SECOND))) == 1
