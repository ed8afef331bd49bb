"""The hub's store on a real SQLite file and on a real PostgreSQL: what it takes, what it refuses, and what survives."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

import hub.merge.ahead
from hub.engine import place
from hub.merge.ahead import Prover, merge_ahead
from hub.merge.digest import digest
from hub.merge.store import Arrival, HubStore
from hub.merge.tally import tally
from hub.quarantine import shelf
from hub.read.status import counts, nodes
from sepe.codec import Columns, chain_start, pack_columns
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.events import Draft, Kind, draft
from sepe.ids import HUB_NODE
from sepe.sync.centre import Judgement
from sepe.wire.v1 import event_pb2, frame_pb2, sync_pb2
from sepe_io.frames import seal_frame
from sepe_io.sqlite import connect, transaction
from tests.support.hubs import arrivals, count, durable_seq, let_in, new_hub, send
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded, stock_moved


@pytest.fixture
def node() -> Node:
    node = Node("537104-1")
    node.write(*(recorded(nik_of(number)) for number in range(10)))
    return node


@pytest.fixture
def store(tmp_path: Path, node: Node, database: str) -> Iterator[HubStore]:
    with new_hub(tmp_path / "hub", [node], is_durable=False, database=database) as store:
        yield store


def verdict_of(store: HubStore, frame: bytes, **how: str) -> tuple[int | None, str]:
    outcome = store.merge([Arrival(frame, how.get("via", "nats"), START_MS, how.get("sender"))])[0]
    return None if outcome.ack is None else outcome.ack.verdict, outcome.reason


def held_reasons(store: HubStore) -> list[str]:
    return [one.reason for one in shelf.held(store.connection)]


def test_a_frame_is_acknowledged_with_the_watermark_and_digest_it_reached(store: HubStore, node: Node) -> None:
    outcome = send(store, [node.frame(1, 4)])[0]
    assert outcome.judgement is Judgement.ACCEPT
    assert outcome.events_merged == 4
    assert outcome.ack is not None
    assert (outcome.ack.verdict, outcome.ack.durable_seq) == (sync_pb2.VERDICT_DURABLE, 4)
    assert outcome.ack.durable_chain == node.chain(4)
    assert outcome.ack.hub_ms == START_MS


def test_frames_of_one_epoch_in_one_batch_stand_on_one_another(store: HubStore, node: Node) -> None:
    outcomes = send(store, [node.frame(1, 3), node.frame(2, 6), node.frame(4, 5), node.frame(9), node.frame(7)])
    assert [one.judgement for one in outcomes] == [
        Judgement.ACCEPT, Judgement.ACCEPT, Judgement.DUPLICATE, Judgement.GAP, Judgement.ACCEPT,
    ]  # fmt: skip
    assert [one.events_merged for one in outcomes] == [3, 3, 0, 0, 4]
    assert outcomes[3].ack is not None
    assert (outcomes[3].ack.verdict, outcomes[3].ack.durable_seq) == (sync_pb2.VERDICT_GAP, 6)
    assert counts(store.connection).residents == 10


def test_the_log_knows_the_digest_at_every_seq_however_the_frames_were_cut(store: HubStore, node: Node) -> None:
    send(store, [node.frame(1, 3), node.frame(2, 6), node.frame(7)])
    for seq in range(11):
        assert store.chain_at(node.name, node.epoch, seq) == node.chain(seq)
    assert store.chain_at(node.name, node.epoch, 11) is None


def test_a_clone_that_writes_its_own_history_is_a_fork_and_goes_to_quarantine(store: HubStore, node: Node) -> None:
    twin = node.clone()
    node.write(recorded(nik_of(20)))
    twin.write(recorded(nik_of(21)))
    send(store, [node.frame()])
    before = digest(store.connection)
    assert verdict_of(store, twin.frame()) == (sync_pb2.VERDICT_FORK, "fork")
    twin.write(recorded(nik_of(22)))
    assert verdict_of(store, twin.frame(11)) == (sync_pb2.VERDICT_FORK, "fork")
    assert held_reasons(store) == ["fork", "fork"]
    assert digest(store.connection) == before
    later_ms = START_MS + 30 * 86_400_000
    assert "fork" in nodes(store.connection, now_ms=later_ms)[0].flags
    for held in shelf.held(store.connection):
        shelf.remove(store.connection, held.id)
    assert "fork" in nodes(store.connection, now_ms=START_MS)[0].flags
    assert "fork" not in nodes(store.connection, now_ms=later_ms)[0].flags
    assert store.greet(twin.hello(), now_ms=START_MS, via="grpc").verdict == sync_pb2.VERDICT_DURABLE
    twin.drafts.pop()
    twin.stamps.pop()
    assert store.greet(twin.hello(), now_ms=START_MS, via="grpc").verdict == sync_pb2.VERDICT_FORK


def test_a_stranger_is_refused_kept_and_merged_once_enrolled_and_released(store: HubStore) -> None:
    stranger = Node("537105-1")
    stranger.write(recorded(nik_of(1, "537105")))
    assert verdict_of(store, stranger.frame()) == (sync_pb2.VERDICT_REFUSED, "unknown_node")
    assert counts(store.connection).events == 0
    let_in(store, [stranger])
    held = shelf.held(store.connection)[0]
    released = store.release(held.id)
    assert released is not None and released.judgement is Judgement.ACCEPT
    before = digest(store.connection)
    assert store.release(held.id) is None
    assert verdict_of(store, stranger.frame()) == (sync_pb2.VERDICT_DURABLE, "")
    assert digest(store.connection) == before
    assert counts(store.connection).events == 1


def test_a_frame_that_is_released_but_cannot_be_merged_stays(store: HubStore, node: Node) -> None:
    stranger = Node("537105-1")
    stranger.write(recorded(nik_of(1)))
    send(store, [stranger.frame()])
    held = shelf.held(store.connection)[0]
    outcome = store.release(held.id)
    assert outcome is not None and outcome.reason == "unknown_node"
    assert [one.id for one in shelf.held(store.connection)] == [held.id]


def test_frames_of_a_revoked_machine_wait_for_a_person(store: HubStore, node: Node) -> None:
    send(store, [node.frame(1, 5)])
    assert store.revoke(node.name, now_ms=START_MS)
    assert verdict_of(store, node.frame(6)) == (sync_pb2.VERDICT_REFUSED, "revoked")
    assert store.greet(node.hello(), now_ms=START_MS, via="nats").reason == "revoked"
    assert "revoked" in nodes(store.connection, now_ms=START_MS)[0].flags
    outcome = store.release(shelf.held(store.connection)[0].id)
    assert outcome is not None and outcome.events_merged == 5
    token = store.enrol_token(node.name, now_ms=START_MS)
    assert store.redeem(node.name, token, node.signer.public_key, now_ms=START_MS) == (False, "revoked")
    assert not store.revoke("537199-1", now_ms=START_MS)


def test_a_token_lets_one_key_of_one_node_in_once(store: HubStore) -> None:
    new, other = Node("537105-1"), Node("537106-1")
    token = store.enrol_token(new.name, now_ms=START_MS, valid_ms=1000)
    key = new.signer.public_key
    assert store.redeem(other.name, token, key, now_ms=START_MS) == (False, "wrong_node")
    assert store.redeem(new.name, "NOPE", key, now_ms=START_MS) == (False, "unknown_token")
    assert store.redeem(new.name, token, key, now_ms=START_MS + 1001) == (False, "expired_token")
    assert store.redeem(new.name, token.lower(), key, now_ms=START_MS) == (True, "")
    # The reply was lost: the same question gets the same answer, however late.
    assert store.redeem(new.name, token, key, now_ms=START_MS + 5000) == (True, "")
    assert store.redeem(new.name, token, other.signer.public_key, now_ms=START_MS) == (False, "used_token")
    assert store.public_key_of(new.name, new.signer.key_id) == key
    with pytest.raises(PeerProtocolError, match="unknown_key"):
        store.public_key_of(new.name, other.signer.key_id)
    with pytest.raises(InvalidInputError):
        store.enrol_token("hub", now_ms=START_MS)


def test_a_greeting_is_answered_with_where_the_hub_stands(store: HubStore, node: Node) -> None:
    send(store, [node.frame(1, 7)])
    answer = store.greet(node.hello(clock_ms=START_MS + 3_600_000), now_ms=START_MS, via="grpc")
    assert (answer.verdict, answer.durable_seq, answer.durable_chain) == (
        sync_pb2.VERDICT_DURABLE, 7, node.chain(7),
    )  # fmt: skip
    row = nodes(store.connection, now_ms=START_MS)[0]
    assert (row.lag_events, row.link, row.clock_skew_ms, row.flags) == (3, "grpc", 3_600_000, ("clock_ahead",))


def test_rubbish_for_a_greeting_is_refused_and_never_raises(store: HubStore, node: Node) -> None:
    hello = node.hello()
    forged = sync_pb2.SignedHello(hello=hello.hello, key_id=hello.key_id, signature=bytes(64))
    assert store.greet(forged, now_ms=START_MS, via="nats").reason == "bad_signature"
    rubbish = sync_pb2.SignedHello(hello=b"\xff\xff", key_id=b"x", signature=b"")
    assert store.greet(rubbish, now_ms=START_MS, via="nats").reason == "unreadable_hello"
    node.epoch = b"short"
    assert store.greet(node.hello(), now_ms=START_MS, via="nats").reason == "unreadable_hello"


def test_every_cut_and_every_changed_byte_of_a_frame_is_refused_or_changes_nothing(
    store: HubStore, node: Node
) -> None:
    whole = node.frame()
    damaged = [whole[:end] for end in range(0, len(whole), 7)]
    damaged += [whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :] for at in range(0, len(whole), 5)]
    for outcome in store.merge(arrivals(damaged)):
        assert outcome.events_merged == 0
        assert outcome.judgement is None
        assert outcome.ack is None or outcome.ack.verdict in (sync_pb2.VERDICT_CORRUPT, sync_pb2.VERDICT_REFUSED)
    assert counts(store.connection).events == 0
    assert send(store, [whole])[0].events_merged == 10


def test_a_decompression_bomb_is_stopped_by_its_own_header(store: HubStore, node: Node) -> None:
    frame = frame_pb2.Frame.FromString(node.frame())
    frame.payload = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    assert len(frame.SerializeToString()) < 512 * 1024
    assert verdict_of(store, frame.SerializeToString()) == (sync_pb2.VERDICT_CORRUPT, "unreadable_payload")
    assert verdict_of(store, bytes(2 << 20)) == (None, "oversized_frame")
    assert held_reasons(store) == ["unreadable_payload", "oversized_frame"]


def test_an_office_cannot_write_what_only_the_hub_may_write(store: HubStore, node: Node) -> None:
    node.write(draft(Kind.CASE_DECIDED, nik_of(1), event_pb2.CaseDecided(case_kind="nik_conflict")))
    assert verdict_of(store, node.frame()) == (sync_pb2.VERDICT_REFUSED, "forbidden_kind")
    assert counts(store.connection).events == 0


def test_nobody_speaks_for_another_node_or_for_the_hub(store: HubStore, node: Node) -> None:
    # Not answered: the answer would reach the node that the frame names, which sent nothing.
    assert verdict_of(store, node.frame(), sender="537105-1") == (None, "wrong_sender")
    store.append_own([stock_moved()], now_ms=START_MS)
    own = next(iter(store.frames_of(HUB_NODE, None, 0)))
    assert verdict_of(store, own) == (None, "wrong_sender")
    assert verdict_of(store, own, via="import") == (sync_pb2.VERDICT_DURABLE, "")


def test_a_new_kind_and_a_poison_event_are_parked_and_the_rest_flows(store: HubStore, node: Node) -> None:
    node.write(Draft(77, nik_of(30), b"from the future"), Draft(int(Kind.RECORDED), nik_of(31), b"\xff\xff"))
    node.write(Draft(int(Kind.RECORDED), 1 << 63, recorded(1).body), recorded(nik_of(32)))
    assert send(store, [node.frame()])[0].events_merged == 14
    rows = store.connection.execute("SELECT place, reason FROM parked ORDER BY place").fetchall()
    assert rows == [(10, "unknown_kind"), (11, "unreadable_event: DecodeError"), (12, "impossible_nik")]
    found = counts(store.connection)
    assert (found.events, found.residents, found.parked) == (14, 11, 3)
    assert count(store, "SELECT SUM(events) FROM head") == 14


def test_a_frame_that_breaks_the_merge_is_found_and_the_batch_goes_on(
    store: HubStore, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [Node(f"53710{number}-1") for number in (5, 6)]
    for other in others:
        other.write(recorded(nik_of(1, other.name[:6])))
    let_in(store, others)

    def explosive(columns: Columns, *rest: object) -> object:
        if columns.niks[0] == nik_of(1, "537105"):
            raise RuntimeError("a defect of ours")
        return tally(columns, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("hub.merge.tally.tally", explosive)
    outcomes = send(store, [node.frame(), others[0].frame(), others[1].frame()])
    assert [one.events_merged for one in outcomes] == [10, 0, 1]
    assert outcomes[1].reason == "merge_error"
    assert held_reasons(store) == ["merge_error"]
    monkeypatch.undo()
    released = store.release(shelf.held(store.connection)[0].id)
    assert released is not None and released.events_merged == 1


def test_batches_proven_ahead_come_to_what_they_come_to_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.merge.ahead, "PART_BYTES", 1)  # Each frame is a part, and any process takes it.
    nodes = [Node(f"53710{number}-1") for number in (5, 6)]
    for node in nodes:
        node.write(*(recorded(nik_of(number, node.name[:6])) for number in range(40)))
    one, other = (node.frames(7) for node in nodes)
    stranger = Node("537107-1")
    stranger.write(recorded(nik_of(1)))
    # Repeats, a gap, a stranger, another cut, rubbish.
    frames = [one[0], other[0], one[0], one[2], *one[1:], stranger.frame(), b"rubbish", *nodes[1].frames(5)]
    found = []
    for name in ("ahead", "beside"):
        with new_hub(tmp_path / name, nodes, is_durable=False) as store:
            batches = [arrivals(frames[start : start + 3]) for start in range(0, len(frames), 3)]
            if name == "ahead":
                with Prover(store.reader) as proving:
                    proving.wait_until_ready()
                    taken = list(merge_ahead(store, proving, batches))
            else:
                taken = [store.merge(one) for one in batches]
            store.project()
            found.append((digest(store.connection), [[one.reason for one in batch] for batch in taken], taken))
    assert found[0] == found[1]
    assert {reason for batch in found[0][1] for reason in batch} == {"", "unknown_node", "unreadable_frame"}
    assert found[0][0].kecamatan.keys() == {"537105", "537106"}


def test_a_new_database_has_large_pages_and_an_older_one_keeps_its_own(tmp_path: Path) -> None:
    with new_hub(tmp_path / "new") as made:
        assert count(made, "PRAGMA page_size") == 8192
    (tmp_path / "old").mkdir()
    connect(tmp_path / "old" / "hub.db").close()
    with closing(place.connect(tmp_path / "old")) as old:
        assert old.execute("PRAGMA page_size").fetchone() == (4096,)


def test_reading_waits_for_no_writer_and_no_writer_for_reading(store: HubStore, node: Node) -> None:
    send(store, [node.frame(1, 6)])
    with closing(store.reader()) as reader, closing(store.reader()) as other:
        before = digest(other)
        heads = reader.execute("SELECT nik FROM head ORDER BY nik")
        next(heads)  # In the middle of a long answer.
        assert send(store, [node.frame(7)])[0].judgement is Judgement.ACCEPT
        with transaction(store.connection):
            store.connection.execute("UPDATE head SET events = events + 1")
            after = digest(other)
        assert after != before
        assert digest(other) != after
        # The long answer is of the moment at which it began.
        assert 1 + sum(1 for _ in heads) < count(store, "SELECT COUNT(*) FROM head")


def test_a_flood_of_rubbish_takes_bounded_room_and_repeats_only_count(
    store: HubStore, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "FRAMES_MAX", 5)
    rubbish = [f"rubbish {number}".encode() for number in range(50)]
    store.merge(arrivals(rubbish))
    store.merge(arrivals(rubbish[:3]))
    assert [one.times for one in shelf.held(store.connection)] == [2, 2, 2, 1, 1]
    assert count(store, "SELECT times FROM quarantine_overflow") == 45
    # An invented name opens no further shelf; a proven one has its own.
    inventions = []
    for number in range(100, 110):
        invented = Node(f"53{number}1-1")
        invented.write(stock_moved())
        inventions.append(invented.frame())
    store.merge(arrivals(inventions))
    assert len(shelf.held(store.connection, reason="unknown_node")) == 5
    assert send(store, [node.frame()])[0].events_merged == 10


def test_a_clock_years_ahead_is_flagged_and_its_stamps_are_capped(store: HubStore) -> None:
    ahead = Node("537105-1", now_ms=START_MS + 5 * 365 * 86_400_000)
    ahead.write(recorded(nik_of(50), address="AHEAD"))
    node = Node("537106-1", now_ms=START_MS + 86_400_000)
    node.write(recorded(nik_of(50), address="TRUE, A DAY LATER"))
    let_in(store, [ahead, node])
    send(store, [ahead.frame()])
    send(store, [node.frame()], received_ms=START_MS + 86_400_000)
    from hub.merge import log
    from hub.merge.project import fold_events

    resident = fold_events(log.events_of(store.connection, [nik_of(50)])[nik_of(50)])
    top = resident.fields["address"].top
    assert top is not None and top[1] == "TRUE, A DAY LATER"
    flags = {one.node: one.flags for one in nodes(store.connection, now_ms=START_MS)}
    assert flags[ahead.name] == ("clock_ahead",) and flags[node.name] == ()


def test_two_workers_on_one_database_merge_each_event_once(store: HubStore, node: Node) -> None:
    node.write(*(recorded(nik_of(number)) for number in range(10, 300)))
    frames = node.frames(10)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            with HubStore.open(store.directory) as mine:
                for frame in frames * 2:
                    send(mine, [frame])
        except BaseException as exc:
            faults.append(exc)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not faults
    assert counts(store.connection).events == 300
    assert count(store, "SELECT SUM(events) FROM head") == 300


def test_a_copy_of_the_files_at_any_moment_is_a_whole_hub(tmp_path: Path, node: Node) -> None:
    """What a power cut leaves: the database and its log as they lie on the disk, without any goodbye."""
    node.write(recorded(nik_of(3), "SOMEBODY ELSE"), *(recorded(nik_of(number)) for number in range(10, 40)))
    frames = node.frames(4)
    with new_hub(tmp_path / "hub", [node]) as store:
        for number, frame in enumerate(frames):
            send(store, [frame])
            crashed = tmp_path / f"crash-{number}"
            shutil.copytree(tmp_path / "hub", crashed)
            with HubStore.open(crashed) as left:
                # All that was acknowledged is there, the mark for the projector with it.
                assert durable_seq(left, node) == min((number + 1) * 4, node.last_seq)
                send(left, frames)
                left.project()
                assert counts(left.connection).cases_open == 1
        store.project()
        for number in range(len(frames)):
            with HubStore.open(tmp_path / f"crash-{number}") as left:
                assert digest(left.connection) == digest(store.connection)


def test_making_a_hub_is_taken_up_again_after_a_kill_and_never_overwrites_one(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    with new_hub(directory):
        pass
    key = (directory / "hub.key").read_bytes()
    with pytest.raises(InvalidInputError, match="already a hub"):
        HubStore.create(directory, now_ms=START_MS)
    for file in directory.glob("hub.db*"):
        file.unlink()
    with pytest.raises(InvalidInputError, match="no hub"):
        HubStore.open(directory)
    with HubStore.create(directory, now_ms=START_MS):
        assert (directory / "hub.key").read_bytes() == key
    assert (directory / "hub.db").stat().st_mode & 0o077 == 0


def test_a_nodes_own_frames_are_given_back_byte_for_byte(store: HubStore, node: Node) -> None:
    frames = node.frames(3)
    send(store, frames)
    assert list(store.frames_of(node.name, None, 0)) == frames
    assert list(store.frames_of(node.name, node.epoch, 3)) == frames[1:]
    assert list(store.frames_of(node.name, bytes(16), 0)) == []


def test_an_event_too_big_for_any_frame_is_refused(store: HubStore) -> None:
    giant = Node("537104-1")
    body = b"x" * (64 * 1024 + 1)
    giant.drafts.append(Draft(77, 0, body))
    giant.stamps.append(START_MS << 16)
    assert verdict_of(store, giant.frame()) == (sync_pb2.VERDICT_CORRUPT, "oversized_event")


def test_a_history_that_does_not_start_with_its_own_digest_is_refused(store: HubStore, node: Node) -> None:
    columns = node.columns(1, 3)
    assert len(pack_columns(columns)) > 0
    frame = seal_frame(
        node=node.name, epoch=node.epoch, first_seq=1, chain_before=chain_start("537105-1", node.epoch),
        columns=columns, signer=node.signer,
    )  # fmt: skip
    assert verdict_of(store, frame) == (sync_pb2.VERDICT_CORRUPT, "bad_chain")


def test_double_prints_and_conflicts_show_as_cases_until_they_end(store: HubStore, node: Node) -> None:
    other = Node("537105-1")
    other.write(card_moved(nik_of(1), attempt="b", fence=1), recorded(nik_of(2), "SOMEBODY ELSE"))
    node.write(card_moved(nik_of(1), attempt="a"))
    let_in(store, [other])
    send(store, [node.frame(), other.frame()])
    store.project()
    found = counts(store.connection)
    assert (found.cases_open, found.cards, found.duplicates) == (2, 2, 0)
    node.write(card_moved(nik_of(1), event_pb2.CARD_STATE_VOID, attempt="a"))
    send(store, [node.frame(12)])
    store.project()
    assert counts(store.connection).cases_open == 1
