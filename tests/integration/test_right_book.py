"""A machine's book of rights: what it promised stands on its disk, whatever comes late, twice or from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from node.desk.standing import apply_changes, place
from node.printing.claiming import take_answer
from node.printing.job import Job
from node.printing.keeper import RightsKeeper
from node.printing.ledger import Ledger
from node.printing.rights import Asked, Promise, Right, RightAnswer, RightBook
from node.printing.room import Word
from node.printing.spool import Fact, JobState
from node.storage.store import NodeStore
from sepe.errors import TransientError
from sepe.rpc.v1 import rights_pb2
from tests.support.office import HOME_NIK, NOW_MS, OTHER_NIK, ScriptedPrinter, line, make_office, record
from tests.support.turns import turn

HOME_RIGHT = Right(int(HOME_NIK), "ktp-el", 1)
OTHER_RIGHT = Right(int(OTHER_NIK), "ktp-el", 1)


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return make_office(tmp_path / "node", blanks=5)


@pytest.fixture
def book(store: NodeStore) -> RightBook:
    return RightBook(store)


def job(store: NodeStore, right: Right) -> Job:
    return Ledger(store).of_resident(right.nik)[-1]


def test_the_home_right_is_there_beforehand_and_gone_once_promised(store: NodeStore, book: RightBook) -> None:
    assert book.fence(*HOME_RIGHT) == 0
    assert book.fence(*OTHER_RIGHT) is None
    book.asked(HOME_RIGHT, 0, now_ms=NOW_MS)
    assert book.fence(*HOME_RIGHT) is None
    assert book.promises(9) == [Promise(HOME_RIGHT, 0, 0)]
    record(store, line(HOME_NIK))
    printer = ScriptedPrinter()
    turn(store, printer)
    assert (job(store, HOME_RIGHT).state, printer.cards) == (JobState.WAITING_RIGHT, [])


def test_a_grant_that_comes_after_the_promise_is_of_no_use(store: NodeStore, book: RightBook) -> None:
    record(store, line(OTHER_NIK))
    # The hub gave us 2 and asks for it back; the answer that gave it is still on its way.
    book.asked(OTHER_RIGHT, 2, now_ms=NOW_MS)
    late = take_answer(store, job(store, OTHER_RIGHT).id, RightAnswer(True, fence=2), NOW_MS)
    assert (late.state, late.fence) == (JobState.QUEUED, None)
    fresh = take_answer(store, late.id, RightAnswer(True, fence=4), NOW_MS)
    assert (fresh.state, fresh.fence) == (JobState.READY, 4)


def test_what_was_held_and_is_let_go_asks_for_its_right_at_once(store: NodeStore) -> None:
    record(store, line(OTHER_NIK))
    ledger, one = Ledger(store), job(store, OTHER_RIGHT).id
    ledger.deny(one, "sudah dicetak di 537105-1", retry_ms=NOW_MS + 6 * 3_600_000, now_ms=NOW_MS)
    assert ledger.wanting_right(NOW_MS + 1, 9) == []
    ledger.settle(one, Fact.DISPUTED, now_ms=NOW_MS)
    ledger.settle(one, Fact.RELEASED, now_ms=NOW_MS)
    assert [it.id for it in ledger.wanting_right(NOW_MS + 1, 9)] == [one]


def test_a_question_that_comes_again_is_answered_again_and_an_old_one_takes_nothing(
    store: NodeStore, book: RightBook
) -> None:
    book.asked(HOME_RIGHT, 0, now_ms=NOW_MS)
    (promise,) = book.promises(9)
    book.told(promise)
    assert book.promises(9) == []
    book.asked(HOME_RIGHT, 0, now_ms=NOW_MS)
    assert book.promises(9) == [promise], "the hub did not hear"
    book.told(promise)
    book.moved(HOME_RIGHT, store.node, 4)
    book.asked(HOME_RIGHT, 2, now_ms=NOW_MS)
    assert book.fence(*HOME_RIGHT) == 4
    assert book.reconsider(NOW_MS) == [] and book.promises(9) == []


def test_a_right_in_use_is_kept_until_the_job_gives_it_up(store: NodeStore, book: RightBook) -> None:
    record(store, line(HOME_NIK))
    book.asked(HOME_RIGHT, 0, now_ms=NOW_MS)
    assert book.reconsider(NOW_MS) == [Asked(HOME_RIGHT, 0, "queued")]
    assert book.fence(*HOME_RIGHT) == 0
    Ledger(store).settle(job(store, HOME_RIGHT).id, Fact.WITHDRAWN, now_ms=NOW_MS)
    assert book.reconsider(NOW_MS) == []
    assert book.fence(*HOME_RIGHT) is None and len(book.promises(9)) == 1
    # A further attempt has to ask like everybody.
    assert Ledger(store).retry(job(store, HOME_RIGHT).id, NOW_MS).fence is None


def test_a_card_that_came_out_by_force_keeps_the_right_as_well(store: NodeStore, book: RightBook) -> None:
    record(store, line(HOME_NIK), line(HOME_NIK, name="SOMEBODY ELSE"))
    held = job(store, HOME_RIGHT)
    assert held.state is JobState.HELD
    Ledger(store).override(held.id, reason="besok pemilu", operator="camat", now_ms=NOW_MS)
    turn(store, ScriptedPrinter())
    book.asked(HOME_RIGHT, 0, now_ms=NOW_MS)
    assert book.reconsider(NOW_MS) == [Asked(HOME_RIGHT, 0, "in_hand")]


def test_a_right_that_moved_while_this_disk_was_elsewhere_takes_the_job_off_the_queue(
    store: NodeStore, book: RightBook
) -> None:
    record(store, line(HOME_NIK))
    assert job(store, HOME_RIGHT).fence == 0
    book.moved(HOME_RIGHT, "537105-1", 2)
    printer = ScriptedPrinter()
    turn(store, printer)
    assert (job(store, HOME_RIGHT).fence, printer.cards) == (None, [])


def test_a_forced_job_stays_forced_and_a_job_with_its_right_is_never_called_forced(
    store: NodeStore, book: RightBook
) -> None:
    record(store, line(HOME_NIK), line(OTHER_NIK))
    ledger = Ledger(store)
    assert ledger.override(job(store, HOME_RIGHT).id, reason="segera", operator="x", now_ms=NOW_MS).override == ""
    forced = ledger.override(job(store, OTHER_RIGHT).id, reason="segera", operator="x", now_ms=NOW_MS)
    book.moved(OTHER_RIGHT, "537105-1", 2)
    assert ledger.job(forced.id).override == "segera" and ledger.job(forced.id).fence == 0


def test_the_roll_moves_to_another_machine_by_an_officers_decision(store: NodeStore, tmp_path: Path) -> None:
    second = make_office(tmp_path / "second", "537104-2", blanks=5)
    record(store, line(HOME_NIK))
    record(second, line(HOME_NIK))
    for one in (store, second):
        RightBook(one).moved(Right(int(HOME_NIK) + 1, "ktp-el", 1), "537105-1", 2)
        RightBook(one).roll_moved("537104", "537104-2", 1)
    assert (job(store, HOME_RIGHT).fence, job(second, HOME_RIGHT).fence) == (None, 1)
    assert RightBook(second).fence(int(HOME_NIK) + 1, "ktp-el", 1) is None, "that one is not the roll's any more"
    turn(second, ScriptedPrinter())
    assert job(second, HOME_RIGHT).state is JobState.PRINTED


class Hub:
    """Says what the test wants, once the line is up."""

    def __init__(self) -> None:
        self.is_up = True
        self.heard: list[tuple[Right, int]] = []
        self.answers: list[rights_pb2.ChangesResponse] = []
        self.kept: list[Asked] = []

    async def claim(self, nik: int, product: str, issue: int, *, above: int = 0) -> RightAnswer:
        return RightAnswer(True, fence=max(above, 2))

    async def give_back(self, right: Right, fence: int) -> bool:
        if not self.is_up:
            raise TransientError("no line")
        self.heard.append((right, fence))
        return True

    async def photo(self, right: Right, sha256: bytes, have: bytearray) -> None:
        raise TransientError("no line")

    async def changes(
        self, feed: bytes, after: int, *, wait_ms: int, kept: Sequence[Asked], word: Word | None = None
    ) -> rights_pb2.ChangesResponse:
        if not self.is_up:
            raise TransientError("no line")
        self.kept = list(kept)
        if self.answers:
            return self.answers.pop(0)
        return rights_pb2.ChangesResponse(feed=feed or b"feed", last=after)


def let_go(right: Right, fence: int, number: int) -> rights_pb2.ChangesResponse:
    question = rights_pb2.LetGo(product=right.product, issue=right.issue, fence=fence, asked_by="537105-1")
    change = rights_pb2.Change(number=number, nik=right.nik, let_go=question)
    return rights_pb2.ChangesResponse(feed=b"feed", last=number, changes=[change])


async def test_the_keeper_promises_on_its_disk_first_and_tells_until_it_is_heard(store: NodeStore) -> None:
    hub = Hub()
    keeper = RightsKeeper(NodeStore.open(store.folder), hub, lambda: NOW_MS)
    hub.answers = [let_go(HOME_RIGHT, 0, 5)]
    assert await keeper.turn(wait_ms=0) == 1
    assert RightBook(store).fence(*HOME_RIGHT) is None and hub.heard == [], "on disk before anybody hears"
    hub.is_up = False
    with pytest.raises(TransientError):
        await keeper.turn(wait_ms=0)
    hub.is_up = True
    await keeper.settle()
    assert hub.heard == [(HOME_RIGHT, 0)]
    assert place(store) == (b"feed", 5)
    RightBook(store).want([OTHER_RIGHT])
    await keeper.settle()
    assert RightBook(store).fence(*OTHER_RIGHT) == 2
    await keeper.close()


async def test_a_restored_machine_hears_again_what_it_had_promised(store: NodeStore, tmp_path: Path) -> None:
    """Its disk is from before the promise; its place in the list is too, so the word comes again."""
    moved = rights_pb2.Change(
        number=7, nik=HOME_RIGHT.nik, moved=rights_pb2.Right(product="ktp-el", issue=1, holder="537105-1", fence=2)
    )
    apply_changes(store, rights_pb2.ChangesResponse(feed=b"feed", last=3), NOW_MS)
    record(store, line(HOME_NIK))
    assert job(store, HOME_RIGHT).fence == 0
    apply_changes(store, rights_pb2.ChangesResponse(feed=b"feed", last=7, changes=[moved]), NOW_MS)
    assert job(store, HOME_RIGHT).fence is None
    assert RightBook(store).grip(HOME_RIGHT).above == 3
    assert RightBook(store).promises(9) == [], "the hub said it itself"
