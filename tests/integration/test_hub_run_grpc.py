"""A running hub over real gRPC: frames, own history, rights, enrolment, the standard services and the web page."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pysqlite3 import dbapi2

from hub.dispatch.service import CLAIM_PREFIX
from hub.endpoints import Endpoints
from hub.ingest.grpc import ENROL_PREFIX
from hub.merge.store import HubStore
from sepe import subjects
from sepe.rpc.v1 import enrolment_pb2, enrolment_pb2_grpc, rights_pb2, rights_pb2_grpc, sync_pb2, sync_pb2_grpc
from sepe.wire.v1 import sync_pb2 as wire
from sepe_io.channel import grpc_channel
from sepe_io.keys import Signer, signed_part
from tests.support.live_hub import acks_of as nats_acks_of
from tests.support.live_hub import digest_of, digest_of_merged, make_hub, nats_client, running_hub, until_durable
from tests.support.world import Node, nik_of, recorded

DURABLE, GAP, REFUSED, CORRUPT, LATER = (
    wire.VERDICT_DURABLE,
    wire.VERDICT_GAP,
    wire.VERDICT_REFUSED,
    wire.VERDICT_CORRUPT,
    wire.VERDICT_LATER,
)


def office(name: str = "537104-1", events: int = 40) -> Node:
    node = Node(name)
    node.write(*(recorded(nik_of(number, name[:6])) for number in range(events)))
    return node


@asynccontextmanager
async def channel_to(at: Endpoints) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc_channel(at.grpc) as channel:
        yield channel


async def push(channel: grpc.aio.Channel, *frames: bytes) -> list[wire.Ack]:
    """The acks of one stream that carries these frames, all in flight at once."""

    async def requests() -> AsyncIterator[sync_pb2.PushRequest]:
        for frame in frames:
            yield sync_pb2.PushRequest(frame=frame)

    call = sync_pb2_grpc.SyncStub(channel).Push(requests(), timeout=20)
    return [response.ack async for response in call]


def verdicts(acks: list[wire.Ack]) -> list[tuple[int, int]]:
    return [(ack.verdict, ack.durable_seq) for ack in acks]


async def get(url: str) -> tuple[int, str]:
    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    return await asyncio.to_thread(fetch)


async def test_frames_in_flight_are_acked_in_order_after_their_commit(tmp_path: Path) -> None:
    node = office()
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        hello = await sync_pb2_grpc.SyncStub(channel).Hello(sync_pb2.HelloRequest(hello=node.hello()), timeout=5)
        assert (hello.ack.verdict, hello.ack.durable_seq) == (DURABLE, 0)
        acks = await push(channel, *node.frames(10))
        # One batch may hold several frames; each ack still tells its own frame's watermark.
        assert verdicts(acks) == [(DURABLE, seq) for seq in (10, 20, 30, 40)]
        assert acks[-1].durable_chain == node.chain(40)
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", [node], 7)


async def test_both_transports_at_once_count_once_and_nats_hears_of_grpc(tmp_path: Path) -> None:
    node = office()
    make_hub(tmp_path / "hub", node)
    async with (
        running_hub(tmp_path / "hub") as at,
        channel_to(at) as channel,
        nats_client(at.nats) as client,
        nats_acks_of(client, node) as acks,
    ):
        sending = asyncio.create_task(push(channel, *node.frames(10)))
        for frame in node.frames(15):
            await client.jetstream().publish(subjects.up(node.name), frame)
        assert (await sending)[-1].durable_seq == 40
        await until_durable(acks, 40)
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", [node])


async def test_a_hub_says_for_how_long_it_had_a_frame_on_both_transports(tmp_path: Path) -> None:
    node, other = office(), office("537105-1")
    directory = make_hub(tmp_path / "hub", node, other)
    async with (
        running_hub(directory) as at,
        channel_to(at) as channel,
        nats_client(at.nats) as client,
        nats_acks_of(client, node) as acks,
    ):
        elsewhere = dbapi2.connect(directory / "hub.db", isolation_level=None)
        elsewhere.execute("BEGIN IMMEDIATE")
        sending = asyncio.create_task(push(channel, *other.frames(40)))
        await client.jetstream().publish(subjects.up(node.name), node.frame())
        await asyncio.sleep(0.3)
        assert not sending.done() and acks.empty()
        elsewhere.rollback()
        elsewhere.close()
        held = [(await sending)[-1].held_ms, (await until_durable(acks, 40))[-1].held_ms]
        assert all(250 <= one < 5_000 for one in held), held
        stub = sync_pb2_grpc.SyncStub(channel)
        hello = await stub.Hello(sync_pb2.HelloRequest(hello=node.hello()), timeout=5)
        assert hello.ack.held_ms == 0, "nothing waits any more"


async def test_bad_bytes_get_their_verdict_and_the_stream_lives_on(tmp_path: Path) -> None:
    node, stranger = office(), office("537105-1")
    first, second, third, _ = node.frames(10)
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        acks = await push(channel, b"", b"rubbish" * 99, stranger.frame(), third, first, second[:-1], second)
    assert verdicts(acks) == [
        (CORRUPT, 0), (CORRUPT, 0), (REFUSED, 0), (GAP, 0), (DURABLE, 10), (CORRUPT, 10), (DURABLE, 20),
    ]  # fmt: skip
    assert acks[2].reason == "unknown_node"


async def test_a_stream_is_one_offices(tmp_path: Path) -> None:
    node, neighbour = office("537104-1"), office("537104-2")
    make_hub(tmp_path / "hub", node, neighbour)
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        to_send: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def requests() -> AsyncIterator[sync_pb2.PushRequest]:
            while (frame := await to_send.get()) is not None:
                yield sync_pb2.PushRequest(frame=frame)

        answers = sync_pb2_grpc.SyncStub(channel).Push(requests(), timeout=20)
        to_send.put_nowait(node.frame(1, 10))
        assert (await answers.read()).ack.durable_seq == 10
        to_send.put_nowait(neighbour.frame())
        refused = (await answers.read()).ack
        assert (refused.verdict, refused.reason) == (CORRUPT, "wrong_sender")
        to_send.put_nowait(node.frame(11, 40))
        assert (await answers.read()).ack.durable_seq == 40
        to_send.put_nowait(None)


async def test_a_node_gets_its_own_history_back_and_nobody_elses(tmp_path: Path) -> None:
    node, neighbour = office("537104-1"), office("537104-2")
    make_hub(tmp_path / "hub", node, neighbour)
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        await push(channel, *node.frames(10))
        await push(channel, *neighbour.frames(10))
        stub = sync_pb2_grpc.SyncStub(channel)

        async def pull(hello: wire.SignedHello, after_seq: int = 0) -> list[bytes]:
            request = sync_pb2.PullRequest(hello=hello, epoch=node.epoch, after_seq=after_seq)
            return [response.frame async for response in stub.Pull(request, timeout=10)]

        assert await pull(node.hello()) == node.frames(10)
        assert await pull(node.hello(), 20) == node.frames(10)[2:]
        assert await pull(neighbour.hello()) == []
        forged = node.hello()
        forged.signature = neighbour.hello().signature
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await pull(forged)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_right_goes_to_one_holder_who_must_sign_for_it_now(tmp_path: Path) -> None:
    one, other = office("537104-1"), office("537105-1")
    make_hub(tmp_path / "hub", one, other)
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        # Born in a kecamatan without an office of ours: nobody holds the right beforehand.
        nik = nik_of(1, "537199")
        rights = rights_pb2_grpc.RightsStub(channel)
        now_ms = time.time_ns() // 1_000_000

        def claim(node: Node, clock_ms: int = now_ms, **changes: object) -> rights_pb2.ClaimRequest:
            fields = {"nik": nik, "product": "ktp-el", "issue": 1, "node": node.name, **changes}
            request = rights_pb2.ClaimRequest(**fields, key_id=node.signer.key_id, clock_ms=clock_ms)  # type: ignore[arg-type]
            request.signature = node.signer.sign(CLAIM_PREFIX + signed_part(request))
            return request

        granted = await rights.Claim(claim(other), timeout=5)
        assert granted.granted and granted.right.holder == other.name and granted.right.fence > 0
        again = await rights.Claim(claim(other), timeout=5)
        assert again.granted and again.right.fence == granted.right.fence
        assert not (await rights.Claim(claim(one), timeout=5)).granted

        forged = claim(one)
        forged.node, forged.key_id = other.name, other.signer.key_id
        for request, reason in (
            (forged, "bad_signature"),
            (claim(one, now_ms - 6 * 60_000), "clock"),
            (claim(office("537106-1")), "unknown_node"),
            (claim(one, nik=0), "invalid_nik"),
            (claim(one, nik=(1 << 64) - 1), "invalid_nik"),
            (claim(one, product=""), "invalid_product"),
        ):
            answer = await rights.Claim(request, timeout=5)
            assert (answer.granted, answer.reason) == (False, reason)

        back = rights_pb2.ReturnRequest(
            nik=nik, product="ktp-el", issue=1, node=other.name, fence=granted.right.fence,
            key_id=other.signer.key_id, clock_ms=now_ms,
        )  # fmt: skip
        assert (await rights.Return(back, timeout=5)).reason == "bad_signature"
        back.signature = other.signer.sign(CLAIM_PREFIX + signed_part(back))
        assert (await rights.Return(back, timeout=5)).returned
        moved = await rights.Claim(claim(one), timeout=5)
        assert moved.granted and moved.right.fence > granted.right.fence


async def test_a_token_lets_one_key_in_and_a_lost_reply_does_no_harm(tmp_path: Path) -> None:
    node = office()
    make_hub(tmp_path / "hub")
    with HubStore.open(tmp_path / "hub") as store:
        token = store.enrol_token(node.name, now_ms=time.time_ns() // 1_000_000)
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        stub = enrolment_pb2_grpc.EnrolmentStub(channel)

        async def enrol(signer: Signer, words: str = token, name: str = node.name) -> enrolment_pb2.EnrolResponse:
            proof = signer.sign(ENROL_PREFIX + words.encode())
            return await stub.Enrol(
                enrolment_pb2.EnrolRequest(node=name, token=words, public_key=signer.public_key, proof=proof),
                timeout=5,
            )

        assert (await enrol(node.signer, "WRONG")).reason == "unknown_token"
        assert (await enrol(node.signer, name="537105-1")).reason == "wrong_node"
        assert (await enrol(node.signer, name="nobody")).reason == "wrong_node"
        unproven = enrolment_pb2.EnrolRequest(node=node.name, token=token, public_key=node.signer.public_key)
        assert (await stub.Enrol(unproven, timeout=5)).reason == "bad_proof"
        for _ in range(2):
            accepted = await enrol(node.signer)
            assert accepted.accepted and accepted.nats_url == at.nats
        assert (await enrol(Signer.generate())).reason == "used_token"
        assert (await push(channel, node.frame()))[0].verdict == DURABLE


async def test_health_and_reflection_answer(tmp_path: Path) -> None:
    make_hub(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "sepe.rpc.v1.Sync", "sepe.rpc.v1.Rights", "sepe.rpc.v1.Enrolment"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
        )
        listed = await asked.read()
        assert {"sepe.rpc.v1.Sync", "sepe.rpc.v1.Rights", "sepe.rpc.v1.Enrolment"} <= {
            service.name for service in listed.list_services_response.service
        }


async def test_the_page_and_the_metrics_count_and_name_no_resident(tmp_path: Path) -> None:
    node = office()
    make_hub(tmp_path / "hub", node)
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        await push(channel, *node.frames(10))
        assert await get(f"{at.http}/healthz") == (200, '{"status":"ok"}')
        status, body = await get(f"{at.http}/readyz")
        assert status == 200 and json.loads(body) == {
            "ready": True, "storage": "ok", "nats": "connected", "waiting": 0,
        }  # fmt: skip
        _, metrics = await get(f"{at.http}/metrics")
        assert 'sepe_hub_events_merged_total{via="grpc"} 40.0' in metrics
        _, page = await get(f"{at.http}/")
        assert node.name in page and "Penduduk</dt><dd>40</dd>" in page
        assert "MARIA" not in page + metrics and str(nik_of(1)) not in page + metrics


async def test_a_full_disk_defers_everybody_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = office(events=400)
    make_hub(tmp_path / "hub", node)
    opened: list[HubStore] = []
    plain_open = HubStore.open.__func__  # type: ignore[attr-defined]

    def opening(cls: type[HubStore], directory: Path) -> HubStore:
        opened.append(plain_open(cls, directory))
        return opened[-1]

    monkeypatch.setattr(HubStore, "open", classmethod(opening))
    async with running_hub(tmp_path / "hub") as at, channel_to(at) as channel:
        connection = opened[0].connection
        # SQLite's own limit gives the very error of a full disk.
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        # A small frame would fit into pages that are there already.
        acks = await push(channel, *node.frames(200))
        # What came after the first frame was refused may have been judged already: it has a gap before it.
        assert acks[0].verdict == LATER and {ack.verdict for ack in acks} <= {LATER, GAP}
        assert acks[0].retry_after_ms > 0 and acks[0].node == node.name and "full" in acks[0].reason
        status, body = await get(f"{at.http}/readyz")
        assert status == 503 and "full" in json.loads(body)["storage"]

        connection.execute("PRAGMA max_page_count=1073741823")
        assert verdicts(await push(channel, *node.frames(100)))[-1] == (DURABLE, 400)
        assert (await get(f"{at.http}/readyz"))[0] == 200
    monkeypatch.undo()
    assert digest_of(tmp_path / "hub") == digest_of_merged(tmp_path / "other", [node])
