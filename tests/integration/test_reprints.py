"""Reprints: what must be shown, the old card's way back, and cards that end with their owner."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.desk.hand_over import hand_over
from node.desk.life import change_life
from node.desk.old_cards import OldCards
from node.desk.roll import coverage, load, without_card
from node.desk.standing import apply_changes, recalls, standing_of
from node.printing.claiming import take_answer
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.rights import Right, RightAnswer, RightBook
from node.printing.spool import JobState
from node.stock import Stock
from node.stock.minutes import draw_minutes, minutes_of
from node.storage.store import NodeStore
from sepe.card import VOID, issues_of, to_collect
from sepe.errors import InvalidInputError
from sepe.events import Event
from sepe.ids import EventId
from sepe.reprints import missing
from sepe.resident import Resident, fold
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from tests.support.office import HOME_NIK, NOW_MS, OTHER_NIK, ScriptedPrinter, line, make_office, record
from tests.support.turns import turn

NIK = int(HOME_NIK)


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return make_office(tmp_path / "node", blanks=5)


def printed(store: NodeStore, **fields: str) -> Job:
    record(store, line(HOME_NIK, **fields))
    turn(store, ScriptedPrinter())
    return Ledger(store).of_resident(NIK)[-1]


def give(store: NodeStore, **evidence: str) -> Job:
    return hand_over(store, NIK, product=None, operator="op-1", now_ms=NOW_MS, evidence=evidence).job


def the_record(store: NodeStore) -> Resident:
    return fold(
        Event(EventId(store.node, store.epoch, row.seq), row.stamp, row.kind, row.nik, row.body)
        for row in store.events_after(0)
        if row.nik == NIK
    )


@pytest.mark.parametrize(
    ("reason", "given", "lacks"),
    [
        ("lost", {}, [("police_letter",)]),
        ("lost", {"police_letter": "LP/1"}, []),
        ("damaged", {"police_letter": "LP/1"}, [("old_card",)]),
        ("data-change", {"old_card": "A1"}, [("proof",)]),
        ("move-in", {}, [("skpwni",), ("old_card", "police_letter")]),
        ("move-in", {"skpwni": "S/1", "police_letter": "LP/1"}, []),
        ("new", {}, []),
    ],
)
def test_each_reason_has_its_evidence(reason: str, given: dict[str, str], lacks: list[tuple[str, ...]]) -> None:
    assert list(missing("ktp-el", reason, given)) == lacks
    assert missing("kk", reason, {}) == (), "papers need none"


def test_a_lost_card_is_given_out_against_the_police_letter_and_not_before(store: NodeStore) -> None:
    printed(store)
    assert give(store).state is JobState.HANDED_OVER
    answer = record(store, line(HOME_NIK, reason="lost"))[0]
    assert any("police_letter" in warning for warning in answer.warnings), answer
    turn(store, ScriptedPrinter())
    with pytest.raises(InvalidInputError, match="surat kehilangan"):
        give(store)
    job = give(store, police_letter="LP/B/12/XI/2024")
    assert (job.issue, job.state) == (2, JobState.HANDED_OVER)
    record_ = the_record(store)
    assert any("LP/B/12/XI/2024" in step.reason for step in record_.steps)
    first, second = issues_of(record_)
    assert first.attempts[0].state == VOID and second.valid is not None and to_collect(record_) == ()


def test_a_damaged_card_comes_back_is_void_everywhere_and_is_destroyed_with_the_blanks_minutes(
    store: NodeStore,
) -> None:
    old = printed(store)
    give(store)
    printed(store, reason="damaged", old_card=old.serial)
    give(store)
    (taken,) = OldCards(store).listing()
    assert (taken.serial, taken.reason, taken.minutes) == (old.serial, "damaged", "")
    assert issues_of(the_record(store))[0].attempts[0].state == VOID

    number = Stock(store).destroy(None, witnesses=["ANA", "YOHANES"], operator="op-1", now_ms=NOW_MS)
    assert number is not None
    minutes = minutes_of(store, number)
    assert [(one.reason, list(one.serials.ranges())) for one in minutes.entries] == [
        ("damaged", [(old.serial, old.serial)])
    ]
    assert draw_minutes(minutes).startswith(b"%PDF")
    assert OldCards(store).listing(only_waiting=True) == []
    destroyed = [one for one in the_record(store).withdrawals if one.is_destroyed]
    assert [(one.serial, one.minutes) for one in destroyed] == [(old.serial, f"{store.node}/{number}")]
    assert Stock(store).destroy(None, witnesses=["ANA", "YOHANES"], operator="", now_ms=NOW_MS) is None


def test_the_office_that_somebody_moved_to_takes_back_a_card_that_it_never_made(store: NodeStore) -> None:
    cards = OldCards(store)
    with pytest.raises(InvalidInputError, match="--from-elsewhere"):
        cards.take_back(NIK, "ktp-el", "B0000017", "move-in", operator="op-1", now_ms=NOW_MS)
    far = {"operator": "op-1", "from_elsewhere": True}
    one = cards.take_back(NIK, "ktp-el", " b0000017 ", "move-in", now_ms=NOW_MS, **far)  # type: ignore[arg-type]
    assert cards.take_back(NIK, "ktp-el", "B0000017", "move-in", operator="op-1", now_ms=NOW_MS + 1) == one
    with pytest.raises(InvalidInputError, match=r"537104\*+, bukan"):
        cards.take_back(NIK + 1, "ktp-el", "B0000017", "move-in", now_ms=NOW_MS, **far)  # type: ignore[arg-type]
    for wrong in (("kk", "B1", "move-in"), ("ktp-el", " ", "move-in"), ("ktp-el", "B1", "bored")):
        with pytest.raises(InvalidInputError):
            cards.take_back(NIK, *wrong, operator="", now_ms=NOW_MS)
    made_elsewhere = event_pb2.CardMoved(product="ktp-el", issue=1, attempt="x", state=70, serial="B0000017")
    other = Event(EventId("537105-1", b"e" * 16, 1), 1, 4, NIK, made_elsewhere.SerializeToString())
    assert issues_of(the_record(store).join(fold([other])))[0].attempts[0].state == VOID


def changes(*found: rights_pb2.Change, last: int = 1) -> rights_pb2.ChangesResponse:
    return rights_pb2.ChangesResponse(feed=b"feed", last=last, changes=found)


def test_a_recalled_card_is_not_given_out_and_its_office_is_told_to_collect_it(store: NodeStore) -> None:
    job = printed(store)
    standing = rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE)
    standing.recalls.add(
        product="ktp-el", issue=1, attempt=job.name, serial=job.serial, node=store.node, reason="double_print"
    )
    apply_changes(store, changes(rights_pb2.Change(nik=NIK, standing=standing)), NOW_MS)
    assert [one["serial"] for one in recalls(store)] == [job.serial]
    with pytest.raises(InvalidInputError, match="harus ditarik"):
        give(store)
    OldCards(store).take_back(NIK, "ktp-el", job.serial, "recall", operator="op-1", now_ms=NOW_MS)
    assert recalls(store) == []


def test_a_death_withdraws_what_waits_and_keeps_the_card_that_lies_here(store: NodeStore) -> None:
    printed(store)
    record(store, line(HOME_NIK, reason="lost"))
    with pytest.raises(InvalidInputError, match="suratnya"):
        change_life(store, NIK, "dead", document=" ", is_court_order=False, operator="", now_ms=NOW_MS)
    change_life(store, NIK, "dead", document="5371-KM-1", is_court_order=False, operator="op", now_ms=NOW_MS)
    jobs = Ledger(store).of_resident(NIK)
    assert [job.state for job in jobs] == [JobState.PRINTED, JobState.VOID]
    with pytest.raises(InvalidInputError, match="meninggal"):
        give(store)
    assert record(store, line(HOME_NIK, reason="lost"))[0].status == "on_hold"
    assert issues_of(the_record(store))[0].ended == "death"
    with pytest.raises(InvalidInputError, match="pengadilan"):
        change_life(store, NIK, "alive", document="1", is_court_order=False, operator="", now_ms=NOW_MS)
    change_life(store, NIK, "alive", document="PN/1", is_court_order=True, operator="", now_ms=NOW_MS)
    assert not standing_of(store, NIK).is_dead


def test_a_reprint_whose_number_another_office_used_before_takes_the_next_one(store: NodeStore) -> None:
    record(store, line(OTHER_NIK, reason="lost", police_letter="LP/1"))
    job = Ledger(store).of_resident(int(OTHER_NIK))[0]
    assert job.issue == 2
    earlier = RightAnswer(False, reason="already_printed", holder="537105-1", printed_ms=NOW_MS - 9, next_issue=3)
    assert take_answer(store, job.id, earlier, NOW_MS).issue == 3
    later = RightAnswer(False, reason="already_printed", holder="537105-1", printed_ms=NOW_MS + 9, next_issue=4)
    waiting = take_answer(store, job.id, later, NOW_MS)
    assert (waiting.issue, waiting.state) == (3, JobState.WAITING_RIGHT), "that is the card he asked for"


def test_the_roll_says_who_has_no_card_and_asks_for_the_rights_of_those_who_moved_here(store: NodeStore) -> None:
    printed(store)
    text = f"nik;name;birth_date;voter\n{HOME_NIK};MARIA TAEK;1990-01-01;ya\n{OTHER_NIK};ANA LAY;2008-01-01;ya\n12;X;;"
    loaded = load(store, text, now_ms=NOW_MS)
    assert (loaded.entries, loaded.new, loaded.asked) == (2, 2, 1)
    assert [number for number, _ in loaded.refused] == [4]
    found = coverage(store, on=date(2024, 11, 27))
    assert (found.listed, found.printed, found.without_card, found.under_age, found.elsewhere) == (2, 1, 1, 1, 1)
    assert [one.nik for one in without_card(store)] == [int(OTHER_NIK)]
    book = RightBook(store)
    right = Right(int(OTHER_NIK), "ktp-el", 1)
    assert book.wanted_beforehand(NOW_MS, 9) == [right]
    apply_changes(
        store,
        changes(
            rights_pb2.Change(
                nik=right.nik, moved=rights_pb2.Right(product="ktp-el", issue=1, holder=store.node, fence=2)
            )
        ),
        NOW_MS,
    )
    assert book.wanted_beforehand(NOW_MS, 9) == []
    record(store, line(OTHER_NIK))
    turn(store, ScriptedPrinter())
    assert Ledger(store).of_resident(right.nik)[0].fence == 2, "printed with the line cut"
    json_lines = json.dumps({"nik": HOME_NIK, "voter": True})
    assert load(store, json_lines, now_ms=NOW_MS).new == 0


def test_the_commands(store: NodeStore, tmp_path: Path) -> None:
    job = printed(store)
    folder = str(store.folder)
    roll = tmp_path / "roll.csv"
    roll.write_text(f"nik,voter\n{HOME_NIK},ya\n")

    def command(*arguments: str, as_json: bool = True) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json"] if as_json else list(arguments))
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        return json.loads(done.stdout) if as_json else done.stdout

    assert command("roll", folder, str(roll))["printed"] == 1
    assert command("rights", folder, HOME_NIK)[0]["may_print"] is True
    taken = command("take-back", folder, HOME_NIK, "--serial", job.serial, "--reason", "found")
    assert taken["serial"] == job.serial
    assert [one["serial"] for one in command("old-cards", folder)] == [job.serial]
    assert command("recalls", folder) == []
    for listed in (
        ("roll", folder, "--missing"),
        ("rights", folder, HOME_NIK),
        ("old-cards", folder),
        ("recalls", folder),
    ):
        assert HOME_NIK not in command(*listed, as_json=False)
    told = command("life", folder, HOME_NIK, "dead", "--document", "5371-KM-1", "--yes", as_json=False)
    assert "537104" in told and HOME_NIK not in told
