"""Attachments from an office to a real hub process: sealed, after the events, resumed at the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.attach.sealing import sealed_path
from node.desk.photos import photo_path
from node.storage.store import NodeStore
from sepe.attach import CHUNK_BYTES_MAX, SEALING_BYTES, WINDOW_CHUNKS
from surge.line import Line
from tests.support.attachments import (
    hub_counts,
    plain_at_hub,
    record_pictures,
    shelf_rows,
    states,
    uploading,
)
from tests.support.relay_rig import Hub, make_office, running_hub, until, write_backlog


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path / "hub") as found:
        yield found


def line_to(hub: Hub) -> Line:
    host, _, port = hub.grpc.rpartition(":")
    return Line(host, int(port))


async def test_what_was_taken_with_a_recording_reaches_the_hub_and_opens_there(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, by_token=True)
    taken = record_pictures(folder, 3, size=150_000)
    taken += record_pictures(folder, 1, start=3, kind="signature")
    taken += record_pictures(folder, 1, start=4, kind="biometric", size=40_000)
    assert states(folder) == {"plain": 5}, "before the enrolment nobody knows what to seal to"
    async with uploading(folder) as (_, uploader):
        await until(lambda: uploader.view.sent == 5, f"sent: {uploader.view}")
        assert (uploader.view.waiting, uploader.view.waiting_bytes) == (0, 0)
    assert states(folder) == {"sent": 5}
    counts = hub_counts(hub.directory)
    assert (counts.complete, counts.waiting) == (5, 0)
    for data, _ in taken:
        assert plain_at_hub(hub.directory, hashlib.sha256(data).digest()) == data
    assert {row.kind for row in shelf_rows(folder)} == {"photo", "signature", "biometric"}


async def test_what_is_recorded_while_the_hub_is_known_is_sealed_at_once(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, by_token=True)
    async with uploading(folder) as (_, uploader):
        await until(lambda: uploader.view.state == "idle", "the first look")
    ((data, _),) = record_pictures(folder, 1)
    (row,) = shelf_rows(folder)
    assert (row.state, row.sealed_bytes) == ("sealed", len(data) + SEALING_BYTES)
    assert data[:200] not in sealed_path(folder, row.sealed_sha256).read_bytes()
    assert photo_path(folder, row.sha256).read_bytes() == data, "the printer still needs it"


async def test_no_acknowledged_byte_is_sent_again_after_a_cut(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    ((data, _),) = record_pictures(folder, 1, size=2_000_000)
    async with line_to(hub) as line, uploading(folder, hub=line.address) as (_, uploader):
        line.shape.bytes_per_second = 400_000
        for part in (1, 2, 3):
            await until(lambda part=part: uploader.view.sent_bytes > part * 400_000, f"on its way {uploader.view}")
            line.cut()
            await until(lambda: uploader.view.state != "sending", "the cut was noticed")
            line.heal()
        line.shape.bytes_per_second = 0
        await until(lambda: uploader.view.sent == 1, f"sent: {uploader.view}")
    resent = uploader.view.sent_bytes - (len(data) + SEALING_BYTES)
    assert 0 <= resent <= 3 * WINDOW_CHUNKS * CHUNK_BYTES_MAX
    assert plain_at_hub(hub.directory, hashlib.sha256(data).digest()) == data


async def test_a_hub_that_is_killed_goes_on_at_the_byte_it_had_acknowledged(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    ((data, _),) = record_pictures(folder, 1, size=1_500_000)
    async with line_to(hub) as line, uploading(folder, hub=line.address) as (_, uploader):
        line.shape.bytes_per_second = 400_000
        await until(lambda: uploader.view.sent_bytes > 600_000, f"on its way {uploader.view}")
        hub.kill()
        acknowledged = shelf_rows(folder)[0].acked_bytes
        hub.start()
        line.port = int(hub.grpc.rpartition(":")[2])
        line.shape.bytes_per_second = 0
        await until(lambda: uploader.view.sent == 1, f"sent: {uploader.view}")
    assert acknowledged > 0
    assert uploader.view.sent_bytes - (len(data) + SEALING_BYTES) <= WINDOW_CHUNKS * CHUNK_BYTES_MAX
    assert plain_at_hub(hub.directory, hashlib.sha256(data).digest()) == data


async def test_events_that_appear_go_before_the_rest_of_a_picture(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    record_pictures(folder, 1, size=1_000_000)
    async with line_to(hub) as line, uploading(folder, hub=line.address) as (office, uploader):
        line.shape.bytes_per_second = 100_000
        await until(lambda: uploader.view.sent_bytes > 100_000, "on its way")
        # Some 600 KB: six seconds, in which nine chunks would go if nobody held them back.
        write_backlog(folder, 3_000, start=50, bulk_bytes=200)
        await until(lambda: office.relay.view.pending > 2_000, "the relay has seen the events")
        before = uploader.view.sent_bytes
        await until(lambda: office.relay.view.pending == 0, "the events are at the hub", 60)
        # One chunk may have been on its way to the socket when the relay saw the events.
        assert uploader.view.sent_bytes - before <= CHUNK_BYTES_MAX
        line.shape.bytes_per_second = 0
        await until(lambda: uploader.view.sent == 1, "the picture follows")


async def test_a_budget_holds_pictures_back_and_not_events(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    settings = folder / "node.toml"
    limit = 1_200_000
    settings.write_text(settings.read_text().replace("bytes_per_hour_max = 0", f"bytes_per_hour_max = {limit}"))
    record_pictures(folder, 2, size=200_000)
    async with uploading(folder) as (office, uploader):
        await until(lambda: uploader.view.state == "held" and uploader.view.sent_bytes > 0, f"{uploader.view}")
        assert uploader.view.sent_bytes <= limit // 12
        write_backlog(folder, 50, start=50)
        await until(lambda: office.relay.view.pending == 0 and office.relay.view.durable_seq == 52, "events pass")
        spent = uploader.view.sent_bytes
    async with uploading(folder) as (_, uploader):
        await until(lambda: uploader.view.state == "held", f"a restart refills nothing: {uploader.view}")
        assert spent + uploader.view.sent_bytes <= limit // 12 + limit // 60


async def test_a_hub_that_lost_its_attachments_gets_them_again(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    taken = record_pictures(folder, 3, size=50_000)
    async with uploading(folder) as (_, uploader):
        await until(lambda: uploader.view.sent == 3, f"sent: {uploader.view}")
    hub.kill()
    for path in sorted((hub.directory / "attachments").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    hub.start()
    async with uploading(folder, hub=hub.grpc) as (_, uploader):
        await until(lambda: uploader.view.sent == 3, f"sent again: {uploader.view}")
    for data, _ in taken:
        assert plain_at_hub(hub.directory, hashlib.sha256(data).digest()) == data


async def test_a_sealed_file_that_was_damaged_here_is_sealed_again(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    async with uploading(folder) as (_, uploader):
        await until(lambda: uploader.view.state == "idle", "the key is known")
    ((data, _),) = record_pictures(folder, 1, size=50_000)
    (row,) = shelf_rows(folder)
    path = sealed_path(folder, row.sealed_sha256)
    sealed = bytearray(path.read_bytes())
    sealed[30_000] ^= 1
    path.write_bytes(sealed)
    async with uploading(folder) as (_, uploader):
        await until(lambda: uploader.view.sent == 1, f"sent: {uploader.view}")
    assert plain_at_hub(hub.directory, hashlib.sha256(data).digest()) == data
    assert not path.exists()


async def test_photos_taken_before_this_machine_kept_a_shelf_are_asked_for(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    ((data, _),) = record_pictures(folder, 1)
    store = NodeStore.open(folder)
    store.connection.execute("DELETE FROM attachment")
    store.close()
    # The hub's look into its log comes by every two seconds; an hour is the pause between two questions.
    async with uploading(folder) as (office, _):
        await until(lambda: office.relay.view.durable_seq == 1, "the event")
    async with uploading(folder) as (_, uploader):
        await until(lambda: uploader.view.sent == 1, f"sent: {uploader.view}")
    assert plain_at_hub(hub.directory, hashlib.sha256(data).digest()) == data
