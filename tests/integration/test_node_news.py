"""What the centre says reaches the people at the office: once, until it is read, and under the resident's name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.desk import news
from node.desk.headlines import Kind
from node.desk.old_cards import OldCards
from node.desk.standing import apply_changes, note_life, place, standing_of
from node.link.notes import ALARM_KEY
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe.identity import identity_key
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from surge import program
from tests.support.office import HOME_NIK, NOW_MS, OTHER_NIK, PowerCutError, line, make_office, record

HOME, OTHER = int(HOME_NIK), int(OTHER_NIK)
STRANGER = 5371044101909077
HERE, THERE = "537104-1", "537105-1"
OURS = identity_key("MARIA TAEK", "1990-01-01", "P")
THEIRS = identity_key("BENAR ORANG", "1990-01-01", "P")
DAY_MS = 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NodeStore]:
    store = make_office(tmp_path / "oebobo", HERE, blanks=3)
    record(store, line(HOME_NIK), line(OTHER_NIK))
    yield store
    store.close()


def hear(store: NodeStore, *changes: rights_pb2.Change, feed: bytes = b"feed", now_ms: int = NOW_MS) -> None:
    apply_changes(store, rights_pb2.ChangesResponse(feed=feed, last=len(changes), changes=changes), now_ms)


def kinds(store: NodeStore) -> list[str]:
    """Oldest first."""
    return [str(one.headline.kind) for one in sorted(news.listing(store, 1000), key=lambda it: it.number)]


def standing(nik: int = HOME, *recalls: rights_pb2.Recall, **fields: Any) -> rights_pb2.Change:
    fields.setdefault("life", event_pb2.LIFE_STATE_ALIVE)
    said = rights_pb2.Standing(recalls=recalls, **fields)
    return rights_pb2.Change(nik=nik, standing=said)


def recall(serial: str = "A000001", node: str = HERE, reason: str = "identity") -> rights_pb2.Recall:
    return rights_pb2.Recall(
        product="ktp-el", issue=1, attempt=f"a-{serial}", serial=serial, node=node, reason=reason
    )


def decided(keep: bytes, reason: str = "KK asli") -> rights_pb2.Change:
    return standing(settled=sorted((OURS, THEIRS)), keep=keep, reason=reason)


def moved(nik: int, holder: str, fence: int) -> rights_pb2.Change:
    return rights_pb2.Change(
        nik=nik, moved=rights_pb2.Right(product="ktp-el", issue=1, holder=holder, fence=fence)
    )


def on_way(*runs: tuple[str, str]) -> rights_pb2.Change:
    word = rights_pb2.BlanksOnWay(product="ktp-el", from_node="hub")
    for first, last in runs:
        word.runs.add(first=first, last=last)
    return rights_pb2.Change(blanks=word)


def bring(count: int, until_ms: int = NOW_MS + DAY_MS) -> rights_pb2.Change:
    return rights_pb2.Change(
        bring=rights_pb2.BlanksWanted(
            product="ktp-el", count=count, to_node=THERE, until_ms=until_ms, reason="antre"
        )
    )


def order() -> rights_pb2.Change:
    body = event_pb2.Recorded(name="YOHANIS LAY", birth_date="1990-01-01", sex="L", product="ktp-el")
    return rights_pb2.Change(
        nik=STRANGER,
        card=rights_pb2.CardOrder(product="ktp-el", issue=1, from_node=THERE, reason="panas", recorded=body),
    )


def roll(holder: str, fence: int) -> rights_pb2.Change:
    return rights_pb2.Change(roll=rights_pb2.RollRight(kecamatan_code="537199", holder=holder, fence=fence))


# Each word, and what it is to people who hear it after those before it.
STORY: list[tuple[rights_pb2.Change, list[str]]] = [
    (standing(), []),
    (standing(on_hold=True), ["disputed"]),
    (decided(OURS), ["decided"]),
    (decided(THEIRS, "salah lihat"), ["decided"]),
    (standing(HOME, recall(), settled=sorted((OURS, THEIRS)), keep=THEIRS, reason="salah lihat"), ["recall"]),
    # Another office collects what it made.
    (standing(HOME, recall(), recall("B01", THERE), settled=sorted((OURS, THEIRS)), keep=THEIRS, reason="salah lihat"), []),
    (decided(OURS, "akta lahir"), ["decided", "recall_ended"]),
    (standing(), []),
    (standing(on_hold=True), ["disputed"]),
    (standing(), ["released"]),
    (standing(life=event_pb2.LIFE_STATE_MOVED), ["moved_away"]),
    (standing(life=event_pb2.LIFE_STATE_DEAD), ["died"]),
    (standing(), ["alive"]),
    (standing(replaced_by=STRANGER), ["nik_replaced"]),
    (standing(), ["nik_replaced"]),
    (moved(HOME, THERE, 2), ["right_moved"]),
    (moved(STRANGER + 10**10, THERE, 3), []),
    (moved(OTHER, HERE, 2), []),
    (roll(THERE, 1), ["roll_moved"]),
    (order(), ["card_came"]),
    (on_way(("A0101", "A0200")), ["blanks_on_way"]),
    (on_way(("A0151", "A0200")), []),
    (on_way(("A0151", "A0200"), ("B01", "B10")), ["blanks_on_way"]),
    (bring(0), []),
    (bring(40), ["blanks_wanted"]),
    (bring(0), ["blanks_wanted"]),
]  # fmt: skip


def test_each_word_is_news_once_and_what_is_no_news_is_none(store: NodeStore) -> None:
    told: list[str] = []
    for change, expected in STORY:
        for feed in (b"feed", b"feed", b"of a restored hub"):
            hear(store, change, feed=feed)
            assert kinds(store) == told + expected, change
        told += expected
    assert news.unread(store) == len(told)


def test_words_in_any_order_are_news_at_most_once(store: NodeStore) -> None:
    chance = random.Random(12)
    for _ in range(150):
        change = chance.choice(STORY)[0]
        hear(store, change)
        before = kinds(store)
        hear(store, change)
        assert kinds(store) == before, change


def test_a_card_that_waited_for_its_right_is_told_when_the_right_comes(store: NodeStore) -> None:
    store.connection.execute("UPDATE job SET state = 'waiting_right' WHERE nik = ?", (OTHER,))
    hear(store, moved(OTHER, HERE, 2))
    assert kinds(store) == ["right_came"]


def test_what_this_office_did_itself_is_no_news_to_it(store: NodeStore) -> None:
    with store.transaction():
        note_life(store, HOME, event_pb2.LIFE_STATE_DEAD, NOW_MS)
    hear(store, standing(life=event_pb2.LIFE_STATE_DEAD))
    assert kinds(store) == []
    hear(store, standing(HOME, recall(), life=event_pb2.LIFE_STATE_DEAD))
    OldCards(store).take_back(HOME, "ktp-el", "A000001", "recall", operator="", now_ms=NOW_MS)
    hear(store, standing(life=event_pb2.LIFE_STATE_DEAD))
    assert kinds(store) == ["recall"]


def test_a_word_and_its_news_are_one_transaction(store: NodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as here, pytest.raises(PowerCutError):
        here.setattr(news, "note", dies)
        hear(store, standing(on_hold=True))
    assert not standing_of(store, HOME).on_hold and place(store) == (b"", 0)
    hear(store, standing(on_hold=True))
    assert kinds(store) == ["disputed"] and place(store) == (b"feed", 1)


def test_an_alarm_is_news_when_the_centre_is_next_heard(store: NodeStore) -> None:
    store.put(ALARM_KEY, "rows_gone: 3")
    for _ in range(2):
        hear(store)
    assert kinds(store) == ["alarm"]


def test_read_marks_last_and_are_by_number(store: NodeStore) -> None:
    hear(store, standing(on_hold=True), on_way(("A0101", "A0200")))
    shown = news.listing(store, 1)
    hear(store, order())
    news.mark_read(store, [one.number for one in shown], NOW_MS)
    with closing(NodeStore.open(store.folder)) as again:
        assert news.unread(again) == 2
        order_shown = [(str(one.headline.kind), one.is_read) for one in news.listing(again, 10)]
    assert order_shown == [("card_came", False), ("disputed", False), ("blanks_on_way", True)]


def test_news_is_bounded_by_age_and_by_number_and_no_number_comes_twice(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear(store, standing(on_hold=True))
    [first] = news.listing(store, 10)
    hear(store, standing(), now_ms=NOW_MS + (news.KEEP_DAYS + 1) * DAY_MS)
    [second] = news.listing(store, 10)
    assert second.headline.kind is Kind.RELEASED and second.number > first.number
    # A clock that is a year ahead of the centre's must not forget what nobody has read.
    store.see_hub_clock(NOW_MS, NOW_MS + 365 * DAY_MS)
    hear(store, standing(on_hold=True), now_ms=NOW_MS + 365 * DAY_MS)
    assert news.listing(store, 10)[0].at_ms == NOW_MS
    assert news.unread(store) == 2
    monkeypatch.setattr(news, "ITEMS_MAX", 3)
    for count in range(10):
        hear(store, bring(count + 1))
    assert [one.headline.count for one in news.listing(store, 10)] == [10, 9, 8]


# ---- What operators see


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
def sepe(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sepe:
    """The real entry point, in this process: a process for each call would cost a second."""

    def run(*words: object) -> Run:
        monkeypatch.setattr("sys.argv", ["sepe", "node", *map(str, words)])
        capfd.readouterr()
        try:
            program.main()
            code = 0
        except SystemExit as exc:
            code = int(exc.code or 0)
        captured = capfd.readouterr()
        return Run(code, captured.out, captured.err)

    return run


def test_news_has_the_name_and_ends_when_it_is_read(store: NodeStore, sepe: Sepe) -> None:
    hear(store, standing(HOME, recall(), on_hold=True), decided(THEIRS), order())
    assert sepe("status", store.folder, "--json").json["news_unread"] == 5
    found = sepe("news", store.folder, "--json").json
    assert [one["kind"] for one in found] == ["card_came", "recall_ended", "decided", "recall", "disputed"]
    assert (found[2]["nik"], found[2]["name"], found[2]["reason"]) == (HOME_NIK, "MARIA TAEK", "KK asli")
    assert "tidak berlaku" in found[2]["text"] and not found[2]["read"]
    text = sepe("news", store.folder, "--read").out
    assert "MARIA TAEK …9001: pusat memutuskan identitas lain" in text and "537104**********: ktp-el" in text
    assert "identitas lain)" in text, "why a card is to be collected, in words"
    assert HOME_NIK not in text and str(STRANGER) not in text
    status = sepe("status", store.folder)
    assert "Berita belum dibaca" not in status.out
    assert all(one["read"] for one in sepe("news", store.folder, "--json").json)
    english = sepe("--lang", "en", "news", store.folder).out
    assert "MARIA TAEK …9001: the centre decided for another identity" in english


def test_the_offices_own_lists_name_people_and_not_twenty_equal_masks(store: NodeStore, sepe: Sepe) -> None:
    hear(store, standing(HOME, recall()), order())
    OldCards(store).take_back(HOME, "ktp-el", "A000001", "recall", operator="", now_ms=NOW_MS)
    hear(store, standing(OTHER, recall("A000002")))
    for words, whose in (
        (("prints",), ("MARIA TAEK …9001", "537104**********")),
        (("queue", "--no-probe"), ("MARIA TAEK …9001",)),
        (("outbox",), ("MARIA TAEK …9001",)),
        (("recalls",), ("MARIA TAEK …9001",)),
        (("old-cards",), ("MARIA TAEK …9001",)),
    ):
        shown = sepe(words[0], store.folder, *words[1:])
        assert shown.code == 0 and all(one in shown.out for one in whose), shown
        assert HOME_NIK not in shown.out and OTHER_NIK not in shown.out and "YOHANIS" not in shown.out, words


def test_a_resident_is_found_by_whatever_is_at_hand(store: NodeStore, sepe: Sepe) -> None:
    kk = "5371042501109012"
    record(
        store,
        line("5371044101909002", name="JOSÉ TA'EK", kk=kk, kelurahan="OEBUFU"),
        line("5371044101909003", name="MARIA MARLINA LAY"),
    )
    store.connection.execute("UPDATE job SET serial = 'A00012007' WHERE nik = 5371044101909003")

    def found(*words: object) -> list[tuple[str, str]]:
        done = sepe("find", store.folder, *words, "--json")
        assert done.code == (0 if done.json else 1)
        return [(one["nik"][-4:], one["by"]) for one in done.json]

    assert found("taek mar") == [("9001", "name"), ("9001", "name")]
    assert found("jose taek") == found("Jose Ta’ek") == found("JOSÉ") == [("9002", "name")]
    assert found("mar mari") == [("9003", "name")], "one word of the name is not two"
    assert found("lay") == [("9003", "name")] and found("aria") == []
    assert found("1909002") == [("9002", "nik")] and found(HOME_NIK) == [("9001", "nik")]
    assert found(kk) == found("250110901") == [("9002", "kk")]
    assert found("a00012007") == found("12007") == [("9003", "serial")]
    assert found("a", "--limit", "1") == []
    more = sepe("find", store.folder, "ma", "--limit", "1")
    assert more.code == 0 and "3 cocok, 1 ditampilkan" in more.err and "…90" in more.out
    for wrong in ("", "  ", "'", "12", "x" * 200):
        assert sepe("find", store.folder, wrong).code == 2, wrong
    assert "5371" not in sepe("find", store.folder, "53", "--json").err


def test_blanks_that_came_are_no_news_again(store: NodeStore) -> None:
    hear(store, on_way(("A0101", "A0105")))
    Stock(store).receive(SerialRange("ktp-el", "A0101", "A0105"), now_ms=NOW_MS)
    hear(store, on_way())
    assert kinds(store) == ["blanks_on_way"]
