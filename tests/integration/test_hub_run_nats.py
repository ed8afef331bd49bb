"""A running hub over a real NATS JetStream: frames in, acks after the commit, whatever happens to the pipe."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

import hub.ingest.greetings
import hub.ingest.pipe
import sepe_io.channel
from hub.broker import Broker
from hub.ingest.acks import coalesced
from hub.ingest.partitions import NOTHING
from hub.ingest.pipe import Activity, Pipe
from sepe import subjects
from sepe.ids import partition_of
from sepe.wire.v1 import sync_pb2
from sepe_io.process import free_port
from surge.line import Line
from tests.support.live_hub import (
    Relay,
    acks_of,
    digest_of,
    digest_of_merged,
    durable_seq,
    make_hub,
    nats_client,
    running_hub,
    until,
    until_durable,
)
from tests.support.world import Node, nik_of, recorded

DURABLE, GAP, FORK, REFUSED, CORRUPT = (
    sync_pb2.VERDICT_DURABLE,
    sync_pb2.VERDICT_GAP,
    sync_pb2.VERDICT_FORK,
    sync_pb2.VERDICT_REFUSED,
    sync_pb2.VERDICT_CORRUPT,
)


def office(name: str = "537104-1", events: int = 40) -> Node:
    node = Node(name)
    node.write(*(recorded(nik_of(number, name[:6])) for number in range(events)))
    return node


async def test_frames_reach_the_database_before_their_ack(tmp_path: Path) -> None:
    node = office()
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client, acks_of(client, node) as acks:
        for frame in node.frames(10):
            await client.jetstream().publish(subjects.up(node.name), frame)
            ack = (await until_durable(acks, 1))[-1]
            assert ack.verdict == DURABLE and ack.durable_chain == node.chain(ack.durable_seq)
            assert durable_seq(tmp_path / "hub", node) >= ack.durable_seq
        assert ack.durable_seq == node.last_seq
        consumer = await client.jetstream().consumer_info(
            subjects.STREAM, subjects.consumer(partition_of(node.name))
        )
        assert consumer.num_ack_pending == 0


async def test_the_same_frames_again_change_nothing_and_are_acked_again(tmp_path: Path) -> None:
    node = office()
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client, acks_of(client, node) as acks:
        for _ in range(3):
            for frame in node.frames(10):
                await client.jetstream().publish(subjects.up(node.name), frame)
            await until_durable(acks, node.last_seq)
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", [node])


async def test_a_gap_is_answered_with_where_to_send_from(tmp_path: Path) -> None:
    node = office()
    first, second, third, fourth = node.frames(10)
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client, acks_of(client, node) as acks:
        stream = client.jetstream()
        await stream.publish(subjects.up(node.name), first)
        await until_durable(acks, 10)
        await stream.publish(subjects.up(node.name), third)
        ack = await asyncio.wait_for(acks.get(), 10)
        assert (ack.verdict, ack.durable_seq) == (GAP, 10)
        for frame in (second, third, fourth):
            await stream.publish(subjects.up(node.name), frame)
        await until_durable(acks, node.last_seq)


async def test_a_clone_hears_of_the_fork(tmp_path: Path) -> None:
    node = office(events=10)
    twin = node.clone()
    node.write(recorded(nik_of(100)))
    twin.write(recorded(nik_of(101)))
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client, acks_of(client, node) as acks:
        await client.jetstream().publish(subjects.up(node.name), node.frame())
        await until_durable(acks, 11)
        await client.jetstream().publish(subjects.up(node.name), twin.frame())
        assert (await asyncio.wait_for(acks.get(), 10)).verdict == FORK


async def test_a_greeting_tells_the_watermark_and_an_unknown_node_is_refused(tmp_path: Path) -> None:
    node, stranger = office(), office("537105-1")
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client:

        async def greet(who: Node) -> sync_pb2.Ack:
            hello = who.hello().SerializeToString()
            answer = await client.request(subjects.hello(who.name), hello, timeout=5)
            return sync_pb2.Ack.FromString(answer.data)

        assert ((await greet(node)).verdict, (await greet(node)).durable_seq) == (DURABLE, 0)
        refused = await greet(stranger)
        assert (refused.verdict, refused.reason, refused.node) == (REFUSED, "unknown_node", stranger.name)
        rubbish = await client.request(subjects.hello("x"), b"\xff\xff", timeout=5)
        assert sync_pb2.Ack.FromString(rubbish.data).verdict == REFUSED
        async with acks_of(client, stranger) as acks:
            await client.jetstream().publish(subjects.up(stranger.name), stranger.frame())
            ack = await asyncio.wait_for(acks.get(), 10)
        assert (ack.verdict, ack.reason) == (REFUSED, "unknown_node")


async def test_rubbish_and_borrowed_subjects_do_not_stop_the_office_behind_them(tmp_path: Path) -> None:
    node, neighbour = office("537104-1"), office("537104-2")
    make_hub(tmp_path / "hub", node, neighbour)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client, acks_of(client, node) as acks:
        stream = client.jetstream()
        for data in (b"", b"\x00" * 1000, neighbour.frame(), node.frame()[:-40]):
            await stream.publish(subjects.up(node.name), data)
        await stream.publish(subjects.up(node.name), node.frame())
        heard = await until_durable(acks, node.last_seq)
        assert {ack.node for ack in heard} == {node.name}
    assert durable_seq(tmp_path / "hub", neighbour) == 0


async def test_a_purged_or_deleted_pipe_is_mended_and_everything_arrives(tmp_path: Path) -> None:
    node = office(events=600)
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client:
        relay = Relay(node, at.nats, node.frames(10), pause_s=0.01)
        sending = asyncio.create_task(relay.run())
        manager = client.jsm(timeout=5)
        for seq, harm in (
            (100, lambda: manager.purge_stream(subjects.STREAM)),
            (200, lambda: manager.delete_stream(subjects.STREAM)),
            (300, lambda: manager.delete_consumer(subjects.STREAM, subjects.consumer(partition_of(node.name)))),
            (400, lambda: manager.purge_stream(subjects.STREAM)),
        ):
            await until(lambda seq=seq: relay.durable >= seq or sending.done())
            await harm()
        async with asyncio.timeout(40):
            await sending
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", [node])


async def test_a_killed_broker_costs_a_pause_and_nothing_else(tmp_path: Path) -> None:
    node = office(events=600)
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at:
        relay = Relay(node, at.nats, node.frames(10), pause_s=0.01)
        sending = asyncio.create_task(relay.run())
        for seq in (100, 300):
            await until(lambda seq=seq: relay.durable >= seq)
            os.kill(int((tmp_path / "hub/nats/nats-server.pid").read_text()), signal.SIGKILL)
        async with asyncio.timeout(40):
            await sending
        assert relay.greetings > 1
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", [node])


async def test_frames_that_a_killed_hub_had_in_hand_come_again_at_once(tmp_path: Path) -> None:
    node = office()
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub", partitions=NOTHING) as at, nats_client(at.nats) as client:
        await Pipe(client, {partition_of(node.name): Activity()}).ensure()
        await client.jetstream().publish(subjects.up(node.name), node.frame())
        # As a hub does that fetches and is killed before its commit: the broker waits for its ack, ACK_WAIT_S long.
        taker = await client.jetstream().pull_subscribe_bind(
            subjects.consumer(partition_of(node.name)), subjects.STREAM
        )
        assert len(await taker.fetch(1, timeout=5)) == 1
    async with running_hub(tmp_path / "hub"):
        await until(lambda: durable_seq(tmp_path / "hub", node) == node.last_seq, 10)


async def test_a_half_open_line_to_the_broker_is_noticed_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten times faster than in the field, where a dead line is noticed within about ten seconds.
    monkeypatch.setattr(sepe_io.channel, "NATS_PING_EVERY_S", 0.3)
    node = office()
    make_hub(tmp_path / "hub", node)
    broker = Broker(tmp_path / "broker", "127.0.0.1", free_port())
    try:
        await broker.start()
        async with (
            Line("127.0.0.1", broker.port) as line,
            running_hub(tmp_path / "hub", nats=f"nats://{line.address}") as at,
        ):

            def nats_is(state: str) -> bool:
                with urllib.request.urlopen(f"{at.http}/readyz", timeout=5) as answer:
                    return str(json.load(answer)["nats"]) == state

            async def shows(state: str) -> None:
                # Under the 9 s after which a pull loop would miss its heartbeats: the pings must tell.
                async with asyncio.timeout(6):
                    while not await asyncio.to_thread(nats_is, state):  # noqa: ASYNC110 - another thread asks
                        await asyncio.sleep(0.05)

            await shows("connected")
            line.freeze()
            async with nats_client(broker.url) as client:
                await client.jetstream().publish(subjects.up(node.name), node.frame())
            await shows("down")
            line.cut()
            line.heal()
            await until(lambda: durable_seq(tmp_path / "hub", node) == node.last_seq)
    finally:
        await broker.stop()


async def test_of_a_herd_of_greetings_those_that_would_wait_long_are_asked_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.ingest.greetings, "WAITING_MAX", 3)
    node = office()
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, nats_client(at.nats) as client:
        hello = node.hello().SerializeToString()
        answers = await asyncio.gather(
            *(client.request(subjects.hello(node.name), hello, timeout=10) for _ in range(60))
        )
    acks = [sync_pb2.Ack.FromString(answer.data) for answer in answers]
    assert {ack.verdict for ack in acks} == {DURABLE, sync_pb2.VERDICT_LATER}
    pauses = {ack.retry_after_ms for ack in acks if ack.verdict != DURABLE}
    assert min(pauses) >= 2_000 and len(pauses) > 1
    assert all((ack.node, ack.epoch) == (node.name, node.epoch) for ack in acks)


async def test_a_consumer_that_owes_frames_and_is_silent_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.ingest.pipe, "STUCK_S", 0.0)
    make_hub(tmp_path / "hub")
    node = office()
    async with running_hub(tmp_path / "hub", partitions=NOTHING) as at, nats_client(at.nats) as client:
        partition = partition_of(node.name)
        pipe = Pipe(client, {partition: Activity()})
        await pipe.ensure()
        await client.jetstream().publish(subjects.up(node.name), node.frame())
        made = pipe.remade
        await pipe.ensure()  # The first look only takes note of where the consumer stands.
        assert pipe.remade == made
        await pipe.ensure()
        assert pipe.remade == made + 1


def test_of_many_acks_of_one_epoch_the_last_is_enough_but_no_warning_is_dropped() -> None:
    def ack(seq: int, verdict: sync_pb2.Verdict.ValueType = DURABLE, node: str = "a") -> sync_pb2.Ack:
        return sync_pb2.Ack(node=node, epoch=b"e", verdict=verdict, durable_seq=seq)

    sent = coalesced([ack(1), ack(5, node="b"), ack(2), ack(2, GAP), ack(3), ack(4)])
    assert [(one.node, one.durable_seq, one.verdict) for one in sent] == [
        ("a", 2, DURABLE),
        ("b", 5, DURABLE),
        ("a", 2, GAP),
        ("a", 4, DURABLE),
    ]
