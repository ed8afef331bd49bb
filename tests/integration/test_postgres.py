"""A hub on a real PostgreSQL: workers side by side, one that is stopped, and the way there and back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli.app import app
from hub.engine import place
from hub.engine import postgres as engine
from hub.engine.postgres import PostgresConnection, shown_url
from hub.merge import log
from hub.merge.digest import digest
from hub.merge.move import move
from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from hub.verify.check import verify
from sepe.errors import InvalidInputError, TransientError
from sepe.hlc import AHEAD_MS_MAX
from sepe.ids import PARTITIONS, partition_of
from sepe.sync.centre import Judgement
from sepe_io import logs
from sepe_io.frames import peek_header
from sepe_io.sqlite import StorageMovedError, transaction
from tests.support.hubs import arrivals, count, durable_seq, new_hub, send, settle
from tests.support.live_hub import Relay, digest_of, digest_of_merged, make_hub, until
from tests.support.postgres import PostgresServer
from tests.support.processes import hub_run, sepe, sepe_json, start
from tests.support.relay_rig import make_office, relaying, running_hub, write_backlog
from tests.support.relay_rig import until as until_true
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded

NAMES = ("537104-1", "537105-1", "537106-1", "530302-1")


def offices(events: int, *, shared: int = 6) -> list[Node]:
    """Machines that record their own people and, again and again, the same few: their heads are contended."""
    nodes = [Node(name) for name in NAMES]
    for node in nodes:
        for number in range(events):
            node.write(
                recorded(nik_of(number, node.name[:6])), recorded(nik_of(number % shared), f"MARIA {node.name}")
            )
            node.write(card_moved(nik_of(number % shared), 4, attempt=f"{node.name}/{number}"))
    return nodes


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
def pair(tmp_path: Path, url: str) -> Iterator[tuple[HubStore, HubStore, list[Node]]]:
    """Two writers of one hub on PostgreSQL, as hub and worker are."""
    nodes = offices(40)
    with (
        new_hub(tmp_path / "hub", nodes, is_durable=False, database=url) as one,
        HubStore.open(tmp_path / "hub") as two,
    ):
        yield one, two, nodes


def test_workers_beside_each_other_lose_nothing_and_never_wait_in_a_circle(
    tmp_path: Path, pair: tuple[HubStore, HubStore, list[Node]]
) -> None:
    one, two, nodes = pair
    # Everything twice and cut differently, to both at once: the nodes' locks and the fence decide whose it is.
    cuts = [
        sorted(
            (frame for node in nodes for frame in node.frames(size)),
            key=lambda frame: peek_header(frame).first_seq,
        )
        for size in (7, 11)
    ]
    frames = [frame for cut in cuts for frame in cut]

    def work(store: HubStore, mine: list[bytes]) -> int:
        merged = 0
        for at in range(0, len(mine), 5):
            merged += sum(outcome.events_merged for outcome in send(store, mine[at : at + 5]))
        return merged

    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(work, one, cuts[0]), threads.submit(work, two, cuts[1])]
        merged = [future.result(60) for future in done]
    settle(one, frames, nodes)
    # Nobody wrote what another had, and no frame broke a merge because another was faster.
    assert sum(merged) <= sum(node.last_seq for node in nodes)
    assert count(one, "SELECT COUNT(*) FROM quarantine") == 0
    assert count(one, "SELECT SUM(events) FROM head") == sum(node.last_seq for node in nodes)
    assert digest(one.connection).digest == digest_of_merged(tmp_path / "other", nodes)
    # Every pointer leads to its event, whoever took the number first.
    said = digest(one.connection)
    rebuild(two.connection)
    assert digest(one.connection) == said
    assert verify(tmp_path / "hub", START_MS).is_well


@pytest.mark.parametrize("is_held", [False, True])
def test_residents_who_are_new_to_two_workers_are_added_up_and_neither_waits_in_a_circle(
    tmp_path: Path, pair: tuple[HubStore, HubStore, list[Node]], monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    one, two, nodes = pair
    slow = one.connection
    begun: list[object] = []
    begin, lock = slow.merge_transaction, slow.lock_new_heads
    with closing(place.connect(one.directory)) as third:

        def begin_and_let_go(names: Any) -> Any:
            begun.append(names)
            if third.in_transaction:
                third.execute("ROLLBACK")
            return begin(names)

        def lock_late() -> str:
            # Between the look at what is known and the lock another worker commits the same residents.
            if len(begun) == 1:
                assert send(two, [nodes[1].frame(1)])[0].judgement is Judgement.ACCEPT
                if is_held:
                    # And the next one has begun to change one of them: to wait for it here could be a circle.
                    third.execute("BEGIN")
                    third.execute("SELECT events FROM head WHERE nik = ? FOR UPDATE", (nik_of(0),))
            return str(lock())

        monkeypatch.setattr(slow, "merge_transaction", begin_and_let_go)
        monkeypatch.setattr(slow, "lock_new_heads", lock_late)
        assert send(one, [nodes[0].frame(1)])[0].judgement is Judgement.ACCEPT
    assert len(begun) == (2 if is_held else 1)
    send(two, [node.frame(1) for node in nodes[2:]])
    assert count(one, "SELECT SUM(events) FROM head") == sum(node.last_seq for node in nodes)
    assert digest(one.connection).digest == digest_of_merged(tmp_path / "other", nodes)


def test_a_page_of_the_log_never_steps_over_a_frame_that_is_still_being_written(
    pair: tuple[HubStore, HubStore, list[Node]],
) -> None:
    one, two, nodes = pair
    slow = one.connection
    with slow.merge_transaction([nodes[0].name]):
        held = slow.next_number(1)
        send(two, [nodes[1].frame(1, 5)])
        with closing(two.reader()) as reader:
            assert log.last_number(reader) > held
            assert log.frames_after(reader, 0) == []
    with closing(two.reader()) as reader:
        assert [logged.number for logged in log.frames_after(reader, 0)] == [log.last_number(reader)]


def test_reading_waits_for_no_writer_and_no_writer_for_reading(
    pair: tuple[HubStore, HubStore, list[Node]],
) -> None:
    one, two, nodes = pair
    send(one, [nodes[0].frame(1, 20)])
    with closing(one.reader()) as reader:
        before = digest(reader)
        heads = reader.stream("SELECT nik FROM head ORDER BY nik")
        next(heads)  # In the middle of a long answer.
        assert send(two, [nodes[0].frame(21)])[0].judgement is Judgement.ACCEPT
        with transaction(two.connection), closing(one.reader()) as other:
            two.connection.execute("UPDATE head SET events = events")
            after = digest(other)
        assert after != before
        # The long answer is of the moment at which it began.
        assert 1 + sum(1 for _ in heads) < count(one, "SELECT COUNT(*) FROM head")


def test_a_worker_stopped_in_a_transaction_loses_it_and_writes_nothing_when_it_wakes(
    pair: tuple[HubStore, HubStore, list[Node]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, nodes = pair
    node = nodes[0]
    timeout = "SELECT current_setting('idle_in_transaction_session_timeout')"
    with two.connection.merge_transaction([node.name]):
        # Others wait for its locks twice as long before they give up.
        assert two.connection.native(timeout).fetchone() == ("5s",)
        assert two.connection.native("SELECT current_setting('lock_timeout')").fetchone() == ("10s",)
    with transaction(two.connection):
        assert two.connection.native(timeout).fetchone() == ("15s",)
    monkeypatch.setattr(engine, "MERGE_STALLED_S", 0.3)
    is_stopped, may_wake = threading.Event(), threading.Event()

    def sleeper() -> None:
        with one.connection.merge_transaction([node.name]):
            one.connection.execute("UPDATE node SET software = 'stale' WHERE node = ?", (node.name,))
            is_stopped.set()
            may_wake.wait(30)
            with suppress(TransientError):
                one.connection.execute("SELECT 1")
            # Whoever goes on all the same writes nothing either, on whatever connection.
            one.connection.execute("UPDATE node SET told_seq = 999 WHERE node = ?", (node.name,))

    with ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(sleeper)
        assert is_stopped.wait(10)
        # It holds the node's lock until the server ends its session.
        assert send(two, [node.frame(1, 10)])[0].judgement is Judgement.ACCEPT
        may_wake.set()
        with pytest.raises(TransientError):
            stopped.result(10)
    assert count(two, "SELECT told_seq FROM node WHERE node = ?", node.name) == 10
    assert count(two, "SELECT COUNT(*) FROM node WHERE software = 'stale'") == 0
    # Awake, it finds everything done.
    assert send(one, [node.frame(1, 10)])[0].judgement is Judgement.DUPLICATE
    assert durable_seq(one, node) == 10


def test_the_server_may_be_gone_for_a_while(postgres: PostgresServer, tmp_path: Path, url: str) -> None:
    node = Node("537104-1")
    node.write(recorded(nik_of(1)), recorded(nik_of(2)))
    with new_hub(tmp_path / "hub", [node], is_durable=False, database=url) as store:
        with closing(place.connect_to(url)) as other:
            other.native("SELECT pg_terminate_backend($1::int)", (store.connection.backend,))
        with pytest.raises(TransientError):
            send(store, arrivals_of(node, 1))
        assert send(store, arrivals_of(node, 1))[0].judgement is Judgement.ACCEPT
        with closing(place.connect_to(url)) as other:
            other.native("SELECT pg_terminate_backend($1::int)", (store.connection.backend,))
        # A write transaction that nothing was asked in yet begins again by itself.
        with transaction(store.connection):
            pass


def arrivals_of(node: Node, last_seq: int) -> list[bytes]:
    return [node.frame(1, last_seq)]


async def test_hub_and_worker_on_one_postgresql_merge_the_same_nodes_and_one_is_stopped(
    tmp_path: Path, url: str
) -> None:
    nodes = offices(12)
    folder = make_hub(tmp_path / "hub", *nodes)
    # Nothing was taken in yet, so naming the database is enough: the keys move with it.
    hub = hub_run(folder, "--db", url)
    # The worker takes half the partitions, and the hub all: which of them gets a frame of those is chance.
    half = PARTITIONS // 2
    worker = start("hub", "worker", folder, "--partitions", f"{half}-{PARTITIONS - 1}", "--db", url)
    try:
        relays = [Relay(node, hub.ready["nats"], node.frames(3), pause_s=0.005) for node in nodes]
        alone = [relay for relay in relays if partition_of(relay.node.name) < half]
        assert alone and len(alone) < len(relays)
        sending = [asyncio.create_task(relay.run()) for relay in relays]
        await until(lambda: all(relay.durable >= 3 for relay in relays))
        worker.freeze()
        await until(lambda: all(relay.durable == relay.node.last_seq for relay in alone), 60)
        worker.thaw()  # With frames in its hands that others may have merged since.
        async with asyncio.timeout(60):
            await asyncio.gather(*sending)
        assert worker.stop() == 0
        assert hub.stop() == 0
    finally:
        worker.kill()
        hub.kill()
    assert digest_of(folder) == digest_of_merged(tmp_path / "other", nodes)
    assert document("status", folder)["storage"] == "postgresql"
    for question in ("digest",), ("cards", "--recall"), ("cards", "--overrides"):
        word, *rest = question
        assert document(word, folder, *rest) == document(word, tmp_path / "other", *rest)
    said, other = (document("person", where, nik_of(1)) for where in (folder, tmp_path / "other"))
    for found in said, other:  # Each hub names cases by a secret of its own.
        assert {one.pop("id") for one in found["cases"]}
    assert said == other
    said, other = (document("cases", where) for where in (folder, tmp_path / "other"))
    assert len(said) > 1
    assert nameless(said) == nameless(other)


def nameless(cases: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(one | {"id": ""}) for one in cases)


def document(*words: object) -> Any:
    """What ``sepe hub words… --json`` prints, without a process of its own."""
    try:
        return json.loads(CliRunner().invoke(app, [*map(str, words), "--json"]).stdout)
    finally:
        logs.set_up("WARNING")  # The command's stderr is closed by now.


async def test_a_hub_moves_to_postgresql_while_an_office_records(tmp_path: Path, url: str) -> None:
    with running_hub(tmp_path / "hub") as hub:
        folder = make_office(tmp_path / "node", hub)
        write_backlog(folder, 1_500)
        async with relaying(folder, hub=hub.grpc, nats=hub.nats) as office:
            view = office.relay.view
            await until_true(lambda: view.durable_seq > 500, view)
            copying = asyncio.create_task(
                asyncio.to_thread(sepe_json, "hub", "copy", tmp_path / "hub", "--to", url)
            )
            number = 1_500
            while not copying.done():
                await asyncio.to_thread(write_backlog, folder, 25, start=number)
                number += 25
                await asyncio.sleep(0.02)
            moved = await copying
            await asyncio.to_thread(write_backlog, folder, 200, start=number)
            await until_true(lambda: view.last_seq == number + 200 and view.pending == 0, view, 60)
        assert hub.program is not None and hub.program.process.poll() is None, "the hub went on by itself"
        assert hub.counts().events == number + 200
        assert moved["frames"] > 0 and moved["held_ms"] < 5_000
        told = hub.digest()
        assert hub.program.stop() == 0
    with HubStore.open(tmp_path / "hub") as store:
        assert isinstance(store.connection, PostgresConnection)
        frames = [logged.data for logged in log.all_frames(store.connection)]
        keys = store.keys_of("537104-1")
    with new_hub(tmp_path / "again") as fresh:
        from hub.merge.registry import add_key

        with transaction(fresh.connection):
            for key in keys:
                add_key(fresh.connection, "537104-1", key, now_ms=START_MS)
        fresh.merge(arrivals(frames, received_ms=time.time_ns() // 1_000_000 + AHEAD_MS_MAX))
        assert digest(fresh.connection).digest == told


def test_a_hub_moves_there_and_back_with_everything_it_holds_and_the_old_place_takes_no_more(
    tmp_path: Path, url: str
) -> None:
    nodes = offices(8)
    stranger = Node("530101-1")
    stranger.write(recorded(nik_of(1)))
    folder = tmp_path / "hub"
    with new_hub(folder, nodes, is_durable=False) as store:
        settle(store, [frame for node in nodes for frame in node.frames(5)], nodes)
        send(store, [stranger.frame()])
        store.claim_right(nik_of(1), "ktp-el", 9, nodes[1].name, now_ms=START_MS)
        before, tables_before = digest(store.connection), everything(store)
        steps: list[tuple[int, int]] = []
        # Beside a hub that has its database open.
        moved = move(folder, url, progress=lambda *step: steps.append(step), clock_ms=lambda: START_MS)
        assert moved.digest == before and steps[-1][0] == steps[-1][1]
        nodes[0].write(recorded(nik_of(77)))
        with pytest.raises(StorageMovedError):
            send(store, [nodes[0].frame()])
    with HubStore.open(folder) as store:
        assert everything(store) == tables_before
        assert send(store, [nodes[0].frame()])[0].events_merged == 1
        after = digest(store.connection)
    with pytest.raises(InvalidInputError, match="already a hub's data"):
        new_hub(tmp_path / "second", nodes).close()
        move(tmp_path / "second", url, progress=lambda *step: None, clock_ms=lambda: START_MS)
    assert move(folder, "", progress=lambda *step: None, clock_ms=lambda: START_MS).digest == after
    with HubStore.open(folder) as store:
        assert place.url_of(folder) == "" and digest(store.connection) == after
        assert verify(folder, START_MS).is_well


def everything(store: HubStore) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables that are not folded anew."""
    names = {
        "frame": "number, node, epoch, first_seq, last_seq, skip, received_ms, cap_ms, via, seal, data",
        "epoch": "*", "node": "*", "key": "*", "quarantine": "*", "feed": "*", "right_wish": "*", "right_ask": "*",
        "print_right": "*", "resident_case": "*", "folded": "*", "parked": "*", "forced_card": "*",
    }  # fmt: skip
    return {
        name: sorted(map(tuple, store.connection.execute(f"SELECT {what} FROM {name}").fetchall()), key=repr)
        for name, what in names.items()
    }


def test_what_cannot_work_there_is_refused_with_the_next_step(tmp_path: Path, url: str) -> None:
    new_hub(tmp_path / "hub", database=url).close()
    done = sepe("hub", "backup", tmp_path / "hub", tmp_path / "file")
    assert done.returncode == 2 and "pg_dump" in done.stderr
    found = {one["check"]: one for one in document("doctor", tmp_path / "hub", "--deep")}
    # The server of the tests does not sync; nothing else is wrong.
    assert [name for name, one in found.items() if not one["is_well"]] == ["durability"]
    assert found["durability"]["detail"] == "fsync = off"
    with pytest.raises(InvalidInputError, match="already a hub in this database"):
        HubStore.create(tmp_path / "other", now_ms=START_MS, database=url)
    assert shown_url("postgresql://sepe:geheim@db.internal:5433/hub") == "postgresql://sepe@db.internal:5433/hub"
    assert (tmp_path / "hub/database").stat().st_mode & 0o077 == 0
