"""A real cluster of three nats-servers: leaders killed and frozen, no majority, a server replaced by an empty one."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client as NatsClient
from nats.js.api import RetentionPolicy
from typer.testing import CliRunner

from hub.broker_config import Seat
from hub.broker_run import BrokerOptions, run_broker
from hub.cli import app
from hub.ingest import leases
from hub.ingest.leases import LeaseKeeper
from hub.merge.store import HubStore
from hub.tls import HubTls
from sepe import subjects
from sepe.errors import TransientError
from sepe_io import logs
from sepe_io.address import join_address
from sepe_io.channel import NatsIdentity, close_nats, connect_nats
from sepe_io.process import free_port
from sepe_io.tasks import end_tasks
from surge.lab.cluster import LabCluster
from tests.support.live_hub import enrol, make_hub, running_hub
from tests.support.relay_rig import Hub, in_thread, make_office, relaying, until, write_backlog
from tests.support.world import Node

OFFICES = ("537104-1", "537105-1", "530302-1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """Three servers that all tests of this file strike, one after the other."""
    made = LabCluster(tmp_path_factory.mktemp("cluster"))
    made.start()
    try:
        asyncio.run(made.until_ready())
        yield made
    finally:
        made.end()


def sepe_hub(*words: object, code: int = 0) -> str:
    """What a command prints, without a process of its own."""
    try:
        done = CliRunner().invoke(app, [*map(str, words)])
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout
    finally:
        logs.set_up("WARNING")  # The command's stderr is closed by now.


async def doctor(directory: Path) -> dict[str, list[str]]:
    """Whatever is not well with the pipe, by check."""
    found = json.loads(
        await asyncio.to_thread(lambda: CliRunner().invoke(app, ["doctor", str(directory), "--json"]).stdout)
    )
    logs.set_up("WARNING")
    troubles: dict[str, list[str]] = {}
    for one in found:
        if one["check"] in ("stream", "replica", "partitions") and not one["is_well"]:
            troubles.setdefault(one["check"], []).append(one["detail"])
            assert one["hint"]
    return troubles


async def remade_wrongly(client: NatsClient) -> None:
    js = client.jetstream(timeout=5)
    await js.delete_stream(subjects.STREAM)
    await js.add_stream(
        name=subjects.STREAM, subjects=[subjects.UP_ALL], retention=RetentionPolicy.WORK_QUEUE, num_replicas=1
    )


async def test_a_wrong_stream_is_refused_by_the_doctor_and_set_right_by_the_hub(
    tmp_path: Path, cluster: LabCluster
) -> None:
    directory = make_hub(tmp_path / "hub")
    assert json.loads(sepe_hub("stream", directory, "--replicas", 3, "--age-days", 10, "--json")) == {
        "replicas": 3, "age_days": 10, "guarded": True,
    }  # fmt: skip
    async with running_hub(directory, nats=cluster.url):
        await cluster.until_whole()
        assert await doctor(directory) == {}
    client = await cluster.client()
    try:
        await remade_wrongly(client)
        found = (await doctor(directory))["stream"]
        told = " ".join(found)
        for name in ("retention is workqueue", "max_age", "num_replicas is 1", "deny_purge", "duplicate_window"):
            assert name in told
        async with running_hub(directory, nats=cluster.url):
            info = await client.jetstream().stream_info(subjects.STREAM)
        config = info.config
        assert (config.retention, config.num_replicas, config.max_age) == ("limits", 3, 10 * 86_400)
        assert config.deny_purge and config.deny_delete
    finally:
        await close_nats(client)


async def test_leases_follow_who_lives_and_one_that_wakes_takes_nothing_from_others(
    cluster: LabCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0.5)
    client = await cluster.client()
    given: list[frozenset[int]] = []

    async def give(partitions: frozenset[int]) -> None:
        given.append(partitions)

    keepers = {name: LeaseKeeper(name) for name in ("hub", "worker-a", "worker-b")}
    held: dict[str, frozenset[int]] = {}

    async def beat(*names: str) -> None:
        for name in names:
            held[name] = await keepers[name].beat(client, 8, 3, give)

    try:
        await beat("hub")
        assert held["hub"] == frozenset(range(8)) and not given
        await beat("worker-a", "hub", "worker-a")
        assert given == [frozenset({4, 5, 6, 7})] and held["worker-a"] == given[0]
        # Stopped: after its time the other has all, and when it wakes it waits for its part.
        await beat("hub")
        await asyncio.sleep(0.6)
        await beat("hub")
        assert held["hub"] == frozenset(range(8))
        # Two at once: the table's compare-and-set lets one in after the other.
        await asyncio.gather(beat("worker-a"), beat("worker-b"))
        assert held["worker-a"] == held["worker-b"] == frozenset()
        await beat("hub", "worker-a", "worker-b")
        assert sorted(one for share in held.values() for one in share) == list(range(8))
        await keepers["hub"].leave(client, 3)
        await beat("worker-a", "worker-b", "worker-a")
        assert sorted([*held["worker-a"], *held["worker-b"]]) == list(range(8))
        info = await client.jetstream().stream_info(f"KV_{leases.BUCKET}")
        assert info.config.num_replicas == 3
        for name in ("worker-a", "worker-b"):
            await keepers[name].leave(client, 3)
    finally:
        await close_nats(client)


async def test_whatever_happens_to_the_servers_the_offices_and_the_hub_have_the_same_list(
    tmp_path: Path, cluster: LabCluster
) -> None:
    directory = make_hub(tmp_path / "hub")
    sepe_hub("stream", directory, "--replicas", 3)
    written = dict.fromkeys(OFFICES, 0)
    async with running_hub(directory, nats=cluster.url) as at:
        rig = Hub(directory)
        folders = {
            name: make_office(tmp_path / name, rig, node=name, nats=at.nats, address=at.grpc) for name in OFFICES
        }

        async def record(count: int = 50) -> None:
            for name, folder in folders.items():
                await in_thread(lambda name=name, folder=folder: write_backlog(folder, count, start=written[name]))
                written[name] += count

        async with (
            relaying(folders[OFFICES[0]], nats=at.nats) as one,
            relaying(folders[OFFICES[1]], nats=at.nats) as two,
            relaying(folders[OFFICES[2]], nats=at.nats) as three,
        ):
            views = [office.relay.view for office in (one, two, three)]

            async def received(link: str = "", timeout_s: float = 40) -> None:
                def is_done() -> bool:
                    return all(
                        view.last_seq == count and view.pending == 0 and link in ("", view.link)
                        for view, count in zip(views, written.values(), strict=True)
                    )

                await until(is_done, (link, views, written), timeout_s)

            await record()
            await received("nats")
            # The leader dies; two are a majority and go on.
            first = await cluster.until_led()
            cluster.named(first).kill()
            await record()
            await received()
            second = await cluster.until_led(without=first)
            # The next leader freezes: no majority, and gRPC carries meanwhile.
            cluster.named(second).freeze()
            await record()
            await received("grpc")
            # It wakes, and an empty server takes the place of the dead one and its name.
            cluster.named(second).thaw()
            cluster.named(first).empty()
            cluster.named(first).start()
            await record()
            await received("nats")
            await cluster.until_whole()
    with HubStore.open(directory) as store:
        rows = store.connection.execute("SELECT node, durable_seq FROM epoch WHERE node <> 'hub'").fetchall()
        assert {str(node): seq for node, seq in rows} == written
        assert store.connection.execute("SELECT COUNT(*) FROM quarantine").fetchone()[0] == 0
    assert rig.counts().events == sum(written.values())


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Hears what a supervisor is told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "s"))
        monkeypatch.setenv("WATCHDOG_USEC", "1500000")
        yield listener


async def heard(listener: socket.socket, servers: int) -> None:
    """Returns when so many servers said that they are ready, and one that it lives; fails when they do not."""
    said: list[str] = []
    while sum(word.startswith("READY=1") for word in said) < servers or "WATCHDOG=1" not in said:
        said.append((await asyncio.to_thread(listener.recv, 4096)).decode())


async def test_servers_that_the_hub_tends_prove_themselves_and_know_every_office_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: socket.socket
) -> None:
    directory = make_hub(tmp_path / "hub")
    sepe_hub("stream", directory, "--replicas", 3)
    routes = [("127.0.0.1", free_port()) for _ in range(3)]
    told = tuple(join_address(*route) for route in routes)
    servers: list[asyncio.Task[None]] = []
    urls: list[str] = []
    try:
        for number, route in enumerate(routes, 1):
            options = BrokerOptions(
                directory, Seat(f"n{number}", route, told), ("127.0.0.1", free_port()), tls="on"
            )
            servers.append(asyncio.create_task(run_broker(options, urls.append)))
        await until(lambda: len(urls) == 3, urls)
        await heard(systemd, 3)
        monkeypatch.delenv("NOTIFY_SOCKET")
        async with running_hub(directory, nats=",".join(urls), tls="on"):
            async with asyncio.timeout(20):
                while await doctor(directory):  # noqa: ASYNC110 - a command
                    await asyncio.sleep(0.3)
            node = Node("537104-1")
            identity = NatsIdentity(HubTls(directory).ca_pem, node.signer, subjects.inbox(node.name))

            async def let_in() -> list[bool]:
                found = []
                for url in urls:
                    try:
                        client = await connect_nats(
                            url, name="office", on_error=lambda exc: None, on_down=lambda: None, identity=identity
                        )
                        await close_nats(client)
                        found.append(True)
                    except TransientError:
                        found.append(False)
                return found

            assert await let_in() == [False] * 3
            with HubStore.open(directory) as store:
                enrol(store, node)
            async with asyncio.timeout(20):
                while await let_in() != [True] * 3:  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(0.3)
            with HubStore.open(directory) as store:
                store.revoke(node.name, now_ms=1)
            async with asyncio.timeout(20):
                while await let_in() != [False] * 3:  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(0.3)
    finally:
        await end_tasks(servers)
