"""An officer has cards made by an office that can still print them: what goes over, what stays, what is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.dispatch import elsewhere, relief
from hub.dispatch.elsewhere import Asked
from hub.dispatch.moves import Reroute
from hub.dispatch.relief import Stand
from hub.dispatch.rights import Answer, RightClaim
from hub.merge.rebuild import rebuild
from hub.merge.registry import add_key
from hub.merge.store import HubStore
from hub.read.export import exposure
from hub.read.person import person
from hub.read.printers import offices
from hub.stock.allot import allot
from hub.stock.index import stock_books
from node.clock import now_ms
from node.desk.photos import photo_path
from node.desk.standing import apply_changes
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.rights import Right, RightBook
from node.printing.spool import JobState
from node.settings import KEY_NAME
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe.nik import Nik
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from sepe_io import keys
from sepe_io.seal import sha256_of
from sepe_io.sqlite import transaction
from tests.support.attachments import picture
from tests.support.hubs import new_hub, send
from tests.support.live_hub import until
from tests.support.office import NOW_MS, line, make_office, record
from tests.support.postgres import PostgresServer
from tests.support.processes import Program, hub_run, node_run, sepe
from tests.support.world import Node, card_moved, recorded

GIVER, TAKER, THIRD = "537104-1", "537105-1", "537106-1"
NIKS = [f"5371044101{90 + number}9001" for number in range(6)]
NIK = int(NIKS[0])
KEY = (NIK, "ktp-el", 1)
CLOSE_MS = NOW_MS + 8 * 3_600_000
ALL_DAY = '[hours]\nprinting = "00:00-24:00"\ndesk = "00:00-00:01"\n[complete]\nwaits = false\n'


class Desk:
    """A hub's book with three machines, of which the first recorded one resident."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.giver, self.taker, self.third = (Node(name) for name in (GIVER, TAKER, THIRD))
        self.store = new_hub(folder, [self.giver, self.taker, self.third], is_durable=False, database=database)
        self.giver.write(recorded(NIK, "MARIA TAEK"))
        send(self.store, self.giver.frames())

    def ask(self, at_ms: int = NOW_MS, *, until_ms: int = CLOSE_MS, to: str = TAKER, by: str = GIVER) -> Asked:
        with transaction(self.store.connection):
            desk = self.store.rights_desk(at_ms)
            found = elsewhere.ask(desk, Reroute(*KEY, by, to, until_ms, reason="blangko habis", officer="kabid"))
            self.store.append_in_transaction(desk.drafts, at_ms)
        return found

    def claim(self, node: str, at_ms: int = NOW_MS) -> Answer:
        """By a machine that has promised fence 0."""
        return self.store.answer_rights([RightClaim(*KEY, node, above=1)], now_ms=at_ms)[0]

    def stands(self, at_ms: int = NOW_MS) -> Stand:
        (one,) = relief.progress(self.store, at_ms)
        return one.stand

    def news(self, node: str) -> list[rights_pb2.Change]:
        return list(self.store.news_for(node, self.store.list_id(), 0).changes)

    def events(self) -> int:
        return int(self.store.connection.execute("SELECT count(*) FROM frame WHERE node = 'hub'").fetchone()[0])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "hub")
    yield found
    found.store.close()


def test_the_promise_of_the_holder_gives_the_right_and_the_card_to_the_other_machine_alone(desk: Desk) -> None:
    assert desk.ask() is Asked.ASKED and desk.stands() is Stand.ASKED
    count = desk.events()
    assert desk.ask() is Asked.ASKED and desk.events() == count, "deciding it again changes nothing"
    assert exposure(desk.store.connection, TAKER)["residents"] == 0
    (question,) = desk.news(GIVER)
    assert question.let_go.decided_until_ms == CLOSE_MS and desk.news(TAKER) == []
    # A third office asks in between: it waits, and what is given back is not its.
    assert desk.store.claim_right(*KEY, THIRD, now_ms=NOW_MS).reason == "held"
    answer = desk.store.return_right(*KEY, GIVER, fence=0, now_ms=NOW_MS)
    assert (answer.granted, answer.holder, answer.fence) == (True, TAKER, 2)
    again = desk.store.return_right(*KEY, GIVER, fence=0, now_ms=NOW_MS)
    assert (again.granted, again.reason) == (False, "not_holder"), (
        "a promise that comes twice is answered for good"
    )
    assert desk.stands() is Stand.MOVED and desk.ask() is Asked.MOVED
    assert exposure(desk.store.connection, TAKER)["residents"] == 1, "whose data a lost machine held"
    moved, order = desk.news(TAKER)
    assert (moved.moved.holder, moved.moved.fence) == (TAKER, 2)
    assert (order.card.recorded.name, order.card.from_node) == ("MARIA TAEK", GIVER)
    # Whoever waits at the first office hears where it is made, and nobody is asked to give it back.
    denied = desk.claim(GIVER)
    assert (denied.reason, denied.holder, denied.kept) == ("held", TAKER, "rerouted")
    assert all(not change.HasField("let_go") for change in desk.news(TAKER))
    # Printed there: the order holds nothing to print any more, for a machine that reads its list once more.
    desk.taker.write(card_moved(NIK, attempt="b1", fence=2))
    send(desk.store, desk.taker.frames())
    assert not desk.news(TAKER)[-1].card.HasField("recorded") and desk.stands() is Stand.PRINTED
    done = desk.claim(GIVER)
    assert (done.reason, done.holder, done.serial) == ("already_printed", TAKER, "S-b1")


def test_a_claim_that_overtakes_the_word_of_its_own_promise_does_not_undo_the_decision(desk: Desk) -> None:
    desk.ask()
    # It promised fence 0 and asks for more before the hub heard of the promise.
    crossed = desk.claim(GIVER)
    assert (crossed.granted, crossed.holder, crossed.kept) == (False, TAKER, "rerouted")
    assert not desk.store.return_right(*KEY, GIVER, fence=0, now_ms=NOW_MS).granted
    assert desk.stands() is Stand.MOVED


def test_what_is_promised_after_the_close_or_for_a_machine_that_is_gone_goes_nowhere_by_itself(desk: Desk) -> None:
    desk.ask()
    late_ms = CLOSE_MS + 1
    assert desk.stands(late_ms) is Stand.LAPSED
    answer = desk.store.return_right(*KEY, GIVER, fence=0, now_ms=late_ms)
    assert (answer.granted, answer.holder) == (True, "")
    assert desk.claim(GIVER, late_ms).granted, "it is printed where it was"
    desk.store.revoke(TAKER, now_ms=late_ms)
    assert desk.ask(late_ms, until_ms=late_ms + 1000) is Asked.REVOKED


def test_a_card_that_was_begun_a_dead_owner_and_what_is_held_elsewhere_stay(desk: Desk) -> None:
    assert desk.ask(by=TAKER, to=THIRD) is Asked.HELD_ELSEWHERE
    desk.giver.write(card_moved(NIK, event_pb2.CARD_STATE_SENT))
    send(desk.store, desk.giver.frames())
    assert desk.ask() is Asked.IN_HAND
    assert desk.events() == 0


def test_a_rebuild_finds_every_decision_again(desk: Desk) -> None:
    desk.ask()
    desk.store.return_right(*KEY, GIVER, fence=0, now_ms=NOW_MS)
    before = [
        desk.store.connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("reroute", "print_right")
    ]
    rebuild(desk.store.connection)
    after = [
        desk.store.connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("reroute", "print_right")
    ]
    assert before == after and before[0]


def test_a_card_goes_over_and_blanks_are_on_their_way_on_postgresql_too(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    desk = Desk(tmp_path / "hub", postgres.database())
    try:
        told = rights_pb2.ChangesRequest(node=GIVER)
        told.print_room.waiting = 1
        told.left.add(nik=NIK, product="ktp-el", issue=1, why="blanks")
        for _ in range(2):
            desk.store.hear_room(GIVER, told, now_ms=NOW_MS)
            assert desk.ask() is Asked.ASKED
        assert [one.waiting for one in offices(desk.store.connection, "ktp-el", NOW_MS)] == [0]
        assert desk.store.answer_rights([], now_ms=NOW_MS) == []
        assert desk.claim(GIVER).kept == "rerouted" and desk.stands() is Stand.MOVED
        assert [change.WhichOneof("what") for change in desk.news(TAKER)] == ["moved", "card"]
        allot(desk.store, TAKER, SerialRange("ktp-el", "A0001", "A0005"), now_ms=NOW_MS)
        assert desk.news(TAKER)[-1].blanks.runs[0].last == "A0005"
        assert exposure(desk.store.connection, TAKER)["residents"] == 1
    finally:
        desk.store.close()


def let_go(nik: int, *, fence: int = 0, until_ms: int = CLOSE_MS, last: int = 1) -> rights_pb2.ChangesResponse:
    asked = rights_pb2.LetGo(product="ktp-el", issue=1, fence=fence, asked_by=TAKER, decided_until_ms=until_ms)
    return rights_pb2.ChangesResponse(
        feed=b"feed", last=last, changes=[rights_pb2.Change(number=last, nik=nik, let_go=asked)]
    )


def test_an_office_gives_way_to_an_officer_unless_the_card_has_its_blank_or_somebody_waits(tmp_path: Path) -> None:
    store = make_office(tmp_path / "a", GIVER, blanks=5)
    try:
        record(store, *(line(nik) for nik in NIKS[:4]))
        ledger, book = Ledger(store), RightBook(store)
        jobs = [ledger.of_resident(int(nik))[0] for nik in NIKS[:4]]
        ledger.allot(jobs[1].id, NOW_MS)
        ledger.want(jobs[2].id)
        for number, nik in enumerate(NIKS[:3]):
            apply_changes(store, let_go(int(nik), last=number + 1), NOW_MS)
        # The day is over when the fourth hears of it.
        apply_changes(store, let_go(int(NIKS[3]), last=4), CLOSE_MS + 1)
        fences = [book.fence(int(nik), "ktp-el", 1) for nik in NIKS[:4]]
        assert fences == [None, 0, 0, 0]
        assert [(one.right.nik, one.reason) for one in book.reconsider(NOW_MS)][:2] == [
            (int(NIKS[1]), "in_hand"), (int(NIKS[2]), "queued"),
        ]  # fmt: skip
        gone = ledger.job(jobs[0].id)
        assert (gone.state, gone.fence) == (JobState.WAITING_RIGHT, None) and "dialihkan" in gone.reason
        assert ledger.allot(gone.id, NOW_MS) is None, "no printer gets it"
    finally:
        store.close()


def test_an_order_is_one_job_however_often_it_comes_and_is_none_without_a_recording(tmp_path: Path) -> None:
    store = make_office(tmp_path / "b", TAKER, blanks=5)
    try:
        order = rights_pb2.CardOrder(product="ktp-el", issue=1, from_node=GIVER, asked_ms=NOW_MS)
        news = rights_pb2.ChangesResponse(feed=b"feed", last=1, changes=[rights_pb2.Change(nik=NIK, card=order)])
        apply_changes(store, news, NOW_MS)
        assert Ledger(store).of_resident(NIK) == []
        news.changes[0].card.recorded.name = "MARIA TAEK"
        moved = rights_pb2.Right(product="ktp-el", issue=1, holder=TAKER, fence=2)
        news.changes.insert(0, rights_pb2.Change(nik=NIK, moved=moved))
        for _ in range(2):
            apply_changes(store, news, NOW_MS)
        (job,) = Ledger(store).of_resident(NIK)
        assert (job.state, job.fence, job.reason) == (JobState.QUEUED, 2, f"dialihkan dari {GIVER}")
        # He comes to this office after all: the card that is under way is his.
        assert record(store, line(NIKS[0]))[0].status == "already_requested"
        assert RightBook(store).grip(Right(*KEY)).fence == 2
    finally:
        store.close()


class Region:
    """A hub and two offices as processes; the first has no blanks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub_dir = folder / "hub"
        self.programs: list[Program] = []
        self.stores: dict[str, NodeStore] = {}
        with HubStore.create(self.hub_dir, now_ms=now_ms()) as hub:
            for name, blanks in ((GIVER, 0), (TAKER, 20)):
                store = self.stores[name] = make_office(folder / name, name)
                (folder / name / "queue.toml").write_text(ALL_DAY)
                if blanks:
                    serials = SerialRange("ktp-el", "B000001", f"B{blanks:06d}")
                    Stock(store).receive(serials, now_ms=now_ms())
                with transaction(hub.connection):
                    add_key(hub.connection, name, keys.load(folder / name / KEY_NAME).public_key, now_ms=now_ms())

    def job(self, name: str, nik: str) -> Job | None:
        found = Ledger(self.stores[name]).of_resident(int(nik))
        return found[-1] if found else None

    def printed(self, name: str) -> list[str]:
        return [nik for nik in NIKS if (job := self.job(name, nik)) and job.state is JobState.PRINTED]

    def dispatch(self, *arguments: object) -> dict[str, Any]:
        done = sepe("hub", "dispatch", arguments[0], self.hub_dir, *arguments[1:], "--json")
        assert done.returncode in {0, 1}, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    async def start_hub(self, address: str = "127.0.0.1:0") -> Program:
        hub = await asyncio.to_thread(hub_run, self.hub_dir, "--grpc", address)
        self.programs.append(hub)
        return hub

    def close(self) -> None:
        for program in self.programs:
            program.kill()
        for store in self.stores.values():
            store.close()


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    found = Region(tmp_path)
    yield found
    found.close()


async def test_cards_without_blanks_come_out_at_the_other_office_though_the_hub_is_killed_in_the_middle(
    region: Region,
) -> None:
    photo = picture(40_000)
    (region.folder / GIVER / "foto.jpg").write_bytes(photo)
    record(
        region.stores[GIVER],
        *(line(nik, **({"photo": "foto.jpg"} if nik == NIKS[0] else {})) for nik in NIKS),
        now_ms=now_ms(),
    )
    hub = await region.start_hub()
    address = hub.ready["grpc"]
    for name in (GIVER, TAKER):
        printer = f"folder:{region.folder / f'out-{name}'}"
        folder = region.stores[name].folder
        region.programs.append(await asyncio.to_thread(node_run, folder, "--hub", address, "--printer", printer))

    def movable() -> bool:
        plan = region.dispatch("plan", "--only", "cards", "--least", 1)
        return len(plan["cards"]) == 6 and all(one["outcome"] is None for one in plan["cards"])

    async with asyncio.timeout(120):
        while not await asyncio.to_thread(movable):  # noqa: ASYNC110 - another process plans
            await asyncio.sleep(0.3)
    # Decided while the hub is down; when it is back it has decided.
    hub.kill()
    apply = ("apply", "--only", "cards", "--least", 1, "--reason", "blangko habis", "--officer", "kabid", "--wait")
    decided = await asyncio.to_thread(region.dispatch, *apply, 0)
    assert [one["outcome"] for one in decided["cards"]] == ["asked"] * 6
    assert decided["cards"][0]["nik"].endswith("**********") and decided["cards"][0]["why"] == "blanks"
    hub = await region.start_hub(address)
    await until(lambda: len(region.printed(TAKER)) >= 1, 120)
    hub.kill()
    await region.start_hub(address)
    await until(lambda: len(region.printed(TAKER)) == 6, 120)
    twice = await asyncio.to_thread(region.dispatch, *apply, 0)
    assert twice["cards"] == [] and twice["moves"] == [], "deciding it again moves nothing more"

    def cards() -> list[dict[str, Any]]:
        with HubStore.open(region.hub_dir) as store:
            store.project()
            people = [person(store.connection, Nik.parse(nik)) for nik in NIKS]
            return [card for found in people if found is not None for card in found["cards"]]

    await until(lambda: len(cards()) == 6, 60)
    assert {(card["node"], card["valid"]) for card in cards()} == {(TAKER, True)}
    with HubStore.open(region.hub_dir) as store:
        books = stock_books(store)
    assert books.faults() == [] and [(len(one.held), len(one.spent)) for one in books.machines] == [(14, 6)]
    assert photo_path(region.stores[TAKER].folder, sha256_of(photo)).read_bytes() == photo
    # The first office says where each was printed.
    for nik in NIKS:
        job = region.job(GIVER, nik)
        assert job is not None and job.state is JobState.WAITING_RIGHT
        Ledger(region.stores[GIVER]).want(job.id)
    await until(lambda: all(_told(region, nik) for nik in NIKS), 120)


def _told(region: Region, nik: str) -> bool:
    job = region.job(GIVER, nik)
    return job is not None and job.reason.startswith(f"sudah dicetak di {TAKER} pada ")
