"""A disk that fails to sync: the store stops at once, says so, and works again when the disk does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.storage.store import NodeStore
from sepe_io import sqlite
from sepe_io.sqlite import SUSPECT_SUFFIX
from tests.support.faults.fsync import BadSync, bad_sync
from tests.support.faults.writers import ROOT, make_node, writer

# One process that goes on asking after its disk failed; prints a line for each answer.
_STUBBORN = """
import sys
from pathlib import Path
from sepe_io import sqlite
connection = sqlite.connect(Path(sys.argv[1]) / "plain.db")
connection.execute("CREATE TABLE IF NOT EXISTS fact (number INTEGER PRIMARY KEY)")
for line in sys.stdin:
    try:
        with sqlite.transaction(connection):
            connection.execute("INSERT INTO fact VALUES (?)", (int(line),))
        print("ok", flush=True)
    except sqlite.StorageDamagedError as exc:
        print(exc, flush=True)
"""


@pytest.fixture
def disk(tmp_path: Path) -> BadSync:
    return bad_sync(tmp_path / "bad-sync")


def test_a_failed_sync_refuses_the_commit_and_every_later_one(tmp_path: Path, disk: BadSync) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _STUBBORN, tmp_path],
        cwd=ROOT,
        env={**os.environ, **disk.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert ask(child, 1) == "ok"
        disk.fail_once()
        assert "the disk failed while plain.db was written" in ask(child, 2)
        assert disk.has_failed
        # The next sync would succeed, and would prove nothing about what the failed one left behind.
        assert "start the program again" in ask(child, 3)
    finally:
        child.kill()
        child.wait()
    assert (tmp_path / f"plain.db{SUSPECT_SUFFIX}").exists()
    # Whoever opens the file next proves the disk first, and then works in it.
    connection = sqlite.connect(tmp_path / "plain.db")
    assert not (tmp_path / f"plain.db{SUSPECT_SUFFIX}").exists()
    # 2 was refused and may still be there: its bytes had reached the file. 3 never did.
    numbers = [row[0] for row in connection.execute("SELECT number FROM fact ORDER BY number")]
    assert numbers in ([1], [1, 2])
    with sqlite.transaction(connection):
        connection.execute("INSERT INTO fact VALUES (4)")
    connection.close()


def test_the_next_start_refuses_while_the_disk_still_fails(tmp_path: Path, disk: BadSync) -> None:
    with writer("wal-FULL", tmp_path, disk.environment) as first:
        first.wait_for(5)
        disk.fail()
        first.wait_for(1_000_000)  # Until it has ended.
        assert len(first.errors) == 1
    with writer("wal-FULL", tmp_path, disk.environment) as second:
        second.wait_for(1_000_000)
        assert second.acknowledged == []
        assert "disk I/O error" in second.errors[0]
    disk.heal()
    with writer("wal-FULL", tmp_path, disk.environment) as third:
        third.wait_for(1)
        assert int(third.acknowledged[0]) > int(first.acknowledged[-1])


def test_an_office_whose_disk_fails_keeps_every_recording_that_it_confirmed(tmp_path: Path, disk: BadSync) -> None:
    folder = make_node(tmp_path / "office")
    with writer("desk", folder, disk.environment) as desk:
        desk.wait_for(20)
        disk.fail_once()
        desk.wait_for(5)
        confirmed, errors = list(desk.acknowledged), list(desk.errors)
    assert errors and all("the disk failed while node.db was written" in text for text in errors)
    store = NodeStore.open(folder)
    position = store.position()
    # The refused one may be there, as after any crash between commit and answer; never less than was confirmed.
    assert len(confirmed) <= position.last_seq <= len(confirmed) + 1
    store.close()


def ask(child: subprocess.Popen[str], number: int) -> str:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(f"{number}\n")
    child.stdin.flush()
    return child.stdout.readline().strip()
