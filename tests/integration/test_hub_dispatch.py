"""What offices tell of their printers reaches the hub with the greeting, and the hub proposes what should move."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from node.outbox.worker import OutboxWorker
from node.printing.condition import Conditions, Limits
from node.printing.outlook import print_room
from node.printing.printers import Printers
from node.settings import KEY_NAME
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from tests.support.hubs import let_in, new_hub
from tests.support.office import NOW_MS, line, make_office, record
from tests.support.processes import sepe
from tests.support.world import Node


async def greeting(
    folder: Path, node: str, *, blanks: int, cards: int, a_day: int
) -> tuple[sync_pb2.SignedHello, Node]:
    """A real office with a printer greets; how it is known to the hub."""
    store = make_office(folder, node, blanks=blanks)
    Printers(store).adopt([f"folder:{folder}/out"])
    Conditions(store).set_limits(f"folder:{folder}/out", Limits(day_cards=a_day))
    # Nobody is expected any more.
    (folder / "queue.toml").write_text('[hours]\ndesk = "00:00-00:01"\n[complete]\nwaits = false\n')
    prefix = node[:6]
    record(store, *(line(f"{prefix}410190{9001 + number}") for number in range(cards)))
    signer = keys.load(folder / KEY_NAME)
    worker = OutboxWorker(
        store, signer, software="test", now_ms=lambda: NOW_MS, print_room=lambda now: print_room(store, now)
    )
    try:
        hello = await worker.hello()
    finally:
        worker.close()
        store.close()
    known = Node(node)
    known.signer = signer
    return hello, known


async def test_the_hub_hears_what_each_office_can_print_and_proposes_to_move_the_rest(tmp_path: Path) -> None:
    tired, tired_node = await greeting(tmp_path / "a", "537104-1", blanks=60, cards=40, a_day=10)
    idle, idle_node = await greeting(tmp_path / "b", "537105-1", blanks=5, cards=0, a_day=100)
    hub = new_hub(tmp_path / "hub", is_durable=False)
    let_in(hub, [tired_node, idle_node])
    now_ms = int(time.time() * 1000)
    for hello in (tired, idle):
        answer = hub.greet(hello, now_ms=now_ms, via="grpc")
        assert answer.verdict == sync_pb2.VERDICT_DURABLE
    hub.close()
    offices = json.loads(
        (await asyncio.to_thread(sepe, "hub", "dispatch", "offices", tmp_path / "hub", "--json")).stdout
    )
    assert [(one["node"], one["waiting"], one["capacity"], one["blanks"]["ktp-el"]) for one in offices] == [
        ("537104-1", 40, 10, 60), ("537105-1", 0, 100, 5),
    ]  # fmt: skip
    assert offices[0]["binding"] == ["heat"] and offices[0]["left_at_close"] == 30
    plan = json.loads(
        (await asyncio.to_thread(sepe, "hub", "dispatch", "plan", tmp_path / "hub", "--json")).stdout
    )
    assert plan["moves"] == [
        {"kind": "blanks", "from": "537104-1", "to": "537105-1", "count": 25},
        {"kind": "cards", "from": "537104-1", "to": "537105-1", "count": 30},
    ]
    assert (plan["before"], plan["after"], plan["left"], plan["silent"]) == (10, 40, 0, [])
