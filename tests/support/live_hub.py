"""A real hub inside the test's own event loop, and senders that behave like an office's relay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nats.errors
from nats.aio.client import Client as NatsClient

from hub.endpoints import Endpoints
from hub.merge.digest import digest
from hub.merge.log import epoch_state
from hub.merge.store import Arrival, HubStore
from hub.run import HubOptions, run_hub
from sepe import subjects
from sepe.errors import TransientError
from sepe.wire.v1 import sync_pb2
from sepe_io.address import split_address
from sepe_io.channel import close_nats, connect_nats
from sepe_io.frames import peek_header
from sepe_io.tasks import end_tasks
from tests.support.world import Node

FREE = ("127.0.0.1", 0)
NOW_MS = 1_727_485_300_000


def make_hub(directory: Path, *nodes: Node) -> Path:
    """A new hub that knows these nodes."""
    with HubStore.create(directory, now_ms=NOW_MS) as store:
        for node in nodes:
            enrol(store, node)
    return directory


def enrol(store: HubStore, node: Node) -> None:
    """Make a node's key known, by a token."""
    now_ms = time.time_ns() // 1_000_000
    token = store.enrol_token(node.name, now_ms=now_ms)
    assert store.redeem(node.name, token, node.signer.public_key, now_ms=now_ms) == (True, "")


async def until(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    """Returns when ``condition`` holds, of things that no event tells: processes, other threads' rows."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_hub(directory: Path, **options: object) -> AsyncIterator[Endpoints]:
    """`run_hub` on free ports; ended at the end of the block."""
    ready: asyncio.Future[Endpoints] = asyncio.get_running_loop().create_future()
    chosen = HubOptions(directory, **{"grpc": FREE, "nats_port": 0, "http": FREE, **options})  # type: ignore[arg-type]
    task = asyncio.create_task(run_hub(chosen, ready.set_result))
    try:
        await until(lambda: ready.done() or task.done(), 30)
        if not ready.done():
            await task
        yield ready.result()
    finally:
        await end_tasks([task])


def durable_seq(directory: Path, node: Node) -> int:
    """What the hub's database has committed of a node's current epoch."""
    with HubStore.open(directory) as store:
        return epoch_state(store.connection, node.name, node.epoch).durable_seq


def digest_of(directory: Path) -> str:
    """The digest of a hub's whole state."""
    with HubStore.open(directory) as store:
        store.project()
        return digest(store.connection).digest


def digest_of_merged(directory: Path, nodes: Sequence[Node], size: int = 1000) -> str:
    """What the digest must be: a fresh hub in ``directory`` that was given everything in order."""
    make_hub(directory, *nodes)
    with HubStore.open(directory) as store:
        for node in nodes:
            store.merge([Arrival(frame, "import", NOW_MS) for frame in node.frames(size)])
    return digest_of(directory)


@asynccontextmanager
async def nats_client(url: str) -> AsyncIterator[NatsClient]:
    """A connection like an office's."""
    client = await connect_nats(url, name="test", on_error=lambda exc: None, on_down=lambda: None)
    try:
        yield client
    finally:
        await close_nats(client)


@asynccontextmanager
async def acks_of(client: NatsClient, node: Node) -> AsyncIterator[asyncio.Queue[sync_pb2.Ack]]:
    """The acks that the hub publishes for a node, from now on."""
    acks: asyncio.Queue[sync_pb2.Ack] = asyncio.Queue()

    async def heard(message: object) -> None:
        acks.put_nowait(sync_pb2.Ack.FromString(message.data))  # type: ignore[attr-defined]

    subscription = await client.subscribe(subjects.ack(node.name), cb=heard)
    await client.flush()
    try:
        yield acks
    finally:
        if client.is_connected:
            await subscription.unsubscribe()


async def until_durable(acks: asyncio.Queue[sync_pb2.Ack], seq: int, timeout_s: float = 20) -> list[sync_pb2.Ack]:
    """The acks up to the one that says ``seq`` is durable."""
    heard: list[sync_pb2.Ack] = []
    async with asyncio.timeout(timeout_s):
        while not heard or heard[-1].durable_seq < seq:
            heard.append(await acks.get())
    return heard


@dataclass
class Relay:
    """Sends a node's frames over NATS until the hub has committed all, whatever breaks on the way."""

    node: Node
    url: str
    frames: list[bytes]
    window: int = 8
    pause_s: float = 0.0
    durable: int = 0
    greetings: int = 0

    async def run(self) -> None:
        while self.durable < self.node.last_seq:
            with suppress(TransientError, nats.errors.Error, TimeoutError, OSError):
                async with nats_client(self.url) as client, acks_of(client, self.node) as acks:
                    await self._session(client, acks)
            await asyncio.sleep(0.02)

    async def _session(self, client: NatsClient, acks: asyncio.Queue[sync_pb2.Ack]) -> None:
        answer = await client.request(
            subjects.hello(self.node.name), self.node.hello(clock_ms=0).SerializeToString(), timeout=2
        )
        self.greetings += 1
        self.durable = sync_pb2.Ack.FromString(answer.data).durable_seq
        waiting = [frame for frame in self.frames if peek_header(frame).last_seq > self.durable]
        stream = client.jetstream(timeout=2)
        sent: list[int] = []
        while self.durable < self.node.last_seq:
            while waiting and len([seq for seq in sent if seq > self.durable]) < self.window:
                frame = waiting.pop(0)
                await stream.publish(subjects.up(self.node.name), frame)
                sent.append(peek_header(frame).last_seq)
                await asyncio.sleep(self.pause_s)
            ack = await asyncio.wait_for(acks.get(), 2)
            self.durable = max(self.durable, ack.durable_seq)
            if ack.verdict != sync_pb2.VERDICT_DURABLE:
                return


def address_of(endpoints: Endpoints) -> tuple[str, int]:
    """Host and port of a hub's gRPC."""
    return split_address(endpoints.grpc)
