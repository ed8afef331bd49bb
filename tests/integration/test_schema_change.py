"""Old beside new on one disk: databases of every older schema and of a newer program, on both sides."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hub.merge import schema as hub_schema
from hub.merge.store import DATABASE, HubStore
from hub.verify.check import verify
from node.settings import DATABASE_NAME
from node.storage import schema as node_schema
from node.storage.store import NodeStore
from sepe_io.sqlite import connect, migrate, transaction
from tests.support.hubs import count, new_hub, send
from tests.support.office import line, make_office, record
from tests.support.processes import sepe
from tests.support.world import START_MS, Node, nik_of, recorded


@pytest.fixture
def node() -> Node:
    return Node("537104-1")


def make_old_hub(path: Path, version: int, node: Node) -> list[bytes]:
    """A hub's directory as a program of that schema version left it, with one frame merged; the frames."""
    node.write(recorded(nik_of(1)), recorded(nik_of(2)))
    with new_hub(path, [node]) as hub:
        send(hub, [node.frame()])
        rows = {
            name: hub.connection.execute(f"SELECT * FROM {name}").fetchall()
            for name in ("meta", "node", "epoch", "head")
        }
        keys = hub.connection.execute("SELECT node, key_id, public_key, enrolled_ms FROM key").fetchall()
        frame = hub.connection.execute(
            "SELECT number, node, epoch, first_seq, last_seq, skip, chain_after, received_ms, cap_ms, via, data"
            " FROM frame"
        ).fetchone()
    for file in path.glob(f"{DATABASE}*"):
        file.unlink()
    with closing(connect(path / DATABASE)) as old:
        migrate(old, hub_schema.STEPS[:version])
        with transaction(old):
            for name, found in rows.items():
                for row in found:
                    old.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
            old.executemany("INSERT INTO key (node, key_id, public_key, enrolled_ms) VALUES (?, ?, ?, ?)", keys)
            old.execute(
                "INSERT INTO frame (number, node, epoch, first_seq, last_seq, skip, chain_after, received_ms,"
                " cap_ms, via, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                frame,
            )
    return [bytes(frame[-1])]


def make_old_office(path: Path, version: int) -> NodeStore:
    """A node directory as a program of that schema version left it, with two events, closed."""
    store = make_office(path)
    record(store, line(), line("5371044101909002"))
    rows = {
        name: store.connection.execute(f"SELECT * FROM {name}").fetchall()
        for name in ("meta", "outbox", "resident", "tally", "job")
    }
    epoch = store.connection.execute("SELECT number, epoch, opened_ms, reason FROM epoch").fetchone()
    store.close()
    for file in path.glob(f"{DATABASE_NAME}*"):
        file.unlink()
    with closing(connect(path / DATABASE_NAME)) as old:
        migrate(old, node_schema.STEPS[:version])
        with transaction(old):
            old.execute("INSERT INTO epoch (number, epoch, opened_ms, reason) VALUES (?, ?, ?, ?)", epoch)
            for name, found in rows.items():
                columns = len(old.execute(f"PRAGMA table_info({name})").fetchall())
                for row in found:
                    old.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * columns)})", row[:columns])
    return store


@pytest.mark.parametrize("version", range(1, len(hub_schema.STEPS)))
def test_a_hub_of_every_older_schema_goes_on_with_all_it_held(tmp_path: Path, node: Node, version: int) -> None:
    frames = make_old_hub(tmp_path / "hub", version, node)
    with HubStore.open(tmp_path / "hub") as hub:
        assert count(hub, "PRAGMA user_version") == len(hub_schema.STEPS)
        assert list(hub.frames_of(node.name, None, 0)) == frames
        assert verify(hub.directory, START_MS).findings == ()
        assert count(hub, "SELECT COUNT(*) FROM frame WHERE seal IS NULL") == 0
        node.write(recorded(nik_of(3)))
        assert send(hub, [node.frame(3)])[0].events_merged == 1
        assert hub.greet(node.hello(), now_ms=START_MS, via="nats").proof.seq == 2


@pytest.mark.parametrize("version", range(1, len(node_schema.STEPS)))
def test_an_office_of_every_older_schema_goes_on_with_all_it_held(tmp_path: Path, version: int) -> None:
    make_old_office(tmp_path / "node", version)
    with closing(NodeStore.open(tmp_path / "node")) as store:
        assert store.connection.execute("PRAGMA user_version").fetchone()[0] == len(node_schema.STEPS)
        assert store.position().last_seq == 2
        assert record(store, line("5371044101909003"))[0].event is not None
        page = store.page(0)
        assert page is not None and len(page.columns) == 3


KILLED = """
import os, sys
from pathlib import Path
import {schema} as schema
from sepe_io import sqlite
# The power goes while the last statement of the last step runs.
schema.STEPS[-1] += "CREATE TABLE killed (x INTEGER);\\nINSERT INTO killed SELECT die();\\n"
connect = sqlite.connect
def watched(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.create_function("die", 0, lambda: os.kill(os.getpid(), 9))
    return connection
sqlite.connect = watched
import {module} as module
module.connect = watched
{open}(Path(sys.argv[1]))
"""
HUB_KILL = KILLED.format(schema="hub.merge.schema", module="hub.merge.store", open="module.HubStore.open")
NODE_KILL = KILLED.format(schema="node.storage.schema", module="node.storage.store", open="module.NodeStore.open")


def tables_of(path: Path) -> tuple[int, set[str]]:
    with closing(connect(path)) as database:
        names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return database.execute("PRAGMA user_version").fetchone()[0], {name for (name,) in names}


@pytest.mark.parametrize("part", ["hub", "node"])
def test_a_kill_in_the_middle_of_a_real_migration_leaves_the_old_schema_whole_and_the_next_start_resumes(
    tmp_path: Path, node: Node, part: str
) -> None:
    folder = tmp_path / part
    if part == "hub":
        make_old_hub(folder, 1, node)
        file, code = folder / DATABASE, HUB_KILL
    else:
        make_old_office(folder, 1)
        file, code = folder / DATABASE_NAME, NODE_KILL
    before = tables_of(file)
    assert before[0] == 1
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code, folder], cwd=Path.cwd()).returncode == -9
        assert tables_of(file) == before
    if part == "hub":
        with HubStore.open(folder) as hub:
            assert count(hub, "SELECT SUM(events) FROM head") == 2
    else:
        with closing(NodeStore.open(folder)) as store:
            assert store.position().last_seq == 2
    version, names = tables_of(file)
    assert version > 1 and "killed" not in names and names > before[1]


# A program of before


def content(folder: Path) -> dict[str, str]:
    """Every file but SQLite's log and its index, which any look may make."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def make_newer(file: Path) -> None:
    with closing(connect(file)) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {version + 1}")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


Words = Callable[[Path], list[object]]


@pytest.mark.parametrize(
    "words",
    [
        lambda folder: ["status", folder], lambda folder: ["run", folder, "--grpc", "127.0.0.1:0"],
        lambda folder: ["verify", folder], lambda folder: ["digest", folder],
    ],
)  # fmt: skip
def test_a_hub_of_a_newer_program_is_refused_with_2_and_left_alone(tmp_path: Path, words: Words) -> None:
    folder = tmp_path / "hub"
    new_hub(folder).close()
    make_newer(folder / DATABASE)
    before = content(folder)
    result = sepe("hub", *words(folder))
    assert result.returncode == 2 and "newer Sepe" in result.stderr and "nothing was changed" in result.stderr
    assert content(folder) == before


@pytest.mark.parametrize(
    "words",
    [
        lambda folder: ["status", folder], lambda folder: ["run", folder, "--hub", "127.0.0.1:1"],
        lambda folder: ["record", folder, "-"], lambda folder: ["doctor", folder],
    ],
)  # fmt: skip
def test_an_office_of_a_newer_program_is_refused_with_2_and_left_alone(tmp_path: Path, words: Words) -> None:
    folder = tmp_path / "node"
    make_office(folder).close()
    make_newer(folder / DATABASE_NAME)
    before = content(folder)
    result = sepe("node", *words(folder), text=json.dumps(line()) + "\n")
    assert result.returncode == 2 and "newer Sepe" in result.stderr and "nothing was changed" in result.stderr
    assert set(content(folder).items()) >= set(before.items())
    assert content(folder)[DATABASE_NAME] == before[DATABASE_NAME]
