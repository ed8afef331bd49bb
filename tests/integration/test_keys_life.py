"""A machine's key is replaced while what the old one signed is still on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hub.merge.proving import VIA_IMPORT
from hub.merge.store import Arrival, HubStore
from node.cli.keys import rotate
from node.cli.look import sealed_frames
from node.clock import now_ms
from node.settings import KEY_NAME
from node.storage.store import NodeStore
from sepe_io import keys
from sepe_io.frames import peek_header
from tests.support.relay_rig import NODE, Hub, drained, make_office, relaying, running_hub, until, write_backlog

DAY_MS = 86_400_000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path / "hub") as found:
        yield found


def frames_waiting(folder: Path) -> list[bytes]:
    """What a courier would carry now, signed with today's key."""
    store = NodeStore.open(folder)
    try:
        return list(sealed_frames(store, store.position().durable_seq))
    finally:
        store.close()


def carry_in(hub: Hub, frames: list[bytes], at_ms: int) -> list[str]:
    """Import them at that time; the reasons for which the hub did not take them."""
    with HubStore.open(hub.directory) as store:
        return [outcome.reason for outcome in store.merge([Arrival(one, VIA_IMPORT, at_ms) for one in frames])]


@pytest.mark.parametrize("line", ["nats", "grpc"])
async def test_three_days_of_frames_under_the_old_key_are_taken_after_a_rotation(
    tmp_path: Path, hub: Hub, line: str
) -> None:
    folder = make_office(tmp_path / "node", hub, nats=hub.nats if line == "nats" else "")
    write_backlog(folder, 1_500)
    on_the_stick = frames_waiting(folder)
    old = keys.load(folder / KEY_NAME)
    new_id, until_ms = await asyncio.to_thread(rotate, folder)
    assert new_id != old.key_id and until_ms > now_ms() + 29 * DAY_MS
    write_backlog(folder, 500, start=1_500)
    # The courier arrives first, three days later; then the line is back and what is left goes under the new key.
    assert carry_in(hub, on_the_stick, now_ms() + 3 * DAY_MS) == [""] * len(on_the_stick)
    assert hub.counts().events == 1_500
    async with relaying(folder) as office:
        await drained(office)
        assert office.relay.view.epochs_opened == 0
    with HubStore.open(hub.directory) as store:
        signed_by = [peek_header(frame).key_id for frame in store.frames_of(NODE, None, 0)]
    carried = len(on_the_stick)
    assert (set(signed_by[:carried]), set(signed_by[carried:])) == ({old.key_id}, {new_id})
    assert carry_in(hub, on_the_stick, now_ms()) == [""] * len(on_the_stick)
    counts = hub.counts()
    assert (counts.events, counts.quarantined) == (2_000, 0)


async def test_a_running_relay_goes_on_under_the_new_key(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 100)
    async with relaying(folder) as office:
        await drained(office)
        new_id, _ = await asyncio.to_thread(rotate, folder)
        await asyncio.to_thread(partial(write_backlog, folder, 100, start=100))
        await until(lambda: office.relay.view.durable_seq == 200, office.relay.view)
        assert office.relay.view.refusal == "" and office.signer.key_id == new_id
    assert hub.counts().events == 200


async def test_once_its_days_are_over_the_old_key_s_frames_wait_for_a_person(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 10)
    late = frames_waiting(folder)
    _, until_ms = await asyncio.to_thread(rotate, folder)
    assert carry_in(hub, late, until_ms + 1) == ["retired_key"]
    counts = hub.counts()
    assert (counts.events, counts.quarantined) == (0, 1)
    # The office still holds them, and sends them under its new key.
    async with relaying(folder) as office:
        await drained(office)
    assert hub.counts().events == 10
