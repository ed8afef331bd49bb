"""Batches: who is recorded into one is not printed before it is released, and a list says whom it cannot take."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.desk.absorb import absorb, doubt_lost_wishes
from node.desk.confirm import settle_doubt
from node.desk.standing import apply_changes
from node.desk.status import warnings
from node.printing.batches import Batches, Terms
from node.printing.ledger import Ledger
from node.printing.outlook import office_day
from node.printing.queue import QueueStore
from node.printing.rights import Right, RightBook
from node.printing.spool import Fact, JobState
from node.storage.store import NodeStore
from sepe.dispatch.outlook import Limit, limit_of
from sepe.errors import InvalidInputError
from sepe.recording import BATCH
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from surge import program
from tests.support.office import NOW_MS, PowerCutError, ScriptedPrinter, line, make_office, record, states
from tests.support.turns import turn

CLASS = "sman-3"
A, B, C, D = (f"537104410190{9001 + number}" for number in range(4))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NodeStore]:
    store = make_office(tmp_path / "oebobo", blanks=20)
    yield store
    store.close()


def printed(store: NodeStore, printer: ScriptedPrinter) -> list[str]:
    """Whose cards came out, in order."""
    whose = {job.name: f"{job.nik:016d}" for job in Ledger(store).all(100)}
    return [whose[name] for name in printer.cards]


def turns(store: NodeStore, printer: ScriptedPrinter, count: int = 3) -> list[str]:
    for _ in range(count):
        turn(store, printer)
    return printed(store, printer)


def release(store: NodeStore, name: str = CLASS) -> int:
    return Batches(store).release(name, Terms(), NOW_MS + 1)


def test_who_is_recorded_into_a_batch_is_printed_when_it_is_released_in_the_order_of_recording(
    store: NodeStore,
) -> None:
    answers = record(store, line(C, batch=CLASS), line(B), line(A, batch=f" {CLASS} "))
    assert [one.status for one in answers] == ["queued"] * 3
    assert "--release" in " ".join(answers[0].warnings) and not answers[1].warnings[1:]
    assert all("tidak dikenal" not in text for one in answers for text in one.warnings)
    record(store, line(D, batch=CLASS), now_ms=NOW_MS + 60_000)
    printer = ScriptedPrinter()
    assert turns(store, printer) == [B]
    day = office_day(store, NOW_MS)
    assert {limit_of(one, day.seen) for one in day.queue} == {(Limit.BATCH,)}
    assert [one.code for one in warnings(store, NOW_MS)].count("batch_collected") == 1
    assert release(store) == 3 and release(store) == 3
    assert turns(store, printer) == [B, C, A, D]
    assert QueueStore(store).batches() == [(CLASS, 3, 3, 0, 0)]
    # Nor does a batch remind of itself whose cards are all withdrawn.
    record(store, line("5371044101909077", batch="sman-9"))
    Ledger(store).settle(5, Fact.WITHDRAWN, now_ms=NOW_MS)
    assert "batch_collected" not in [one.code for one in warnings(store, NOW_MS)]


def test_whatever_wakes_a_card_its_batch_keeps_it(store: NodeStore) -> None:
    """Any order of what happens to a job before the release: no card of the batch comes out."""
    record(store, line(A, batch=CLASS), line(B, batch=CLASS, birth_date="2007-11-30"), line(C, batch=CLASS))
    ledger, book, printer = Ledger(store), RightBook(store), ScriptedPrinter()

    def wake(job: int) -> None:
        ledger.wake(today="2024-12-30", now_ms=NOW_MS)

    def dispute(job: int) -> None:
        ledger.settle(job, Fact.DISPUTED, now_ms=NOW_MS, reason="x")
        turn(store, printer)
        ledger.settle(job, Fact.RELEASED, now_ms=NOW_MS)

    def again(job: int) -> None:
        ledger.settle(job, Fact.WITHDRAWN, now_ms=NOW_MS)
        ledger.retry(job, NOW_MS)

    def refuse(job: int) -> None:
        ledger.settle(job, Fact.REFUSED, now_ms=NOW_MS)
        ledger.settle(job, Fact.RELEASED, now_ms=NOW_MS)

    def right(job: int) -> None:
        it = ledger.job(job)
        book.moved(Right(it.nik, it.product, it.issue), "537104-1", fence=job)

    def place(job: int) -> None:
        QueueStore(store).move(job, "folder:test")

    ways: list[Callable[[int], None]] = [wake, dispute, again, refuse, right, place, ledger.want]  # type: ignore[list-item]
    chance = random.Random(16)
    for _ in range(60):
        jobs = [job.id for job in ledger.in_state(JobState.QUEUED, JobState.READY, JobState.WAITING_DUE)]
        job = chance.choice(jobs)
        if ledger.job(job).state is not JobState.WAITING_DUE:
            chance.choice(ways)(job)
        else:
            wake(job)
        turn(store, printer, now_ms=NOW_MS + 40 * 86_400_000)
        assert printer.cards == []
    assert len(ledger.in_state(JobState.QUEUED, JobState.READY)) == 3
    release(store)
    for _ in range(3):
        turn(store, printer, now_ms=NOW_MS + 40 * 86_400_000)
    assert sorted(printed(store, printer)) == [A, B, C]


def test_who_is_recorded_into_a_released_batch_is_printed_at_once_and_who_asked_before_is_told(
    store: NodeStore,
) -> None:
    record(store, line(A, batch=CLASS))
    release(store)
    [late] = record(store, line(B, batch=CLASS))
    assert "sudah dilepas" in late.warnings[-1]
    [again] = record(store, line(B, batch="sman-4"))
    assert again.status == "already_requested" and "sman-4" in again.warnings[-1]
    printer = ScriptedPrinter()
    assert sorted(turns(store, printer)) == [A, B]
    assert Batches(store).held() == set()
    with pytest.raises(InvalidInputError, match="sman-4"):
        release(store, "sman-4")


@pytest.mark.parametrize("name", ["x" * 41, "--release", "a\x07", "5371044101909001", ["a"]])
def test_a_batch_that_no_command_could_name_is_refused_with_the_line(store: NodeStore, name: object) -> None:
    [answer] = record(store, line(A, batch=name))
    assert not answer.ok and "batch" in str(answer.error) and states(store, A) == []
    [answer] = record(store, line(A, batch="  "))
    assert answer.ok and turns(store, ScriptedPrinter()) == [A]


def test_a_recording_and_its_place_in_the_batch_are_one_transaction(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise PowerCutError

    before = store.position()
    with monkeypatch.context() as here, pytest.raises(PowerCutError):
        here.setattr(Batches, "collect", dies)
        record(store, line(A, batch=CLASS))
    assert states(store, A) == [] and store.position() == before


async def test_a_machine_that_takes_back_what_it_lost_keeps_the_batch_unreleased(
    store: NodeStore, tmp_path: Path
) -> None:
    record(store, line(A, batch=CLASS))
    page = store.page(0)
    assert page is not None
    new = make_office(tmp_path / "new", blanks=5)
    try:
        absorb(new, store.epoch, 1, page.columns)
        doubt_lost_wishes(new, NOW_MS)
        ledger = Ledger(new)
        for job in ledger.in_state(JobState.IN_DOUBT):
            await settle_doubt(
                new, job.id, came_out=False, is_spoiled=False, operator="", now_ms=NOW_MS,
                spoiled_by="print-failure", is_printer_gone=True,
            )  # fmt: skip
        [last] = [job.id for job in ledger.of_resident(int(A)) if job.state is not JobState.VOID]
        assert Batches(new).held_jobs([last]) == {last: CLASS}
    finally:
        new.close()


def test_the_card_of_whom_an_officer_kept_waits_in_the_batch_that_he_was_recorded_into(store: NodeStore) -> None:
    body = event_pb2.Recorded(name="MARIA TAEK", birth_date="1990-01-01", sex="P", product="ktp-el")
    body.extra[BATCH] = CLASS
    order = rights_pb2.CardOrder(product="ktp-el", issue=2, recorded=body, by_decision=True)
    moved = rights_pb2.CardOrder(product="ktp-el", issue=1, recorded=body, from_node="537105-1")
    changes = [rights_pb2.Change(nik=int(A), card=order), rights_pb2.Change(nik=int(B), card=moved)]
    apply_changes(store, rights_pb2.ChangesResponse(feed=b"feed", last=2, changes=changes), NOW_MS)
    printer = ScriptedPrinter()
    # The batch of another office is none of ours.
    assert turns(store, printer) == [B]
    release(store)
    assert turns(store, printer) == [B, A]


# ---- The command


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Sepe = Callable[..., Run]


@pytest.fixture
def sepe(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Sepe:
    """The real entry point, in this process: a process for each call would cost a second."""

    def run(*words: object, lines: str | None = None) -> Run:
        monkeypatch.setattr("sys.argv", ["sepe", "node", *map(str, words)])
        (tmp_path / "stdin").write_text(lines or "")
        capfd.readouterr()
        with (tmp_path / "stdin").open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            try:
                program.main()
                code = 0
            except SystemExit as exc:
                code = int(exc.code or 0)
        captured = capfd.readouterr()
        return Run(code, captured.out, captured.err)

    return run


def test_a_list_takes_whom_it_can_and_names_line_person_and_reason_of_the_others(
    store: NodeStore, sepe: Sepe
) -> None:
    record(store, line(A), line(B), line(C), line(D, product="ikd"))
    turn(store, ScriptedPrinter())
    [nobody, late] = "5371044101909088", "5371044101909099"
    record(store, line(late), line("5371044101909077", batch="malam"))
    taken = [f"{job.nik:016d}" for job in Ledger(store).in_state(JobState.QUEUED)]
    assert taken == [late, "5371044101909077"]
    listed = f"{late}\n\n{A}\n{nobody} 12345\n{late}\n5371044101909077\n"
    done = sepe("batch", store.folder, CLASS, "-", "--json", lines=listed)
    assert done.code == 1
    mine = done.json[0]
    assert (mine["batch"], mine["cards"], mine["waiting"]) == (CLASS, 1, 1)
    assert [(one["line"], (one["nik"] or "-")[-4:]) for one in mine["refused"]] == [
        (3, "9001"), (4, "9088"), (4, "-"), (5, "9099"), (6, "9077"),
    ]  # fmt: skip
    reasons = [one["error"] for one in mine["refused"]]
    for reason, word in zip(reasons, ("dicetak", "rekam", "16 angka", "baris 1", "malam"), strict=True):
        assert word in reason, reasons
    assert done.json[1] == {
        "batch": "malam",
        "cards": 1,
        "printed": 0,
        "waiting": 1,
        "stuck": 0,
        "released": False,
    }
    shown = sepe("batch", store.folder, CLASS, A, nobody, late)
    assert shown.code == 1 and "baris 1: MARIA TAEK …9001: sudah dicetak" in shown.out
    assert "baris 2: 537104**********: tidak ada permintaan" in shown.out and nobody not in shown.out + shown.err
    english = sepe("--lang", "en", "batch", store.folder, "lain", late)
    assert english.code == 1 and f"is in the batch {CLASS} already" in english.out
    # A batch of nobody is none, and not a released one.
    record(store, line("5371044101909066", batch="lain"))
    assert Batches(store).held() == {"lain", "malam"}


def test_a_card_leaves_its_batch_and_a_batch_is_released_by_command(
    store: NodeStore, sepe: Sepe, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, line(A, batch=CLASS), line(B, batch=CLASS), line(C))
    printer = ScriptedPrinter()
    assert turns(store, printer) == [C]
    with monkeypatch.context() as here:
        here.delattr("node.cli.printing._bring")  # Nobody waits a minute for it.
        held = sepe("print", store.folder, A)
    assert held.code == 1 and f"{CLASS} belum dilepas" in held.err
    assert "menunggu kelompoknya dilepas" in sepe("prints", store.folder).out
    out = sepe("batch", store.folder, CLASS, A, C, "--out", "--json")
    assert out.code == 1 and [one["line"] for one in out.json[0]["refused"]] == [2]
    assert turns(store, printer) == [C, A]
    # Who joins a batch that is collected waits with it.
    record(store, line(D))
    assert sepe("batch", store.folder, CLASS, D, "--out").code == 1
    assert sepe("batch", store.folder, CLASS, D).code == 0
    assert turns(store, printer) == [C, A]
    done = sepe("batch", store.folder, CLASS, "--release", "--json")
    assert done.code == 0 and done.json == [{"batch": CLASS, "cards": 2, "printed": 0, "waiting": 2, "stuck": 0}]
    assert turns(store, printer) == [C, A, B, D]
    for wrong in (("nanti", "--release"), (CLASS,), (A,), (CLASS, B, "--out", "--release")):
        assert sepe("batch", store.folder, *wrong).code == 2, wrong
