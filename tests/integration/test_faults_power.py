"""Power cuts: what was acknowledged is there afterwards, and the tool that says so can tell the difference."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hub.merge.store import HubStore
from node.storage.check import check_rows
from node.storage.store import NodeStore
from sepe.codec import chain_start
from sepe_io import sqlite
from tests.support.faults.power import Disk, disk
from tests.support.faults.writers import Writer, make_hub, make_node, writer

WRITING_S = 0.7


def cut_under(kind: str, folder: Path, medium: Disk) -> Writer:
    """Let a writer write for a while, cut the power in the middle of it, start the machine again."""
    with writer(kind, folder) as busy:
        busy.wait_for(1)
        until = time.monotonic() + WRITING_S
        while time.monotonic() < until:
            busy.wait_for(1)
        # Only what was confirmed before the cut began: a sync that is under way while the file system shuts down may
        # return success for a commit that is not there, which no power cut can do.
        confirmed = list(busy.said)
        medium.cut()
        busy.kill()
    busy.said[:] = confirmed
    medium.power_on()
    assert len(busy.acknowledged) > 20, busy.errors
    return busy


def rows_in(path: Path) -> int:
    """How many rows a plain writer's file holds; 0 when not even the table came through."""
    connection = sqlite.connect(path)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'fact'").fetchone():
            return 0
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT count(*) FROM fact").fetchone()[0])
    finally:
        connection.close()


def test_every_commit_that_returned_survives_a_power_cut(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as medium:
        for _ in range(3):
            cut = cut_under("wal-FULL", medium.folder, medium)
            assert rows_in(medium.folder / "plain.db") >= int(cut.acknowledged[-1])


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_without_full_sync_a_power_cut_loses_commits_so_the_tool_bites(tmp_path: Path, synchronous: str) -> None:
    def loses() -> bool:
        cut = cut_under(f"wal-{synchronous}", medium.folder, medium)
        return rows_in(medium.folder / "plain.db") < int(cut.acknowledged[-1])

    with disk(tmp_path / "disk") as medium:
        # A cut right behind one of SQLite's checkpoints, which do sync, finds everything on the disk.
        assert any(loses() for _ in range(5))


def test_an_office_keeps_every_confirmed_recording_through_a_power_cut(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as medium:
        folder = make_node(medium.folder / "office")
        confirmed = cut_under("desk", folder, medium).acknowledged
        store = NodeStore.open(folder)
        epoch = store.epoch
        rows = list(store.events_after(0))
        check_rows(chain_start(store.node, epoch), rows)
        held = {f"{store.node}:{epoch.hex()}:{row.seq}" for row in rows}
        assert set(confirmed) <= held
        # One transaction: there is no recording without its print job, and no job without its recording.
        jobs = store.connection.execute("SELECT seq FROM job ORDER BY seq").fetchall()
        assert [seq for (seq,) in jobs] == [row.seq for row in rows]
        store.close()


def test_a_hub_keeps_every_acknowledged_frame_through_a_power_cut(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as medium:
        folder = make_hub(medium.folder / "hub")
        acknowledged = cut_under("merge", folder, medium).acknowledged
        with HubStore.open(folder) as store:
            epochs = store.connection.execute("SELECT durable_seq FROM epoch WHERE node = '537104-1'").fetchall()
            assert epochs[0][0] >= int(acknowledged[-1])
            # Log and fold went through together.
            logged = store.connection.execute(
                "SELECT sum(last_seq - first_seq + 1) FROM frame WHERE node = '537104-1'"
            ).fetchone()
            folded = store.connection.execute("SELECT sum(events) FROM head").fetchone()
            assert logged == folded == epochs[0]
