"""Each kind of line against what it may meet, and the claims of rights."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from hub.merge.store import HubStore
from node.link.grpc import GrpcLink, pull_from
from node.link.link import CLOSE_TIMEOUT_S, OPEN_TIMEOUT_S, Link, LinkDownError
from node.link.nats import NatsLink
from node.link.rights import GrpcRights
from sepe import subjects
from sepe.codec import FRAME_BYTES_MAX
from sepe.errors import PeerProtocolError
from sepe.sync.office import WINDOW_FRAMES
from sepe.wire.v1 import sync_pb2
from sepe_io.address import split_address
from sepe_io.channel import close_nats, connect_nats
from surge.line import Line
from tests.support.relay_rig import Hub, running_hub, until
from tests.support.world import Node, nik_of, recorded


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all: each test has an office of its own."""
    with running_hub(tmp_path_factory.mktemp("link") / "hub") as found:
        yield found


@pytest.fixture
def office(hub: Hub) -> Node:
    """An office that the hub knows, with 300 events."""
    node = Node(f"537104-{next(_machines)}", now_ms=time.time_ns() // 1_000_000)
    node.write(*(recorded(nik_of(number)) for number in range(300)))
    with HubStore.open(hub.directory) as store:
        token = store.enrol_token(node.name, now_ms=node.now_ms)
        assert store.redeem(node.name, token, node.signer.public_key, now_ms=node.now_ms) == (True, "")
    return node


@asynccontextmanager
async def opened(link: Link) -> AsyncIterator[Link]:
    await link.open()
    try:
        yield link
    finally:
        await link.close()


def link_to(
    hub: Hub, office: Node, kind: str, acks: list[sync_pb2.Ack], losses: list[str], via: Line | None = None
) -> Link:
    if kind == "nats":
        url = f"nats://{via.address}" if via else hub.nats
        return NatsLink(url, office.name, acks.append, losses.append)
    return GrpcLink(via.address if via else hub.grpc, acks.append, losses.append)


def far_end(hub: Hub, kind: str) -> tuple[str, int]:
    return split_address(hub.nats.removeprefix("nats://") if kind == "nats" else hub.grpc)


_machines = itertools.count(1)
KINDS = pytest.mark.parametrize("kind", ["nats", "grpc"])


@KINDS
async def test_a_greeting_and_frames_are_answered(hub: Hub, office: Node, kind: str) -> None:
    acks: list[sync_pb2.Ack] = []
    losses: list[str] = []
    async with opened(link_to(hub, office, kind, acks, losses)) as link:
        assert (link.name, link.healthy) == (kind, True)
        word = await link.greet(office.hello())
        assert (word.verdict, word.durable_seq) == (sync_pb2.VERDICT_DURABLE, 0)
        for frame in office.frames(100):
            await link.send(frame)
        await until(lambda: bool(acks) and acks[-1].durable_seq == 300, "acked")
    assert losses == []
    assert not link.healthy


@KINDS
async def test_an_unknown_node_hears_why_it_is_refused(hub: Hub, kind: str) -> None:
    stranger = Node("537105-1")
    link: Link = (
        NatsLink(hub.nats, stranger.name, lambda ack: None, lambda reason: None)
        if kind == "nats"
        else GrpcLink(hub.grpc, lambda ack: None, lambda reason: None)
    )
    async with opened(link):
        word = await link.greet(stranger.hello())
    assert (word.verdict, word.reason) == (sync_pb2.VERDICT_REFUSED, "unknown_node")


@KINDS
async def test_nobody_at_the_address_is_told_in_time(kind: str) -> None:
    link: Link = (
        NatsLink("nats://127.0.0.1:9", "537104-1", lambda ack: None, lambda reason: None)
        if kind == "nats"
        else GrpcLink("127.0.0.1:9", lambda ack: None, lambda reason: None)
    )
    begun = time.monotonic()
    with pytest.raises(LinkDownError):
        await link.open()
    assert time.monotonic() - begun < OPEN_TIMEOUT_S + 2 * CLOSE_TIMEOUT_S
    with pytest.raises(LinkDownError):
        await link.send(b"frame")
    with pytest.raises(LinkDownError):
        await link.greet(sync_pb2.SignedHello())


@KINDS
async def test_a_portal_that_answers_with_html_is_no_hub(kind: str) -> None:
    async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Silakan login</html>\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(portal, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    link: Link = (
        NatsLink(f"nats://{address}", "537104-1", lambda ack: None, lambda reason: None)
        if kind == "nats"
        else GrpcLink(address, lambda ack: None, lambda reason: None)
    )
    with pytest.raises(LinkDownError):
        await link.open()
    server.close()


@KINDS
async def test_a_cut_is_reported_once(hub: Hub, office: Node, kind: str) -> None:
    losses: list[str] = []
    async with Line(*far_end(hub, kind)) as line, opened(link_to(hub, office, kind, [], losses, line)) as link:
        await link.greet(office.hello())
        line.cut()
        await until(lambda: bool(losses), "the loss was reported")
        assert not link.healthy
        with pytest.raises(LinkDownError):
            for _ in range(3):
                await link.send(office.frame())
        await asyncio.sleep(0.7)
        assert len(losses) == 1
        assert losses[0].startswith(f"{kind}: ")


@KINDS
async def test_a_frozen_line_is_closed_in_time_even_with_unsent_bytes(hub: Hub, office: Node, kind: str) -> None:
    async with Line(*far_end(hub, kind)) as line:
        link = link_to(hub, office, kind, [], [], line)
        await link.open()
        line.freeze()
        # As much as a full window ever holds.
        with suppress(LinkDownError, TimeoutError):
            async with asyncio.timeout(2):
                for _ in range(WINDOW_FRAMES):
                    await link.send(bytes(FRAME_BYTES_MAX))
        begun = time.monotonic()
        await link.close()
        assert time.monotonic() - begun < 2 * CLOSE_TIMEOUT_S + 1


async def test_a_broker_that_falls_silent_with_bytes_unsent_is_given_up(
    hub: Hub, office: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sepe_io.channel.NATS_PING_EVERY_S", 1)
    losses: list[str] = []
    async with Line(*far_end(hub, "nats")) as line:
        link = link_to(hub, office, "nats", [], losses, line)
        await link.open()
        line.freeze()
        for _ in range(WINDOW_FRAMES):
            await link.send(bytes(FRAME_BYTES_MAX))
        await until(lambda: bool(losses), "given up", 10)
        await link.close()


async def test_a_missing_stream_is_noticed_with_the_first_frame(hub: Hub, office: Node) -> None:
    losses: list[str] = []
    assert hub.program is not None
    client = await connect_nats(hub.nats, name="vandal", on_error=lambda exc: None, on_down=lambda: None)
    async with opened(link_to(hub, office, "nats", [], losses)) as link:
        hub.program.freeze()  # Else the hub would make the stream again.
        try:
            await client.jetstream().delete_stream(subjects.STREAM)
            await link.send(office.frame())
            await until(lambda: bool(losses), "noticed", 3)
        finally:
            hub.program.thaw()
    assert "no stream" in losses[0]
    await close_nats(client)


async def test_a_node_fetches_its_own_frames(hub: Hub, office: Node) -> None:
    acks: list[sync_pb2.Ack] = []
    async with opened(link_to(hub, office, "grpc", acks, [])) as link:
        for frame in office.frames(100):
            await link.send(frame)
        await until(lambda: bool(acks) and acks[-1].durable_seq == 300, "acked")
    pull = pull_from(hub.grpc)
    assert [frame async for frame in pull(office.hello(), office.epoch, 0)] == office.frames(100)
    assert [frame async for frame in pull(office.hello(), office.epoch, 150)] == office.frames(100)[1:]
    with pytest.raises(PeerProtocolError, match="pull_refused"):
        _ = [frame async for frame in pull(Node("537105-1").hello(), office.epoch, 0)]
    with pytest.raises(LinkDownError):
        _ = [frame async for frame in pull_from("127.0.0.1:9")(office.hello(), office.epoch, 0)]


async def test_a_right_is_claimed_and_a_wrong_clock_asks_again_by_the_hub_s(hub: Hub, office: Node) -> None:
    foreign = nik_of(1, "537105")
    rights = GrpcRights(hub.grpc, office.name, office.signer)
    answer = await rights.claim(foreign, "ktp-el", 1)
    assert (answer.granted, answer.holder, answer.fence > 0) == (True, office.name, True)
    assert await rights.claim(foreign, "ktp-el", 1) == answer
    await rights.close()


async def test_a_claim_without_a_line_fails_within_its_deadline() -> None:
    office = Node("537104-1")
    rights = GrpcRights("127.0.0.1:9", office.name, office.signer)
    begun = time.monotonic()
    with pytest.raises(LinkDownError):
        await rights.claim(nik_of(1), "ktp-el", 1)
    assert time.monotonic() - begun < 3
    await rights.close()


async def test_a_machine_with_a_dead_clock_battery_still_gets_a_right(
    hub: Hub, office: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_ms = 86_400_000
    monkeypatch.setattr("node.link.rights.now_ms", lambda: time.time_ns() // 1_000_000 - day_ms)
    blind = GrpcRights(hub.grpc, office.name, office.signer)
    assert (await blind.claim(nik_of(2, "537105"), "ktp-el", 1)).reason == "clock"
    await blind.close()
    corrected = GrpcRights(hub.grpc, office.name, office.signer, skew_ms=lambda: -day_ms)
    assert (await corrected.claim(nik_of(2, "537105"), "ktp-el", 1)).granted
    await corrected.close()
