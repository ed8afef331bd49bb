"""The right to print: one holder at a time, whatever is asked and in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.app import decide as app_decide
from hub.dispatch import decide
from hub.dispatch.feed import News
from hub.dispatch.rights import RightClaim
from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from hub.read import cards as read_cards
from hub.read import cases as read_cases
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.wire.v1 import event_pb2
from sepe_io.keys import Signer
from tests.support.hubs import count, let_in, new_hub, send
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded

HOME, AWAY, THIRD = "537104-1", "537105-1", "537106-1"
NIK = nik_of(1)
HOMELESS = nik_of(1, "537199")  # No machine of that kecamatan is enrolled.


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HubStore]:
    with new_hub(tmp_path / "hub", [Node(name) for name in (HOME, AWAY, THIRD)], is_durable=False) as store:
        yield store


def claim(store: HubStore, node: str, nik: int = NIK) -> tuple[bool, str, int, str]:
    answer = store.claim_right(nik, "ktp-el", 1, node, now_ms=START_MS)
    return answer.granted, answer.holder, answer.fence, answer.reason


def give_back(store: HubStore, node: str, fence: int, nik: int = NIK) -> tuple[bool, str]:
    answer = store.return_right(nik, "ktp-el", 1, node, fence=fence, now_ms=START_MS)
    return answer.granted, answer.reason


def test_the_home_machine_holds_its_roll_beforehand_and_nobody_else_gets_it(store: HubStore) -> None:
    assert claim(store, HOME) == (True, HOME, 0, "")
    assert claim(store, AWAY) == (False, HOME, 0, "held")
    assert claim(store, "537104-2") == (False, "", 0, "unknown_node")
    assert count(store, "SELECT COUNT(*) FROM frame") == 0


def test_a_second_machine_of_the_home_office_has_to_ask_too(store: HubStore) -> None:
    let_in(store, [Node("537104-2")])
    assert claim(store, "537104-2") == (False, HOME, 0, "held")


def test_an_office_without_its_first_machine_is_spoken_for_by_the_lowest_number(store: HubStore) -> None:
    let_in(store, [Node(f"537199-{number}") for number in (10, 9)])
    assert claim(store, AWAY, HOMELESS) == (False, "537199-9", 0, "held")
    assert claim(store, "537199-9", HOMELESS) == (True, "537199-9", 1, "")
    let_in(store, [Node("537199-1")])
    assert claim(store, "537199-1", HOMELESS) == (False, "537199-9", 1, "held")


def test_a_right_that_was_given_back_moves_with_a_higher_fence(store: HubStore) -> None:
    assert give_back(store, AWAY, 0) == (False, "not_holder")
    assert give_back(store, HOME, 0) == (True, "returned")
    assert give_back(store, HOME, 0) == (True, "")
    assert claim(store, AWAY) == (True, AWAY, 2, "")
    assert claim(store, AWAY) == (True, AWAY, 2, "")
    assert claim(store, HOME) == (False, AWAY, 2, "held")
    assert give_back(store, AWAY, 1) == (False, "stale_fence")
    assert give_back(store, AWAY, 2) == (True, "returned")
    assert claim(store, HOME) == (True, HOME, 4, "")


def test_where_no_home_machine_is_enrolled_the_first_who_asks_gets_it(store: HubStore) -> None:
    assert claim(store, AWAY, HOMELESS) == (True, AWAY, 1, "")
    assert claim(store, THIRD, HOMELESS) == (False, AWAY, 1, "held")


def test_a_card_that_is_out_or_in_hand_stops_every_further_right(store: HubStore) -> None:
    away = Node(AWAY)
    away.write(recorded(HOMELESS), card_moved(HOMELESS, event_pb2.CARD_STATE_IN_DOUBT, fence=1))
    send(store, [away.frame()])
    assert claim(store, THIRD, HOMELESS) == (False, AWAY, 1, "in_hand")
    away.write(card_moved(HOMELESS, fence=1))
    send(store, [away.frame(3)])
    assert claim(store, THIRD, HOMELESS) == (False, AWAY, 1, "already_printed")
    away.write(card_moved(HOMELESS, event_pb2.CARD_STATE_SPOILED, fence=1))
    send(store, [away.frame(4)])
    # The book was never told of fence 1, and gives none that a card carries.
    assert claim(store, THIRD, HOMELESS) == (True, THIRD, 2, "")


def test_no_card_while_identities_are_in_conflict(store: HubStore) -> None:
    node = Node(HOME)
    node.write(recorded(NIK), recorded(NIK, "SOMEBODY ELSE"))
    send(store, [node.frame()])
    assert claim(store, HOME) == (False, HOME, 0, "nik_conflict")


def test_a_revoked_machine_gets_nothing_and_its_roll_is_free(store: HubStore) -> None:
    store.revoke(HOME, now_ms=START_MS)
    assert claim(store, HOME) == (False, "", 0, "revoked")
    assert claim(store, AWAY) == (True, AWAY, 1, "")


def test_a_rebuild_finds_every_right_again(store: HubStore) -> None:
    claim(store, AWAY, HOMELESS)
    give_back(store, HOME, 0)
    claim(store, THIRD)
    before = store.connection.execute("SELECT * FROM print_right").fetchall()
    assert len(before) == 2
    rebuild(store.connection)
    assert store.connection.execute("SELECT * FROM print_right").fetchall() == before


def news(store: HubStore, node: str, after: int = 0) -> News:
    return store.news_for(node, store.list_id(), after)


def words(store: HubStore, node: str, after: int = 0) -> list[tuple[str, str, int]]:
    """(what, about whom, fence) of each change that a machine hears."""
    found = []
    for change in news(store, node, after).changes:
        match change.WhichOneof("what"):
            case "moved":
                found.append(("moved", change.moved.holder, change.moved.fence))
            case "let_go":
                found.append(("let_go", change.let_go.asked_by, change.let_go.fence))
            case "roll":
                found.append(("roll", change.roll.holder, change.roll.fence))
            case "standing":
                found.append(("standing", "hold" if change.standing.on_hold else "", change.standing.life))
    return found


def test_the_holder_is_asked_once_and_its_answer_reaches_whoever_claims(store: HubStore) -> None:
    assert claim(store, AWAY) == (False, HOME, 0, "held")
    assert claim(store, AWAY) == (False, HOME, 0, "held")
    assert words(store, HOME) == [("let_go", AWAY, 0)]
    store.keep_rights(HOME, [(NIK, "ktp-el", 1, 0, "queued")])
    store.keep_rights(THIRD, [(NIK, "ktp-el", 1, 0, "a lie")])
    answer = store.claim_right(NIK, "ktp-el", 1, AWAY, now_ms=START_MS + 1)
    assert (answer.kept, answer.asked_ms, answer.holder) == ("queued", START_MS, HOME)

    assert give_back(store, HOME, 0) == (True, "returned")
    assert words(store, HOME) == [("moved", "", 1)], "what it was asked is answered"
    assert words(store, AWAY) == [("moved", "", 1)], "whoever waits hears that it is free"
    assert claim(store, AWAY) == (True, AWAY, 2, "")
    assert words(store, HOME) == [("moved", AWAY, 2)]
    assert read_cards.rights(store.connection, only_waiting=True) == []


def test_a_list_of_news_holds_the_newest_word_on_each_subject_and_another_hub_has_another_list(
    store: HubStore,
) -> None:
    for fence in range(0, 8, 2):
        assert give_back(store, HOME, fence)[0]
        assert claim(store, HOME) == (True, HOME, fence + 2, "")
    assert words(store, HOME) == [("moved", "", 7)]
    last = news(store, HOME).last
    assert news(store, HOME, last).changes == []
    assert store.news_for(HOME, b"another hub's list", last).changes != []


def test_a_machine_that_cannot_use_its_fence_gets_a_higher_one(store: HubStore) -> None:
    answer = store.answer_rights([RightClaim(NIK, "ktp-el", 1, HOME, above=1)], now_ms=START_MS)[0]
    assert (answer.granted, answer.fence) == (True, 1)
    assert claim(store, HOME) == (True, HOME, 1, "")


def test_claims_of_one_batch_see_each_other(store: HubStore) -> None:
    two = [RightClaim(HOMELESS, "ktp-el", 1, node) for node in (AWAY, THIRD, AWAY)]
    answers = store.answer_rights(two, now_ms=START_MS)
    assert [(one.granted, one.holder, one.fence) for one in answers] == [
        (True, AWAY, 1), (False, AWAY, 1), (True, AWAY, 1),
    ]  # fmt: skip


def test_an_office_gone_for_good_gives_back_by_decision_what_it_held_and_another_machine_gets_its_roll(
    store: HubStore,
) -> None:
    second = Node("537104-2")
    let_in(store, [second])
    give_back(store, HOME, 0)
    assert claim(store, THIRD) == (True, THIRD, 2, "")
    assert claim(store, HOME, HOMELESS) == (True, HOME, 1, "")

    def decided(node: str = HOME, reason: str = "terbakar") -> decide.GivenBack:
        return decide.give_back_for(
            store, node, roll_to="537104-2", reason=reason, officer="kabid", now_ms=START_MS
        )

    with pytest.raises(InvalidInputError, match="shut out"):
        decided()
    store.revoke(HOME, now_ms=START_MS)
    with pytest.raises(InvalidInputError, match="reason"):
        decided(reason=" ")
    assert decided() == decide.GivenBack(1, roll=True)
    assert decided() == decide.GivenBack(0, roll=False)

    # The new holder hears first what is not the roll's any more.
    assert words(store, "537104-2") == [("moved", THIRD, 2), ("roll", "537104-2", 1)]
    assert claim(store, AWAY, nik_of(2)) == (False, "537104-2", 1, "held")
    assert claim(store, "537104-2", nik_of(2)) == (True, "537104-2", 1, "")
    assert claim(store, AWAY, HOMELESS) == (True, AWAY, 3, "")
    again = Node(HOME)
    again.signer = Signer.generate()
    let_in(store, [again])
    assert claim(store, HOME, nik_of(3)) == (False, "537104-2", 1, "held"), "a new machine of the old name"

    before = store.connection.execute("SELECT * FROM roll_right").fetchall()
    rebuild(store.connection)
    assert store.connection.execute("SELECT * FROM roll_right").fetchall() == before != []


def test_rights_are_assigned_beforehand_and_the_machine_hears_of_them(store: HubStore) -> None:
    wanted = [(HOMELESS, "ktp-el", 1), (NIK, "ktp-el", 1)]
    answers = [answer for _, answer in decide.assign(store, AWAY, wanted, now_ms=START_MS)]
    assert [(one.granted, one.reason) for one in answers] == [(True, ""), (False, "held")]
    assert words(store, AWAY) == [("moved", AWAY, 1)]
    assert words(store, HOME) == [("let_go", AWAY, 0)]
    again = [answer for _, answer in decide.assign(store, AWAY, wanted[:1], now_ms=START_MS)]
    assert [(one.granted, one.fence) for one in again] == [(True, 1)]


def test_a_conflict_and_the_decision_on_it_reach_every_office_that_has_to_do_with_it(store: HubStore) -> None:
    home, away = Node(HOME), Node(AWAY)
    home.write(recorded(NIK))
    away.write(recorded(NIK, "SOMEBODY ELSE"))
    send(store, [home.frame(), away.frame()])
    store.project()
    for node in (HOME, AWAY):
        assert words(store, node) == [("standing", "hold", event_pb2.LIFE_STATE_ALIVE)]
    (case,) = read_cases.cases(store.connection)
    app_decide.decide(store, case["id"], "1", reason="akta", officer="kabid", now_ms=START_MS)
    standing = news(store, AWAY).changes[0].standing
    assert not standing.on_hold and len(standing.settled) == 2 and standing.keep in standing.settled
    assert standing.reason == "akta" and words(store, THIRD) == []


def forced(state: int, attempt: str, node_reason: str = "mesin rusak") -> Draft:
    body = event_pb2.CardMoved(
        product="ktp-el", issue=1, attempt=attempt, serial=f"S-{attempt}", reason=node_reason, override=True
    )
    body.state = state  # type: ignore[assignment]
    return draft(Kind.CARD_MOVED, NIK, body)


def test_forced_cards_and_those_to_collect_are_listed_until_they_are_taken_back(store: HubStore) -> None:
    home, away = Node(HOME), Node(AWAY)
    home.write(recorded(NIK), card_moved(NIK, attempt="home"))
    away.write(
        recorded(NIK), forced(event_pb2.CARD_STATE_SENT, "away"), forced(event_pb2.CARD_STATE_PRINTED, "away")
    )
    send(store, [away.frame()])
    store.project()
    (one,) = read_cards.forced(store.connection)
    assert (one["node"], one["serial"], one["state"], one["reason"]) == (AWAY, "S-away", "printed", "mesin rusak")
    assert read_cards.recalled(store.connection) == []

    send(store, [home.frame()])
    store.project()
    (recall,) = read_cards.recalled(store.connection)
    assert (recall["node"], recall["serial"], recall["reason"]) == (AWAY, "S-away", "double_print")
    assert [one["kind"] for one in read_cases.cases(store.connection)] == ["double_print"]
    told = news(store, AWAY).changes[-1].standing
    assert [one.serial for one in told.recalls] == ["S-away"]

    body = event_pb2.CardWithdrawn(product="ktp-el", serial="S-away", reason="recall")
    away.write(draft(Kind.CARD_WITHDRAWN, NIK, body))
    send(store, [away.frame(4)])
    store.project()
    assert read_cards.recalled(store.connection) == []
    assert read_cases.cases(store.connection) == []
    rebuild(store.connection)
    store.project()
    assert [one["state"] for one in read_cards.forced(store.connection)] == ["void"]


def test_a_dead_owner_gets_no_card_and_his_last_one_is_to_be_collected(store: HubStore) -> None:
    home = Node(HOME)
    died = event_pb2.LifeChanged(state=event_pb2.LIFE_STATE_DEAD, document_number="5371-KM-1")
    home.write(recorded(NIK), card_moved(NIK), draft(Kind.LIFE_CHANGED, NIK, died))
    send(store, [home.frame()])
    store.project()
    assert claim(store, AWAY) == (False, HOME, 0, "dead")
    assert [one["reason"] for one in read_cards.recalled(store.connection)] == ["death"]
    assert words(store, HOME) == [("standing", "", event_pb2.LIFE_STATE_DEAD)]


def test_whoever_asks_for_a_card_that_is_out_hears_where_when_and_which_issue_is_free(store: HubStore) -> None:
    home = Node(HOME)
    home.write(recorded(NIK), card_moved(NIK, issue=2))
    send(store, [home.frame()])
    answer = store.claim_right(NIK, "ktp-el", 2, AWAY, now_ms=START_MS)
    assert (answer.reason, answer.holder, answer.serial, answer.card_state) == (
        "already_printed", HOME, "S-a", "printed",
    )  # fmt: skip
    assert answer.printed_ms == START_MS + 2 and answer.next_issue == 3
    assert store.claim_right(NIK, "ktp-el", 1, AWAY, now_ms=START_MS).reason == "superseded"
