"""Full disks: new work is refused clearly, what is there stays, and freeing space is all that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.merge.store import Arrival, HubStore
from node.storage.check import check_rows
from node.storage.store import NodeStore
from sepe.codec import chain_start
from sepe_io import sqlite
from sepe_io.sqlite import StorageFullError
from tests.support.faults.fullness import small_disk
from tests.support.faults.writers import START_MS, make_hub, make_node, writer
from tests.support.world import Node, nik_of, recorded


def test_an_office_on_a_full_disk_refuses_then_goes_on_when_space_is_freed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=8) as disk:
        folder = make_node(disk.folder / "office")
        with writer("desk", folder) as desk:
            desk.wait_for(20)
            disk.fill()
            while not desk.errors:
                desk.wait_for(1)
            confirmed_before = len(desk.acknowledged)
            assert "the disk is full" in desk.errors[0]
            disk.free()
            while len(desk.acknowledged) < confirmed_before + 20:
                desk.wait_for(1)
        store = NodeStore.open(folder)
        rows = list(store.events_after(0))
        check_rows(chain_start(store.node, store.epoch), rows)
        held = {f"{store.node}:{store.epoch.hex()}:{row.seq}" for row in rows}
        assert set(desk.acknowledged) <= held
        store.close()


def test_a_hub_on_a_full_disk_stores_nothing_of_a_batch_and_takes_it_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=8) as disk, HubStore.open(make_hub(disk.folder / "hub")) as store:
        node = Node("537104-1")
        # Bodies that do not compress away, so that a batch needs room.
        node.write(*(recorded(nik_of(number), address=f"{number:0900x}") for number in range(200)))
        arrivals = [Arrival(frame, "grpc", START_MS) for frame in node.frames(50)]
        disk.fill()
        with pytest.raises(StorageFullError):
            store.merge(arrivals)
        assert store.connection.execute("SELECT count(*) FROM frame").fetchone() == (0,)
        assert store.public_key_of(node.name, node.signer.key_id)  # It still answers.
        disk.free()
        outcomes = store.merge(arrivals)
        assert [outcome.events_merged for outcome in outcomes] == [50, 50, 50, 50]
        assert outcomes[-1].ack is not None and outcomes[-1].ack.durable_seq == 200


def test_a_long_reader_makes_the_journal_grow_and_its_end_gives_the_room_back(tmp_path: Path) -> None:
    path = tmp_path / "plain.db"
    writer_connection, reader = sqlite.connect(path), sqlite.connect(path)
    # Only the size matters here, and a sync for each commit would take most of the time.
    writer_connection.execute("PRAGMA synchronous=OFF")
    writer_connection.execute("CREATE TABLE fact (body BLOB NOT NULL)")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM fact").fetchone()
    journal = tmp_path / "plain.db-wal"
    while journal.stat().st_size < 90 << 20:
        with sqlite.transaction(writer_connection):
            writer_connection.executemany("INSERT INTO fact VALUES (zeroblob(65536))", [()] * 64)
    reader.execute("COMMIT")
    for _ in range(3):
        with sqlite.transaction(writer_connection):
            writer_connection.execute("INSERT INTO fact VALUES (zeroblob(100))")
    assert journal.stat().st_size <= 64 << 20
    writer_connection.close()
    reader.close()
