"""A run's account of a hub that is elsewhere."""

from __future__ import annotations

from pathlib import Path

from hub.merge.store import Arrival, HubStore
from node.settings import KEY_NAME
from node.storage.store import NodeStore
from sepe_io import keys
from sepe_io.frames import seal_frame
from surge.run.audit import Account, audit_remote
from tests.support.relay_rig import NODE, make_office, running_hub, write_backlog
from tests.support.world import START_MS


async def test_events_that_came_in_two_frames_count_once(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub") as hub:
        folder = make_office(tmp_path / "node", hub)
        write_backlog(folder, 6)
        store, signer = NodeStore.open(folder), keys.load(folder / KEY_NAME)
        epoch, frames = store.position().epoch, []
        # The line failed behind the first frame, and what was in flight was cut anew.
        for after, count in ((0, 3), (1, 4)):
            page = store.page(after, count)
            assert page is not None
            frames.append(
                seal_frame(
                    node=NODE, epoch=epoch, first_seq=page.first_seq, chain_before=page.chain_before,
                    columns=page.columns, signer=signer,
                )
            )  # fmt: skip
        store.close()
        with HubStore.open(hub.directory) as hub_store:
            outcomes = hub_store.merge([Arrival(frame, "nats", START_MS, NODE) for frame in frames])
        assert [one.events_merged for one in outcomes] == [3, 2]
        assert await audit_remote(hub.grpc, [folder]) == [
            Account(NODE, written=6, lost=0, missing=1, doubled=0, agrees=True)
        ]
