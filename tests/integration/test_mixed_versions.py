"""Old beside new on one line: offices two contract versions behind and one ahead.

A newer office is what today's bytes would be with fields, kinds and states that this version has never heard of; an
older one leaves out what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hub.merge.digest import deep_digest, digest
from hub.merge.rebuild import rebuild
from hub.merge.store import Arrival, HubStore
from hub.read import export
from hub.read.person import person
from hub.verify.check import verify
from hub.verify.report import What
from node.desk.absorb import absorb
from sepe import events
from sepe.codec import SIGNED_PREFIX
from sepe.events import Draft, Kind
from sepe.nik import Nik
from sepe.sync.centre import CONTRACT, Judgement
from sepe.sync.office import OfficeSync, State
from sepe.wire.v1 import event_pb2, frame_pb2, sync_pb2
from sepe_io.framefile import read_frames, write_frames
from sepe_io.frames import open_frame, sign_hello
from tests.support.hubs import count, let_in, new_hub, send
from tests.support.office import make_office
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
