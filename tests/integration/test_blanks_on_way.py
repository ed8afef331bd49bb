"""Blanks that are given reach the office's list of news, and are received by their count alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.merge.registry import add_key
from hub.merge.store import HubStore
from hub.stock.allot import allot
from hub.stock.index import stock_books
from node.clock import now_ms
from node.desk.standing import apply_changes
from node.settings import KEY_NAME
from node.stock import SerialRange, Stock, on_way
from node.storage.store import NodeStore
from node.sync import sync
from sepe.errors import InvalidInputError
from sepe.rpc.v1 import rights_pb2
from sepe.serials import SerialSet
from sepe_io import keys
from sepe_io.sqlite import transaction
from tests.support.live_hub import running_hub
from tests.support.office import NOW_MS, make_office
from tests.support.processes import sepe, sepe_json

FIRST, SECOND = "537104-1", "537105-1"


@pytest.fixture
def offices(tmp_path: Path) -> Iterator[dict[str, NodeStore]]:
    found = {}
    with HubStore.create(tmp_path / "hub", now_ms=now_ms()) as hub:
        for name in (FIRST, SECOND):
            store = found[name] = make_office(tmp_path / name, name)
            with transaction(hub.connection):
                add_key(hub.connection, name, keys.load(tmp_path / name / KEY_NAME).public_key, now_ms=now_ms())
    yield found
    for store in found.values():
        store.close()


def words(store: NodeStore) -> list[tuple[str, str, int]]:
    return [(one.product, one.sender, len(one.serials)) for one in on_way.coming(store)]


async def test_an_allotment_and_a_move_are_received_by_their_count_and_the_centre_sees_what_is_missing(
    tmp_path: Path, offices: dict[str, NodeStore]
) -> None:
    first, second = offices[FIRST], offices[SECOND]
    with HubStore.open(tmp_path / "hub") as hub:
        allot(hub, FIRST, SerialRange("ktp-el", "A0001", "A0100"), now_ms=now_ms())
    async with running_hub(tmp_path / "hub") as at:

        async def synced(store: NodeStore) -> None:
            # Once for our reports, once for what the centre makes of them.
            for _ in range(2):
                report = await asyncio.to_thread(sync, store.folder, 20, hub=at.grpc)
                assert report.pending == 0

        await synced(first)
        assert words(first) == [("ktp-el", "hub", 100)]
        assert on_way.receive(first, "ktp-el", 100, now_ms=now_ms()) == on_way.Arrival("ktp-el", 100, 0)
        assert words(first) == [], "before the centre has heard of it"
        await synced(first)
        assert words(first) == []
        # Forty go to the next office; three do not come out of the bag, of which one is known.
        taken = await asyncio.to_thread(
            sepe_json, "node", "blanks", "move", first.folder, "--count", 40, "--to", SECOND
        )
        assert (taken["count"], taken["at_hand"]) == (40, 60)
        await synced(first)
        await synced(second)
        assert words(second) == [("ktp-el", FIRST, 40)]
        came = await asyncio.to_thread(
            sepe, "node", "blanks", "receive", second.folder, "--count", 37, "--missing", "A0100", "--json"
        )
        assert came.returncode == 1 and '"count": 39' in came.stdout and "-2" in came.stderr, came.stderr
        await synced(second)
        assert words(second) == [("ktp-el", FIRST, 1)]
        with pytest.raises(InvalidInputError):
            on_way.receive(second, "ktp-el", 1, sender="hub", now_ms=now_ms())
    with HubStore.open(tmp_path / "hub") as hub:
        books = stock_books(hub)
    assert [(one.node, len(one.held)) for one in books.machines] == [(FIRST, 60), (SECOND, 39)]
    assert [(one.sender, one.receiver, str(one.serials)) for one in books.transits] == [(FIRST, SECOND, "A0100")]
    (fault,) = books.faults()
    assert fault.startswith(f"{SECOND} ktp-el: counted -2 on ")


def test_a_word_heard_late_or_twice_takes_nothing_in_twice(offices: dict[str, NodeStore]) -> None:
    store = offices[FIRST]
    word = rights_pb2.BlanksOnWay(product="ktp-el", from_node="hub")
    word.runs.add(first="A0001", last="A0005")
    news = rights_pb2.ChangesResponse(feed=b"feed", changes=[rights_pb2.Change(blanks=word)])
    for _ in range(2):
        apply_changes(store, news, NOW_MS)
    Stock(store).receive(SerialRange("ktp-el", "A0001", "A0002"), now_ms=NOW_MS)
    with pytest.raises(InvalidInputError):
        on_way.receive(store, "ktp-el", 3, missing=SerialSet.between("A0001", "A0001"), now_ms=NOW_MS)
    assert on_way.receive(store, "ktp-el", 3, now_ms=NOW_MS) == on_way.Arrival("ktp-el", 3, 0)
    apply_changes(store, news, NOW_MS)
    assert on_way.coming(store) == [] and Stock(store).counts()["ktp-el"]["at_hand"] == 5
