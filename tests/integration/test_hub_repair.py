"""Decisions, rebuild, backup and restore, the audit: on real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.app import decide as app_decide
from hub.merge import rebuild as rebuild_module
from hub.merge.audit import audit
from hub.merge.backup import backup, restore
from hub.merge.digest import deep_digest, digest
from hub.merge.rebuild import OtherRebuildError, rebuild
from hub.merge.registry import export_keys, import_keys
from hub.merge.store import HubStore
from hub.quarantine import shelf
from hub.read import cases, export
from hub.read.person import person
from hub.read.status import counts
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from sepe_io.sqlite import StorageDamagedError, transaction
from tests.support.hubs import count, durable_seq, let_in, new_hub, send
from tests.support.world import START_MS, Node, nik_of, recorded, stock_moved

NIK = nik_of(1)


@pytest.fixture
def node() -> Node:
    node = Node("537104-1")
    node.write(*(recorded(nik_of(number)) for number in range(20)), stock_moved())
    node.write(recorded(NIK, "SOMEBODY ELSE", address="JL. EL TARI"), recorded(NIK, "Somebody  Else"))
    return node


@pytest.fixture
def store(tmp_path: Path, node: Node) -> Iterator[HubStore]:
    with new_hub(tmp_path / "hub", [node], is_durable=False) as store:
        send(store, node.frames(3))
        store.project()
        yield store


def decide(store: HubStore, keep: str) -> None:
    only = cases.cases(store.connection)[0]
    app_decide.decide(store, only["id"], keep, reason="KK lama", officer="op-1", now_ms=START_MS + 60_000)


def test_a_decision_is_an_event_that_settles_what_the_officer_saw(store: HubStore, node: Node) -> None:
    only = cases.cases(store.connection)[0]
    assert [(claim["name"], claim["claims"]) for claim in only["claims"]] == [
        ("MARIA TAEK", 1),
        ("SOMEBODY ELSE", 2),
    ]
    decide(store, "2")
    assert counts(store.connection).cases_open == 0
    page = person(store.connection, Nik.from_number(NIK))
    assert page is not None
    assert page["fields"]["name"]["value"] == "SOMEBODY ELSE" and not page["card_on_hold"]
    assert {("name", "MARIA TAEK")} <= {(one["field"], one["value"]) for one in page["history"]}
    assert [one["standing"] for one in page["claims"]] == [False, True, True]
    assert cases.case(store.connection, only["id"][:5])["decision"]["officer"] == "op-1"
    # A third identity was not seen: the case opens again.
    node.write(recorded(NIK, "A THIRD"))
    send(store, [node.frame(node.last_seq)])
    store.project()
    assert counts(store.connection).cases_open == 1


def test_a_claim_is_named_by_number_or_by_the_beginning_of_its_event(store: HubStore) -> None:
    only = cases.cases(store.connection)[0]
    first, second = (claim["event"] for claim in only["claims"])
    for keep in ("0", "3", "537104-1", "", "no", first + "0"):
        with pytest.raises(InvalidInputError):
            decide(store, keep)
    decide(store, second)
    assert cases.case(store.connection, only["id"])["decision"]["keep"] == second
    with pytest.raises(InvalidInputError, match="no such case"):
        cases.case(store.connection, "ffffffffffff")
    with pytest.raises(InvalidInputError, match="reason"):
        app_decide.decide(store, only["id"], "1", reason=" ", officer="", now_ms=START_MS)


def test_a_rebuild_gives_the_same_state_and_the_same_case_ids(store: HubStore) -> None:
    decide(store, "1")
    before = (
        digest(store.connection),
        deep_digest(store.connection),
        cases.cases(store.connection, include_decided=True),
    )
    steps: list[tuple[int, int]] = []
    frames = rebuild(store.connection, lambda done, total: steps.append((done, total)))
    store.project()
    assert steps[-1] == (frames, frames)
    assert before == (
        digest(store.connection), deep_digest(store.connection), cases.cases(store.connection, include_decided=True),
    )  # fmt: skip


def test_a_rebuild_mends_what_somebody_wrote_into_the_tables(store: HubStore) -> None:
    right = digest(store.connection)
    store.connection.execute("UPDATE head SET claims = 7 WHERE nik = ?", (nik_of(3),))
    store.connection.execute("DELETE FROM head WHERE nik = ?", (nik_of(4),))
    store.connection.execute("UPDATE resident_case SET nik = ?, is_open = 0", (nik_of(5),))
    assert digest(store.connection) != right
    assert [one.check for one in audit(store, deep=True) if not one.is_well] == ["heads"]
    rebuild(store.connection)
    assert digest(store.connection) == right
    store.project()
    assert [(one["nik"], one["open"]) for one in cases.cases(store.connection)] == [(str(NIK), True)]


def test_frames_that_come_during_a_rebuild_are_in_the_new_tables(
    store: HubStore, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "FRAMES_PER_STEP", 2)
    late = [recorded(nik_of(number)) for number in range(40, 50)]

    def meanwhile(done: int, total: int) -> None:
        if late:
            node.write(late.pop())
            with HubStore.open(store.directory) as other:
                assert send(other, [node.frame(node.last_seq)])[0].events_merged == 1

    rebuild(store.connection, meanwhile)
    assert count(store, "SELECT SUM(events) FROM head") == node.last_seq
    store.project()
    assert counts(store.connection).cases_open == 1


def test_of_two_rebuilds_the_later_one_wins(store: HubStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_module, "FRAMES_PER_STEP", 2)
    before = digest(store.connection)
    begun: list[int] = []

    def meanwhile(done: int, total: int) -> None:
        if not begun:
            begun.append(done)
            with HubStore.open(store.directory) as other:
                rebuild(other.connection)

    with pytest.raises(OtherRebuildError):
        rebuild(store.connection, meanwhile)
    assert digest(store.connection) == before


def test_a_damaged_log_is_reported_and_leaves_the_tables_alone(store: HubStore) -> None:
    before = digest(store.connection)
    data = bytearray(store.connection.execute("SELECT data FROM frame WHERE number = 2").fetchone()[0])
    data[-80] ^= 1
    store.connection.execute("UPDATE frame SET data = ? WHERE number = 2", (bytes(data),))
    with pytest.raises(StorageDamagedError, match="frame 2"):
        rebuild(store.connection)
    assert digest(store.connection) == before
    assert "signatures" in [one.check for one in audit(store, deep=True) if not one.is_well]
    store.connection.execute("DELETE FROM frame WHERE number = 2")
    assert "log" in [one.check for one in audit(store, deep=False) if not one.is_well]


def test_a_backup_restores_to_the_same_hub_and_the_office_sends_the_rest(
    store: HubStore, node: Node, tmp_path: Path
) -> None:
    file = tmp_path / "hub.backup"
    assert backup(store, file) == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0
    assert [one.name for one in tmp_path.iterdir() if one.name != "hub"] == ["hub.backup"]
    at_backup = digest(store.connection)
    node.write(recorded(nik_of(60)))
    send(store, [node.frame(node.last_seq)])
    decide(store, "1")

    restore(file, tmp_path / "new")
    with HubStore.open(tmp_path / "new") as restored:
        assert digest(restored.connection) == at_backup
        assert restored.key_id == store.key_id
        # The office is ahead of the hub now, and that is no fork.
        answer = restored.greet(node.hello(durable_seq=node.last_seq), now_ms=START_MS, via="nats")
        assert answer.durable_seq == node.last_seq - 1
        send(restored, [node.frame(answer.durable_seq + 1)])
        assert durable_seq(restored, node) == node.last_seq
        # The restored hub writes its own history anew, beside the one that was lost.
        decide(restored, "2")
        let_in(restored, [])
        lost = list(store.frames_of("hub", None, 0))
        assert send(restored, lost, via="import")[0].events_merged == 1
        assert shelf.held(restored.connection) == []
    with pytest.raises(InvalidInputError, match="empty"):
        restore(file, tmp_path / "new")


def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(store: HubStore, tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    backup(store, file)
    whole = file.read_bytes()
    target = tmp_path / "new"
    for damaged in (b"", b"rubbish" * 1000, whole[: len(whole) // 2], (tmp_path / "hub" / "hub.db").read_bytes()):
        file.write_bytes(damaged)
        with pytest.raises(InvalidInputError, match="not a whole backup"):
            restore(file, target)
        assert list(target.iterdir()) == []
    file.write_bytes(whole)
    # A restore that was killed half-way.
    (target / "hub.db.part").write_bytes(whole[:100])
    (target / "hub.key").write_bytes(b"half a")
    restore(file, target)
    with HubStore.open(target) as restored:
        assert digest(restored.connection) == digest(store.connection)


def test_a_second_hub_with_the_keys_takes_every_frame_and_agrees(store: HubStore, tmp_path: Path) -> None:
    decide(store, "2")
    with new_hub(tmp_path / "second", is_durable=False) as second:
        frames = list(export.frames(store.connection))
        assert {one.reason for one in send(second, frames, via="import")} == {"unknown_node", "unknown_key"}
        with transaction(second.connection):
            assert import_keys(second.connection, export_keys(store.connection)) == 2
        send(second, reversed(frames), via="import")
        for _ in frames:
            send(second, frames, via="import")
        second.project()
        assert digest(second.connection) == digest(store.connection)
        assert deep_digest(second.connection) == deep_digest(store.connection)
        assert counts(second.connection).cases_open == 0
    for rubbish in ("", "{}", '{"format": "sepe-keys-1"}', '{"format": "sepe-keys-1", "keys": [{"node": "x"}]}'):
        with pytest.raises(InvalidInputError):
            import_keys(store.connection, rubbish)


def test_exports_hold_everything_and_exposure_names_whose_data_a_machine_sent(store: HubStore, node: Node) -> None:
    assert len(list(export.residents(store.connection))) == 20
    events = list(export.events(store.connection))
    assert [one["event"] for one in events] == [str(one.id) for one in node.events()]
    assert events[0]["body"]["name"] == "MARIA TAEK"
    found = export.exposure(store.connection, node.name)
    assert (found["residents"], found["events"], found["kinds"]) == (20, 23, {"recorded": 22, "stock_moved": 1})
    assert export.exposure(store.connection, "537105-1")["residents"] == 0
