"""Cards that come back or are lost: a number is believed where it can be true, and the list of recalls reaches zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.merge.rebuild import rebuild
from hub.read import cards as read_cards
from hub.read.person import person
from node.cli import app
from node.desk.absorb import absorb
from node.desk.old_cards import OldCards
from node.desk.standing import apply_changes, recalls
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import Fact
from node.storage import schema
from node.storage.store import NodeStore
from sepe.card import HANDED_OVER, PRINTED
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.nik import Nik
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from sepe.wire.v1.event_pb2 import CardMoved
from sepe_io import sqlite
from tests.support.hubs import new_hub, send
from tests.support.office import HOME_NIK, NOW_MS, line, make_office, record
from tests.support.world import Node, card_moved, nik_of, recorded

NIK, STRANGER = int(HOME_NIK), int(HOME_NIK) + 1
LETTER = "LP/B/12/XI/2024"


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return make_office(tmp_path / "node", blanks=5)


def printed(store: NodeStore, nik: int = NIK, **fields: str) -> Job:
    """A card that came out, without a printer."""
    record(store, line(f"{nik:016d}", **fields))
    ledger = Ledger(store)
    job = ledger.of_resident(nik)[-1]
    if job.needs_blank:
        ledger.allot(job.id, NOW_MS)
    ledger.intend(job.id, printer="p", now_ms=NOW_MS)
    return ledger.settle(job.id, Fact.PRINTED, now_ms=NOW_MS)


def hear_recalls(store: NodeStore, nik: int, *cards: tuple[Job, str], last: int = 1) -> None:
    standing = rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE)
    for job, why in cards:
        standing.recalls.add(
            product=job.product, issue=job.issue, attempt=job.name, serial=job.serial, node=store.node, reason=why
        )
    change = rights_pb2.Change(nik=nik, standing=standing)
    apply_changes(store, rights_pb2.ChangesResponse(feed=b"f", last=last, changes=[change]), NOW_MS)


def take(store: NodeStore, nik: int, serial: str, *, reason: str = "recall", elsewhere: bool = False) -> str:
    one = OldCards(store).take_back(
        nik, "ktp-el", serial, reason, operator="op-1", now_ms=NOW_MS, from_elsewhere=elsewhere
    )
    return one.attempt


def withdrawals(store: NodeStore) -> list[event_pb2.CardWithdrawn]:
    return [
        event_pb2.CardWithdrawn.FromString(row.body)
        for row in store.events_after(0)
        if row.kind == Kind.CARD_WITHDRAWN
    ]


def test_another_residents_number_is_refused_and_his_recall_stays(store: NodeStore) -> None:
    mine, his = printed(store), printed(store, STRANGER)
    hear_recalls(store, STRANGER, (his, "double_print"))
    for elsewhere in (False, True):
        with pytest.raises(InvalidInputError, match=r"kartu NIK 537104\*+, bukan 537104\*+"):
            take(store, NIK, his.serial, elsewhere=elsewhere)
    assert withdrawals(store) == [] and OldCards(store).listing() == []
    # A program before this one believed it.
    store.connection.execute(
        "INSERT INTO old_card (nik, product, serial, reason, taken_ms, operator) VALUES (?, 'ktp-el', ?, 'found', 1, '')",
        (NIK, his.serial),
    )
    assert [one["serial"] for one in recalls(store)] == [his.serial]
    assert take(store, STRANGER, his.serial) == his.name and recalls(store) == []
    assert take(store, NIK, mine.serial, reason="damaged") == mine.name


@pytest.mark.parametrize("serial", ["Z00000001", "A000005", "A000002"])
def test_a_number_that_is_no_card_is_refused(store: NodeStore, serial: str) -> None:
    """Never seen; a blank at hand; a card that no printer has reported."""
    printed(store)
    record(store, line(f"{STRANGER:016d}"))
    making = Ledger(store).of_resident(STRANGER)[0]
    Ledger(store).allot(making.id, NOW_MS)
    Ledger(store).intend(making.id, printer="p", now_ms=NOW_MS)
    with pytest.raises(InvalidInputError, match=serial):
        take(store, STRANGER, serial)
    assert OldCards(store).listing() == [] and withdrawals(store) == []


def test_an_unknown_number_wants_the_word_that_it_was_made_elsewhere_and_the_event_says_so(
    store: NodeStore,
) -> None:
    with pytest.raises(InvalidInputError, match="--from-elsewhere"):
        take(store, NIK, "Z00000001")
    take(store, NIK, "Z00000001", elsewhere=True)
    take(store, NIK, "Z00000001")
    (told,) = withdrawals(store)
    assert (told.serial, told.attempt, told.from_elsewhere) == ("Z00000001", "", True)
    for wrong in ("", "  ", "A" * 40 + "1", "ABC", "A1;DROP"):
        with pytest.raises(InvalidInputError, match="serial"):
            take(store, NIK, wrong, elsewhere=True)


def test_the_recall_of_a_lost_card_ends_with_the_police_letter(store: NodeStore) -> None:
    first = printed(store)
    second = printed(store, reason="lost")
    hear_recalls(store, NIK, (first, "reissued"))
    cards = OldCards(store)
    with pytest.raises(InvalidInputError, match="police-letter"):
        cards.lose(NIK, "ktp-el", " ", operator="op-1", now_ms=NOW_MS)
    with pytest.raises(InvalidInputError, match="daftar penarikan"):
        cards.lose(STRANGER, "ktp-el", LETTER, operator="op-1", now_ms=NOW_MS)
    lost = cards.lose(NIK, "ktp-el", LETTER, operator="op-1", now_ms=NOW_MS)
    assert lost == cards.lose(NIK, "ktp-el", LETTER, operator="op-1", now_ms=NOW_MS + 1), "typed twice"
    (told,) = withdrawals(store)
    assert (told.attempt, told.reason, told.document_number) == (first.name, "lost", LETTER)
    assert recalls(store) == [] and cards.listing() == [], "nothing lies here to be destroyed"
    # It is found after all.
    cards.take_back(NIK, "ktp-el", first.serial, "found", operator="op-1", now_ms=NOW_MS)
    assert [one.reason for one in cards.listing(only_waiting=True)] == ["found"]
    with pytest.raises(InvalidInputError, match="tidak hilang"):
        cards.lose(NIK, "ktp-el", LETTER, serial=first.serial, operator="op-1", now_ms=NOW_MS)
    hear_recalls(store, NIK, (second, "double_print"), last=2)
    assert [one["serial"] for one in recalls(store)] == [second.serial], "another card of his is another recall"


def test_of_two_cards_to_collect_the_lost_one_is_named(store: NodeStore) -> None:
    first, second = printed(store), printed(store, reason="lost")
    hear_recalls(store, NIK, (first, "reissued"), (second, "identity"))
    with pytest.raises(InvalidInputError, match="lebih dari satu"):
        OldCards(store).lose(NIK, "ktp-el", LETTER, operator="", now_ms=NOW_MS)
    OldCards(store).lose(NIK, "ktp-el", LETTER, serial=second.serial, operator="", now_ms=NOW_MS)
    assert [one["serial"] for one in recalls(store)] == [first.serial]


@pytest.mark.parametrize("has_line", [True, False])
def test_a_paper_that_is_to_be_collected_comes_back_without_a_number(store: NodeStore, has_line: bool) -> None:
    first = printed(store, product="kk")
    with pytest.raises(InvalidInputError, match="harus ditarik"):
        OldCards(store).take_back(NIK, "kk", "", "recall", operator="", now_ms=NOW_MS)
    with pytest.raises(InvalidInputError, match="tidak bernomor"):
        OldCards(store).take_back(NIK, "kk", "A1", "recall", operator="", now_ms=NOW_MS)
    printed(store, product="kk", reason="data-change")
    if has_line:
        hear_recalls(store, NIK, (first, "reissued"))
    one = OldCards(store).take_back(NIK, "kk", "", "recall", operator="", now_ms=NOW_MS)
    assert (one.attempt, one.lies_here) == (first.name, False) and recalls(store) == []
    assert OldCards(store).take_back(NIK, "kk", "", "recall", operator="", now_ms=NOW_MS) == one


def test_a_restored_machine_learns_what_came_back_and_what_was_lost(store: NodeStore, tmp_path: Path) -> None:
    first, second = printed(store), printed(store, reason="lost")
    hear_recalls(store, NIK, (first, "reissued"))
    OldCards(store).lose(NIK, "ktp-el", LETTER, operator="op-1", now_ms=NOW_MS)
    take(store, NIK, second.serial, reason="damaged")
    OldCards(store).destroy(None, number=3, operator="op-2", now_ms=NOW_MS)
    page = store.page(0)
    assert page is not None
    after = make_office(tmp_path / "after")
    for _ in range(2):
        absorb(after, store.epoch, page.first_seq, page.columns)
    kept = [
        (one.serial, one.attempt, one.reason, one.lies_here, one.minutes)
        for one in OldCards(after).of_resident(NIK)
    ]
    assert sorted(kept) == [
        (first.serial, first.name, "lost", False, ""), (second.serial, second.name, "damaged", True, "3"),
    ]  # fmt: skip
    hear_recalls(after, NIK, (first, "reissued"))
    assert recalls(after) == []


def test_what_an_older_program_took_back_is_still_known(tmp_path: Path) -> None:
    connection = sqlite.connect(tmp_path / "old.db")
    sqlite.migrate(connection, schema.STEPS[: schema.STEPS.index(schema.OLD_CARDS)])
    connection.execute(
        "INSERT INTO old_card (product, serial, nik, reason, taken_ms, operator, minutes) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ("ktp-el", "A000001", NIK, "damaged", NOW_MS, "op-1", "7"),
    )
    sqlite.migrate(connection, schema.STEPS)
    row = connection.execute("SELECT nik, serial, attempt, lies_here, minutes FROM old_card").fetchall()
    assert row == [(NIK, "A000001", "", 1, "7")]
    connection.close()


def withdrawn(nik: int, **fields: Any) -> Draft:
    return draft(Kind.CARD_WITHDRAWN, nik, event_pb2.CardWithdrawn(product="ktp-el", **fields))


def test_at_the_hub_a_strangers_number_hides_nothing_and_a_police_letter_ends_the_list(
    tmp_path: Path, database: str
) -> None:
    his, other = nik_of(1), nik_of(2)
    home, away = Node("537104-1"), Node("537105-1")
    with new_hub(tmp_path / "hub", [home, away], is_durable=False, database=database) as hub:
        home.write(recorded(his), card_moved(his, PRINTED, attempt="a"), card_moved(his, HANDED_OVER, attempt="a"))
        # An office of the version before says no more than the number, and here it is another resident's.
        home.write(withdrawn(other, serial="S-a", reason="found"))
        away.now_ms += 3_600_000
        away.write(recorded(his, reason="lost", issue=2), card_moved(his, PRINTED, attempt="b", issue=2))
        send(hub, [home.frame(), away.frame()])
        hub.project()
        assert [(one["serial"], one["reason"]) for one in read_cards.recalled(hub.connection)] == [
            ("S-a", "reissued")
        ]
        # The desk that gives out the second card knows the letter, not the number of the first one.
        last = away.last_seq
        away.write(withdrawn(his, reason="lost", issue=1, document_number=LETTER))
        send(hub, [away.frame(last + 1)])
        hub.project()
        assert read_cards.recalled(hub.connection) == []
        told = hub.news_for(home.name, hub.list_id(), 0).changes[-1].standing
        assert list(told.recalls) == []
        taken = CardMoved(product="ktp-el", issue=2, attempt="b", state=HANDED_OVER, serial="S-b")
        taken.received_by, taken.receiver_name, taken.receiver_document = "proxy", "YOHANES LAY", "SIM-12"
        away.write(draft(Kind.CARD_MOVED, his, taken), Draft(Kind.CARD_WITHDRAWN, his, b"\xff"))
        send(hub, [away.frame(last + 2)])
        page = person(hub.connection, Nik.parse(f"{his:016d}"))
        assert page is not None
        assert [(one["serial"], one["to"], one["document"]) for one in page["handed_over"]] == [
            ("S-a", "", ""), ("S-b", "proxy", "SIM-12"),
        ]  # fmt: skip
        assert [(one["reason"], one["document"], one["node"]) for one in page["withdrawn"]] == [
            ("lost", LETTER, away.name)
        ]
        rebuild(hub.connection)
        hub.project()
        assert read_cards.recalled(hub.connection) == []


def test_the_commands(store: NodeStore) -> None:
    first = printed(store)
    printed(store, reason="lost")
    hear_recalls(store, NIK, (first, "reissued"))
    folder = str(store.folder)

    def command(*arguments: str) -> Any:
        return CliRunner().invoke(app, [*arguments])

    refused = command("take-back", folder, HOME_NIK, "--serial", "Z00000001", "--reason", "found")
    assert isinstance(refused.exception, InvalidInputError) and HOME_NIK not in str(refused.exception)
    both = command("take-back", folder, HOME_NIK, "--lost", "--reason", "found")
    assert isinstance(both.exception, InvalidInputError)
    done = command("take-back", folder, HOME_NIK, "--lost", "--police-letter", LETTER, "--json")
    assert json.loads(done.stdout) == {
        "product": "ktp-el", "serial": first.serial, "reason": "lost", "document": LETTER, "minutes": "",
    }  # fmt: skip
    assert json.loads(command("recalls", folder, "--json").stdout) == []
    away = command("take-back", folder, HOME_NIK, "--serial", "Z1", "--reason", "move-in", "--from-elsewhere")
    assert away.exit_code == 0 and HOME_NIK not in away.stdout
