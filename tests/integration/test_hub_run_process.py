"""`sepe hub run` and `sepe hub worker` as processes: started, stopped, killed, started again."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from hub.broker import Broker
from sepe import subjects
from sepe.ids import PARTITIONS, partition_of
from sepe_io.process import free_port, port_is_free
from tests.support.live_hub import (
    Relay,
    acks_of,
    digest_of,
    digest_of_merged,
    durable_seq,
    make_hub,
    nats_client,
    until,
    until_durable,
)
from tests.support.processes import hub_run, running, sepe, start
from tests.support.world import Node, nik_of, recorded


def office(name: str = "537104-1", events: int = 40) -> Node:
    node = Node(name)
    node.write(*(recorded(nik_of(number, name[:6])) for number in range(events)))
    return node


def test_sigterm_ends_it_within_five_seconds_and_leaves_no_server(tmp_path: Path) -> None:
    make_hub(tmp_path / "hub")
    with running(hub_run(tmp_path / "hub")) as hub:
        assert set(hub.ready) == {"ready", "grpc", "nats", "http"} and hub.ready["ready"] is True
        assert (
            json.loads((tmp_path / "hub/endpoints.json").read_text()).items()
            <= {**hub.ready, "tls": False}.items()
        )
        began = time.monotonic()
        assert hub.stop() == 0, hub.tail()
        assert time.monotonic() - began < 5
        for address in hub.ready["grpc"], hub.ready["nats"], hub.ready["http"]:
            assert port_is_free("127.0.0.1", int(address.rpartition(":")[2]))


def test_a_second_hub_on_the_directory_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    make_hub(tmp_path / "hub")
    with running(hub_run(tmp_path / "hub")) as hub:
        second = sepe(
            "hub", "run", tmp_path / "hub", "--grpc", "127.0.0.1:0", "--nats-port", 0, "--http", "127.0.0.1:0"
        )
        assert second.returncode == 3
        assert "another `sepe hub run`" in second.stderr and "Traceback" not in second.stderr
        assert hub.stop() == 0


def test_a_restarted_hub_has_its_old_addresses(tmp_path: Path) -> None:
    make_hub(tmp_path / "hub")
    with running(hub_run(tmp_path / "hub")) as first:
        first.kill()
    with running(hub_run(tmp_path / "hub")) as second:
        assert second.ready == first.ready


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--db", "mysql://db/sepe"], 2, "SQLite or in PostgreSQL"),
        (["--db", "sqlite:///tmp/x.db"], 2, "hub.db in DIR"),
        (["--nats", "http://127.0.0.1"], 2, "nats://HOST:PORT"),
        (["--grpc", "7443"], 2, "HOST:PORT"),
        (["--partitions", "0-8"], 2, "0 to 7"),
        (["--partitions", "3-1"], 2, "0 to 7"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, options: list[str], code: int, words: str) -> None:
    make_hub(tmp_path / "hub")
    done = sepe("hub", "run", tmp_path / "hub", *options)
    assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_directory_without_a_hub_and_a_busy_port_are_explained(tmp_path: Path) -> None:
    nothing = sepe("hub", "run", tmp_path)
    assert nothing.returncode == 2 and "sepe hub init" in nothing.stderr
    make_hub(tmp_path / "one")
    make_hub(tmp_path / "two")
    with running(hub_run(tmp_path / "one")) as hub:
        grpc = hub.ready["grpc"]
        busy = sepe("hub", "run", tmp_path / "two", "--grpc", grpc, "--nats-port", 0, "--http", "127.0.0.1:0")
        assert busy.returncode == 3 and grpc in busy.stderr and "Traceback" not in busy.stderr


async def test_killed_again_and_again_it_ends_with_the_same_digest(tmp_path: Path) -> None:
    random.seed(20240928)
    nodes = [office("537104-1", 1500), office("537105-1", 1500)]
    make_hub(tmp_path / "hub", *nodes)
    hub = hub_run(tmp_path / "hub")
    try:
        relays = [Relay(node, hub.ready["nats"], node.frames(10), pause_s=0.01) for node in nodes]
        sending = [asyncio.create_task(relay.run()) for relay in relays]
        for _ in range(3):
            # At any moment: between fetch and merge, in a commit, between a commit and its ack.
            await asyncio.sleep(random.uniform(0.3, 0.8))
            hub.kill()
            hub = await asyncio.to_thread(hub_run, tmp_path / "hub")
        async with asyncio.timeout(60):
            await asyncio.gather(*sending)
        assert all(relay.greetings > 1 for relay in relays)
        assert hub.stop() == 0
    finally:
        hub.kill()
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", nodes)


async def test_workers_share_the_partitions_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    nodes = [office(name, 300) for name in ("537104-1", "537105-1", "537106-1", "537101-1", "530302-1")]
    assert len({partition_of(node.name) // (PARTITIONS // 2) for node in nodes}) == 2
    make_hub(tmp_path / "hub", *nodes)
    hub = hub_run(tmp_path / "hub", "--partitions", "0-3")
    worker = start("hub", "worker", tmp_path / "hub", "--partitions", "4-7")
    try:
        assert worker.ready == {"ready": True, "nats": hub.ready["nats"]}
        relays = [Relay(node, hub.ready["nats"], node.frames(10), pause_s=0.01) for node in nodes]
        sending = [asyncio.create_task(relay.run()) for relay in relays]
        await until(lambda: all(relay.durable >= 20 for relay in relays))
        worker.kill()
        worker = await asyncio.to_thread(start, "hub", "worker", tmp_path / "hub", "--partitions", "4-7")
        async with asyncio.timeout(60):
            await asyncio.gather(*sending)
        assert worker.stop() == 0
        assert hub.stop() == 0
    finally:
        worker.kill()
        hub.kill()
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", nodes)


async def test_an_outside_nats_may_come_later_and_be_replaced_by_an_empty_one(tmp_path: Path) -> None:
    node = office(events=30)
    make_hub(tmp_path / "hub", node)
    port = free_port()
    hub = await asyncio.to_thread(hub_run, tmp_path / "hub", "--nats", f"nats://127.0.0.1:{port}")
    try:
        for number in (1, 2):
            broker = Broker(tmp_path / f"broker-{number}", "127.0.0.1", port)
            try:
                await broker.start()
                await _until_consumed(broker.url)
                async with nats_client(broker.url) as client, acks_of(client, node) as acks:
                    await client.jetstream().publish(subjects.up(node.name), node.frame(1, 15 * number))
                    await until_durable(acks, 15 * number)
            finally:
                await broker.stop()
        assert hub.stop() == 0
    finally:
        hub.kill()
    assert durable_seq(tmp_path / "hub", node) == 30


async def _until_consumed(url: str) -> None:
    """Until the hub has found this broker and made its stream and consumers there."""
    async with nats_client(url) as client, asyncio.timeout(15):
        while True:
            try:
                info = await client.jetstream(timeout=1).stream_info("SEPE_UP")
                if info.state.consumer_count == PARTITIONS:
                    return
            except Exception:
                pass
            await asyncio.sleep(0.05)
