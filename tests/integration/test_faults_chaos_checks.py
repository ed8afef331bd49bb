"""The checks after a chaos run turn red when somebody loses, doubles or invents an event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hub.merge.store import Arrival, HubStore
from node.storage.store import NodeStore
from sepe_io import sqlite
from sepe_io.frames import seal_frame
from sepe_io.keys import Signer, load, save
from surge.chaos.checks import judge
from tests.support.faults.writers import START_MS, make_node
from tests.support.world import nik_of, recorded


def settled(folder: Path, events: int = 30) -> tuple[Path, Path, list[str]]:
    """A hub that holds all that one office recorded, in frames of ten; the names that the desk confirmed."""
    office, hub_dir = make_node(folder / "office"), folder / "hub"
    signer = Signer.generate()
    save(signer, office / "node.key")
    store = NodeStore.open(office)
    names = [str(name) for name in store.append([recorded(nik_of(n)) for n in range(events)], START_MS)]
    with HubStore.create(hub_dir, now_ms=START_MS) as hub:
        token = hub.enrol_token("537104-1", now_ms=START_MS)
        assert hub.redeem("537104-1", token, signer.public_key, now_ms=START_MS)[0]
        for after in range(0, events, 10):
            hub.merge([Arrival(frame_of(store, signer, after, 10), "grpc", START_MS)])
    store.store_durable(events, START_MS)
    store.close()
    return office, hub_dir, names


def frame_of(store: NodeStore, signer: Signer, after: int, count: int) -> bytes:
    page = store.page(after, count)
    assert page is not None
    return seal_frame(
        node=store.node, epoch=store.epoch, first_seq=page.first_seq, chain_before=page.chain_before,
        columns=page.columns, signer=signer,
    )  # fmt: skip


def red(hub_dir: Path, office: Path, names: list[str]) -> set[str]:
    return {check.name for check in judge(hub_dir, [office], names) if not check.holds}


def edit(path: Path, statement: str) -> None:
    connection = sqlite.connect(path)
    with sqlite.transaction(connection):
        connection.execute(statement)
    connection.close()


def test_a_settled_place_is_green(tmp_path: Path) -> None:
    office, hub_dir, names = settled(tmp_path)
    assert red(hub_dir, office, names) == set()


def lose_a_frame(office: Path, hub_dir: Path) -> None:
    edit(hub_dir / "hub.db", "DELETE FROM frame WHERE last_seq = 20")


def double_a_frame(office: Path, hub_dir: Path) -> None:
    connection = sqlite.connect(hub_dir / "hub.db")
    names = [row[1] for row in connection.execute("PRAGMA table_info(frame)")]
    connection.close()
    changed = {"number": "99", "last_seq": "last_seq + 100"}
    values = ", ".join(changed.get(name, name) for name in names)
    edit(hub_dir / "hub.db", f"INSERT INTO frame SELECT {values} FROM frame WHERE last_seq = 20")


def lose_an_office_row(office: Path, hub_dir: Path) -> None:
    edit(office / "node.db", "DELETE FROM outbox WHERE seq = 30")


def write_on_unheard(office: Path, hub_dir: Path) -> None:
    store = NodeStore.open(office)
    store.append([recorded(nik_of(500))], START_MS)
    store.close()


def change_a_head(office: Path, hub_dir: Path) -> None:
    edit(hub_dir / "hub.db", f"UPDATE head SET checksum = checksum + 1 WHERE nik = {nik_of(3)}")


def another_history(office: Path, hub_dir: Path) -> None:
    """A frame under the office's name that the office never wrote."""
    signer = load(office / "node.key")
    store = NodeStore.open(office)
    before = store.position()
    store.append([recorded(nik_of(700))], START_MS)
    frame = frame_of(store, signer, before.last_seq, 1)
    store.close()
    edit(office / "node.db", f"DELETE FROM outbox WHERE seq > {before.last_seq}")
    with HubStore.open(hub_dir) as hub:
        assert hub.merge([Arrival(frame, "grpc", START_MS)])[0].events_merged == 1


@pytest.mark.parametrize(
    ("damage", "noticed"),
    [
        (lose_a_frame, "recordings confirmed at a desk and not at the hub"),
        (lose_a_frame, "events in the offices and at the hub"),
        (double_a_frame, "events at the hub more than once"),
        (lose_an_office_row, "events at the hub that no office wrote"),
        (write_on_unheard, "events still waiting in an office"),
        (change_a_head, "digest and counts after a rebuild from the log"),
        (another_history, "events at the hub that no office wrote"),
    ],
)
def test_damage_is_noticed(tmp_path: Path, damage: Callable[[Path, Path], None], noticed: str) -> None:
    office, hub_dir, names = settled(tmp_path)
    damage(office, hub_dir)
    assert noticed in red(hub_dir, office, names)
