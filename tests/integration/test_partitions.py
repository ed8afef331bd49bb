"""The number of partitions is changed while frames are on their way in the old ones and the new ones."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from nats.aio.client import Client as NatsClient
from typer.testing import CliRunner

import hub.ingest.nats
from hub.cli import app
from hub.ingest import partitions as setting
from hub.ingest.partitions import Share
from hub.merge.store import HubStore
from node.outbox.office import Office
from sepe import subjects
from sepe.errors import InvalidInputError
from sepe.ids import PARTITIONS, partition_of
from sepe_io.sqlite import transaction
from tests.support.live_hub import make_hub, nats_client, running_hub
from tests.support.relay_rig import Hub, drained, in_thread, make_office, relaying, until, write_backlog

# In 8, 12 and 5 partitions they are in different ones, of which 12 - 8 are given up again.
OFFICES = {"537106-1": (2, 10, 4), "537103-1": (1, 9, 2)}
EVENTS = 3_000
CHUNK = 250
# What a desk may be ahead of the hub: always some frames on their way, and never a backlog that proves no more.
AHEAD_MAX = 2 * CHUNK
LATER = (12, 5)


def recut(directory: Path, count: int) -> None:
    with HubStore.open(directory) as store, transaction(store.connection):
        setting.set_count(store.connection, count)


def test_the_offices_of_this_test_change_their_partition_each_time() -> None:
    assert {name: tuple(partition_of(name, count) for count in (8, *LATER)) for name in OFFICES} == OFFICES


async def consumers(client: NatsClient) -> dict[int, int]:
    """What each partition's consumer still has for the hub."""
    found = await client.jetstream().consumers_info(subjects.STREAM)
    return {
        subjects.partition_of_consumer(info.name) or 0: (info.num_pending or 0) + (info.num_ack_pending or 0)
        for info in found
    }


async def subjects_used(client: NatsClient) -> set[str]:
    info = await client.jetstream().stream_info(subjects.STREAM, subjects_filter=subjects.UP_ALL)
    return set(info.state.subjects or {})


async def test_from_8_to_12_to_5_partitions_under_load_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COUNT_EVERY_S", 0.05), ("WATCH_EVERY_S", 0.2), ("LEAVE_S", 0.5)):
        monkeypatch.setattr(hub.ingest.nats, name, value)
    directory = make_hub(tmp_path / "hub")
    async with running_hub(directory) as at:
        rig = Hub(directory)
        folders = [make_office(tmp_path / name, rig, node=name, nats=at.nats, address=at.grpc) for name in OFFICES]

        enough = asyncio.Event()

        async def work(folder: Path, office: Office) -> int:
            written, view = 0, office.relay.view
            while written < EVENTS or not enough.is_set():
                await in_thread(partial(write_backlog, folder, CHUNK, start=written))
                written += CHUNK
                await until(lambda least=written - AHEAD_MAX: view.durable_seq >= least, view)
            return written

        async with (
            nats_client(at.nats) as client,
            relaying(folders[0], nats=at.nats) as one,
            relaying(folders[1], nats=at.nats) as other,
        ):
            desks = [asyncio.create_task(work(*desk)) for desk in zip(folders, (one, other), strict=True)]
            for place, count in enumerate((PARTITIONS, *LATER)):
                await in_thread(recut, directory, count)
                expected = {f"sepe.up.{numbers[place]}.{name}" for name, numbers in OFFICES.items()}
                async with asyncio.timeout(60):
                    while not expected <= await subjects_used(client):  # noqa: ASYNC110 - no event tells
                        await asyncio.sleep(0.05)
            enough.set()
            written = sum(await asyncio.gather(*desks))
            await drained(one)
            await drained(other)
            assert one.relay.view.link == other.relay.view.link == "nats"
            async with asyncio.timeout(20):
                while await consumers(client) != dict.fromkeys(range(PARTITIONS), 0):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.1)
    assert rig.counts().events == written >= 2 * EVENTS
    assert rig.counts().quarantined == 0


async def test_a_hub_that_starts_later_reads_what_was_left_in_partitions_of_another_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_hub(tmp_path / "hub")
    recut(directory, 12)
    async with running_hub(directory) as at, nats_client(at.nats) as client:
        assert set(await consumers(client)) == set(range(12))
    recut(directory, 5)
    for name, value in (("WATCH_EVERY_S", 0.1), ("LEAVE_S", 0.2)):
        monkeypatch.setattr(hub.ingest.nats, name, value)
    async with running_hub(directory) as at, nats_client(at.nats) as client, asyncio.timeout(20):
        while set(await consumers(client)) != set(range(PARTITIONS)):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("count", [1, 5, 8, 12, 16, 31])
@pytest.mark.parametrize("shares", [["0-3", "4-7"], ["0,2,4,6", "1,3,5,7"], ["0-15/16"], ["0-4/12", "5-11/12"]])
def test_shares_of_one_kind_leave_no_partition_out_and_none_twice(count: int, shares: list[str]) -> None:
    taken = [number for text in shares for number in Share.parse(text).of(count)]
    assert sorted(taken) == list(range(max(count, PARTITIONS)))


@pytest.mark.parametrize("text", ["", "3-1", "0-8", "a", "0-3/", "0-16/16", "0/0", "-1", "0-3/300", "0/-8"])
def test_a_share_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Share.parse(text)


def test_the_setting_is_shown_and_changed_and_nonsense_is_refused(tmp_path: Path) -> None:
    directory = make_hub(tmp_path / "hub")
    runner = CliRunner()
    assert runner.invoke(app, ["partitions", str(directory)]).stdout == "8\n"
    assert (
        runner.invoke(app, ["partitions", str(directory), "12", "--json"]).stdout == '{\n  "partitions": 12\n}\n'
    )
    assert isinstance(runner.invoke(app, ["partitions", str(directory), "257"]).exception, InvalidInputError)
    assert runner.invoke(app, ["partitions", str(directory)]).stdout == "12\n"
