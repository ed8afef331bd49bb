"""The nats-server configurations of deploy/nats, unchanged: read by the server, and run as a cluster with a leaf."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client as NatsClient
from nats.js.api import StreamConfig
from typer.testing import CliRunner

from hub.broker_config import Leaves, Seat, find_program, server_config
from hub.broker_leaf import Leaf, LeafFolder
from hub.broker_run import BrokerOptions, run_broker
from hub.cli.accounts import nats_accounts
from hub.cli.leaf import leaf
from hub.merge.store import HubStore
from hub.tls import HubTls
from sepe import subjects
from sepe.errors import InvalidInputError
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from sepe_io.address import join_address
from sepe_io.channel import NatsIdentity, close_nats, connect_nats
from sepe_io.process import free_port
from sepe_io.tasks import end_tasks
from surge.line import Line
from tests.support.hubs import durable_seq
from tests.support.live_hub import NOW_MS, enrol, running_hub
from tests.support.relay_rig import Hub, drained, relaying, until, write_backlog
from tests.support.secured import let_in, now_ms, secured_office
from tests.support.world import Node, nik_of, recorded

CONFIGS = Path(__file__).resolve().parents[2] / "deploy/nats"
OFFICE = Node("537104-1")
LATER = "537105-1"
# Nobody listens there.
NO_GRPC = "127.0.0.1:1"


class Site:
    """A hub's directory with certificates and accounts for all servers, as its operator would hand them out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = folder / "hub"
        with HubStore.create(self.hub, now_ms=NOW_MS) as store:
            enrol(store, OFFICE)
            self.hub_key = store.signer
        tls = HubTls(self.hub)
        tls.ensure(now_ms=now_ms())
        self.ca = self.hub / "tls/ca.pem"
        self.province = folder / "province"
        self.write_leaf()
        self.leaf_key = keys.load(self.hub / "leaf.key")

    def write_leaf(self) -> None:
        """The folder of the province's leaf, as it is to be now."""
        leaf(self.hub, out=self.province, name=["nats-ntt.example.id"], province="53")

    def place(self, name: str, config: str) -> Path:
        """The directory of one server: configuration, accounts and certificate, nothing else."""
        home = self.folder / name
        home.mkdir()
        (home / "nats.conf").write_text((CONFIGS / config).read_text())
        nats_accounts(self.hub, out=home / "accounts.conf", leaf=config == "leaf.conf", province="")
        (home / "leaf-seed.conf").write_text(f"nkey: {keys.nats_seed(self.leaf_key)}\n")
        HubTls(self.hub).issue_to(home / "server.pem", [name], now_ms=now_ms())
        return home

    def environment(self, name: str, home: Path, **more: object) -> dict[str, str]:
        """What nats.env holds."""
        settings = {"NAME": name, "STORE": home / "jetstream", "CERT": home / "server.pem", "CA": self.ca, **more}
        return {**os.environ, **{f"SEPE_NATS_{key}": str(value) for key, value in settings.items()}}


def cluster_ports(names: tuple[str, ...]) -> dict[str, dict[str, object]]:
    ports = {name: {key: free_port() for key in ("PORT", "ROUTE_PORT", "LEAF_PORT", "HTTP")} for name in names}
    routes = {
        f"ROUTE_{number}": f"nats-route://127.0.0.1:{ports[name]['ROUTE_PORT']}"
        for number, name in enumerate(names, start=1)
    }
    return {name: {**own, **routes} for name, own in ports.items()}


@contextmanager
def server(home: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [find_program(), "-c", home / "nats.conf"], env=environment, cwd="/", stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def connected(site: Site, port: object, signer: keys.Signer, inbox: str) -> AsyncIterator[NatsClient]:
    identity = NatsIdentity(site.ca.read_bytes(), signer, inbox)
    url = f"tls://127.0.0.1:{port}"
    async with asyncio.timeout(30):
        while True:
            try:
                client = await connect_nats(
                    url, name="test", on_error=lambda exc: None, on_down=lambda: None, identity=identity
                )
                break
            except Exception:
                await asyncio.sleep(0.1)
    try:
        yield client
    finally:
        await close_nats(client)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("config", ["single.conf", "cluster.conf", "leaf.conf"])
def test_the_server_reads_each_configuration_and_would_notice_a_misspelt_key(config: str, site: Site) -> None:
    home = site.place("n1", config)
    hubs = {f"HUB_{number}": f"tls://127.0.0.1:{7000 + number}" for number in (1, 2, 3)}
    more = {**cluster_ports(("n1", "n2", "n3"))["n1"], **hubs}
    environment = site.environment("n1", home, LEAF_KEY=keys.nats_name(site.leaf_key.public_key), **more)

    def check() -> subprocess.CompletedProcess[str]:
        command = [str(find_program()), "-t", "-c", str(home / "nats.conf")]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    done = check()
    assert done.returncode == 0 and "is valid" in done.stdout + done.stderr, done.stderr
    text = (home / "nats.conf").read_text()
    (home / "nats.conf").write_text(text.replace("write_deadline", "write_dedline"))
    assert check().returncode != 0


async def test_three_servers_form_a_cluster_and_a_provinces_leaf_passes_both_ways(site: Site) -> None:
    names = ("n1", "n2", "n3")
    settings = cluster_ports(names)
    leaf_key = keys.nats_name(site.leaf_key.public_key)
    with ExitStack() as stack:
        for name in names:
            home = site.place(name, "cluster.conf")
            stack.enter_context(server(home, site.environment(name, home, LEAF_KEY=leaf_key, **settings[name])))
        home = site.place("leaf", "leaf.conf")
        port = free_port()
        hubs = {f"HUB_{n}": f"tls://127.0.0.1:{settings[name]['LEAF_PORT']}" for n, name in enumerate(names, 1)}
        environment = site.environment("ntt", home, PORT=port, HTTP=free_port(), **hubs)
        stack.enter_context(server(home, environment))

        async with (
            connected(site, settings["n1"]["PORT"], site.hub_key, "_INBOX") as hub,
            connected(site, port, OFFICE.signer, subjects.inbox(OFFICE.name)) as office,
        ):
            stream = hub.jetstream(timeout=5)
            async with asyncio.timeout(30):
                while True:
                    try:
                        wanted = StreamConfig(name=subjects.STREAM, subjects=[subjects.UP_ALL], num_replicas=3)
                        await stream.add_stream(wanted)
                        break
                    except Exception:
                        await asyncio.sleep(0.2)  # The three are still electing.
            # Upwards: an office's frame, from the leaf through the offices' account into the hub's stream, and
            # JetStream's answer the same way back.
            async with asyncio.timeout(30):
                while True:
                    try:
                        ack = await office.jetstream(timeout=1).publish(subjects.up(OFFICE.name), b"a frame")
                        break
                    except Exception:
                        await asyncio.sleep(0.1)
            assert ack.stream == subjects.STREAM
            info = await stream.stream_info(subjects.STREAM)
            assert info.state.messages >= 1
            assert info.cluster is not None and len(info.cluster.replicas or []) == 2
            # Downwards: the hub's word to this office.
            heard: asyncio.Queue[bytes] = asyncio.Queue()

            async def take(message: object) -> None:
                heard.put_nowait(message.data)  # type: ignore[attr-defined]

            await office.subscribe(subjects.ack(OFFICE.name), cb=take)
            await office.flush()
            async with asyncio.timeout(15):
                while heard.empty():
                    await hub.publish(subjects.ack(OFFICE.name), b"the hub's word")
                    await asyncio.sleep(0.05)
            assert heard.get_nowait() == b"the hub's word"


async def test_an_office_behind_a_provinces_leaf_comes_to_a_hub_whose_brokers_are_sepes_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.broker_leaf.LOOK_EVERY_S", 0.1)
    monkeypatch.setattr("node.link.grpc.OPEN_TIMEOUT_S", 0.5)
    routes = [("127.0.0.1", free_port()) for _ in range(3)]
    leaves = [Leaves(("127.0.0.1", free_port()), keys.nats_name(site.leaf_key.public_key)) for _ in routes]
    urls: list[str] = []
    tasks = []
    with ExitStack() as stack, HubStore.open(site.hub) as store:
        try:
            for number, (route, own) in enumerate(zip(routes, leaves, strict=True), 1):
                seat = Seat(f"n{number}", route, tuple(join_address(*one) for one in routes), own)
                options = BrokerOptions(site.hub, seat, ("127.0.0.1", free_port()), tls="on")
                tasks.append(asyncio.create_task(run_broker(options, urls.append)))
            home, port = site.place("leaf", "leaf.conf"), free_port()
            hubs = {f"HUB_{n}": f"tls://{join_address(*one.listen)}" for n, one in enumerate(leaves, 1)}
            await until(lambda: len(urls) == 3, urls)
            outside = ",".join(urls)
            stack.enter_context(server(home, site.environment("ntt", home, PORT=port, HTTP=free_port(), **hubs)))
            async with (
                running_hub(site.hub, nats=outside, tls="on"),
                connected(site, port, OFFICE.signer, subjects.inbox(OFFICE.name)) as office,
            ):
                node = Node(OFFICE.name)
                node.write(*(recorded(nik_of(number)) for number in range(20)))
                heard: list[int] = []

                async def take(message: object) -> None:
                    ack = sync_pb2.Ack.FromString(message.data)  # type: ignore[attr-defined]
                    heard.append(ack.durable_seq)

                await office.subscribe(subjects.ack(OFFICE.name), cb=take)
                async with asyncio.timeout(40):
                    while 20 not in heard:
                        for frame in node.frames(10):
                            await office.publish(subjects.up(OFFICE.name), frame)
                        await asyncio.sleep(0.3)
                assert durable_seq(store, node) == 20
                await check_own_leaf(site, leaves[0].listen)
        finally:
            await end_tasks(tasks)


async def check_own_leaf(site: Site, up: tuple[str, int]) -> None:
    """A leaf that Sepe tends, an office that was enrolled after it started, and its line to the centre cut once."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with Line(*up) as line:
        seat = Leaf.to("ntt-2", (f"nats-leaf://{line.address}",))
        seat_port = free_port()
        options = BrokerOptions(site.province, seat, ("127.0.0.1", seat_port))
        task = asyncio.create_task(run_broker(options, ready.set_result))
        try:
            url = await ready
            folder, hub = site.folder / "office", Hub(site.hub)
            secured_office(folder, hub, LATER, address=NO_GRPC)
            signer = let_in(folder, hub, LATER)
            write_backlog(folder, 40)
            site.write_leaf()
            async with connected(site, seat_port, signer, subjects.inbox(LATER)):
                pass  # The leaf has read the newer list.
            async with relaying(folder, nats=url) as office:
                await drained(office)
                line.cut()
                write_backlog(folder, 10, start=40)
                view = office.relay.view
                await until(lambda: view.pending == 10 and view.link == "offline", view)
                line.heal()
                await drained(office)
                assert view.last_seq == 50
                assert view.link == "nats"
        finally:
            await end_tasks([task])


def test_a_leaf_of_sepes_own_is_told_what_leaf_conf_says(site: Site) -> None:
    access = LeafFolder(site.province).access()
    place = site.folder / "place"
    told = server_config(
        name="ntt", address=("127.0.0.1", 4222), store=place, pid_file=place, log_file=place,
        access=access, seat=Leaf.to("ntt", ("tls://127.0.0.1:7522",)),
    )  # fmt: skip
    (remote,) = told["leafnodes"]["remotes"]
    said = [line.strip() for line in (CONFIGS / "leaf.conf").read_text().splitlines()]
    for key in ("max_payload", "ping_interval", "ping_max", "write_deadline"):
        value = {1024 * 1024: "1MB"}.get(told[key], told[key])
        assert {f"{key}: {value}", f'{key}: "{value}"'} & set(said), key
    for key in ("min_version", "timeout", "handshake_first"):
        value = str(told["tls"][key]).lower()
        assert {f"{key}: {value}", f'{key}: "{value}"'} & set(said), key
    assert f'reconnect: "{told["leafnodes"]["reconnect"]}"' in said
    assert f'account: "{remote["account"]}"' in said
    assert "tls { ca_file: $SEPE_NATS_CA, timeout: 10 }" in said and remote["tls"]["timeout"] == 10
    assert "jetstream" not in told and list(told["accounts"]) == [remote["account"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cluster", "127.0.0.1:6222"], "--cluster"),
        (["--leaves", "127.0.0.1:7522", "--store", "s"], "--leaves and --store"),
        (["--tls", "off"], "TLS alone"),
        (["--up", "nats://127.0.0.1:7522"], "in clear"),
        (["--up", "tls://127.0.0.1"], "tls://HOST:PORT"),
        (["--up", "tls://127.0.0.1:4222"], "below itself"),
    ],
)
def test_what_makes_no_leaf_is_refused_with_the_next_step(options: list[str], words: str, site: Site) -> None:
    from hub.cli import app

    base = ["broker", str(site.province), "--name", "ntt", "--listen", "127.0.0.1:4222"]
    done = CliRunner().invoke(app, [*base, "--up", "tls://127.0.0.1:7522", *options])
    assert isinstance(done.exception, InvalidInputError) and words in str(done.exception)


def test_a_folder_that_makes_no_leaf_is_refused_file_by_file(site: Site) -> None:
    folder = LeafFolder(site.province)
    assert [user["nkey"] for user in folder.access().users] == [keys.nats_name(OFFICE.signer.public_key)]
    seed = (site.province / "leaf-seed.conf").read_text()
    (site.province / "leaf-seed.conf").write_text(seed.replace("SU", "SUA"))
    with pytest.raises(InvalidInputError, match=r"leaf-seed.conf") as told:
        folder.access()
    assert seed[6:20] not in str(told.value)
    (site.province / "leaf-seed.conf").write_text(seed)
    nats_accounts(site.hub, out=site.province / "accounts.conf", leaf=False, province="")
    with pytest.raises(InvalidInputError, match="no other"):
        folder.access()
    (site.province / "ca.pem").unlink()
    with pytest.raises(InvalidInputError, match=r"ca.pem"):
        folder.access()
    with pytest.raises(InvalidInputError, match="must not hold the hub's key"):
        LeafFolder(site.hub).access()


@pytest.mark.parametrize("key", ["", "UABC", "SU" + "A" * 54])
def test_what_is_no_public_key_lets_no_leaf_in(key: str) -> None:
    with pytest.raises(InvalidInputError, match="public key"):
        Leaves(("127.0.0.1", 7522), key)


def test_an_unchanged_list_of_accounts_is_not_written_again(site: Site) -> None:
    from hub.cli import app

    out = site.folder / "accounts.conf"
    command = ["nats-accounts", str(site.hub), "--out", str(out)]
    assert CliRunner().invoke(app, command).exit_code == 0
    before = out.stat().st_mtime_ns
    assert CliRunner().invoke(app, command).exit_code == 0
    assert out.stat().st_mtime_ns == before
    assert CliRunner().invoke(app, [*command, "--province", "52"]).exit_code == 0
    assert keys.nats_name(OFFICE.signer.public_key) not in out.read_text()
