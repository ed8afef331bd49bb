"""Old beside new: offices two contract versions behind and one ahead, databases of before, programs of before.

A newer office is what today's bytes would be with fields, kinds and states that this version has never heard of; an
older one leaves out what it does not know.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hub.merge import schema as hub_schema
from hub.merge.digest import deep_digest, digest
from hub.merge.rebuild import rebuild
from hub.merge.store import DATABASE, Arrival, HubStore
from hub.read import export
from hub.read.person import person
from hub.verify.check import verify
from hub.verify.report import What
from node.desk.absorb import absorb
from node.settings import DATABASE_NAME
from node.storage import schema as node_schema
from node.storage.store import NodeStore
from sepe import events
from sepe.codec import SIGNED_PREFIX
from sepe.events import Draft, Kind
from sepe.nik import Nik
from sepe.sync.centre import CONTRACT, Judgement
from sepe.sync.office import OfficeSync, State
from sepe.wire.v1 import event_pb2, frame_pb2, sync_pb2
from sepe_io.framefile import read_frames, write_frames
from sepe_io.frames import open_frame, sign_hello
from sepe_io.sqlite import connect, migrate, transaction
from tests.support.hubs import count, let_in, new_hub, send
from tests.support.office import line, make_office, record
from tests.support.processes import sepe
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded

# Field 900, length-delimited, "new": what a newer program may add to any message.
UNKNOWN = b"\xa2\x38\x03new"
NEW_KIND, NEW_STATE = 77, 65


@pytest.fixture
def node() -> Node:
    return Node("537104-1")


@pytest.fixture
def hub(tmp_path: Path, node: Node) -> Iterator[HubStore]:
    with new_hub(tmp_path / "hub", [node], is_durable=False) as hub:
        yield hub


def newer(one: Draft) -> Draft:
    """The event as a newer program writes it: with a field more."""
    return Draft(one.kind, one.nik, one.body + UNKNOWN)


def newer_frame(node: Node, first_seq: int = 1, last_seq: int = 0) -> bytes:
    """A frame with unknown fields in its envelope, in its signed header and among its columns."""
    frame = frame_pb2.Frame.FromString(node.frame(first_seq, last_seq))
    frame.header += UNKNOWN
    frame.signature = node.signer.sign(SIGNED_PREFIX + frame.header)
    return frame.SerializeToString() + UNKNOWN


def greeting(node: Node, **fields: object) -> sync_pb2.SignedHello:
    hello = sync_pb2.Hello(
        node=node.name, epoch=node.epoch, last_seq=node.last_seq, last_chain=node.chain(node.last_seq)
    )
    for name, value in fields.items():
        setattr(hello, name, value)
    return sign_hello(hello, node.signer)


def write_as_newer(node: Node) -> None:
    node.write(
        newer(recorded(nik_of(1), kk="5371040101010001")),
        Draft(NEW_KIND, nik_of(1), b"what nobody here can read" + UNKNOWN),
        newer(card_moved(nik_of(1), NEW_STATE, attempt="n")),
        newer(recorded(nik_of(2))),
    )


def test_an_office_one_version_ahead_syncs_and_its_unknown_fields_come_back_intact(
    hub: HubStore, node: Node, tmp_path: Path
) -> None:
    write_as_newer(node)
    frame = newer_frame(node)
    outcome = send(hub, [frame])[0]
    assert outcome.judgement is Judgement.ACCEPT and outcome.events_merged == 4
    # Byte for byte, to the office that lost them and to another hub by courier.
    assert list(hub.frames_of(node.name, None, 0)) == [frame]
    write_frames(tmp_path / "all.frames", hub.frames_of(node.name, None, 0))
    with new_hub(tmp_path / "other", [node], is_durable=False) as other:
        for one in read_frames(tmp_path / "all.frames"):
            other.merge([Arrival(one, "import", START_MS)])
        assert digest(other.connection) == digest(hub.connection)
        assert deep_digest(other.connection) == deep_digest(hub.connection)
    opened = open_frame(frame, lambda _node, _key: node.signer.public_key)
    assert [body.endswith(UNKNOWN) for body in opened.columns.bodies] == [True] * 4
    assert verify(hub.directory, START_MS).findings == ()


def test_what_this_version_knows_of_a_newer_event_counts_and_the_rest_waits_parked(
    hub: HubStore, node: Node
) -> None:
    write_as_newer(node)
    send(hub, [newer_frame(node)])
    hub.project()
    page = person(hub.connection, Nik.from_number(nik_of(1)))
    assert page is not None and page["fields"]["kk"]["value"] == "5371040101010001"
    assert [one["state"] for one in page["cards"]] == [str(NEW_STATE)]
    assert count(hub, "SELECT COUNT(*) FROM parked WHERE reason = 'unknown_kind'") == 1
    kinds = [one["kind"] for one in export.events(hub.connection)]
    assert kinds == ["recorded", f"kind-{NEW_KIND}", "card_moved", "recorded"]


@pytest.mark.parametrize("mend", ["rebuild", "verify"])
def test_once_the_hub_is_updated_a_parked_event_counts(
    hub: HubStore, node: Node, monkeypatch: pytest.MonkeyPatch, mend: str
) -> None:
    write_as_newer(node)
    send(hub, [newer_frame(node)])
    before = digest(hub.connection)
    monkeypatch.setitem(events.BODIES, NEW_KIND, event_pb2.StockMoved)
    node.write(Draft(NEW_KIND, nik_of(1), event_pb2.StockMoved(count=3).SerializeToString()))
    send(hub, [newer_frame(node, node.last_seq)])
    assert count(hub, "SELECT COUNT(*) FROM parked") == 1, "the newer event needs no parking any more"
    monkeypatch.setitem(events.BODIES, NEW_KIND, event_pb2.Corrected)  # A body that the parked bytes do not fit.
    if mend == "rebuild":
        rebuild(hub.connection)
    else:
        assert {one.what for one in verify(hub.directory, START_MS).findings} == {What.parked}
    reasons = {reason for (reason,) in hub.connection.execute("SELECT reason FROM parked")}
    assert reasons and all(reason.startswith("unreadable_event") for reason in reasons)
    assert digest(hub.connection) != before


@pytest.mark.parametrize(
    "fields",
    [
        {},  # Two versions ago: nothing but where the history stands.
        {"contract": 1, "durable_seq": 3},
        {"contract": CONTRACT + 1, "software": "sepe 9.9", "clock_ms": START_MS},
        {"contract": 2**32 - 1, "software": "x" * 5000, "clock_ms": 2**64 - 1},
    ],
)
def test_greetings_of_other_contract_versions_are_answered_with_the_watermark(
    hub: HubStore, node: Node, fields: dict[str, object]
) -> None:
    node.write(*(recorded(nik_of(number)) for number in range(5)))
    send(hub, [node.frame(1, 3)])
    word = hub.greet(greeting(node, **fields), now_ms=START_MS, via="grpc")
    assert (word.verdict, word.durable_seq, word.durable_chain) == (sync_pb2.VERDICT_DURABLE, 3, node.chain(3))
    shown = count(hub, "SELECT contract FROM node WHERE node = ?", node.name)
    assert shown == fields.get("contract", 0)


def test_a_newer_greeting_keeps_its_signature_over_fields_that_the_hub_does_not_know(
    hub: HubStore, node: Node
) -> None:
    node.write(recorded(nik_of(1)))
    hello = greeting(node, contract=CONTRACT + 1).hello + UNKNOWN
    signed = sync_pb2.SignedHello(
        hello=hello, key_id=node.signer.key_id, signature=node.signer.sign(b"sepe-hello-1\0" + hello)
    )
    carried = sync_pb2.SignedHello.FromString(signed.SerializeToString() + UNKNOWN)
    assert hub.greet(carried, now_ms=START_MS, via="nats").verdict == sync_pb2.VERDICT_DURABLE


def test_an_office_two_versions_behind_that_knows_few_fields_merges_with_a_newer_one(
    hub: HubStore, node: Node
) -> None:
    old = Node("537105-1")
    let_in(hub, [old])
    few = event_pb2.Recorded(name="MARIA TAEK", birth_date="1990-01-01", sex="P")
    old.write(Draft(int(Kind.RECORDED), nik_of(1), few.SerializeToString()))
    node.write(newer(recorded(nik_of(1), address="JL. EL TARI")))
    for frames in ([old.frame()], [newer_frame(node)]):
        assert send(hub, frames)[0].judgement is Judgement.ACCEPT
    hub.project()
    page = person(hub.connection, Nik.from_number(nik_of(1)))
    assert page is not None and len(page["claims"]) == 2 and page["cases"] == []
    assert page["fields"]["address"]["value"] == "JL. EL TARI"


def test_an_old_office_is_not_disturbed_by_words_that_a_newer_hub_adds(node: Node) -> None:
    machine = OfficeSync(node.epoch, 0, 0)
    machine.link_up(0)
    word = sync_pb2.Ack(
        node=node.name, epoch=node.epoch, verdict=sync_pb2.VERDICT_DURABLE, durable_chain=node.chain(0)
    )
    word.wanted.add(epoch=node.epoch, first_seq=1, last_seq=9)
    heard = sync_pb2.Ack.FromString(word.SerializeToString() + UNKNOWN)
    assert machine.heard(heard, node.chain(0), 1) == [] and machine.state is State.SYNCING
    # A verdict that it does not know, on a history that agrees with its own, tells how far the hub is: no more.
    heard.verdict = 42  # type: ignore[assignment]
    assert machine.heard(heard, node.chain(0), 2) == [] and machine.state is State.SYNCING


def test_an_office_takes_back_a_newer_programs_events_with_what_it_cannot_read(tmp_path: Path, node: Node) -> None:
    """The machine was restored, and went back to the older program too."""
    write_as_newer(node)
    with closing(make_office(tmp_path / "node", node.name)) as store:
        assert absorb(store, node.epoch, 1, node.columns(1, 4)) == 4
        known = store.connection.execute("SELECT known FROM resident WHERE nik = ?", (nik_of(1),)).fetchone()[0]
        assert UNKNOWN in bytes(known)


# Databases of before


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
