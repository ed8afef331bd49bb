"""Bytes flipped by hand in the hub's database: found exactly, and put right, by the office where need be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.dispatch import moves
from hub.merge import rebuild as rebuild_module
from hub.merge.digest import deep_digest, digest
from hub.merge.registry import add_key
from hub.merge.store import Arrival, HubStore
from hub.merge.wanted import wanted_of
from hub.quarantine import shelf
from hub.read import cases
from hub.verify.check import Check, verify
from hub.verify.report import Fate, Report, What
from hub.verify.watch import Times, keep_verifying
from sepe.events import Kind, draft
from sepe.ids import HUB_NODE
from sepe.wire.v1 import event_pb2, sync_pb2
from sepe_io.sqlite import StorageDamagedError, transaction
from sepe_io.tasks import end_tasks
from surge import program
from tests.support.hubs import count, durable_seq, new_hub, send
from tests.support.live_hub import until
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded, stock_moved

NIK = nik_of(1)
FRAME_EVENTS = 5

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def node() -> Node:
    node = Node("537104-1")
    node.write(*(recorded(nik_of(number)) for number in range(20)), stock_moved())
    node.write(
        recorded(NIK, "SOMEBODY ELSE"), card_moved(nik_of(3), attempt="a"), card_moved(nik_of(3), attempt="b")
    )
    node.write(*(recorded(nik_of(number, "537105")) for number in range(16)))
    return node


@pytest.fixture
def other() -> Node:
    node = Node("537105-1")
    node.write(*(recorded(nik_of(number, "537105"), "OTHER NAME") for number in range(6)))
    return node


@pytest.fixture
def store(tmp_path: Path, node: Node, other: Node) -> Iterator[HubStore]:
    with new_hub(tmp_path / "hub", [node, other], is_durable=False) as store:
        for frames in zip(node.frames(FRAME_EVENTS), other.frames(1), strict=False):
            send(store, frames)
        send(store, node.frames(FRAME_EVENTS))
        assert store.claim_right(nik_of(9, "537106"), "ktp-el", 1, node.name, now_ms=START_MS).granted
        store.project()
        yield store


def check(store: HubStore, *, repairs: bool = True) -> Report:
    return verify(store.directory, START_MS + 1000, repairs=repairs)


def all_of(store: HubStore) -> tuple[object, ...]:
    """Everything that a reader can see of the state."""
    heads = store.connection.execute("SELECT * FROM head ORDER BY nik").fetchall()
    rows = store.connection.execute("SELECT * FROM frame ORDER BY number").fetchall()
    return (
        digest(store.connection), deep_digest(store.connection), heads, rows,
        cases.cases(store.connection, include_decided=True),
        store.connection.execute("SELECT * FROM print_right ORDER BY nik").fetchall(),
        store.connection.execute("SELECT * FROM roll_right ORDER BY kecamatan").fetchall(),
        store.connection.execute("SELECT * FROM epoch ORDER BY node").fetchall(),
    )  # fmt: skip


def flip(store: HubStore, number: int, at: int, column: str = "data") -> None:
    """One bit of a blob."""
    data = bytearray(
        store.connection.execute(f"SELECT {column} FROM frame WHERE number = ?", (number,)).fetchone()[0]
    )
    data[at] ^= 0x10
    store.connection.execute(f"UPDATE frame SET {column} = ? WHERE number = ?", (bytes(data), number))


def asked(word: sync_pb2.Ack) -> list[tuple[int, int]]:
    return [(one.first_seq, one.last_seq) for one in word.wanted]


def proof_of(store: HubStore, node: Node) -> int:
    """How far the hub says it has read the node's history back."""
    return store.greet(node.hello(), now_ms=START_MS, via="nats").proof.seq


def answer_wanted(store: HubStore, node: Node) -> None:
    """What an office does: greet, and send every run that it is asked for."""
    for _ in range(20):
        runs = asked(store.greet(node.hello(durable_seq=node.last_seq), now_ms=START_MS, via="grpc"))
        if not runs:
            return
        for first_seq, last_seq in runs:
            outcome = send(store, [node.frame(first_seq, last_seq)], via="grpc")[0]
            assert outcome.ack is not None and outcome.ack.verdict == sync_pb2.VERDICT_DURABLE
            assert outcome.events_merged == 0
    raise AssertionError("asked for ever")


def test_a_whole_hub_says_of_each_office_that_it_holds_everything(
    store: HubStore, node: Node, other: Node
) -> None:
    before = all_of(store)
    report = check(store)
    assert report.findings == () and report.is_well
    assert {(one.node, one.events, one.seq, one.chain) for one in report.proofs if one.node != HUB_NODE} == {
        (one.name, one.last_seq, one.last_seq, one.chain(one.last_seq)) for one in (node, other)
    }
    assert all_of(store) == before
    word = store.greet(node.hello(), now_ms=START_MS, via="nats")
    assert (word.proof.events, word.proof.missing, word.proof.seq) == (node.last_seq, 0, node.last_seq)
    assert word.proof.chain == node.chain(node.last_seq) and not word.wanted
    assert not list(store.directory.glob("verify.db*"))


@pytest.mark.parametrize("at", [0, 3, 40, 120, -200, -1])
def test_a_flipped_bit_in_a_frame_is_found_exactly_and_the_office_puts_it_back(
    store: HubStore, node: Node, at: int
) -> None:
    before = all_of(store)
    number = count(store, "SELECT number FROM frame WHERE node = ? AND first_seq = 11", node.name)
    flip(store, number, at)
    report = check(store)
    assert [(one.what, one.fate) for one in report.findings] == [(What.frame, Fate.asked)]
    assert f"frame {number}," in report.findings[0].where and not report.is_well
    word = store.greet(node.hello(), now_ms=START_MS, via="nats")
    assert asked(word) == [(11, 15)]
    assert (word.proof.events, word.proof.missing, word.proof.seq) == (node.last_seq - 5, 5, 10)
    answer_wanted(store, node)
    assert all_of(store) == before
    assert check(store).findings == ()
    assert store.greet(node.hello(), now_ms=START_MS, via="nats").proof.seq == node.last_seq


def test_every_frame_of_a_history_damaged_at_once_comes_back(store: HubStore, node: Node) -> None:
    before = all_of(store)
    for (number,) in store.connection.execute("SELECT number FROM frame WHERE node = ?", (node.name,)).fetchall():
        flip(store, number, 60)
    assert len(check(store).findings) == 8
    answer_wanted(store, node)
    assert all_of(store) == before and check(store).findings == ()


def test_reading_a_resident_of_a_damaged_frame_says_so_and_keeps_no_other_waiting(
    store: HubStore, node: Node
) -> None:
    number = count(store, "SELECT number FROM frame WHERE node = ? AND first_seq = 1", node.name)
    flip(store, number, 60)
    with pytest.raises(StorageDamagedError, match="verify"):
        rebuild_module.rebuild(store.connection)
    # Somebody else's new conflict is projected all the same.
    node.write(recorded(nik_of(15), "A NEW NAME"), recorded(nik_of(2), "ANOTHER"))
    assert send(store, [node.frame(node.last_seq - 1)])[0].events_merged == 2
    opened = count(store, "SELECT COUNT(*) FROM resident_case")
    assert store.project() == 1
    assert count(store, "SELECT COUNT(*) FROM resident_case") == opened + 1
    assert count(store, "SELECT COUNT(*) FROM dirty") == 1
    check(store)
    answer_wanted(store, node)
    assert store.project() == 1 and count(store, "SELECT COUNT(*) FROM resident_case") == opened + 2


def test_frames_whose_rows_are_gone_are_logged_anew(store: HubStore, node: Node) -> None:
    before = all_of(store)
    store.connection.execute("DELETE FROM frame WHERE node = ? AND first_seq IN (6, 11, 26)", (node.name,))
    report = check(store)
    assert [(one.what, one.fate) for one in report.findings] == [(What.hole, Fate.asked)] * 2
    assert [(one.first_seq, one.last_seq) for one in wanted_of(store.connection)] == [(6, 15), (26, 30)]
    answer_wanted(store, node)
    assert {one.what for one in check(store).findings} == {What.head}  # They point to the new rows now.
    after = all_of(store)
    assert after[:2] == before[:2] and after[4:] == before[4:]
    assert check(store).findings == ()
    assert durable_seq(store, node) == node.last_seq


def test_a_hole_is_filled_by_smaller_frames_too(store: HubStore, node: Node) -> None:
    before = all_of(store)
    store.connection.execute("DELETE FROM frame WHERE node = ? AND first_seq IN (6, 11)", (node.name,))
    check(store)
    for first_seq in range(6, 16, 2):
        send(store, [node.frame(first_seq, first_seq + 1)])
    assert wanted_of(store.connection) == []
    check(store)
    assert all_of(store)[:2] == before[:2] and check(store).findings == ()


def test_only_the_very_run_that_a_damaged_frame_held_takes_its_place(store: HubStore, node: Node) -> None:
    before = all_of(store)
    flip(store, count(store, "SELECT number FROM frame WHERE node = ? AND first_seq = 11", node.name), 60)
    check(store)
    damaged = store.connection.execute("SELECT * FROM frame ORDER BY number").fetchall()
    send(store, [node.frame(9, 15), node.frame(11, 14), node.frame(12, 15), node.frame(11, 16)])
    assert store.connection.execute("SELECT * FROM frame ORDER BY number").fetchall() == damaged
    assert len(wanted_of(store.connection)) == 1
    send(store, [node.frame(11, 15)])
    assert all_of(store) == before


def test_what_does_not_fit_between_the_neighbours_is_not_taken(store: HubStore, node: Node) -> None:
    store.connection.execute("DELETE FROM frame WHERE node = ? AND first_seq IN (6, 11)", (node.name,))
    check(store)
    before = count(store, "SELECT COUNT(*) FROM frame")
    twin = Node(node.name, node.epoch)
    twin.write(*(recorded(nik_of(number), "A CLONE") for number in range(30)))
    send(store, [twin.frame(6, 10), twin.frame(6, 15), node.frame(4, 17), node.frame(7, 15)])
    assert count(store, "SELECT COUNT(*) FROM frame") == before
    assert len(wanted_of(store.connection)) == 1
    # It begins one before the hole; that one is skipped.
    assert send(store, [node.frame(5, 15)])[0].events_merged == 0
    assert wanted_of(store.connection) == []
    check(store)
    assert check(store).findings == ()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("node", "537199-1"), ("epoch", b"e" * 16), ("first_seq", 12), ("last_seq", 777), ("skip", 2),
        ("chain_after", b"c" * 32), ("received_ms", START_MS + 9_999_999), ("cap_ms", 1), ("via", "smoke"),
        ("seal", b"s" * 16), ("seal", None),
    ],
)  # fmt: skip
def test_an_altered_column_of_the_log_is_put_right_without_the_office(
    store: HubStore, node: Node, column: str, value: object
) -> None:
    before = all_of(store)
    number = count(store, "SELECT number FROM frame WHERE node = ? AND first_seq = 11", node.name)
    store.connection.execute(f"UPDATE frame SET {column} = ? WHERE number = ?", (value, number))
    report = check(store)
    assert all(one.fate is Fate.mended for one in report.findings)
    assert [one.what for one in report.findings] == ([] if value is None else [What.row])
    assert all_of(store) == before and check(store).findings == ()


def test_a_row_of_which_nothing_can_be_believed_goes_to_quarantine_and_its_events_are_asked_for(
    store: HubStore, node: Node
) -> None:
    before = all_of(store)
    number = count(store, "SELECT number FROM frame WHERE node = ? AND first_seq = 11", node.name)
    flip(store, number, 60)
    store.connection.execute("UPDATE frame SET first_seq = 3 WHERE number = ?", (number,))
    assert {one.what for one in check(store).findings} == {What.frame, What.hole}
    assert [one.reason for one in shelf.held(store.connection)] == ["log_damaged"]
    answer_wanted(store, node)
    check(store)
    assert all_of(store)[:2] == before[:2] and check(store).findings == ()


@pytest.mark.parametrize("change", ["durable_seq = 3", "chain = zeroblob(32)", "durable_seq = 1, chain = x'00'"])
def test_a_watermark_that_lags_behind_its_frames_is_raised(store: HubStore, node: Node, change: str) -> None:
    before = all_of(store)
    store.connection.execute(f"UPDATE epoch SET {change} WHERE node = ?", (node.name,))
    assert [(one.what, one.fate) for one in check(store).findings] == [(What.watermark, Fate.mended)]
    assert all_of(store) == before


def test_a_watermark_whose_row_is_gone_is_made_again(store: HubStore, node: Node) -> None:
    store.connection.execute("DELETE FROM epoch WHERE node = ?", (node.name,))
    assert [one.what for one in check(store).findings] == [What.watermark]
    assert durable_seq(store, node) == node.last_seq and check(store).findings == ()


def test_a_watermark_that_promises_too_much_is_lowered_and_no_event_is_lost(store: HubStore, node: Node) -> None:
    store.connection.execute("UPDATE epoch SET durable_seq = 1000 WHERE node = ?", (node.name,))
    assert [one.what for one in check(store).findings] == [What.watermark]
    assert durable_seq(store, node) == node.last_seq
    node.write(recorded(nik_of(100)))
    assert send(store, [node.frame(node.last_seq)])[0].events_merged == 1
    assert check(store).findings == ()


def test_frames_lost_at_the_end_are_as_a_restored_backup_and_nothing_counts_twice(
    store: HubStore, node: Node
) -> None:
    before = all_of(store)
    store.connection.execute("DELETE FROM frame WHERE node = ? AND last_seq > 30", (node.name,))
    found = check(store).findings
    assert {one.what for one in found} == {What.watermark, What.head} and all(
        one.fate is Fate.mended for one in found
    )
    assert store.greet(node.hello(), now_ms=START_MS, via="nats").durable_seq == 30
    assert sum(one.events_merged for one in send(store, node.frames(FRAME_EVENTS))) == node.last_seq - 30
    store.project()
    assert all_of(store)[:2] == before[:2] and check(store).findings == ()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE head SET events = events + 1 WHERE nik = {nik}", "UPDATE head SET claims = 7 WHERE nik = {nik}",
        "UPDATE head SET identity_min = 5 WHERE nik = {nik}", "UPDATE head SET checksum = checksum + 1 WHERE nik = {nik}",
        "UPDATE head SET refs = x'0000000000000000' WHERE nik = {nik}", "UPDATE head SET refs = x'00' WHERE nik = {nik}",
        "UPDATE head SET decisions = 1 WHERE nik = {nik}", "DELETE FROM head WHERE nik = {nik}",
        "UPDATE head SET events = CAST(events AS TEXT) || 'x' WHERE nik = {nik}",
    ],
)  # fmt: skip
def test_an_altered_head_is_found_exactly_and_mended(store: HubStore, change: str) -> None:
    before = all_of(store)
    store.connection.execute(change.format(nik=nik_of(7)))
    report = check(store)
    assert [(one.what, one.kecamatan) for one in report.findings] == [(What.head, "537104")]
    assert str(nik_of(7)) not in json.dumps([one.where for one in report.findings])
    assert report.is_well and all_of(store) == before and check(store).findings == ()


def test_heads_of_several_kecamatan_and_a_made_up_one_are_all_found(store: HubStore) -> None:
    before = all_of(store)
    store.connection.execute("UPDATE head SET checksum = 1 WHERE nik IN (?, ?)", (nik_of(2), nik_of(4, "537105")))
    store.connection.execute("DELETE FROM head WHERE nik = ?", (nik_of(5, "537105"),))
    store.connection.execute("INSERT INTO head SELECT ?, 1, 1, 1, 2, 3, 4, 5, x'' ", (nik_of(1, "990101"),))
    found = check(store).findings
    assert sorted(one.kecamatan for one in found if one.what is What.head) == [
        "537104",
        "537105",
        "537105",
        "990101",
    ]
    assert all_of(store) == before and check(store).findings == ()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE resident_case SET is_open = 0", "DELETE FROM resident_case", "UPDATE folded SET claims = 9",
        "UPDATE resident_case SET detail = '{}'", "DELETE FROM folded", "UPDATE resident_case SET nik = nik + 1",
    ],
)  # fmt: skip
def test_altered_cases_are_folded_again(store: HubStore, change: str) -> None:
    before = all_of(store)
    store.connection.execute(change)
    report = check(store)
    assert {one.what for one in report.findings} == {What.case} and report.is_well
    assert all_of(store) == before and check(store).findings == ()


def test_altered_rights_and_parked_events_are_put_right(store: HubStore) -> None:
    before = all_of(store)
    store.connection.execute("UPDATE print_right SET fence = 900")
    store.connection.execute("INSERT INTO print_right VALUES (5371049999, 'kia', 1, 'x', 1, 1, '')")
    store.connection.execute("INSERT INTO roll_right VALUES (537104, '537104-7', 9, 1, '')")
    store.connection.execute("INSERT INTO parked VALUES (2, 1, 'unknown_kind')")
    assert sorted(one.what for one in check(store).findings) == [What.parked, *[What.right] * 3]
    assert all_of(store) == before
    assert count(store, "SELECT COUNT(*) FROM parked") == 0 and check(store).findings == ()


def test_altered_decisions_on_what_goes_elsewhere_are_put_right(store: HubStore) -> None:
    nik = nik_of(9, "537106")
    told = {"from_node": "537104-1", "to_node": "537105-1", "until_ms": START_MS + 1, "reason": "no film"}
    card = event_pb2.CardRerouted(product="ktp-el", issue=1, officer="A", **told)
    blanks = event_pb2.BlanksOrdered(product="ktp-el", count=40, officer="A", **told)
    drafts = [draft(Kind.CARD_REROUTED, nik, card), draft(Kind.BLANKS_ORDERED, 0, blanks)]
    store.append_own(drafts, now_ms=START_MS)

    def decided() -> list[object]:
        return [store.connection.execute(f"SELECT * FROM {name}").fetchall() for name in moves.TABLES]

    before = decided()
    assert all(before) and check(store).findings == ()
    store.connection.execute("UPDATE reroute SET to_node = '530302-1'")
    store.connection.execute("INSERT INTO blanks_order VALUES ('kia', 'x', 'y', 9, 1, 1, '', '')")
    store.connection.execute("DELETE FROM blanks_order WHERE product = 'ktp-el'")
    found = check(store).findings
    assert [one.what for one in found] == [What.decision] * 3 and str(nik) not in str(found)
    assert decided() == before and check(store).findings == ()


def test_looking_only_finds_the_same_and_changes_nothing(store: HubStore, node: Node) -> None:
    flip(store, 2, 60)
    store.connection.execute("UPDATE head SET claims = 7 WHERE nik = ?", (nik_of(19),))
    store.connection.execute("UPDATE epoch SET durable_seq = 1 WHERE node = ?", (node.name,))
    before = [
        store.connection.execute(f"SELECT * FROM {name}").fetchall()
        for name in ("frame", "head", "epoch", "wanted", "proof")
    ]
    found = check(store, repairs=False).findings
    assert {one.fate for one in found} == {Fate.found}
    assert {What.frame, What.head, What.watermark} <= {one.what for one in found}
    assert before == [
        store.connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("frame", "head", "epoch", "wanted", "proof")
    ]  # fmt: skip


def test_frames_merged_during_a_reading_are_neither_missed_nor_taken_for_damage(
    store: HubStore, node: Node
) -> None:
    store.connection.execute("UPDATE head SET claims = 7 WHERE nik = ?", (nik_of(7),))
    one = Check(store.directory)
    try:
        assert one.step(2)
        node.write(recorded(nik_of(50)), recorded(nik_of(7), "LATER"))
        send(store, [node.frame(node.last_seq - 1)])
        while one.step(2):
            node.write(recorded(nik_of(7), "LATER STILL"))
            send(store, [node.frame(node.last_seq)])
        report = one.finish(START_MS)
    finally:
        one.close()
    assert [found.what for found in report.findings] == [What.head]
    assert {(one.events, one.seq) for one in report.proofs if one.node == node.name} == {
        (node.last_seq, node.last_seq)
    }
    assert check(store).findings == ()


def test_the_hubs_own_damaged_frame_is_a_persons_matter_and_a_courier_brings_it(store: HubStore) -> None:
    before = all_of(store)
    number = count(store, "SELECT number FROM frame WHERE node = ?", HUB_NODE)
    frame = bytes(store.connection.execute("SELECT data FROM frame WHERE number = ?", (number,)).fetchone()[0])
    flip(store, number, 60)
    assert [(one.what, one.fate) for one in check(store).findings] == [(What.frame, Fate.person)]
    store.merge([Arrival(frame, "import", START_MS)])
    assert all_of(store) == before and check(store).findings == ()


def test_an_altered_public_key_damages_no_frame(store: HubStore, tmp_path: Path) -> None:
    node = Node("537106-1")
    node.write(recorded(nik_of(1, "537106")))
    token = store.enrol_token(node.name, now_ms=START_MS)
    assert store.redeem(node.name, token, node.signer.public_key, now_ms=START_MS) == (True, "")
    send(store, [node.frame()])
    store.connection.execute("UPDATE key SET public_key = zeroblob(32) WHERE node = ?", (node.name,))
    report = check(store)
    assert [(one.what, one.where, one.fate) for one in report.findings] == [(What.key, node.name, Fate.mended)]
    assert check(store).findings == ()
    # Without a token to restore it from, a person is told, and the frames are still not taken for damaged.
    store.connection.execute("DELETE FROM token")
    store.connection.execute("UPDATE key SET public_key = zeroblob(32) WHERE node = ?", (node.name,))
    assert {(one.what, one.fate) for one in check(store).findings} == {(What.key, Fate.person)}
    with transaction(store.connection):
        store.connection.execute("DELETE FROM key WHERE node = ?", (node.name,))
        add_key(store.connection, node.name, node.signer.public_key, now_ms=START_MS)
    assert check(store).findings == ()


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`sepe hub verify` in this process; exit code, stdout, stderr."""

    def run(directory: Path, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sepe", "hub", "verify", str(directory), *words])
        capfd.readouterr()
        try:
            program.main()
            code = 0
        except SystemExit as exc:
            code = int(exc.code or 0)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_proves_to_each_office_what_the_hub_holds(
    store: HubStore, node: Node, other: Node, run_command: Command
) -> None:
    node.write(recorded(nik_of(60)))
    store.greet(node.hello(), now_ms=START_MS, via="nats")
    code, out, _ = run_command(store.directory)
    assert code == 0
    held = node.last_seq - 1
    assert (
        f"{node.name}: the hub holds all {held} of your events, digest {node.chain(held).hex()[:16]}; 1 more wait"
        in out
    )
    assert f"{other.name}: the hub holds all {other.last_seq} of your events" in out
    code, out, _ = run_command(store.directory, "--json", "--node", other.name)
    document = json.loads(out)
    assert code == 0 and document["ok"] and document["digest"] == digest(store.connection).digest
    assert [one["node"] for one in document["nodes"]] == [other.name]
    assert document["nodes"][0]["digest"] == other.chain(other.last_seq).hex()
    assert run_command(store.directory, "--node", "990101-1")[0] == 2


def test_the_command_tells_what_is_altered_and_ends_with_1_until_it_is_back(
    store: HubStore, node: Node, run_command: Command
) -> None:
    number = count(store, "SELECT number FROM frame WHERE node = ? AND first_seq = 11", node.name)
    flip(store, number, 60)
    store.connection.execute("UPDATE head SET claims = 7 WHERE nik = ?", (nik_of(7),))
    code, out, _ = run_command(store.directory, "--no-repair", "--json")
    assert code == 1
    assert {one["fate"] for one in json.loads(out)["found"]} == {"found"}
    code, out, _ = run_command(store.directory)
    assert code == 1 and f"frame {number}, 537104-1" in out and "537104**********" in out
    assert "mended" in out and "asked for" in out and str(nik_of(7)) not in out
    assert f"the hub holds {node.last_seq - 5} of your {node.last_seq} events; 5 are damaged" in out
    answer_wanted(store, node)
    assert run_command(store.directory)[0] == 0
    assert run_command(store.directory)[1].startswith(f"537104-1: the hub holds all {node.last_seq} of")


async def test_a_running_reading_finds_damage_mends_it_and_asks_the_connected_office(
    store: HubStore, node: Node
) -> None:
    before = all_of(store)
    flip(store, 1, 60)
    store.connection.execute("UPDATE head SET claims = 7 WHERE nik = ?", (nik_of(19),))
    store.greet(node.hello(), now_ms=START_MS, via="nats")
    words: asyncio.Queue[list[sync_pb2.Ack]] = asyncio.Queue()
    times = Times(first_s=0, pause_s=60, share=0.5, look_s=0.05)
    watch = asyncio.create_task(keep_verifying(store.directory, words.put_nowait, times))
    try:
        async with asyncio.timeout(20):
            word = next(iter(await words.get()))
            assert word.node == node.name and asked(word) == [(1, 5)]
            answer_wanted(store, node)  # What comes back has everything read again at once.
            await until(lambda: proof_of(store, node) == node.last_seq)
    finally:
        await end_tasks([watch])
    store.connection.execute("UPDATE node SET last_seen_ms = NULL")
    assert all_of(store) == before


def test_a_reading_that_is_killed_leaves_nothing_that_the_next_one_minds(store: HubStore) -> None:
    one = Check(store.directory)
    one.step(2)
    assert list(store.directory.glob("verify.db*"))
    one._connection.close()  # As a kill would.
    assert check(store).findings == () and not list(store.directory.glob("verify.db*"))
