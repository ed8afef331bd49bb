"""What keeps a card before its blank is spent: the law's day, doubtful data, what is missing, a word to leave it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from node.desk.absorb import absorb, doubt_lost_wishes
from node.desk.confirm import resolve
from node.desk.waiting import cancel, confirm_data, force_incomplete
from node.printing import due
from node.printing.ledger import Ledger
from node.printing.spool import JobState
from node.stock import Stock
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Kind
from sepe.nik import Nik
from sepe.wire.v1 import event_pb2
from tests.support.attachments import picture
from tests.support.office import HOME_NIK, NOW_MS, OTHER_NIK, ScriptedPrinter, line, make_office, record, states
from tests.support.turns import turn

DAY_MS = 86_400_000
PUPIL = "5371042711079001"  # 17 on 27 November 2024, four days from now.
WHOLE = {"kk": "5371042501100012", "address": "JL. EL TARI", "birth_place": "KUPANG"}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[NodeStore]:
    store = make_office(tmp_path / "node", blanks=5, waits=True)
    yield store
    store.close()


def photo(store: NodeStore) -> dict[str, str]:
    path = store.folder.parent / "wajah.png"
    path.write_bytes(picture())
    return {"photo": str(path)}


def told(store: NodeStore) -> list[tuple[int, str, str]]:
    """(card state, waived, reason) of each step that the centre hears."""
    found = []
    for row in store.events_after(0):
        if row.kind == Kind.CARD_MOVED:
            body = event_pb2.CardMoved.FromString(row.body)
            found.append((body.state, body.waived, body.reason))
    return found


def pupil(store: NodeStore) -> None:
    record(store, line(PUPIL, birth_date="2007-11-27", sex="L", **WHOLE, **photo(store)))


def test_no_card_before_its_day_by_a_clock_that_ran_ahead(
    office: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.see_hub_clock(NOW_MS, NOW_MS)
    pupil(office)
    printer, ran_ahead = ScriptedPrinter(), NOW_MS + 4 * DAY_MS
    turn(office, printer)
    for _ in range(2):  # A program each time, as after a restart.
        turn(office, printer, now_ms=ran_ahead)
    assert (states(office, PUPIL), printer.cards) == ([JobState.WAITING_DUE], [])
    assert due.is_behind(office, ran_ahead)
    with pytest.raises(InvalidInputError, match="menunjukkan 2024-11-27"):
        due.confirm_date(office, date(2024, 11, 28), reason="kalender", operator="kasi", now_ms=ran_ahead)
    with pytest.raises(InvalidInputError):
        due.confirm_date(office, date(2024, 11, 27), reason=" ", operator="kasi", now_ms=ran_ahead)
    due.confirm_date(office, date(2024, 11, 27), reason="kalender", operator="kasi", now_ms=ran_ahead)
    turn(office, printer, now_ms=ran_ahead + 1_000)
    turn(office, printer, now_ms=ran_ahead + 2_000)
    assert states(office, PUPIL) == [JobState.PRINTED]
    assert (event_pb2.CARD_STATE_SENT, "due_day", "kalender") in told(office)


def test_nights_without_a_line_bring_the_day_and_so_does_the_hubs_word(office: NodeStore) -> None:
    office.see_hub_clock(NOW_MS, NOW_MS)
    pupil(office)
    printer = ScriptedPrinter()
    for night in range(5):
        turn(office, printer, now_ms=NOW_MS + night * DAY_MS)
        turn(office, printer, now_ms=NOW_MS + night * DAY_MS + 1_000)
        assert (states(office, PUPIL) == [JobState.PRINTED]) == (night >= 4)


def test_the_hubs_word_alone_brings_the_day(office: NodeStore) -> None:
    office.see_hub_clock(NOW_MS, NOW_MS)
    pupil(office)
    printer, later = ScriptedPrinter(), NOW_MS + 9 * DAY_MS
    turn(office, printer, now_ms=later)
    assert states(office, PUPIL) == [JobState.WAITING_DUE]
    office.see_hub_clock(later, later)
    turn(office, printer, now_ms=later)
    turn(office, printer, now_ms=later + 1_000)
    assert states(office, PUPIL) == [JobState.PRINTED]


def test_an_incomplete_card_waits_says_what_it_lacks_and_goes_when_it_comes(office: NodeStore) -> None:
    answer = record(office, line())[0]
    assert answer.ok and answer.status == "incomplete" and "foto" in " ".join(answer.warnings)
    turn(office, ScriptedPrinter())
    assert states(office) == [JobState.INCOMPLETE] and Stock(office).counts()["ktp-el"]["at_hand"] == 5
    record(office, line(**WHOLE))
    assert (
        states(office) == [JobState.INCOMPLETE] and "foto" in Ledger(office).of_resident(int(HOME_NIK))[0].reason
    )
    again = record(office, line(**photo(office)))[0]
    assert again.status == "already_requested"
    printer = ScriptedPrinter()
    turn(office, printer)
    turn(office, printer)
    assert states(office) == [JobState.PRINTED]
    # A paper waits for nothing.
    assert record(office, line(product="biodata"))[0].status == "queued"


def test_a_supervisor_forces_an_incomplete_card_and_the_centre_hears_why(office: NodeStore) -> None:
    record(office, line())
    with pytest.raises(InvalidInputError):
        force_incomplete(office, Nik.parse(HOME_NIK), reason="", operator="kasi", now_ms=NOW_MS)
    force_incomplete(office, Nik.parse(HOME_NIK), reason="kamera rusak", operator="kasi", now_ms=NOW_MS)
    printer = ScriptedPrinter()
    turn(office, printer)
    assert (event_pb2.CARD_STATE_SENT, "incomplete", "kamera rusak") in told(office)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, JobState.QUEUED),
        ({"birth_date": "1991-01-01"}, JobState.UNCONFIRMED),
        ({"sex": "L"}, JobState.UNCONFIRMED),
        ({"marital_status": "KAWIN"}, JobState.QUEUED),
    ],
)
def test_doubtful_data_wait_for_a_person(office: NodeStore, changes: dict[str, str], state: JobState) -> None:
    record(office, line(**{**WHOLE, **photo(office), **changes}))
    assert states(office) == [state]
    if state is JobState.QUEUED:
        with pytest.raises(InvalidInputError, match="menunggu kepastian"):
            confirm_data(office, Nik.parse(HOME_NIK), operator="op", now_ms=NOW_MS)
        return
    turn(office, ScriptedPrinter())
    assert states(office) == [state]
    confirm_data(office, Nik.parse(HOME_NIK), operator="op", now_ms=NOW_MS)
    assert states(office) == [JobState.QUEUED]


def test_a_young_marriage_and_a_nik_of_elsewhere_without_a_kk(office: NodeStore) -> None:
    young = "5371042711079002"
    record(office, line(young, birth_date="2007-11-27", sex="L", marital_status="KAWIN", **WHOLE, **photo(office)))
    assert states(office, young) == [JobState.UNCONFIRMED]
    elsewhere = {key: value for key, value in WHOLE.items() if key != "kk"}
    record(office, line(OTHER_NIK, **elsewhere, **photo(office)))
    assert states(office, OTHER_NIK) == [JobState.INCOMPLETE]
    record(office, line(OTHER_NIK, kecamatan_code="537104"))
    assert states(office, OTHER_NIK) == [JobState.QUEUED]
    assert record(office, line("5371054101909002", **WHOLE, **photo(office)))[0].status == "queued"


def test_a_card_that_waits_is_cancelled_and_may_be_asked_for_again(office: NodeStore) -> None:
    record(office, line(**WHOLE, **photo(office)))
    (job,) = cancel(office, HOME_NIK, reason="salah orang", operator="op", now_ms=NOW_MS)
    assert job.state is JobState.VOID and (event_pb2.CARD_STATE_VOID, "", "salah orang") in told(office)
    assert record(office, line())[0].status == "queued"
    printer = ScriptedPrinter()
    turn(office, printer)
    with pytest.raises(InvalidInputError, match=r"memegangnya|menunggu"):
        cancel(office, str(job.id + 1), reason="terlambat", operator="op", now_ms=NOW_MS)
    with pytest.raises(InvalidInputError, match="NIK atau nomor"):
        cancel(office, "abc", reason="x", operator="op", now_ms=NOW_MS)


def test_a_replaced_machine_doubts_nothing_that_no_printer_had_and_prints_nothing_that_it_must_not(
    office: NodeStore, tmp_path: Path
) -> None:
    second = "5371044101909002"
    pupil(office)
    record(office, line(**WHOLE, **photo(office)), line(second, **WHOLE))
    page = office.page(0)
    assert page is not None
    new = make_office(tmp_path / "new", blanks=5, waits=True)
    try:
        absorb(new, office.epoch, 1, page.columns)
        assert doubt_lost_wishes(new, NOW_MS) == 0
        found = [states(new, nik) for nik in (PUPIL, HOME_NIK, second)]
        assert found == [[JobState.WAITING_DUE], [JobState.QUEUED], [JobState.INCOMPLETE]]
        printer = ScriptedPrinter()
        turn(new, printer)
        turn(new, printer)
        assert states(new, HOME_NIK) == [JobState.PRINTED] and len(printer.cards) == 1
        # Whatever wakes it: another try of what did not come out passes the same door.
        job = Ledger(new).of_resident(int(PUPIL))[0]
        new.connection.execute("UPDATE job SET state = 'in_doubt' WHERE id = ?", (job.id,))
        _, again = resolve(new, job.id, came_out=False, is_spoiled=False, operator="op", now_ms=NOW_MS)
        assert again is not None and again.state is JobState.WAITING_DUE
        new.connection.execute("UPDATE job SET state = 'queued' WHERE id = ?", (again.id,))
        turn(new, printer)
        assert len(printer.cards) == 1
    finally:
        new.close()
