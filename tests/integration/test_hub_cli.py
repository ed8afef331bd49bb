"""`sepe hub …` as operators and scripts call it: output, exit codes, and nothing personal where it does not belong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub.merge.store import HubStore
from sepe_io.framefile import write_frames
from surge import program
from tests.support.hubs import let_in, new_hub, send
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded

NIK = nik_of(1)


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Sepe = Callable[..., Run]


@pytest.fixture
def sepe(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sepe:
    """The real entry point, in this process: a process for each call would cost a second."""

    def run(*words: object) -> Run:
        monkeypatch.setattr("sys.argv", ["sepe", "hub", *map(str, words)])
        capfd.readouterr()
        try:
            program.main()
            code = 0
        except SystemExit as exc:
            code = int(exc.code or 0)
        captured = capfd.readouterr()
        return Run(code, captured.out, captured.err)

    return run


@pytest.fixture
def node() -> Node:
    node = Node("537104-1")
    node.write(*(recorded(nik_of(number)) for number in range(8)), recorded(nik_of(2)))
    node.write(recorded(NIK, "SOMEBODY ELSE"), card_moved(nik_of(3)))
    return node


@pytest.fixture
def directory(tmp_path: Path, node: Node) -> Path:
    with new_hub(tmp_path / "hub", [node], is_durable=False) as store:
        send(store, node.frames(4))
    return tmp_path / "hub"


def test_a_hub_is_made_once(sepe: Sepe, tmp_path: Path) -> None:
    assert sepe("init", tmp_path / "hub", "--json").json["key_id"]
    again = sepe("init", tmp_path / "hub")
    assert (again.code, again.out) == (2, "")
    assert "already a hub" in again.err
    assert sepe("status", tmp_path / "nothing").code == 2


def test_a_token_is_all_that_enrol_prints(sepe: Sepe, directory: Path) -> None:
    printed = sepe("enrol", directory, "--node", "537105-1").out
    assert re.fullmatch(r"([A-Z2-9]{4}-){3}[A-Z2-9]{4}\n", printed)
    document = sepe("enrol", directory, "--node", "537105-1", "--valid-hours", "1", "--json").json
    new = Node("537105-1")
    with HubStore.open(directory) as store:
        assert store.redeem(new.name, document["token"], new.signer.public_key, now_ms=START_MS) == (True, "")
    wrong = sepe("enrol", directory, "--node", "537105")
    assert wrong.code == 2 and "537104-1" in wrong.err


def test_status_counts_what_the_contract_names(sepe: Sepe, directory: Path) -> None:
    found = sepe("status", directory, "--json").json
    assert {name: found[name] for name in ("events", "frames", "residents", "duplicates", "cards", "cases_open")} == {
        "events": 11, "frames": 3, "residents": 8, "duplicates": 1, "cards": 1, "cases_open": 1,
    }  # fmt: skip
    assert (found["quarantined"], found["parked"], found["nodes"]) == (0, 0, 1)
    assert (found["storage"], found["nats"]) == ("sqlite", "none")
    assert found["digest"] == sepe("digest", directory, "--json").json["digest"]
    by_product = sepe("status", directory, "--products", "--json").json["products"]
    assert by_product == {"ktp-el": {"recorded": 10, "printed": 1}}
    assert "residents" in sepe("status", directory).out


def test_nodes_show_how_far_each_one_is(sepe: Sepe, directory: Path, node: Node) -> None:
    node.write(recorded(nik_of(9)))
    with HubStore.open(directory) as store:
        store.greet(node.hello(), now_ms=START_MS, via="grpc")
    only = sepe("nodes", directory, "--json").json[0]
    assert {name: only[name] for name in ("node", "epoch", "durable_seq", "lag_events", "link", "flags")} == {
        "node": node.name, "epoch": node.epoch.hex(), "durable_seq": 11, "lag_events": 1, "link": "grpc",
        "flags": ["silent"],
    }  # fmt: skip
    assert only["last_seen"].startswith("2024-09-28")


def test_a_person_is_shown_in_full_and_an_unknown_one_is_masked(sepe: Sepe, directory: Path) -> None:
    page = sepe("person", directory, NIK, "--json").json
    assert set(page) >= {"nik", "fields", "claims", "cards", "cases", "history"}
    assert page["nik"] == str(NIK)
    assert page["fields"]["name"] | {"stamp": 0, "at": ""} == {
        "value": "MARIA TAEK", "stamp": 0, "at": "", "node": "537104-1",
    }  # fmt: skip
    assert (page["card_on_hold"], page["cases"][0]["open"]) == (True, True)
    assert "MARIA TAEK" in sepe("person", directory, NIK).out
    unknown = sepe("person", directory, nik_of(77))
    assert unknown.code == 1 and "537104**********" in unknown.err
    assert str(nik_of(77)) not in unknown.out + unknown.err
    assert sepe("person", directory, "123").code == 2


def test_a_case_is_listed_masked_and_decided(sepe: Sepe, directory: Path) -> None:
    listed = sepe("cases", directory)
    assert "nik_conflict" in listed.out and "SOMEBODY ELSE" in listed.out and "537104-1" in listed.out
    assert str(NIK) not in listed.out
    case = sepe("cases", directory, "--json").json[0]
    assert case["nik"] == str(NIK)
    for words in (("--keep", "9"), ("--keep", "x")):
        assert sepe("decide", directory, case["id"], *words, "--reason", "KK").code == 2
    assert sepe("decide", directory, "0000", "--keep", "1", "--reason", "KK").code == 2
    decided = sepe(
        "decide", directory, case["id"], "--keep", case["claims"][1]["event"], "--reason", "KK", "--json"
    )
    assert decided.code == 0 and decided.json["open"] is False and decided.json["event"].startswith("hub:")
    assert sepe("cases", directory, "--json").json == []
    assert len(sepe("cases", directory, "--all", "--json").json) == 1
    assert sepe("person", directory, NIK, "--json").json["fields"]["name"]["value"] == "SOMEBODY ELSE"


def test_quarantine_is_listed_released_twice_and_discarded(sepe: Sepe, directory: Path) -> None:
    stranger = Node("537105-1")
    stranger.write(*(recorded(nik_of(number, "537105")) for number in range(6)))
    first, second, third = stranger.frames(2)
    with HubStore.open(directory) as store:
        # They came the wrong way round and stand so in the list.
        send(store, [third, second, first, b"rubbish"])
    rows = sepe("quarantine", "list", directory, "--json").json
    assert [row["reason"] for row in rows] == ["unknown_node"] * 3 + ["unreadable_frame"]
    assert sepe("quarantine", "release", directory).code == 2
    early = sepe("quarantine", "release", directory, "--node", stranger.name)
    assert early.code == 1 and "Enrol" in early.err
    with HubStore.open(directory) as store:
        let_in(store, [stranger])
    released = sepe("quarantine", "release", directory, "--node", stranger.name, "--json")
    assert (released.code, released.json["released"], released.json["kept"]) == (0, 3, 0)
    status = sepe("status", directory, "--json").json
    assert (status["events"], status["quarantined"]) == (17, 1)
    again = sepe("quarantine", "release", directory, rows[0]["id"], "--json")
    assert (again.code, again.json["frames"][0]["reason"]) == (1, "not_there")
    assert sepe("status", directory, "--json").json["digest"] == status["digest"]
    assert sepe("quarantine", "release", directory, "--all").code == 1
    assert (
        sepe("quarantine", "discard", directory, "--reason", "unreadable_frame", "--json").json["discarded"] == 1
    )
    assert sepe("quarantine", "list", directory, "--json").json == []


def test_a_couriers_file_is_taken_in_once(sepe: Sepe, directory: Path, node: Node, tmp_path: Path) -> None:
    other = Node("537105-1")
    other.write(*(recorded(nik_of(number, "537105")) for number in range(10)))
    with HubStore.open(directory) as store:
        let_in(store, [other])
    file = tmp_path / "unsent.frames"
    write_frames(file, [*other.frames(3), node.frame(5)])
    first = sepe("import", directory, file, "--json")
    assert first.code == 0
    assert first.json | {"reasons": {}} == {
        "frames": 5, "merged": 4, "duplicates": 1, "refused": 0, "events": 10, "reasons": {}, "error": None,
    }  # fmt: skip
    before = sepe("digest", directory).out
    assert sepe("import", directory, file, "--json").json["events"] == 0
    assert sepe("digest", directory).out == before
    assert sepe("import", directory, tmp_path / "none").code == 2


def test_a_cut_file_gives_what_stands_before_the_cut(sepe: Sepe, directory: Path, tmp_path: Path) -> None:
    other = Node("537105-1")
    other.write(*(recorded(nik_of(number, "537105")) for number in range(40)))
    with HubStore.open(directory) as store:
        let_in(store, [other])
    file = tmp_path / "unsent.frames"
    write_frames(file, other.frames(2))
    file.write_bytes(file.read_bytes()[:-100])
    cut = sepe("import", directory, file, "--json")
    assert (cut.code, cut.json["events"]) == (1, 38)
    assert "ends too early" in cut.json["error"]
    file.write_bytes(b"a letter")
    assert sepe("import", directory, file).code == 2
    stranger = Node("537106-1")
    stranger.write(recorded(nik_of(1)))
    write_frames(file, [stranger.frame()])
    refused = sepe("import", directory, file, "--json")
    assert (refused.code, refused.json["reasons"]) == (1, {"unknown_node": 1})


def test_exports_are_json_lines_and_frames_make_an_equal_hub(sepe: Sepe, directory: Path, tmp_path: Path) -> None:
    case = sepe("cases", directory, "--json").json[0]
    sepe("decide", directory, case["id"], "--keep", "1", "--reason", "KK")
    lines = {
        what: [json.loads(line) for line in sepe("export", directory, "--what", what).out.splitlines()]
        for what in ("residents", "cards", "events", "cases")
    }
    assert {what: len(found) for what, found in lines.items()} == {
        "residents": 8, "cards": 1, "events": 12, "cases": 1,
    }  # fmt: skip
    assert sepe("export", directory, "--what", "frames").code == 2
    assert sepe("export", directory, "--what", "secrets").code == 2
    frames, keys, second = tmp_path / "all.frames", tmp_path / "keys.json", tmp_path / "second"
    assert sepe("export", directory, "--what", "frames", "--out", frames).code == 0
    assert sepe("init", second).code == 0
    assert sepe("keys", "export", directory, keys).code == 0
    assert sepe("keys", "import", second, keys, "--json").json == {"added": 2}
    assert sepe("import", second, frames).code == 0
    assert sepe("digest", second).out == sepe("digest", directory).out
    assert sepe("digest", second, "--deep").out == sepe("digest", directory, "--deep").out


def test_a_rebuild_leaves_the_digest_and_speaks_on_stderr(sepe: Sepe, directory: Path) -> None:
    rebuilt = sepe("rebuild", directory, "--json")
    assert rebuilt.json["digest"] == rebuilt.json["digest_before"]
    assert "of 3 frames" in rebuilt.err
    assert sepe("status", directory, "--json").json["cases_open"] == 1


def test_a_lost_machine_is_shut_out_and_its_people_are_named(sepe: Sepe, directory: Path, node: Node) -> None:
    assert sepe("revoke", directory, "537199-1").code == 2
    assert sepe("revoke", directory, node.name).code == 0
    assert "revoked" in sepe("nodes", directory, "--json").json[0]["flags"]
    listed = sepe("exposure", directory, node.name)
    assert "8 residents" in listed.out and str(NIK) not in listed.out
    full = sepe("exposure", directory, node.name, "--json").json
    assert {"nik": str(NIK), "events": 2} in full["people"]
    assert sepe("exposure", directory, "537199-1").code == 2


def test_backup_restore_and_doctor(sepe: Sepe, directory: Path, tmp_path: Path) -> None:
    file, new = tmp_path / "hub.backup", tmp_path / "new"
    assert sepe("backup", directory, file).code == 0
    assert sepe("restore", new, file).code == 0
    assert sepe("digest", new).out == sepe("digest", directory).out
    assert sepe("restore", new, file).code == 2
    well = sepe("doctor", new, "--deep", "--json")
    assert well.code == 0, well.out
    assert {one["check"] for one in well.json} >= {"database", "log", "signatures", "heads"}
    with HubStore.open(new) as store:
        send(store, [b"rubbish"])
    assert sepe("doctor", new).code == 1


def test_a_hub_that_is_not_a_database_any_more_is_a_clear_error(sepe: Sepe, directory: Path) -> None:
    for file in directory.glob("hub.db-*"):
        file.unlink()
    (directory / "hub.db").write_bytes(b"not a database" * 1000)
    broken = sepe("status", directory)
    assert broken.code == 2
    assert "not a database" in broken.err and "Traceback" not in broken.err
