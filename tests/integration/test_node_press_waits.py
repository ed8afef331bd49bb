"""Cards that the press must not print yet: without right, in dispute, before their day."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.printing.ledger import Ledger
from node.printing.rights import RightAnswer
from node.printing.spool import JobState
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError, TransientError
from sepe.events import Event, Kind
from sepe.ids import EventId
from sepe.resident import fold
from sepe.wire.v1 import event_pb2
from tests.support.office import (
    HOME_NIK,
    NOW_MS,
    OTHER_NIK,
    ScriptedPrinter,
    jobs,
    line,
    make_office,
    record,
    states,
)
from tests.support.turns import turn


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return make_office(tmp_path / "node", blanks=5)


class Rights:
    """A hub that answers a claim as the test says."""

    def __init__(self, answer: RightAnswer | None) -> None:
        self.answer = answer
        self.asked: list[tuple[int, str, int]] = []

    async def claim(self, nik: int, product: str, issue: int, *, above: int = 0) -> RightAnswer:
        self.asked.append((nik, product, issue))
        if self.answer is None:
            raise TransientError("no line")
        return self.answer


def test_another_offices_resident_waits_for_the_right_and_is_printed_with_its_fence(store: NodeStore) -> None:
    record(store, line(OTHER_NIK))
    printer, rights = ScriptedPrinter(), Rights(None)
    turn(store, printer, rights=rights)
    (job,) = jobs(store, OTHER_NIK)
    assert (job.state, printer.cards) == (JobState.WAITING_RIGHT, []) and "sambungan" in job.reason
    rights.answer = RightAnswer(True, fence=7)
    turn(store, printer, rights=rights)
    assert len(rights.asked) == 1, "not asked again before its time"
    turn(store, printer, rights=rights, now_ms=NOW_MS + 60_000)
    (job,) = jobs(store, OTHER_NIK)
    assert (job.state, job.fence) == (JobState.PRINTED, 7)
    bodies = [row.body for row in store.events_after(0) if row.kind == Kind.CARD_MOVED]
    assert [event_pb2.CardMoved.FromString(body).fence for body in bodies] == [7, 7]


def test_a_right_held_elsewhere_keeps_the_card_waiting_with_the_reason(store: NodeStore) -> None:
    record(store, line(OTHER_NIK))
    turn(store, ScriptedPrinter(), rights=Rights(RightAnswer(False, reason="already_printed", holder="537105-1")))
    (job,) = jobs(store, OTHER_NIK)
    assert (job.state, job.reason) == (JobState.WAITING_RIGHT, "sudah dicetak di 537105-1")


def test_no_right_is_asked_for_while_no_blank_is_left_and_the_reason_is_the_blank(tmp_path: Path) -> None:
    store = make_office(tmp_path / "node")
    record(store, line(OTHER_NIK), line(HOME_NIK))
    printer, rights = ScriptedPrinter(), Rights(RightAnswer(True, fence=7))
    for _ in range(2):
        turn(store, printer, rights=rights)
    assert rights.asked == [] and printer.cards == []
    assert [(job.state, job.reason) for job in Ledger(store).all(2)] == [
        (JobState.WAITING_BLANK, "blangko habis")
    ] * 2
    Stock(store).receive(SerialRange("ktp-el", "A1", "A2"), now_ms=NOW_MS)
    for _ in range(2):
        turn(store, printer, rights=rights)
    assert len(rights.asked) == 1 and len(printer.cards) == 2


def test_a_supervisor_prints_without_the_right_and_every_step_says_so(store: NodeStore) -> None:
    record(store, line(OTHER_NIK))
    printer = ScriptedPrinter()
    turn(store, printer)
    ledger = Ledger(store)
    with pytest.raises(InvalidInputError, match="alasan"):
        ledger.override(1, reason=" ", operator="spv", now_ms=NOW_MS)
    ledger.override(1, reason="pemilu besok", operator="spv", now_ms=NOW_MS)
    turn(store, printer)
    assert states(store, OTHER_NIK) == [JobState.PRINTED]
    steps = fold(
        Event(EventId(store.node, store.epoch, row.seq), row.stamp, row.kind, row.nik, row.body)
        for row in store.events_after(0)
        if row.nik
    ).steps
    assert len(steps) == 2
    assert all(step.override and step.reason == "pemilu besok" for step in steps)


def test_a_disputed_nik_is_not_printed_even_when_both_lines_come_in_one_batch(store: NodeStore) -> None:
    record(store, line(), line(name="SITI AMINAH", product="kk"))
    turn(store, ScriptedPrinter())
    assert states(store) == [JobState.HELD, JobState.HELD]


def test_a_waiting_card_is_held_when_its_nik_is_disputed_later(store: NodeStore) -> None:
    record(store, line())
    record(store, line(name="SITI AMINAH"))
    printer = ScriptedPrinter()
    turn(store, printer)
    assert (states(store), printer.cards) == ([JobState.HELD], [])


def test_a_pupils_card_is_printed_on_the_seventeenth_birthday_and_not_before(store: NodeStore) -> None:
    nik = "5371040111079001"
    record(store, line(nik, birth_date="2007-12-01", sex="L"))
    printer = ScriptedPrinter()
    turn(store, printer)
    assert states(store, nik) == [JobState.WAITING_DUE]
    turn(store, printer, now_ms=NOW_MS + 8 * 86_400_000)  # 1 December 2024
    assert states(store, nik) == [JobState.PRINTED]
