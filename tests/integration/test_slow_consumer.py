"""A NATS server that cuts off who does not read what it sends: "slow consumer", seen from the hub and the office."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.broker import find_program
from node.clock import now_ms
from node.desk.status import status
from node.storage.store import NodeStore
from sepe import subjects
from tests.support.live_hub import nats_client
from tests.support.processes import Program, hub_run, node_run
from tests.support.relay_rig import NODE, Hub, make_office, until, write_backlog

# Far more than the sockets of this machine hold; it ends with the cut.
FLOOD_BYTES = 48 << 20
PIECE_BYTES = 512 << 10
STARTED_S_MAX = 15


@contextmanager
def hasty_server(folder: Path) -> Iterator[tuple[str, str]]:
    """nats-server that waits 200 ms for a client to read; its address and that of its monitor."""
    folder.mkdir()
    config = folder / "nats.conf"
    config.write_text(
        'host: 127.0.0.1\nport: -1\nhttp: "127.0.0.1:-1"\nwrite_deadline: "200ms"\nmax_pending: 2MB\n'
        f'ports_file_dir: "{folder.as_posix()}"\njetstream {{ store_dir: "{(folder / "store").as_posix()}" }}\n'
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(find_program()), "-c", str(config)], stdout=log, stderr=log)
    try:
        ports = folder / f"nats-server_{server.pid}.ports"
        deadline = time.monotonic() + STARTED_S_MAX
        while not ports.exists():
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        named = json.loads(ports.read_text())
        yield named["nats"][0], named["monitoring"][0]
    finally:
        server.terminate()
        server.wait()


def cut_off(monitor: str, name: str) -> int:
    """How often the server has cut off a client of that name for not reading."""
    with urllib.request.urlopen(f"{monitor}/connz?state=closed&limit=1024", timeout=5) as answer:
        closed: list[dict[str, Any]] = json.load(answer)["connections"]
    return sum("Slow Consumer" in one["reason"] and name in one.get("name", "") for one in closed)


async def flood(url: str, monitor: str, subject: str, program: Program, name: str) -> None:
    """Send it more than it reads, while it is stopped, until the server has had enough of it."""
    before = cut_off(monitor, name)
    program.freeze()
    try:
        async with nats_client(url) as client:
            for _ in range(FLOOD_BYTES // PIECE_BYTES):
                await client.publish(subject, bytes(PIECE_BYTES))
                await client.flush(10)
                if cut_off(monitor, name) > before:
                    break
        await until(lambda: cut_off(monitor, name) > before, "cut off by the server")
    finally:
        program.thaw()


async def test_a_hub_and_an_office_that_the_server_cut_off_come_back_and_lose_nothing(tmp_path: Path) -> None:
    hub = Hub.make(tmp_path / "hub")
    with hasty_server(tmp_path / "nats") as (url, monitor):
        hub.program = await asyncio.to_thread(hub_run, hub.directory, "--nats", url)
        folder = make_office(tmp_path / "node", hub, nats=url)
        node = await asyncio.to_thread(node_run, folder)

        def holds(**expected: object) -> bool:
            store = NodeStore.open(folder, read_only=True)
            try:
                shown = status(store, now_ms())
            finally:
                store.close()
            return all(shown[name] == value for name, value in expected.items())

        try:
            await asyncio.to_thread(write_backlog, folder, 1_000)
            await until(lambda: holds(durable_seq=1_000), "the first thousand")
            # Nobody can read these: a greeting and an ack of half a megabyte of nothing.
            await flood(url, monitor, subjects.hello(NODE), hub.program, "hub")
            await asyncio.to_thread(write_backlog, folder, 1_000, start=1_000)
            await flood(url, monitor, subjects.ack(NODE), node, NODE)
            await asyncio.to_thread(write_backlog, folder, 1_000, start=2_000)
            await until(
                lambda: holds(durable_seq=3_000, pending=0, link="nats"), "everything, over NATS again", 60
            )
        finally:
            node.kill()
            hub.kill()
    assert hub.counts().events == 3_000
    assert hub.counts().quarantined == 0
