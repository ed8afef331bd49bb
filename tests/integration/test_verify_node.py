"""Bytes flipped by hand in an office's database: found exactly, fetched from the hub, or told to a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hub.merge.store import Arrival, HubStore
from node.desk.doctor import examine
from node.desk.residents import altered_residents, mend_residents
from node.link.link import Pull
from node.outbox.plan import Row
from node.outbox.upkeep import Upkeep, UpkeepTimes
from node.outbox.worker import OutboxWorker, RowsGoneError
from node.settings import KEY_NAME
from node.storage import damage
from node.storage.damage import damaged
from node.storage.store import NodeStore
from sepe.codec import chain_next, chain_start
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from sepe_io.frames import open_hello
from sepe_io.tasks import end_tasks
from tests.support.hubs import count, new_hub
from tests.support.live_hub import until
from tests.support.office import NOW_MS, line, make_office, record
from tests.support.world import nik_of, recorded

EVENTS = 30


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NodeStore]:
    store = make_office(tmp_path / "node")
    yield store
    store.close()


@pytest.fixture
def hub(tmp_path: Path, store: NodeStore) -> Iterator[HubStore]:
    """A hub that knows this machine, over no line but a function call."""
    with new_hub(tmp_path / "hub", is_durable=False) as hub:
        token = hub.enrol_token(store.node, now_ms=NOW_MS)
        key = keys.load(store.folder / KEY_NAME).public_key
        assert hub.redeem(store.node, token, key, now_ms=NOW_MS) == (True, "")
        yield hub


@asynccontextmanager
async def working(store: NodeStore) -> AsyncGenerator[OutboxWorker, None]:
    worker = OutboxWorker(store, keys.load(store.folder / KEY_NAME), software="test")
    try:
        yield worker
    finally:
        worker.close()


def pull_of(hub: HubStore) -> Pull:
    async def pull(hello: sync_pb2.SignedHello, epoch: bytes, after_seq: int) -> AsyncGenerator[bytes, None]:
        asked = open_hello(hello, hub.public_key_of)
        for frame in hub.frames_of(asked.node, epoch, after_seq):
            yield frame

    return pull


async def relay(store: NodeStore, hub: HubStore, *, page: int = 4) -> None:
    """Bring everything that can travel to the hub, and hear its watermark."""
    async with working(store) as worker:
        ack = hub.greet(await worker.hello(), now_ms=NOW_MS, via="grpc")
        with suppress(RowsGoneError):
            while (run := await worker.frame(ack.durable_seq, page)) is not None:
                outcome = hub.merge([Arrival(run.data, "grpc", NOW_MS)])[0]
                assert outcome.ack is not None and outcome.ack.verdict == sync_pb2.VERDICT_DURABLE
                ack = outcome.ack
        await worker.store_durable(ack.durable_seq, went_back=False, hub_ms=NOW_MS)


@asynccontextmanager
async def tended(store: NodeStore, hub: HubStore) -> AsyncGenerator[Upkeep, None]:
    times = UpkeepTimes(step_ms=1, pass_ms=50, fetch_ms=10)
    async with working(store) as worker:
        upkeep = Upkeep(worker, store, pull=pull_of(hub), is_linked=lambda: True, times=times)
        task = asyncio.create_task(upkeep.run())
        try:
            yield upkeep
        finally:
            await end_tasks([task])


async def mended(store: NodeStore, hub: HubStore, holds: Callable[[], bool]) -> None:
    """Let the upkeep work until ``holds``, seen by another connection."""
    async with tended(store, hub):
        await until(holds)


def rows(store: NodeStore) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store.connection.execute("SELECT * FROM outbox ORDER BY epoch, seq")]


def is_well(store: NodeStore) -> bool:
    return all(one.is_ok for one in examine(store))


DAMAGES = [
    "UPDATE outbox SET body = x'00' WHERE seq = 7",
    "UPDATE outbox SET nik = nik + 1 WHERE seq = 7",
    "UPDATE outbox SET stamp = stamp + 1 WHERE seq = 1",
    "UPDATE outbox SET kind = 2 WHERE seq = 30",
    "UPDATE outbox SET chain = zeroblob(32) WHERE seq = 7",
    "UPDATE outbox SET chain = zeroblob(32) WHERE seq = 30",
    "UPDATE outbox SET body = x'00', chain = x'00' WHERE seq = 7",
    "UPDATE outbox SET body = x'00' WHERE seq IN (3, 4, 5, 20)",
    "UPDATE outbox SET body = x'00', chain = zeroblob(32) WHERE seq IN (8, 9)",
    "DELETE FROM outbox WHERE seq = 7",
    "DELETE FROM outbox WHERE seq BETWEEN 1 AND 12",
    "UPDATE outbox SET body = x'00'",
]


@pytest.mark.parametrize("change", DAMAGES)
async def test_what_the_hub_holds_of_an_altered_outbox_is_put_back_byte_for_byte(
    store: NodeStore, hub: HubStore, change: str
) -> None:
    store.append([recorded(nik_of(number)) for number in range(EVENTS)], NOW_MS)
    await relay(store, hub)
    before = rows(store)
    store.connection.execute(change)
    assert not {one.check: one.is_ok for one in examine(store)}["chain"]
    with closing(NodeStore.open(store.folder)) as reader:
        await mended(store, hub, lambda: rows(reader) == before and not damaged(reader.connection))
        assert {one.check: one.is_ok for one in examine(reader)}["chain"]


def test_every_altered_row_is_named_and_no_other(store: NodeStore) -> None:
    store.append([recorded(nik_of(number)) for number in range(EVENTS)], NOW_MS)
    store.connection.execute("UPDATE outbox SET body = x'00' WHERE seq IN (3, 4, 20)")
    store.connection.execute("DELETE FROM outbox WHERE seq = 11")
    place: damage.Place | None = damage.Place()
    seqs: list[int] = []
    while place is not None:
        _, faults, place = damage.look(store.connection, store.node, place, rows_max=4)
        seqs += [seq for one in faults for seq in range(one.first_seq, one.last_seq + 1)]
    assert seqs == [3, 4, 11, 20]


async def test_an_altered_event_that_the_hub_lacks_never_travels_and_a_person_is_told(
    store: NodeStore, hub: HubStore
) -> None:
    store.append([recorded(nik_of(number)) for number in range(10)], NOW_MS)
    await relay(store, hub)
    store.append([recorded(nik_of(number)) for number in range(10, 20)], NOW_MS)
    store.connection.execute("UPDATE outbox SET body = x'00' WHERE seq = 15")
    old_epoch = store.epoch
    assert store.append([recorded(nik_of(20))], NOW_MS)[0].seq == 21  # Recording goes on.
    await relay(store, hub)
    assert store.position().durable_seq == 14 and store.page(14) is None
    assert [(one.seq, one.state) for one in damaged(store.connection)] == [(15, "open")]
    # The hub said where it stands and we cannot go on from there: what the relay then does.
    position = store.open_epoch("pruned", 14, NOW_MS)
    assert position.last_seq == 6 and store.epoch != old_epoch
    await relay(store, hub)
    with closing(NodeStore.open(store.folder)) as reader:
        await mended(store, hub, lambda: [one.state for one in damaged(reader.connection)] == ["lost"])
        chain = {one.check: one for one in examine(reader)}["chain"]
        assert not chain.is_ok and "1 events" in chain.detail and "again" in chain.detail
    assert count(hub, "SELECT SUM(events) FROM head") == 20
    assert count(hub, "SELECT COUNT(*) FROM head WHERE nik = ?", nik_of(14)) == 0


async def test_a_row_that_the_hub_has_and_we_have_not_heard_of_is_fetched_once_it_says_so(
    store: NodeStore, hub: HubStore
) -> None:
    store.append([recorded(nik_of(number)) for number in range(10)], NOW_MS)
    await relay(store, hub)
    before = rows(store)
    store.connection.execute("UPDATE epoch SET durable_seq = 4")  # Its word on the rest was lost.
    store.connection.execute("UPDATE outbox SET body = x'00' WHERE seq = 8")
    async with tended(store, hub):
        with closing(NodeStore.open(store.folder)) as reader:
            await until(lambda: len(damaged(reader.connection)) == 1)
            assert rows(reader) != before
            reader.store_durable(10, NOW_MS)
            await until(lambda: rows(reader) == before)


async def test_a_damaged_last_row_that_the_hub_holds_begins_a_new_epoch_and_comes_back(
    store: NodeStore, hub: HubStore
) -> None:
    store.append([recorded(nik_of(number)) for number in range(10)], NOW_MS)
    await relay(store, hub)
    before, epoch = rows(store), store.epoch
    store.connection.execute("UPDATE outbox SET chain = zeroblob(32) WHERE seq = 10")
    with closing(NodeStore.open(store.folder)) as again:
        assert again.epoch != epoch and again.position().last_seq == 0
        again.append([recorded(nik_of(11))], NOW_MS)
        await mended(again, hub, lambda: rows(store)[:10] == before)
        await relay(again, hub)
    assert count(hub, "SELECT SUM(events) FROM head") == 11


async def test_a_carried_row_is_put_back_from_its_own_copy(store: NodeStore, hub: HubStore) -> None:
    store.append([recorded(nik_of(number)) for number in range(10)], NOW_MS)
    store.open_epoch("fork", 4, NOW_MS)
    await relay(store, hub)
    before = rows(store)
    store.connection.execute("UPDATE outbox SET body = x'00' WHERE epoch = 1 AND seq = 8")
    with closing(NodeStore.open(store.folder)) as reader:
        await mended(store, hub, lambda: rows(reader) == before and not damaged(reader.connection))


async def test_a_hub_copy_that_does_not_fit_is_not_taken(store: NodeStore, hub: HubStore, tmp_path: Path) -> None:
    store.append([recorded(nik_of(number)) for number in range(10)], NOW_MS)
    await relay(store, hub)
    store.connection.execute("UPDATE outbox SET body = x'00' WHERE seq = 8")
    other = make_office(tmp_path / "other", store.node)
    other.connection.execute("UPDATE epoch SET epoch = ?", (store.epoch,))
    other.append([recorded(nik_of(number), "SOMEBODY ELSE") for number in range(10)], NOW_MS)
    async with working(other) as worker:
        made_up = await worker.frame(0, 10)
    assert made_up is not None

    async def pull(hello: sync_pb2.SignedHello, epoch: bytes, after_seq: int) -> AsyncGenerator[bytes, None]:
        calls.append(after_seq)
        if len(calls) > 1:
            again.set()
        yield made_up.data

    calls: list[int] = []
    again = asyncio.Event()
    async with working(store) as worker:
        times = UpkeepTimes(step_ms=1, pass_ms=50, fetch_ms=10)
        upkeep = Upkeep(worker, store, pull=pull, is_linked=lambda: True, times=times)
        task = asyncio.create_task(upkeep.run())
        try:
            await asyncio.wait_for(again.wait(), 10)
        finally:
            await end_tasks([task])
    assert [one.seq for one in damaged(store.connection)] == [8]
    other.close()


def test_of_a_last_row_only_what_follows_on_and_is_vouched_for_is_taken(store: NodeStore) -> None:
    store.append([recorded(nik_of(number)) for number in range(3)], NOW_MS)
    right, before = next(store.events_after(2)), store.chain_at(2)
    assert before is not None
    store.connection.execute("UPDATE outbox SET body = x'00', chain = zeroblob(32) WHERE seq = 3")
    NodeStore.open(store.folder).close()
    one = damaged(store.connection)[0]
    elsewhere = chain_start("537199-1", b"e" * 16)
    foreign = replace(
        right, chain=chain_next(elsewhere, right.nik, right.stamp, right.kind, right.body)
    )  # Sound in itself, and of another history.

    def offer(row: Row, digest: bytes, *, is_signed: bool) -> bool:
        with store.transaction():
            return damage.put_back(store.connection, store.node, one, row, digest, is_signed=is_signed)

    assert not offer(foreign, elsewhere, is_signed=True)
    assert not offer(replace(right, body=b"made up"), before, is_signed=True)
    assert not offer(right, before, is_signed=False)
    assert damaged(store.connection) == [one]
    assert offer(right, before, is_signed=True)
    assert list(store.events_after(2)) == [right] and damaged(store.connection) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE resident SET known = x'0a0158' WHERE nik = 5371044101909001",
        "UPDATE resident SET identity = x'00' WHERE nik = 5371044101909001",
        "UPDATE resident SET claims = 9 WHERE nik = 5371044101909001",
        "UPDATE resident SET is_disputed = 1 WHERE nik = 5371044101909001",
        "DELETE FROM resident WHERE nik = 5371044101909001",
    ],
)
def test_an_altered_resident_is_found_exactly_and_made_anew(store: NodeStore, change: str) -> None:
    record(
        store, line(), line("5371044101909002"), line(address="JL. BARU"), line("5371044101909002", name="LAIN")
    )
    before = store.connection.execute("SELECT * FROM resident ORDER BY nik").fetchall()
    assert altered_residents(store) == [] and is_well(store)
    store.connection.execute(change)
    assert [one.nik for one in altered_residents(store)] == [5371044101909001]
    assert not is_well(store)
    assert mend_residents(store) == 1
    assert store.connection.execute("SELECT * FROM resident ORDER BY nik").fetchall() == before and is_well(store)


def test_a_resident_whose_recordings_are_pruned_is_left_alone(store: NodeStore) -> None:
    record(store, line())
    record(store, line(address="JL. BARU"), line("5371044101909002"))
    store.store_durable(3, NOW_MS)
    store.prune(NOW_MS + 86_400_000 * 31)
    assert store.last_seq_of(store.epoch) == 3 and altered_residents(store) == []


def test_rows_written_again_in_a_new_epoch_count_once(store: NodeStore) -> None:
    record(store, line(), line(address="JL. BARU"))
    store.open_epoch("fork", 0, NOW_MS)
    record(store, line("5371044101909002"))
    assert altered_residents(store) == []
    assert [altered_residents(store, turn) for turn in range(3)] == [[], [], []]
