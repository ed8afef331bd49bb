"""Hub and workers share the partitions by lease, with frames on their way: joined, stopped, left, re-partitioned."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hub.endpoints import Endpoints
from hub.ingest import leases
from hub.ingest import partitions as setting
from hub.ingest.leases import Table
from hub.merge.store import HubStore
from hub.run import WorkerOptions, run_worker
from sepe_io.sqlite import transaction
from sepe_io.tasks import end_tasks
from tests.support.live_hub import Relay, digest_of, digest_of_merged, make_hub, nats_client, running_hub
from tests.support.world import Node, nik_of, recorded

NAMES = ("537104-1", "537105-1", "537106-1", "530302-1", "537103-1")
EVENTS = 300


def office(name: str) -> Node:
    node = Node(name)
    node.write(*(recorded(nik_of(number, name[:6])) for number in range(EVENTS)))
    return node


async def shares(url: str) -> dict[str, int]:
    """How many partitions each process holds, as the table says."""
    async with nats_client(url) as client:
        bucket = await client.jetstream().key_value(leases.BUCKET)
        table = Table.parse((await bucket.get(leases.KEY)).value or b"")
    return {name: len(table.held_by(name)) for name in table.beats}


async def until_shared(url: str, wanted: dict[str, int], timeout_s: float = 20) -> None:
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(timeout_s):
            while (found := await shares(url)) != wanted:  # noqa: ASYNC110 - other processes change it
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{found}, wanted {wanted}") from None


async def test_partitions_follow_the_workers_that_live_while_frames_flow_and_nothing_is_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BEAT_S", 0.2), ("LEASE_S", 2.0)):
        monkeypatch.setattr(leases, name, value)
    nodes = [office(name) for name in NAMES]
    directory = make_hub(tmp_path / "hub", *nodes)
    async with running_hub(directory) as at:
        sending = [asyncio.create_task(Relay(node, at.nats, node.frames(4), pause_s=0.02).run()) for node in nodes]
        await until_shared(at.nats, {"hub": 8})

        async def worker(name: str) -> asyncio.Task[None]:
            ready: asyncio.Future[Endpoints] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(run_worker(WorkerOptions(directory, name=name), ready.set_result))
            await ready
            return task

        workers = [await worker("a"), await worker("b")]
        await until_shared(at.nats, {"hub": 3, "worker-a": 3, "worker-b": 2})
        # One leaves as it should: the others need not wait for its silence.
        await end_tasks([workers.pop()])
        await until_shared(at.nats, {"hub": 4, "worker-a": 4})
        # Another count, with frames in flight in the old partitions.
        with HubStore.open(directory) as store, transaction(store.connection):
            setting.set_count(store.connection, 12)
        await until_shared(at.nats, {"hub": 6, "worker-a": 6})
        async with asyncio.timeout(60):
            await asyncio.gather(*sending)
        await end_tasks(workers)
        await until_shared(at.nats, {"hub": 12})
    assert digest_of(directory) == digest_of_merged(tmp_path / "other", nodes)
