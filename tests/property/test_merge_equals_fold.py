"""The hub's SQL merge against the pure fold, on random histories delivered in every possible disorder.

Each law is tried on SQLite, row by row and by table images, and on a hub on PostgreSQL beside one on SQLite: all
must say the same.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.engine import embedded
from hub.merge import log
from hub.merge.digest import deep_digest, digest
from hub.merge.project import fold_events
from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from hub.read.status import counts
from sepe import case
from sepe.card import PRINTED, SPOILED
from sepe.claims import identities
from sepe.events import Draft, Event
from sepe.head import HASH_MASK, Head, add_frame
from sepe.hlc import cap_of, effective_stamp
from sepe.resident import fold
from tests.support.hubs import count, new_hub, settle
from tests.support.postgres import emptied
from tests.support.world import START_MS, Node, by_nik, card_moved, corrected, nik_of, recorded, stock_moved

NIKS = [nik_of(number) for number in range(3)] + [nik_of(0, "537105")]
CAP = cap_of(START_MS)

# Tiny ranges, so that claims collide, agree, disagree and cards meet.
niks = st.sampled_from(NIKS)
drafts = st.one_of(
    st.builds(
        recorded, niks, st.sampled_from(["MARIA TAEK", "Maria Ta'ek", "YOHANES"]), address=st.sampled_from("AB")
    ),
    st.builds(lambda nik, rt: corrected(nik, rt=rt), niks, st.sampled_from(["001", "002"])),
    st.builds(
        card_moved,
        niks,
        st.sampled_from([PRINTED, SPOILED]),
        attempt=st.sampled_from("pq"),
        fence=st.integers(0, 1),
    ),
    st.builds(stock_moved, st.integers(1, 2)),
    st.builds(Draft, st.sampled_from([2, 99]), niks, st.sampled_from([b"\xff", b""])),
)
histories = st.lists(st.lists(drafts, min_size=1, max_size=12), min_size=1, max_size=3)


@pytest.fixture(scope="module", params=["sqlite", "sqlite by images", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the first hub stores: ``""``, or a database that each example empties."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "sqlite by images":
            patch.setattr(embedded, "IMAGE_ROWS_MIN", 1)
        yield request.getfixturevalue("postgres").database() if request.param == "postgresql" else ""


@contextmanager
def hubs(nodes: list[Node], engine: str) -> Iterator[tuple[HubStore, HubStore]]:
    with tempfile.TemporaryDirectory() as scratch:
        database = emptied(engine) if engine else ""
        first = new_hub(Path(scratch) / "a", nodes, is_durable=False, database=database)
        second = new_hub(Path(scratch) / "b", nodes, is_durable=False)
        with first, second:
            yield first, second


def world(written: list[list[Draft]]) -> list[Node]:
    nodes = [Node(f"53710{number}-1") for number in range(1, len(written) + 1)]
    # One office's clock is five years ahead: its stamps are capped.
    nodes[-1].now_ms += 5 * 365 * 86_400_000
    for node, row in zip(nodes, written, strict=True):
        node.write(*row)
    return nodes


def disorder(nodes: list[Node], seed: int) -> list[bytes]:
    """Every history cut twice at random, so frames overlap and repeat, and all of it shuffled."""
    rng = random.Random(seed)
    frames = []
    for node in nodes:
        for _ in range(2):
            frames += node.cut(rng.sample(range(1, 13), rng.randrange(5)))
    rng.shuffle(frames)
    return frames


def effective(events: list[Event]) -> list[Event]:
    return [Event(one.id, effective_stamp(one.stamp, CAP), one.kind, one.nik, one.body) for one in events]


def pure_heads(nodes: list[Node]) -> dict[int, Head]:
    heads: dict[int, Head] = {}
    for node in nodes:
        columns = node.columns(1, node.last_seq)
        chains = [node.chain(seq) for seq in range(1, node.last_seq + 1)]
        add_frame(heads, columns, chains, frame_number=0, cap=CAP)
    return heads


@settings(max_examples=25, deadline=None)
@given(written=histories, seed=st.integers(0, 2**16))
def test_whatever_the_disorder_the_hub_holds_what_the_pure_fold_gives(
    engine: str, written: list[list[Draft]], seed: int
) -> None:
    nodes = world(written)
    with hubs(nodes, engine) as (store, _):
        settle(store, disorder(nodes, seed), nodes)
        stored = {
            row[0]: row[1:]
            for row in store.connection.execute(
                "SELECT nik, events, claims, identity_min, identity_max, prints, decisions, checksum FROM head"
                " WHERE nik > 0"
            )
        }
        assert stored == {
            nik: (
                head.events, head.claims, head.identity_min, head.identity_max,
                head.prints, head.decisions, head.checksum & HASH_MASK,
            )
            for nik, head in pure_heads(nodes).items()
        }  # fmt: skip
        told = by_nik(nodes)
        told.pop(0, None)
        held = log.events_of(store.connection, told)
        found_cases = set()
        residents = {}
        for nik, events in told.items():
            assert sorted(held[nik], key=lambda one: one.id) == sorted(effective(events), key=lambda one: one.id)
            residents[nik] = fold_events(effective(events))
            assert fold_events(held[nik]) == residents[nik]
            found_cases |= {(nik, one.kind, one.subject, one.is_open) for one in case.cases_of(residents[nik])}
        rows = store.connection.execute("SELECT nik, kind, subject, is_open FROM resident_case")
        assert {(nik, kind, subject, bool(is_open)) for nik, kind, subject, is_open in rows} == found_cases
        said = counts(store.connection)
        claims = sum(len(one.claims) for one in residents.values())
        assert said.residents == sum(bool(one.claims) for one in residents.values())
        assert said.duplicates == claims - sum(len(identities(one)) for one in residents.values())
        assert said.events == sum(node.last_seq for node in nodes)
        # Events without a resident are counted and in the digest too.
        assert count(store, "SELECT SUM(events) FROM head") == said.events
        assert said.cards == sum(
            len({(step.product, step.issue, step.attempt) for step in one.steps if step.state == PRINTED})
            for one in residents.values()
        )


@settings(max_examples=14, deadline=None)
@given(written=histories, seeds=st.tuples(st.integers(0, 2**16), st.integers(0, 2**16)))
def test_two_hubs_fed_in_different_order_and_cut_differently_agree_also_after_a_rebuild(
    engine: str, written: list[list[Draft]], seeds: tuple[int, int]
) -> None:
    nodes = world(written)
    with hubs(nodes, engine) as (store, other):
        settle(store, disorder(nodes, seeds[0]), nodes, batch=1)
        settle(other, disorder(list(reversed(nodes)), seeds[1]), nodes, batch=5)
        assert digest(store.connection) == digest(other.connection)
        assert deep_digest(store.connection) == deep_digest(other.connection)
        before = tables(store)
        assert rebuild(store.connection) == count(store, "SELECT COUNT(*) FROM frame")
        store.project()
        assert tables(store) == before
        assert digest(store.connection) == digest(other.connection)


def tables(store: HubStore) -> list[object]:
    """Everything that is folded, row by row."""
    names = {"head": "nik", "parked": "frame, place", "folded": "nik", "resident_case": "id", "dirty": "nik"}
    return [
        store.connection.execute(f"SELECT * FROM {name} ORDER BY {order}").fetchall()
        for name, order in names.items()
    ]


@given(written=st.lists(drafts, max_size=9))
def test_folding_by_halves_is_folding(written: list[Draft]) -> None:
    node = Node("537104-1")
    node.write(*(one for one in written if one.body != b"\xff"))
    events = node.events()
    assert fold_events(events) == fold(events)
