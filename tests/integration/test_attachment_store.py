"""The hub's attachments on a real disk: what is taken, what is not, and what a power cut leaves."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.attach.index import FOLDER
from hub.attach.store import PARTS_MAX, UNNAMED_BYTES_MAX, Answer, AttachmentStore
from hub.merge.store import HubStore
from sepe.attach import CHUNK_BYTES_MIN, SEALED_BYTES_MAX
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.rpc.v1 import attachments_pb2 as rpc
from sepe_io.seal import seal
from sepe_io.sqlite import DiskFailedError, StorageFullError
from tests.support.hubs import new_hub, send
from tests.support.world import START_MS, Node, nik_of, recorded

HELD, COMPLETE = rpc.ATTACHMENT_VERDICT_HELD, rpc.ATTACHMENT_VERDICT_COMPLETE
REFUSED, CORRUPT, LATER = (
    rpc.ATTACHMENT_VERDICT_REFUSED,
    rpc.ATTACHMENT_VERDICT_CORRUPT,
    rpc.ATTACHMENT_VERDICT_LATER,
)
PHOTO = bytes(range(256)) * 300


class Office:
    """An office's side, one chunk at a time."""

    def __init__(self, hub: HubStore, store: AttachmentStore, name: str) -> None:
        self.node = Node(name)
        self.hub = hub
        self.store = store

    def record(self, *photos: bytes) -> None:
        """Events that name these photos, merged at the hub."""
        first = self.node.last_seq
        self.node.write(
            *(
                recorded(nik_of(first + number), photo_sha256=hashlib.sha256(photo).digest())
                for number, photo in enumerate(photos)
            )
        )
        send(self.hub, [self.node.frame(first + 1)])

    def seal(self, photo: bytes) -> bytes:
        return seal(photo, self.store.sealing_key.public_key)

    def offer(self, photo: bytes, sealed: bytes, **changes: object) -> Answer:
        item = rpc.OfferItem(
            sha256=hashlib.sha256(photo).digest(),
            sealed_sha256=hashlib.sha256(sealed).digest(),
            sealed_bytes=len(sealed),
            kind="photo",
        )
        for name, value in changes.items():
            setattr(item, name, value)
        return self.store.offer(self.node.name, item, START_MS)

    def put(self, photo: bytes, sealed: bytes, offset: int, size: int = CHUNK_BYTES_MIN) -> Answer:
        begin = rpc.PutBegin(
            node=self.node.name,
            sha256=hashlib.sha256(photo).digest(),
            sealed_sha256=hashlib.sha256(sealed).digest(),
        )
        chunk = rpc.PutChunk(offset=offset, data=sealed[offset : offset + size])
        return self.store.put(self.node.name, begin, chunk, START_MS)

    def send_all(self, photo: bytes, sealed: bytes) -> Answer:
        answer = self.offer(photo, sealed)
        while answer.verdict == HELD:
            answer = self.put(photo, sealed, answer.held)
        return answer


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubStore]:
    with new_hub(tmp_path / "hub", [Node("537104-1"), Node("537105-1")], is_durable=False) as found:
        yield found


@pytest.fixture
def store(hub: HubStore) -> Iterator[AttachmentStore]:
    found = AttachmentStore.open(hub, free_bytes_min=0)
    yield found
    found.close()


@pytest.fixture
def office(hub: HubStore, store: AttachmentStore) -> Office:
    return Office(hub, store, "537104-1")


def files(hub: HubStore) -> list[Path]:
    return sorted(path for path in (hub.directory / FOLDER).glob("??/*"))


def test_an_attachment_becomes_whole_chunk_by_chunk_and_opens(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    assert office.offer(PHOTO, sealed) == Answer(HELD, 0)
    assert office.put(PHOTO, sealed, 0) == Answer(HELD, CHUNK_BYTES_MIN)
    counts = office.store.counts()
    assert (counts.complete, counts.waiting, counts.begun) == (0, 1, 1)
    assert office.send_all(PHOTO, sealed).verdict == COMPLETE
    assert office.store.plain_of(hashlib.sha256(PHOTO).digest()) == PHOTO
    assert office.store.counts().complete == 1
    (file,) = files(hub)
    assert file.read_bytes() == sealed, "it stays sealed on the hub's disk"


def test_a_hub_that_was_restarted_answers_with_the_same_byte(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    office.offer(PHOTO, sealed)
    office.put(PHOTO, sealed, 0, 10_001)
    again = AttachmentStore.open(hub, free_bytes_min=0)
    office.store = again
    assert office.offer(PHOTO, sealed) == Answer(HELD, 10_001)
    assert office.send_all(PHOTO, sealed).verdict == COMPLETE
    again.close()


def test_bytes_that_a_power_cut_left_beyond_the_ack_are_cut_off(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    office.offer(PHOTO, sealed)
    office.put(PHOTO, sealed, 0, 10_000)
    (part,) = files(hub)
    part.write_bytes(part.read_bytes() + b"\0" * (len(sealed) + 5_000))
    assert office.offer(PHOTO, sealed) == Answer(HELD, 10_000)
    assert office.send_all(PHOTO, sealed).verdict == COMPLETE


def test_a_part_that_somebody_cut_is_filled_from_where_it_ends(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    office.offer(PHOTO, sealed)
    office.put(PHOTO, sealed, 0, 10_000)
    (part,) = files(hub)
    part.write_bytes(part.read_bytes()[:4_000])
    assert office.put(PHOTO, sealed, 10_000) == Answer(HELD, 4_000)
    assert office.send_all(PHOTO, sealed).verdict == COMPLETE


def test_a_kill_between_renaming_and_committing_loses_nothing(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    assert office.send_all(PHOTO, sealed).verdict == COMPLETE
    office.store._index.execute("UPDATE attachment SET complete_ms = NULL")
    assert office.offer(PHOTO, sealed).verdict == COMPLETE
    assert office.store.counts().complete == 1


def test_echoes_gaps_and_chunks_beyond_the_end_change_nothing(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    office.offer(PHOTO, sealed)
    office.put(PHOTO, sealed, 0, 10_000)
    assert office.put(PHOTO, sealed, 0, 10_000) == Answer(HELD, 10_000)
    assert office.put(PHOTO, sealed, 20_000) == Answer(HELD, 10_000, "gap")
    assert office.put(PHOTO, sealed + b"more", len(sealed), 4).reason == "not_offered"
    assert office.put(PHOTO, sealed, 5_000, 10_000) == Answer(HELD, 15_000)
    assert files(hub)[0].read_bytes() == sealed[:15_000]


def test_bytes_that_are_not_those_offered_are_thrown_away(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    office.offer(PHOTO, sealed)
    office.put(PHOTO, sealed, 0, 10_000)
    (part,) = files(hub)
    part.write_bytes(b"\0" * 10_000)
    assert office.send_all(PHOTO, sealed) == Answer(CORRUPT, 0, "wrong_hash")
    assert files(hub) == []
    assert office.send_all(PHOTO, sealed).verdict == COMPLETE


def test_a_sealed_file_that_holds_another_picture_is_not_taken_for_the_named_one(office: Office) -> None:
    office.record(PHOTO)
    assert office.send_all(PHOTO, office.seal(b"another picture" * 50)) == Answer(CORRUPT, 0, "wrong_content")
    assert office.send_all(PHOTO, b"sepe-seal-1\0" + b"x" * 500).reason == "other_sealing_key"
    assert office.send_all(PHOTO, b"no seal at all" * 50).reason == "not_sealed"
    with pytest.raises(InvalidInputError):
        office.store.plain_of(hashlib.sha256(PHOTO).digest())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "film"}, "bad_kind"),
        ({"sha256": b"short"}, "bad_hash"),
        ({"sealed_sha256": b""}, "bad_hash"),
        ({"sealed_bytes": SEALED_BYTES_MAX + 1}, "oversized"),
        ({"sealed_bytes": 68}, "oversized"),
    ],
)
def test_an_offer_that_cannot_be_is_refused(office: Office, changes: dict[str, object], reason: str) -> None:
    office.record(PHOTO)
    assert office.offer(PHOTO, office.seal(PHOTO), **changes) == Answer(REFUSED, 0, reason)


def test_what_no_event_of_the_office_names_fills_no_more_than_its_quota(
    hub: HubStore, store: AttachmentStore
) -> None:
    office, other = Office(hub, store, "537104-1"), Office(hub, store, "537105-1")
    other.record(PHOTO)
    size = SEALED_BYTES_MAX
    photos = [bytes([number]) * 10 for number in range(UNNAMED_BYTES_MAX // size + 1)]
    answers = [office.offer(photo, office.seal(photo), sealed_bytes=size) for photo in photos]
    assert [answer.verdict for answer in answers[:-1]] == [HELD] * (len(photos) - 1)
    assert answers[-1] == Answer(REFUSED, 0, "unknown_attachment")
    assert office.offer(PHOTO, office.seal(PHOTO), sealed_bytes=size).reason == "unknown_attachment"
    assert other.offer(PHOTO, other.seal(PHOTO)).verdict == HELD, "another office is not hurt"
    office.record(photos[-1])
    assert office.offer(photos[-1], office.seal(photos[-1])).verdict == HELD, "its event came: it is welcome"


def test_an_office_has_only_so_many_under_way(office: Office, hub: HubStore) -> None:
    photos = [bytes([number]) * 20_000 for number in range(PARTS_MAX + 3)]
    office.record(*photos)
    for photo in photos:
        sealed = office.seal(photo)
        assert office.offer(photo, sealed) == Answer(HELD, 0)
        assert office.put(photo, sealed, 0, 10_000).held == 10_000
    assert len(files(hub)) == PARTS_MAX


def test_sealing_anew_replaces_what_was_under_way(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    first, second = office.seal(PHOTO), office.seal(PHOTO)
    office.offer(PHOTO, first)
    office.put(PHOTO, first, 0)
    assert office.offer(PHOTO, second) == Answer(HELD, 0)
    assert files(hub) == []
    assert office.put(PHOTO, first, CHUNK_BYTES_MIN).reason == "not_offered"
    assert office.send_all(PHOTO, second).verdict == COMPLETE


def test_one_picture_of_two_offices_is_stored_once(hub: HubStore, store: AttachmentStore) -> None:
    one, two = Office(hub, store, "537104-1"), Office(hub, store, "537105-1")
    one.record(PHOTO)
    two.record(PHOTO)
    assert one.send_all(PHOTO, one.seal(PHOTO)).verdict == COMPLETE
    assert two.offer(PHOTO, two.seal(PHOTO)).verdict == COMPLETE
    assert store.wanted("537105-1") == ([], 0)
    assert len(files(hub)) == 1


def test_the_hub_asks_for_what_is_named_and_for_what_it_lost(office: Office, hub: HubStore) -> None:
    photos = [bytes([number]) * 500 for number in range(3)]
    office.record(*photos)
    digests = [hashlib.sha256(photo).digest() for photo in photos]
    found, total = office.store.wanted(office.node.name)
    assert (sorted(found), total) == (sorted(digests), 3)
    assert office.send_all(photos[0], office.seal(photos[0])).verdict == COMPLETE
    assert sorted(office.store.wanted(office.node.name)[0]) == sorted(digests[1:])
    for file in files(hub):
        file.unlink()
    assert office.offer(photos[0], office.seal(photos[0])) == Answer(HELD, 0)
    assert sorted(office.store.wanted(office.node.name)[0]) == sorted(digests)


def test_nothing_is_taken_while_the_disk_belongs_to_the_events(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    full = AttachmentStore.open(hub, free_bytes_min=1 << 60)
    office.store = full
    answer = office.offer(PHOTO, office.seal(PHOTO))
    assert (answer.verdict, answer.reason) == (LATER, "disk_low")
    assert answer.retry_after_ms > 0
    full.close()


def test_another_log_is_read_from_its_beginning(tmp_path: Path, office: Office, hub: HubStore) -> None:
    office.record(b"of the old log")
    assert office.store.scan()
    with new_hub(tmp_path / "restored", [Node("537104-1")], is_durable=False) as restored:
        node = Node("537104-1", now_ms=START_MS + 1_000)
        node.write(*(recorded(nik_of(number), photo_sha256=bytes([number]) * 32) for number in range(1, 4)))
        send(restored, node.frames(1))
        log = restored.reader()
        office.store._log.close()
        office.store._log = log
        assert office.store.scan()
        assert office.store.wanted("537104-1")[1] == 4


def test_a_file_damaged_on_the_hubs_disk_is_never_given_out(office: Office, hub: HubStore) -> None:
    office.record(PHOTO)
    office.send_all(PHOTO, office.seal(PHOTO))
    (file,) = files(hub)
    data = bytearray(file.read_bytes())
    data[1_000] ^= 1
    file.write_bytes(data)
    with pytest.raises(PeerProtocolError, match="broken_seal"):
        office.store.plain_of(hashlib.sha256(PHOTO).digest())


@pytest.mark.parametrize(("fault", "error"), [(errno.EIO, DiskFailedError), (errno.ENOSPC, StorageFullError)])
def test_a_chunk_that_the_disk_did_not_take_is_not_acknowledged(
    office: Office, hub: HubStore, monkeypatch: pytest.MonkeyPatch, fault: int, error: type[Exception]
) -> None:
    office.record(PHOTO)
    sealed = office.seal(PHOTO)
    office.offer(PHOTO, sealed)

    def failing(_: int) -> None:
        raise OSError(fault, os.strerror(fault))

    with monkeypatch.context() as patch:
        patch.setattr("hub.attach.store.os.fsync", failing)
        with pytest.raises(error):
            office.put(PHOTO, sealed, 0)
    assert office.offer(PHOTO, sealed) == Answer(HELD, 0)
