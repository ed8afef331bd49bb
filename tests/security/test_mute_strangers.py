"""Strangers without a key who connect and say nothing, half a word or nonsense, by the hundred."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from grpc_health.v1 import health_pb2, health_pb2_grpc

from hub.tls import HubTls
from sepe_io.channel import grpc_channel
from tests.support.relay_rig import Hub
from tests.support.secured import secured_hub
from tests.support.strangers import connected, storm

# Some of these ended the hub with `dynamic_ssl_server_credentials`, mostly within ten.
ROUNDS = 16
HANDLES = 600


async def is_serving(hub: Hub, timeout_s: float = 30) -> bool:
    """Whether the hub answers an office over TLS."""
    channel = grpc_channel(hub.grpc, HubTls(hub.directory).ca_pem)
    try:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s, wait_for_ready=True)
    finally:
        await channel.close()
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def page(hub: Hub) -> int:
    assert hub.program is not None
    with urllib.request.urlopen(f"{hub.program.ready['http']}/healthz", timeout=30) as answer:
        return int(answer.status)


async def test_connections_that_say_nothing_and_close_end_no_hub(tmp_path: Path) -> None:
    with secured_hub(tmp_path / "hub") as hub:
        assert hub.program is not None
        http = str(hub.program.ready["http"]).rpartition("/")[2]
        nats = hub.nats.rpartition("/")[2]
        for address in (hub.grpc, http, nats):
            await storm(address, rounds=ROUNDS)
            assert hub.program.process.poll() is None, hub.program.tail()
        assert await is_serving(hub)
        assert await asyncio.to_thread(page, hub) == 200


async def test_strangers_who_hold_every_handle_end_nothing_and_make_room(tmp_path: Path) -> None:
    """More silent connections than the process may have files: the honest are let in once the silence is too long."""
    with secured_hub(tmp_path / "hub", handles=HANDLES) as hub:
        assert hub.program is not None
        http = str(hub.program.ready["http"]).rpartition("/")[2]
        with connected(hub.grpc, HANDLES + 100), connected(http, 200):
            assert hub.program.process.poll() is None, hub.program.tail()
            # The first wait ends when their handshakes have timed out.
            assert await is_serving(hub, 60)
            assert await asyncio.to_thread(page, hub) == 200
        assert await is_serving(hub)
        assert not [one for one in hub.program.log if "Traceback" in one or "part.ended" in one]
