"""The PostgreSQL server crashes and comes back under a hub that is taking frames in."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

from hub.merge.store import HubStore
from surge.lab.postgres import lab_postgres
from tests.support.processes import hub_run, running
from tests.support.relay_rig import Hub, in_thread, make_office, relaying, until, write_backlog


def readiness(page: str) -> str:
    """Why the hub takes nothing, as its page says; ``""`` while it does."""
    try:
        with urllib.request.urlopen(f"{page}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as exc:
        return json.dumps(json.load(exc))


async def test_it_crashes_while_offices_send_and_nothing_is_lost_and_the_hub_says_what_is_wrong(
    tmp_path: Path,
) -> None:
    with lab_postgres() as server:
        HubStore.create(tmp_path / "hub", now_ms=1, database=server.url).close()
        rig = Hub(tmp_path / "hub")
        with running(hub_run(tmp_path / "hub")) as hub:
            page, nats = str(hub.ready["http"]), str(hub.ready["nats"])
            folder = make_office(tmp_path / "node", rig, nats=nats, address=str(hub.ready["grpc"]))
            write_backlog(folder, 20_000)
            async with relaying(folder, nats=nats) as office:
                view = office.relay.view
                await until(lambda: view.durable_seq > 500, view)
                # As a failover begins: every session is cut, in the middle of whatever it did.
                await in_thread(server.stop)
                known = view.durable_seq
                await in_thread(lambda: write_backlog(folder, 100, start=20_000))
                async with asyncio.timeout(40):
                    while "PostgreSQL" not in await in_thread(readiness, page):  # noqa: ASYNC110 - a page
                        await asyncio.sleep(0.2)
                assert view.durable_seq == known, "nothing is confirmed while nothing is stored"
                await in_thread(server.start)
                await until(lambda: view.last_seq == 20_100 and view.pending == 0, view, 60)
                async with asyncio.timeout(20):
                    while await in_thread(readiness, page):  # noqa: ASYNC110 - a page
                        await asyncio.sleep(0.2)
            assert rig.counts().events == 20_100 and rig.counts().quarantined == 0
            assert hub.process.poll() is None, "the hub went on by itself"
