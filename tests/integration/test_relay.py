"""The relay against a real hub, over real gRPC and a real nats-server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.relay_rig import Hub, drained, make_office, relaying, running_hub, write_backlog


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path / "hub") as found:
        yield found


@pytest.mark.parametrize("over", ["nats", "grpc"])
async def test_a_backlog_of_20_000_drains(tmp_path: Path, hub: Hub, over: str) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 20_000)
    async with relaying(folder, nats=hub.nats if over == "nats" else "") as office:
        await drained(office)
        assert office.relay.view.link == over
    found = hub.counts()
    assert (found.events, found.residents) == (20_000, 20_000)
