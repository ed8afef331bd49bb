"""The bell between a desk and the relay beside it."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

from node.storage.bell import BELL_NAME, Ringer, hearing
from tests.support.relay_rig import QUICK, make_office, relaying, running_hub, until, write_backlog


async def test_a_commit_is_on_its_way_at_once_and_not_at_the_next_look(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub") as hub:
        folder = make_office(tmp_path / "node", hub)
        async with relaying(folder, times=replace(QUICK, poll_ms=60_000)) as office:
            view = office.relay.view
            await until(lambda: view.link == "grpc", view)
            await asyncio.sleep(0.2)  # What the greeting set in motion has come to rest.
            await asyncio.to_thread(write_backlog, folder, 3)
            await until(lambda: view.durable_seq == 3, view, timeout_s=10)
    assert not (folder / BELL_NAME).exists()


async def test_only_who_may_read_the_folder_can_ring(tmp_path: Path) -> None:
    rung = asyncio.Event()
    ringer = Ringer(tmp_path)
    Ringer(tmp_path).ring()  # Nobody is there.
    async with hearing(tmp_path, rung.set):
        if os.name == "posix":
            assert (tmp_path / BELL_NAME).stat().st_mode & 0o077 == 0
        port = int((tmp_path / BELL_NAME).read_text().split()[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"12345678", ("127.0.0.1", port))
        await asyncio.sleep(0.1)
        assert not rung.is_set()
        ringer.ring()
        async with asyncio.timeout(5):
            await rung.wait()
    ringer.ring()
    ringer.close()
