"""What lines, brokers and hubs do to a relay, with real ones."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tenacity import wait_fixed

from node.link.link import LinkDownError
from node.link.nats import NatsLink
from node.outbox import pace
from node.outbox.office import Office
from node.outbox.worker import NUDGE_KEY
from node.storage.store import NodeStore
from sepe import subjects
from sepe.sync import office as machine
from sepe_io.address import split_address
from sepe_io.channel import close_nats, connect_nats
from surge.line import Line, Shape
from tests.support.relay_rig import (
    Hub,
    drained,
    in_thread,
    make_office,
    relaying,
    running_hub,
    until,
    write_backlog,
)

EVENTS = 12_000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path / "hub") as found:
        yield found


@pytest.fixture
async def nats_line(hub: Hub) -> AsyncIterator[Line]:
    async with Line(*split_address(hub.nats.removeprefix("nats://"))) as line:
        yield line


@pytest.fixture
async def grpc_line(hub: Hub) -> AsyncIterator[Line]:
    async with Line(*split_address(hub.grpc)) as line:
        yield line


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's deadlines and the pace's, a tenth of what they are."""
    monkeypatch.setattr(pace, "QUICK_MS", pace.QUICK_MS // 10)
    monkeypatch.setattr(pace, "SLOW_MS", pace.SLOW_MS // 10)
    monkeypatch.setattr(machine, "ACK_TIMEOUT_MS", machine.ACK_TIMEOUT_MS // 10)
    monkeypatch.setattr(machine, "HELLO_TIMEOUT_MS", machine.HELLO_TIMEOUT_MS // 10)


async def carried(office: Office, share: float, events: int = EVENTS) -> None:
    """Wait until the hub confirmed that share of the backlog."""
    await until(lambda: office.relay.view.durable_seq >= share * events, f"{share} carried")


async def test_a_cut_nats_is_replaced_by_grpc_and_taken_up_again(
    tmp_path: Path, hub: Hub, nats_line: Line
) -> None:
    folder = make_office(tmp_path / "node", hub, nats=f"nats://{nats_line.address}")
    write_backlog(folder, EVENTS)
    async with relaying(folder) as office:
        view = office.relay.view
        await carried(office, 0.2)
        nats_line.cut()
        await until(lambda: view.link == "grpc", "gRPC took over")
        await carried(office, 0.8)
        nats_line.heal()
        await until(lambda: view.link == "nats", "NATS came back")
        await in_thread(lambda: write_backlog(folder, 500, start=EVENTS))
        await until(lambda: view.last_seq == EVENTS + 500, "the new rows were seen")
        await drained(office)
        assert (view.link, view.alarm) == ("nats", "")
    assert hub.counts().events == EVENTS + 500


async def test_a_nudge_ends_a_long_pause(
    tmp_path: Path, hub: Hub, grpc_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.outbox.relay.wait_random_exponential", lambda **_: wait_fixed(600))
    folder = make_office(tmp_path / "node", hub, address=grpc_line.address)
    write_backlog(folder, 10)
    grpc_line.cut()
    async with relaying(folder) as office:
        await until(lambda: office.relay.view.reason != "", "the first attempt failed")
        grpc_line.heal()
        store = NodeStore.open(folder)
        store.put(NUDGE_KEY, "now")
        store.close()
        await drained(office, 10)


async def test_a_probe_of_a_better_line_that_missed_its_cancel_holds_nothing_up(
    tmp_path: Path, hub: Hub, grpc_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, probing = itertools.count(), asyncio.Event()

    async def open_nats(_: NatsLink) -> None:
        if next(opened) != 1:
            raise LinkDownError("nats: no line")
        probing.set()
        # As asyncio.wait_for does when a cancel comes with its result (python/cpython#86296): it is lost.
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(NatsLink, "open", open_nats)
    folder = make_office(tmp_path / "node", hub, address=grpc_line.address, nats=hub.nats)
    write_backlog(folder, 10)
    async with relaying(folder, probe_ms=50) as office:
        view = office.relay.view
        async with asyncio.timeout(20):
            await probing.wait()
        grpc_line.cut()
        await until(lambda: view.link == "offline", view, 10)
        grpc_line.heal()
        await until(lambda: view.sessions == 2 and view.link == "grpc", view, 10)


async def test_a_killed_nats_server_loses_nothing(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, nats=hub.nats)
    write_backlog(folder, EVENTS)
    pid_file = next(hub.directory.rglob("nats-server.pid"))
    async with relaying(folder) as office:
        for share in (0.2, 0.6):
            await carried(office, share)
            with suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
        await drained(office)
    assert hub.counts().events == EVENTS


async def test_a_stream_that_is_purged_again_and_again_loses_nothing(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, nats=hub.nats)
    write_backlog(folder, EVENTS)
    client = await connect_nats(hub.nats, name="purger", on_error=lambda exc: None, on_down=lambda: None)
    try:
        async with relaying(folder) as office:
            for share in (0.1, 0.4, 0.7):
                await carried(office, share)
                await client.jetstream().purge_stream(subjects.STREAM)
            await drained(office)
    finally:
        await close_nats(client)
    assert hub.counts().events == EVENTS


async def test_single_lost_frames_are_sent_again_within_the_session(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_office(tmp_path / "node", hub, nats=hub.nats)
    write_backlog(folder, EVENTS)
    passed, number = NatsLink.send, itertools.count(1)

    async def send(link: NatsLink, frame: bytes) -> None:
        if next(number) not in (5, 9):
            await passed(link, frame)

    monkeypatch.setattr(NatsLink, "send", send)
    async with relaying(folder) as office:
        await drained(office, 15)
        # Waiting for the ack's deadline would have cost 20 s and a session each.
        assert office.relay.view.sessions == 1
    assert hub.counts().events == EVENTS


@pytest.mark.parametrize("over", ["nats", "grpc"])
async def test_a_hub_killed_twice_on_the_way_counts_every_event_once(tmp_path: Path, hub: Hub, over: str) -> None:
    folder = make_office(tmp_path / "node", hub, nats=hub.nats if over == "nats" else "")
    write_backlog(folder, EVENTS)
    async with relaying(folder) as office:
        for share in (0.2, 0.6):
            await carried(office, share)
            hub.kill()
            await until(lambda: office.relay.view.link == "offline", "the loss was noticed", 40)
            await in_thread(hub.start)
        await drained(office)
    assert hub.counts().events == EVENTS


@pytest.mark.usefixtures("impatient")
async def test_a_frozen_grpc_line_is_noticed_and_nothing_is_lost(
    tmp_path: Path, hub: Hub, grpc_line: Line
) -> None:
    folder = make_office(tmp_path / "node", hub, address=grpc_line.address)
    write_backlog(folder, EVENTS)
    async with relaying(folder) as office:
        await carried(office, 0.2)
        grpc_line.freeze()
        await until(lambda: office.relay.view.link == "offline", "the frozen line was given up", 6)
        assert "no ack" in office.relay.view.reason
        grpc_line.heal()
        await drained(office)
    assert hub.counts().events == EVENTS


@pytest.mark.usefixtures("impatient")
async def test_a_frozen_nats_line_gives_way_to_grpc(tmp_path: Path, hub: Hub, nats_line: Line) -> None:
    folder = make_office(tmp_path / "node", hub, nats=f"nats://{nats_line.address}")
    write_backlog(folder, EVENTS)
    async with relaying(folder) as office:
        await carried(office, 0.2)
        nats_line.freeze()
        await until(lambda: office.relay.view.link == "grpc", "gRPC took over", 20)
        await drained(office)
    assert hub.counts().events == EVENTS


@pytest.mark.usefixtures("impatient")
async def test_a_broker_that_takes_frames_and_delivers_none_gives_way_to_grpc(tmp_path: Path, hub: Hub) -> None:
    """The hub's side of the broker hangs: greetings stop too, but the broker itself acknowledges all."""
    folder = make_office(tmp_path / "node", hub, nats=hub.nats)
    assert hub.program is not None
    async with relaying(folder) as office:
        await until(lambda: office.relay.view.link == "nats", "on NATS")
        hub.program.freeze()
        try:
            await in_thread(lambda: write_backlog(folder, 1_000))
            await until(lambda: "no ack" in office.relay.view.reason, "the silence was noticed", 10)
        finally:
            hub.program.thaw()
        await drained(office)
    assert hub.counts().events == 1_000


async def test_a_line_that_is_cut_in_the_middle_of_frames_gets_everything_through(
    tmp_path: Path, hub: Hub, grpc_line: Line
) -> None:
    folder = make_office(tmp_path / "node", hub, address=grpc_line.address)
    write_backlog(folder, 2_000, bulk_bytes=100)
    grpc_line.shape.bytes_per_second = 60_000
    async with relaying(folder) as office:
        view = office.relay.view
        cuts = 0
        while not (view.last_seq and view.pending == 0) and cuts < 60:
            await asyncio.sleep(1.0)
            grpc_line.cut()
            grpc_line.heal()
            cuts += 1
        assert view.pending == 0, view
        assert cuts > 3
    assert hub.counts().events == 2_000


@pytest.mark.usefixtures("impatient")
async def test_a_thin_line_carries_a_backlog_without_being_given_up(
    tmp_path: Path, hub: Hub, grpc_line: Line
) -> None:
    """A full window of full frames would need ten times the ack's deadline on this line."""
    folder = make_office(tmp_path / "node", hub, address=grpc_line.address)
    write_backlog(folder, 4_000, bulk_bytes=100)
    grpc_line.shape = Shape(delay_ms=20, bytes_per_second=40_000)
    async with relaying(folder) as office:
        await drained(office)
        assert office.relay.view.sessions == 1, office.relay.view
        # What was sent twice was sent in vain.
        assert office.relay.view.bytes_sent < 1.1 * 4_000 * 130
    assert hub.counts().events == 4_000
