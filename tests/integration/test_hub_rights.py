"""The right to print: one holder at a time, whatever is asked and in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from sepe.wire.v1 import event_pb2
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
    return store.claim_right(nik, "ktp-el", 1, node, now_ms=START_MS)


def give_back(store: HubStore, node: str, fence: int, nik: int = NIK) -> tuple[bool, str]:
    return store.return_right(nik, "ktp-el", 1, node, fence=fence, now_ms=START_MS)


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
    assert claim(store, THIRD, HOMELESS) == (False, AWAY, 1, "held")
    away.write(card_moved(HOMELESS, fence=1))
    send(store, [away.frame(3)])
    assert claim(store, THIRD, HOMELESS) == (False, AWAY, 1, "already_printed")
    away.write(card_moved(HOMELESS, event_pb2.CARD_STATE_SPOILED, fence=1))
    send(store, [away.frame(4)])
    assert claim(store, THIRD, HOMELESS) == (True, THIRD, 1, "")


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
