"""Over the desk goes one product, its newest valid issue, against what has to come back for it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.desk.absorb import absorb
from node.desk.hand_over import HandedOver, hand_over, receivers
from node.desk.old_cards import OldCards
from node.desk.standing import apply_changes, recalls
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import Fact, JobState
from node.storage.store import NodeStore
from sepe.card import HANDED_OVER, VOID, issues_of, to_collect
from sepe.errors import InvalidInputError
from sepe.events import Event, Kind
from sepe.handing import Receiver, twice_in_hand
from sepe.identity import identity_key
from sepe.ids import EventId
from sepe.resident import Resident, fold
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from tests.support.office import HOME_NIK, NOW_MS, line, make_office, record
from tests.support.processes import ROOT

NIK = int(HOME_NIK)
LETTER = "LP/B/12/XI/2024"
NOTHING_CHANGES = "SELECT max(seq) FROM outbox"


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return make_office(tmp_path / "node", blanks=6)


def asked(store: NodeStore, **fields: str) -> Job:
    answer = record(store, line(HOME_NIK, **fields))[0]
    assert answer.ok, answer
    return Ledger(store).of_resident(NIK)[-1]


def printed(store: NodeStore, *, until: Fact | None = Fact.PRINTED, **fields: str) -> Job:
    """A document that a printer was given, and that came out."""
    job, ledger = asked(store, **fields), Ledger(store)
    ledger.allot(job.id, NOW_MS)
    ledger.intend(job.id, printer="p", now_ms=NOW_MS)
    return ledger.job(job.id) if until is None else ledger.settle(job.id, until, now_ms=NOW_MS)


def give(store: NodeStore, product: str | None = None, **more: Any) -> HandedOver:
    evidence = {key: more.pop(key) for key in ("police_letter", "old_card", "proof", "skpwni") if key in more}
    return hand_over(store, NIK, product=product, operator="op-1", now_ms=NOW_MS, evidence=evidence, **more)


def refused(store: NodeStore, why: str, product: str | None = None, **more: Any) -> str:
    """Nothing goes over, nothing is written, and the reason says what to do."""
    before = store.connection.execute(NOTHING_CHANGES).fetchone()
    with pytest.raises(InvalidInputError, match=why) as found:
        give(store, product, **more)
    assert store.connection.execute(NOTHING_CHANGES).fetchone() == before
    assert HOME_NIK not in str(found.value)
    return str(found.value)


def the_record(store: NodeStore) -> Resident:
    return fold(
        Event(EventId(store.node, store.epoch, row.seq), row.stamp, row.kind, row.nik, row.body)
        for row in store.events_after(0)
        if row.nik == NIK
    )


def states(store: NodeStore, product: str = "ktp-el") -> list[str]:
    return [str(job.state) for job in Ledger(store).of_resident(NIK) if job.product == product]


def hear(store: NodeStore, standing: rights_pb2.Standing) -> None:
    change = rights_pb2.Change(nik=NIK, standing=standing)
    apply_changes(store, rights_pb2.ChangesResponse(feed=b"f", last=1, changes=[change]), NOW_MS)


def test_an_unclaimed_first_card_and_its_reprint_never_go_over_together(store: NodeStore) -> None:
    first, second = printed(store), printed(store, reason="lost", police_letter=LETTER)
    handed = give(store)
    assert (handed.job.id, [one.serial for one in handed.left]) == (second.id, [first.serial])
    assert states(store) == ["printed", "handed_over"]
    told = refused(store, "harus ditarik")
    assert f"--serial {first.serial}" in told and second.serial in told
    OldCards(store).take_back(NIK, "ktp-el", first.serial, "recall", operator="op-1", now_ms=NOW_MS)
    refused(store, "harus ditarik")
    assert to_collect(the_record(store)) == ()


def test_a_card_that_was_taken_back_is_not_given_out_and_the_one_before_it_is_good_again(store: NodeStore) -> None:
    first, second = printed(store), printed(store, reason="lost", police_letter=LETTER)
    OldCards(store).take_back(NIK, "ktp-el", second.serial, "damaged", operator="op-1", now_ms=NOW_MS)
    assert give(store).job.id == first.id


@pytest.mark.parametrize("state", [None, Fact.LOST])
def test_while_a_newer_one_is_made_the_older_one_stays(store: NodeStore, state: Fact | None) -> None:
    first, second = printed(store), printed(store, reason="lost", police_letter=LETTER, until=state)
    refused(store, "sedang dicetak")
    Ledger(store).settle(second.id, Fact.LOST, now_ms=NOW_MS) if state is None else None
    Ledger(store).settle(second.id, Fact.DID_NOT_COME_OUT, now_ms=NOW_MS)
    assert give(store).job.id == first.id


def test_of_several_products_one_is_named(store: NodeStore) -> None:
    for product in ("ktp-el", "kk", "suket"):
        printed(store, product=product)
    told = refused(store, "satu yang diserahkan")
    assert all(f"--product {product}" in told for product in ("ktp-el", "kk", "suket"))
    assert give(store, "kk").job.product == "kk"
    assert states(store) == states(store, "suket") == ["printed"]


def test_a_substitute_is_swapped_for_the_card(store: NodeStore) -> None:
    suket, biodata = printed(store, product="suket"), printed(store, product="biodata")
    give(store, "suket")
    card = printed(store)
    told = refused(store, "masih memegang pengganti: suket", "ktp-el")
    assert "--substitute returned" in told
    handed = give(store, "ktp-el", substitute="returned")
    assert handed.job.id == card.id and {one.attempt for one in handed.swapped} == {suket.name, biodata.name}
    ended = {one.attempt: (one.reason, one.lies_here) for one in OldCards(store).of_resident(NIK)}
    assert ended == {suket.name: ("swapped", False), biodata.name: ("swapped", False)}
    # The biodata that still lies here counts no more, here and at the centre.
    refused(store, "KTP-el sudah diserahkan")
    papers = [one for issue in issues_of(the_record(store)) if issue.product != "ktp-el" for one in issue.attempts]
    assert {one.state for one in papers} == {VOID}
    assert OldCards(store).listing() == [], "no paper waits for the minutes"


def test_a_substitute_that_is_lost_and_one_that_nobody_printed_yet_end_with_the_card(store: NodeStore) -> None:
    printed(store, product="suket")
    give(store)
    asked(store, product="biodata")
    printed(store)
    give(store, "ktp-el", substitute="lost")
    (lost,) = OldCards(store).of_resident(NIK)
    assert (lost.product, lost.reason) == ("suket", "lost")
    assert states(store, "biodata") == ["void"]


def test_nothing_stands_in_for_a_card_in_his_hand_until_another_is_on_its_way(store: NodeStore) -> None:
    card = printed(store)
    give(store)
    printed(store, product="suket")
    assert f"--serial {card.serial}" in refused(store, "hanya penggantinya")
    asked(store, reason="lost", police_letter=LETTER)
    give(store)


def test_whoever_holds_a_card_gives_it_back_or_shows_the_letter(store: NodeStore) -> None:
    first = printed(store)
    give(store)
    printed(store, reason="damaged")
    # He shows some other card, from before Sepe: the one that is known stays in his hand.
    told = refused(store, "masih memegang", old_card="Z77", from_elsewhere=True)
    assert f"--old-card {first.serial}" in told
    new = Ledger(store).of_resident(NIK)[-1]
    refused(store, "bukan kartu lama", old_card=new.serial, police_letter=LETTER)
    refused(store, "tidak dikenal", old_card="Z77", police_letter=LETTER)
    give(store, old_card="Z77", from_elsewhere=True, police_letter=LETTER)
    ended = [(one.serial, one.reason, one.document) for one in OldCards(store).of_resident(NIK)]
    assert sorted(ended) == [(first.serial, "lost", LETTER), ("Z77", "damaged", "")]
    assert to_collect(the_record(store)) == () and twice_in_hand(the_record(store)) == ()


def test_a_lost_card_that_another_office_made_is_ended_without_its_number(store: NodeStore) -> None:
    printed(store, reason="lost", police_letter=LETTER)
    give(store)
    (told,) = [
        event_pb2.CardWithdrawn.FromString(row.body)
        for row in store.events_after(0)
        if row.kind == Kind.CARD_WITHDRAWN
    ]
    assert (told.serial, told.attempt, told.issue, told.reason) == ("", "", 1, "lost")
    far = event_pb2.CardMoved(product="ktp-el", issue=1, attempt="far", state=HANDED_OVER, serial="B1")
    elsewhere = fold([Event(EventId("537105-1", b"e" * 16, 1), 1, Kind.CARD_MOVED, NIK, far.SerializeToString())])
    assert to_collect(the_record(store).join(elsewhere)) == ()


@pytest.mark.parametrize("why", ["double_print", "identity", "nik_replaced", "reissued", "a reason of tomorrow"])
@pytest.mark.parametrize("by_serial", [False, True])
def test_what_is_to_be_collected_is_not_given_out_whatever_the_reason(
    store: NodeStore, why: str, by_serial: bool
) -> None:
    job = printed(store)
    standing = rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE)
    standing.recalls.add(
        product="ktp-el", issue=1, attempt="another" if by_serial else job.name, serial=job.serial,
        node=store.node, reason=why,
    )  # fmt: skip
    hear(store, standing)
    refused(store, "harus ditarik")
    OldCards(store).take_back(NIK, "ktp-el", job.serial, "recall", operator="", now_ms=NOW_MS)
    refused(store, "harus ditarik")


def test_a_card_whose_identity_lost_by_a_hub_that_knows_no_such_recall_is_not_given_out(store: NodeStore) -> None:
    printed(store)
    mine, kept = (identity_key(name, "1990-01-01", "P") for name in ("MARIA TAEK", "BENAR ORANG"))
    hear(store, rights_pb2.Standing(on_hold=True, life=event_pb2.LIFE_STATE_ALIVE))
    refused(store, "menunggu keputusan pusat")
    hear(store, rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE, settled=[mine, kept], keep=kept))
    refused(store, "memutuskan identitas lain")
    hear(store, rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE, settled=[mine, kept], keep=mine))
    hear(store, rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE, replaced_by=NIK + 1))
    refused(store, "sudah diganti oleh pusat")
    hear(store, rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE))
    give(store)


def test_who_took_it_away_is_kept_here_at_the_centre_and_after_a_restore(store: NodeStore, tmp_path: Path) -> None:
    printed(store)
    taker = Receiver("proxy", "YOHANES LAY", "SIM-12")
    job = give(store, receiver=taker).job
    assert receivers(store, [job]) == {job.id: taker}
    moved = [
        event_pb2.CardMoved.FromString(row.body) for row in store.events_after(0) if row.kind == Kind.CARD_MOVED
    ][-1]
    assert (moved.received_by, moved.receiver_name, moved.receiver_document) == ("proxy", "YOHANES LAY", "SIM-12")
    page = store.page(0)
    assert page is not None
    after = make_office(tmp_path / "after")
    absorb(after, store.epoch, page.first_seq, page.columns)
    assert receivers(after, Ledger(after).of_resident(NIK)).popitem()[1] == taker


def test_the_command(store: NodeStore) -> None:
    first = printed(store)
    folder = str(store.folder)

    def command(*more: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["hand-over", folder, HOME_NIK, *more])
        assert done.exit_code == code, (more, done.output, done.exception)
        return done

    for wrong in (
        ("--to", "stranger"), ("--to", "proxy", "--name", "YOHANES"), ("--name", "YOHANES"), ("--product", "x"),
        ("--substitute", "eaten"), ("--to", "proxy", "--name", "A\nB", "--document", "1"),
    ):  # fmt: skip
        assert isinstance(command(*wrong, code=1).exception, InvalidInputError), wrong
    (handed,) = json.loads(command("--to", "family", "--name", "ANA TAEK", "--json").stdout)
    assert (handed["state"], handed["received_by"], handed["receiver_name"]) == (
        "handed_over",
        "family",
        "ANA TAEK",
    )
    assert handed["to_take_back"] == handed["swapped"] == []
    again = command("--json", code=1)
    assert json.loads(again.stdout) == [] and "siap diserahkan" in again.stderr and HOME_NIK not in again.stderr
    listed = CliRunner().invoke(app, ["prints", folder, "--nik", HOME_NIK, "--json"])
    assert json.loads(listed.stdout)[0]["received_by"] == "family"
    printed(store, reason="lost")
    assert first.serial not in command("--police-letter", LETTER).stderr, "it is lost, nobody takes it back"
    assert recalls(store) == [] and states(store) == ["handed_over", "handed_over"]


# Hands over, and dies when all is written and nothing committed.
KILLED = """
import os, signal, sys
from pathlib import Path
from node.desk.hand_over import hand_over
from node.printing.ledger import Ledger
from node.storage.store import NodeStore
settle = Ledger.settle
def die(self, *arguments, **keywords):
    settle(self, *arguments, **keywords)
    os.kill(os.getpid(), signal.SIGKILL)
Ledger.settle = die
store = NodeStore.open(Path(sys.argv[1]))
hand_over(store, int(sys.argv[2]), product="ktp-el", operator="", now_ms=int(sys.argv[3]), substitute="returned")
"""


def test_a_kill_before_the_commit_leaves_everything_as_it_was(store: NodeStore) -> None:
    printed(store, product="suket")
    give(store)
    printed(store)
    before = [(job.state, job.serial) for job in Ledger(store).of_resident(NIK)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, store.folder, HOME_NIK, str(NOW_MS)], cwd=ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert [(job.state, job.serial) for job in Ledger(store).of_resident(NIK)] == before
    assert OldCards(store).of_resident(NIK) == []
    assert give(store, "ktp-el", substitute="returned").job.state is JobState.HANDED_OVER
    assert [one.reason for one in OldCards(store).of_resident(NIK)] == ["swapped"]
