"""The embedded nats-server: started, watched, restarted, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import hub.broker
from hub.broker import Broker, find_program
from sepe_io.address import AddressBusyError
from sepe_io.process import free_port, port_is_free
from tests.support.live_hub import nats_client, until
from tests.support.processes import ROOT


@asynccontextmanager
async def broker_in(directory: Path, port: int | None = None) -> AsyncIterator[Broker]:
    broker = Broker(directory / "nats", "127.0.0.1", port or free_port())
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


def spawn(*command: object) -> subprocess.Popen[str]:
    return subprocess.Popen([str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie of ours still has an id; it holds no port and no file.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


async def test_it_serves_jetstream_on_loopback_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with broker_in(tmp_path) as broker:
        pid = broker.pid
        assert pid is not None
        async with nats_client(broker.url) as client:
            assert (await client.jetstream().account_info()).streams == 0
    assert not is_alive(pid)
    assert port_is_free("127.0.0.1", broker.port)


async def test_a_killed_server_comes_back_on_its_port_with_its_streams(tmp_path: Path) -> None:
    async with broker_in(tmp_path) as broker:
        async with nats_client(broker.url) as client:
            await client.jetstream().add_stream(name="S", subjects=["s"])
        killed = broker.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await until(lambda: broker.restarts == 1 and broker.pid not in (None, killed))
        async with nats_client(broker.url) as client:
            assert (await client.jetstream().stream_info("S")).config.name == "S"


async def test_a_frozen_server_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.broker, "PROBE_EVERY_S", 0.1)
    monkeypatch.setattr(hub.broker, "PROBE_TIMEOUT_S", 0.2)
    async with broker_in(tmp_path) as broker:
        frozen = broker.pid
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
        await until(lambda: broker.pid not in (None, frozen))
        async with nats_client(broker.url) as client:
            await client.flush()
    assert not is_alive(frozen)


async def test_a_store_that_keeps_the_server_from_starting_is_set_aside(tmp_path: Path) -> None:
    directory = tmp_path / "nats"
    directory.mkdir()
    (directory / "jetstream").write_text("no directory")
    async with broker_in(tmp_path) as broker, nats_client(broker.url) as client:
        assert (await client.jetstream().account_info()).streams == 0
    assert (directory / "jetstream.broken-1").read_text() == "no directory"


async def test_a_busy_port_is_named(tmp_path: Path) -> None:
    async with broker_in(tmp_path / "one") as first:
        with pytest.raises(AddressBusyError, match=str(first.port)):
            async with broker_in(tmp_path / "two", first.port):
                pass


async def test_the_orphan_of_a_killed_hub_is_ended_and_replaced(tmp_path: Path) -> None:
    async with broker_in(tmp_path) as broker:
        port = broker.port
    # As a hub leaves it where the kernel does not end its children.
    orphan = spawn(find_program(), "-c", tmp_path / "nats" / "nats-server.conf")
    try:
        await until(lambda: not port_is_free("127.0.0.1", port))
        async with broker_in(tmp_path, port) as broker:
            assert broker.pid != orphan.pid
            orphan.wait(10)
    finally:
        orphan.kill()
        orphan.wait()


async def test_a_process_that_took_over_an_old_id_is_left_alone(tmp_path: Path) -> None:
    async with broker_in(tmp_path) as broker:
        port = broker.port
    bystander = spawn(sys.executable, "-c", "import time; time.sleep(60)")
    try:
        (tmp_path / "nats" / "nats-server.pid").write_text(str(bystander.pid))
        async with broker_in(tmp_path, port):
            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_killing_the_hub_ends_its_server(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio
        from pathlib import Path
        from hub.broker import Broker
        async def main():
            broker = Broker(Path({str(tmp_path)!r}) / "nats", "127.0.0.1", {free_port()})
            await broker.start()
            print(broker.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    parent = spawn(sys.executable, "-c", program)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, "the server outlived its hub"
        time.sleep(0.02)
