"""Addresses, ports, signals, children."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import pytest

from sepe.errors import InvalidInputError
from sepe_io.address import join_address, split_address
from sepe_io.process import end_child, free_port, port_is_free, stop_requests


@pytest.mark.parametrize(("text", "host", "port"), [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:7443", "::1", 7443)])
def test_an_address_is_host_and_port(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)
    assert join_address(host, port) == text


@pytest.mark.parametrize(
    "text", ["", "7443", ":7443", "host:", "host:65536", "host:٧٤٤٣", "host:-1", "host:7443\n"]
)
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--grpc"):
        split_address(text, field="--grpc")


def test_a_port_is_free_until_somebody_listens_there() -> None:
    port = free_port()
    assert port_is_free("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert not port_is_free("127.0.0.1", port)


async def test_a_request_to_stop_sets_the_event_and_the_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await stop.wait()
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_child_that_does_not_listen_is_killed() -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", stubborn, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    await child.stdout.readline()
    async with asyncio.timeout(10):
        assert await end_child(child, grace_s=0.2) == -signal.SIGKILL
        assert await end_child(child) == -signal.SIGKILL
