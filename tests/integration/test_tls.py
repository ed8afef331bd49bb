"""Lines that speak TLS, with a real hub and a real nats-server: who is let in, and to what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from hub.merge.store import HubStore
from hub.tls import HubTls
from node.link.link import LinkDownError
from node.link.nats import NatsLink
from node.link.trust import HubTrust
from node.settings import KEY_NAME
from sepe import subjects
from sepe.errors import TransientError
from sepe.rpc.v1 import sync_pb2 as rpc
from sepe.rpc.v1.sync_pb2_grpc import SyncStub
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from sepe_io.certificates import make_authority
from sepe_io.channel import grpc_channel
from tests.support.processes import sepe, sepe_json, start
from tests.support.relay_rig import (
    NODE,
    Hub,
    drained,
    make_office,
    relaying,
    running_hub,
    until,
    write_backlog,
)
from tests.support.secured import (
    let_in,
    long_token,
    nats_as,
    overheard,
    secured_hub,
    secured_office,
    shown_later_than,
    shown_until_ms,
    start_secured,
    trust_only,
    until_let_in,
)
from tests.support.world import Node, nik_of, recorded

OTHER = "537105-1"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with secured_hub(tmp_path / "hub") as one:
        yield one


async def test_an_office_knows_its_hub_by_the_token_and_sends_over_both_lines(tmp_path: Path, hub: Hub) -> None:
    folder = secured_office(tmp_path / "node", hub)
    write_backlog(folder, 50)
    async with relaying(folder) as office:
        await drained(office)
        await until(lambda: office.relay.view.link == "nats", "goes over to NATS once the broker knows it")
        await asyncio.to_thread(write_backlog, folder, 50, start=50)
        await until(lambda: office.relay.view.durable_seq == 100, "all there")
    assert hub.counts().events == 100
    assert hub.nats.startswith("tls://")


@pytest.mark.parametrize("is_secured", [True, False])
async def test_nothing_that_an_office_says_can_be_read_on_the_way(tmp_path: Path, is_secured: bool) -> None:
    # The plain hub proves that the ear hears: there the node's name stands in every greeting.
    with (secured_hub if is_secured else running_hub)(tmp_path / "hub") as hub:
        async with overheard(hub.grpc) as (grpc_end, said), overheard(hub.nats) as (nats_end, said_by_nats):
            folder = tmp_path / "node"
            if is_secured:
                secured_office(folder, hub, address=grpc_end)
            else:
                make_office(folder, hub, address=grpc_end, by_token=True)
            write_backlog(folder, 20)
            scheme = "tls" if is_secured else "nats"
            async with relaying(folder, nats=f"{scheme}://{nats_end}") as office:
                await drained(office)
                await until(lambda: office.relay.view.link == "nats", "over NATS", 60)
                await asyncio.to_thread(write_backlog, folder, 20, start=20)
                await until(lambda: office.relay.view.durable_seq == 40, "over NATS too")
        assert [NODE.encode() in one for one in (said, said_by_nats)] == [not is_secured] * 2


async def test_an_office_can_neither_send_nor_listen_as_another(tmp_path: Path, hub: Hub) -> None:
    thief, victim = (let_in(secured_office(tmp_path / node, hub, node), hub, node) for node in (NODE, OTHER))
    await until_let_in(hub, OTHER, victim)
    complaints: list[str] = []
    async with nats_as(hub, NODE, thief, complaints) as client:
        await client.publish(subjects.up(OTHER), b"not mine")
        await client.publish(subjects.hello(OTHER), b"not mine")
        await client.publish("$JS.API.STREAM.DELETE.SEPE_UP", b"")
        await client.subscribe(subjects.ack(OTHER))
        await client.subscribe(">")
        await client.flush()
        await until(lambda: len(complaints) == 5, f"five violations: {complaints}")
    assert all("permissions violation" in one for one in complaints)
    async with nats_as(hub, OTHER, victim, complaints) as client:
        assert await client.request(subjects.hello(OTHER), Node(OTHER).hello(clock_ms=0).SerializeToString())
    assert len(complaints) == 5


async def test_nobody_can_have_the_hub_publish_in_another_s_name(tmp_path: Path, hub: Hub) -> None:
    # The hub may publish anywhere: asked to answer at another office's frame subject, it must not do so.
    thief, victim = (let_in(secured_office(tmp_path / node, hub, node), hub, node) for node in (NODE, OTHER))
    await until_let_in(hub, OTHER, victim)
    acks: list[sync_pb2.Ack] = []
    trust = HubTrust(HubTls(hub.directory).ca_pem)
    listener = NatsLink(
        hub.nats, OTHER, acks.append, lambda reason: None,
        identity=lambda: trust.nats_identity(hub.nats, OTHER, victim),
    )  # fmt: skip
    await listener.open()
    async with nats_as(hub, NODE, thief) as client:
        greeting = Node(NODE).hello(clock_ms=0).SerializeToString()
        forged = Node(OTHER).hello(clock_ms=0).SerializeToString()
        for target in (subjects.up(OTHER), subjects.ack(OTHER)):
            await client.publish(subjects.hello(NODE), greeting, reply=target)
            await client.publish(subjects.hello(NODE), forged, reply=target)
            await client.publish(subjects.up(NODE), b"a frame", reply=target)
        # A round trip after them: whatever they caused has happened.
        await client.request(subjects.hello(NODE), greeting)
        assert listener.healthy
    await listener.close()
    assert acks == []
    with HubStore.open(hub.directory) as store:
        rows = store.connection.execute("SELECT bucket FROM quarantine").fetchall()
    assert {bucket for (bucket,) in rows} <= {NODE}, "nothing arrived under the other's name"


async def test_a_greeting_in_another_s_name_is_refused(tmp_path: Path, hub: Hub) -> None:
    thief = let_in(secured_office(tmp_path / NODE, hub), hub)
    await until_let_in(hub, NODE, thief)
    async with nats_as(hub, NODE, thief) as client:
        answer = await client.request(subjects.hello(NODE), Node(OTHER).hello(clock_ms=0).SerializeToString())
    ack = sync_pb2.Ack.FromString(answer.data)
    assert (ack.verdict, ack.reason) == (sync_pb2.VERDICT_REFUSED, "wrong_sender")


async def test_a_stream_that_one_office_opened_brings_no_frames_of_another(tmp_path: Path, hub: Hub) -> None:
    one, other = Node(NODE), Node(OTHER)
    with HubStore.open(hub.directory) as store:
        for node in (one, other):
            token = store.enrol_token(node.name, now_ms=1)
            assert store.redeem(node.name, token, node.signer.public_key, now_ms=1) == (True, "")
    for node in (one, other):
        node.write(*(recorded(nik_of(number), "MARIA TAEK") for number in range(3)))
    metadata = grpc.aio.Metadata(("sepe-hello-bin", one.hello(clock_ms=0).SerializeToString()))
    async with grpc_channel(hub.grpc, HubTls(hub.directory).ca_pem) as channel:
        push = SyncStub(channel).Push(metadata=metadata)
        await push.write(rpc.PushRequest(frame=other.frames(10)[0]))
        refused = (await push.read()).ack
        await push.write(rpc.PushRequest(frame=one.frames(10)[0]))
        accepted = (await push.read()).ack
        push.cancel()
    assert refused.reason == "wrong_sender"
    assert (accepted.verdict, accepted.durable_seq) == (sync_pb2.VERDICT_DURABLE, 3)
    held = sepe_json("hub", "quarantine", "list", hub.directory)
    assert [(row["reason"], row["node"]) for row in held] == [("wrong_sender", OTHER)]


async def test_who_is_enrolled_or_shut_out_the_broker_hears_without_dropping_others(
    tmp_path: Path, hub: Hub
) -> None:
    stays, goes = (let_in(secured_office(tmp_path / node, hub, node), hub, node) for node in (NODE, OTHER))
    await until_let_in(hub, OTHER, goes)
    async with nats_as(hub, NODE, stays) as client, nats_as(hub, OTHER, goes) as doomed:
        assert sepe("hub", "revoke", hub.directory, OTHER).returncode == 0
        await until(lambda: not doomed.is_connected, "the one that was shut out is cut off")
        with pytest.raises(TransientError, match="no NATS server answers"):
            async with nats_as(hub, OTHER, goes):
                pass
        assert client.is_connected
        assert await client.request(subjects.hello(NODE), Node(NODE).hello(clock_ms=0).SerializeToString())


async def test_a_stranger_is_not_let_in_at_the_broker(hub: Hub) -> None:
    with pytest.raises(TransientError, match="no NATS server answers"):
        async with nats_as(hub, NODE, keys.Signer.generate()):
            pass


async def test_an_office_refuses_a_hub_of_another_authority(tmp_path: Path, hub: Hub) -> None:
    folder = secured_office(tmp_path / "node", hub)
    trust_only(folder, make_authority().certificate_pem)
    write_backlog(folder, 5)
    async with relaying(folder, nats=hub.nats) as office:
        await until(lambda: "foreign certificate" in office.relay.view.reason, "says why", 40)
        await until(lambda: bool(office.store.get("hub_trouble")), "notes it")
    codes = [one["code"] for one in sepe_json("node", "status", folder)["warnings"]]
    assert "hub_unknown" in codes
    assert hub.counts().events == 0


async def test_a_certificate_renewed_under_a_running_hub_is_shown_at_the_next_handshake(
    tmp_path: Path, hub: Hub
) -> None:
    signer = let_in(secured_office(tmp_path / "node", hub), hub)
    await until_let_in(hub, NODE, signer)
    before = await shown_until_ms(hub, hub.grpc), await shown_until_ms(hub, hub.nats)
    async with nats_as(hub, NODE, signer) as client:
        await asyncio.sleep(1)  # Certificates tell seconds: the new one must end later.
        done = sepe_json("hub", "certificate", hub.directory, "--name", "hub.kupangkota.go.id")
        assert done["names"] == ["hub.kupangkota.go.id"]
        await shown_later_than(hub, max(before))
        assert client.is_connected


async def test_a_restarted_hub_speaks_tls_again_without_being_told(tmp_path: Path, hub: Hub) -> None:
    folder = secured_office(tmp_path / "node", hub)
    hub.kill()
    hub.start()
    assert hub.program is not None
    assert hub.program.ready["tls"] is True
    write_backlog(folder, 5)
    async with relaying(folder) as office:
        await drained(office)


async def test_a_hub_restored_from_a_backup_is_known_to_its_offices(tmp_path: Path, hub: Hub) -> None:
    folder = secured_office(tmp_path / "node", hub)
    let_in(folder, hub)
    assert sepe("hub", "backup", hub.directory, tmp_path / "backup").returncode == 0
    hub.kill()
    restored = Hub(tmp_path / "restored")
    assert sepe("hub", "restore", restored.directory, tmp_path / "backup").returncode == 0
    start_secured(restored)
    try:
        write_backlog(folder, 5)
        async with relaying(folder, hub=restored.grpc) as office:
            await drained(office)
    finally:
        restored.kill()
    assert restored.counts().events == 5


def test_beyond_this_machine_nothing_is_plain_by_default(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    assert sepe("hub", "init", directory).returncode == 0
    refused = sepe("hub", "run", directory, "--grpc", "0.0.0.0:0", "--tls", "off")
    assert refused.returncode == 2
    assert "residents' data must not cross a network in clear" in refused.stderr
    outside = sepe("hub", "run", directory, "--nats", "nats://user:secret@10.0.0.9:4222")
    assert outside.returncode == 2
    assert "secret" not in outside.stderr
    ready = ("--http", "127.0.0.1:0", "--nats-port", 0, "--grpc", "0.0.0.0:0")
    program = start("hub", "run", directory, *ready)
    try:
        assert program.ready["tls"] is True
        assert len(json.loads(sepe("hub", "enrol", directory, "--node", NODE, "--json").stdout)["token"]) > 400
    finally:
        program.kill()
    program = start("hub", "run", directory, *ready, "--insecure-lab")
    try:
        assert "tls" not in program.ready
        assert len(sepe("hub", "enrol", directory, "--node", NODE).stdout) < 40
    finally:
        program.kill()


@pytest.mark.parametrize(
    "host", ["10.0.0.5", "hub.example.org", "localhost.example.org", "0.0.0.0", "2001:db8::1"]
)
def test_an_office_without_the_hub_s_certificate_sends_nothing_beyond_this_machine(host: str) -> None:
    address = f"[{host}]:7443" if ":" in host else f"{host}:7443"
    with pytest.raises(LinkDownError, match="certificate"):
        HubTrust().channel(address)
    with pytest.raises(LinkDownError, match="certificate"):
        HubTrust().nats_identity(f"nats://{address}", NODE, keys.Signer.generate())
    with pytest.raises(LinkDownError, match="certificate"):
        HubTrust().nats_identity(f"tls://{address}", NODE, keys.Signer.generate())


def test_a_token_that_lost_its_end_is_refused_and_changes_nothing(tmp_path: Path, hub: Hub) -> None:
    token = long_token(hub)
    refused = sepe("node", "init", tmp_path / "node", "--node", NODE, "--hub", hub.grpc, "--token", token[:-30])
    assert refused.returncode == 2
    assert "not whole" in refused.stderr
    assert token[:19] not in refused.stderr, "a token is a secret"
    folder = secured_office(tmp_path / "node", hub)
    known = (folder / "hub-ca.pem").read_bytes()
    assert sepe("node", "enrol", folder, "--token", token[:-30]).returncode == 2
    assert (folder / "hub-ca.pem").read_bytes() == known
    assert sepe("node", "enrol", folder, "--token", token).returncode == 0
    assert keys.load(folder / KEY_NAME).public_key
