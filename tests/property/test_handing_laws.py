"""One product, one valid issue in a hand: whatever the order of asking, printing, giving, taking back and losing.

The hand is kept beside the node as it is in the world: what goes over the desk is in it, what is shown or lost leaves it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from node.desk.hand_over import hand_over
from node.desk.old_cards import OldCards
from node.desk.standing import apply_changes
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import SENT, Fact, JobState
from node.storage.store import NodeStore
from sepe.card import HANDED_OVER, issues_of
from sepe.errors import InvalidInputError
from sepe.events import Event
from sepe.handing import SUBSTITUTE_FATES, twice_in_hand
from sepe.ids import EventId
from sepe.resident import fold
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from tests.support.office import HOME_NIK, NOW_MS, line, make_office, record

NIK = int(HOME_NIK)
PAPERS = {"proof": "akta 1", "skpwni": "S/1"}

wishes = st.sampled_from([
    ("ktp-el", "new"), ("ktp-el", "lost"), ("ktp-el", "damaged"), ("ktp-el", "data-change"), ("suket", "new"), ("suket", "new"),
])  # fmt: skip
facts = st.sampled_from([*[Fact.PRINTED] * 6, Fact.LOST, Fact.ABORTED])
gives = st.tuples(
    st.just("give"),
    st.tuples(
        st.sampled_from(["ktp-el", "ktp-el", None, "suket"]),
        st.sampled_from(["in hand", "", "at the desk"]),
        st.booleans(),
        st.sampled_from(["", *SUBSTITUTE_FATES]),
    ),
)
others = st.tuples(
    st.sampled_from(["take back", "lose", "recall"]),
    st.tuples(st.integers(0, 3), st.sampled_from(["ktp-el", "suket"])),
)
# Somebody asks, the card comes out or not, and he comes for it, also too early and twice.
rounds = st.tuples(
    st.tuples(st.just("ask"), wishes), st.tuples(st.just("print"), facts), st.one_of(gives, gives, others), gives
)
stories = st.tuples(rounds, rounds, rounds, rounds, st.permutations(range(4))).map(
    lambda drawn: [
        step for number, one in enumerate(drawn[:4]) for step in (one[: drawn[4][number] + 1] if number else one)
    ]
)


class Owner:
    """One resident, his hand, and the office that he comes to."""

    def __init__(self, folder: Path) -> None:
        self.store: NodeStore = make_office(folder / "node", blanks=30)
        self.store.connection.execute("PRAGMA synchronous=OFF")
        self.hand: set[str] = set()
        self.recalled: set[str] = set()
        self.ended: set[str] = set()

    def jobs(self, product: str | None = None) -> list[Job]:
        return [job for job in Ledger(self.store).of_resident(NIK) if product in (None, job.product)]

    def ask(self, wish: tuple[str, str]) -> None:
        record(self.store, line(HOME_NIK, product=wish[0], reason=wish[1]))

    def print(self, fact: Fact) -> None:
        ledger = Ledger(self.store)
        for job in self.jobs():
            if job.state is JobState.QUEUED:
                ledger.allot(job.id, NOW_MS)
                ledger.intend(job.id, printer="p", now_ms=NOW_MS)
                ledger.settle(job.id, fact, now_ms=NOW_MS)
            elif job.state in SENT:
                ledger.settle(job.id, Fact.PRINTED, now_ms=NOW_MS)

    def give(self, wish: tuple[str | None, str, bool, str]) -> None:
        product, old, has_letter, substitute = wish
        cards = self.jobs("ktp-el")
        held = [job for job in cards if job.name in self.hand]
        shown = (
            held if old == "in hand" else [one for one in cards if one.state is JobState.PRINTED] if old else []
        )
        evidence = PAPERS | ({"old_card": shown[0].serial} if shown else {})
        evidence |= {"police_letter": "LP/1"} if has_letter else {}
        before = {job.name for job in self.jobs()} & self.hand
        try:
            job = hand_over(
                self.store,
                NIK,
                product=product,
                operator="op",
                now_ms=NOW_MS,
                evidence=evidence,
                substitute=substitute,
            ).job
        except InvalidInputError:
            assert {one.name for one in self.jobs() if one.state is JobState.HANDED_OVER} >= before
            return
        if job.product == "ktp-el":
            # What he showed stays at the desk, and nobody loses what he still shows; a letter is about all the rest.
            self.hand -= {one.name for one in shown}
            self.hand -= {one.name for one in held} if has_letter else set()
            self.hand -= {one.name for one in self.jobs("suket")} if substitute else set()
        bad = self.recalled | self.ended
        cards = [one for one in self.jobs("ktp-el") if one.state is not JobState.SPOILED and one.name not in bad]
        if job.product == "suket" and cards:
            assert cards[-1].name not in self.hand, "a paper went over beside the card that it stands in for"
        newer = [one for one in self.jobs(job.product) if one.issue > job.issue and one.name not in bad]
        ready = [one for one in newer if one.state is JobState.PRINTED and one not in shown]
        assert not ready and not [one for one in newer if one.name in self.hand], "an older one went over"
        assert job.name not in self.hand | bad
        self.hand.add(job.name)

    def end(self, which: int, product: str, *, is_lost: bool) -> None:
        cards = self.jobs(product)
        if which >= len(cards):
            return
        card, old = cards[which], OldCards(self.store)
        try:
            if is_lost:
                old.lose(NIK, product, "LP/2", serial=card.serial, operator="", now_ms=NOW_MS)
            else:
                old.take_back(NIK, product, card.serial, "found", operator="", now_ms=NOW_MS)
        except InvalidInputError:
            return
        self.hand.discard(card.name)
        self.ended.add(card.name)

    def recall(self, which: int) -> None:
        """The centre wants one more card back; it never stops to want one that is still out."""
        self.recalled |= {job.name for job in self.jobs("ktp-el")[which : which + 1]}
        standing = rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE)
        for job in (one for one in self.jobs("ktp-el") if one.name in self.recalled):
            standing.recalls.add(
                product=job.product, issue=job.issue, attempt=job.name, serial=job.serial, reason="identity"
            )
        change = rights_pb2.Change(nik=NIK, standing=standing)
        apply_changes(self.store, rights_pb2.ChangesResponse(feed=b"f", last=1, changes=[change]), NOW_MS)

    def check(self) -> None:
        cards = [job for job in self.jobs("ktp-el") if job.name in self.hand]
        good = [job for job in cards if job.name not in self.recalled]
        assert len(good) <= 1, "two cards in one hand"
        record_ = fold(
            Event(EventId(self.store.node, self.store.epoch, row.seq), row.stamp, row.kind, row.nik, row.body)
            for row in self.store.events_after(0)
            if row.nik == NIK
        )
        assert {
            one.attempt for issue in issues_of(record_) for one in issue.attempts if one.state == HANDED_OVER
        } == self.hand, "the centre knows whose hand holds what"
        if not self.recalled:
            assert twice_in_hand(record_) == ()


@settings(max_examples=120, deadline=None)
@given(stories)
def test_of_one_product_nobody_goes_home_with_two(story: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        owner = Owner(Path(folder))
        try:
            for step, what in story:
                match step, what:
                    case "ask", (str(product), str(reason)):
                        owner.ask((product, reason))
                    case "print", Fact() as fact:
                        owner.print(fact)
                    case "give", (product, str(old), bool(letter), str(fate)):
                        owner.give((product, old, letter, fate))
                    case "recall", (int(which), _):
                        owner.recall(which)
                    case _, (int(which), str(product)):
                        owner.end(which, product, is_lost=step == "lose")
                owner.check()
        finally:
            owner.store.close()
