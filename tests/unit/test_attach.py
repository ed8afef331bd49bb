"""The arithmetic of resuming: where a chunk begins, what the hub takes of it, what an ack says."""

import pytest

from sepe.attach import (
    CHUNK_BYTES_MAX,
    CHUNK_BYTES_MIN,
    KINDS,
    WINDOW_CHUNKS,
    Chunk,
    ChunkPace,
    Upload,
    fresh_part,
    may_name,
    named_by,
)
from sepe.errors import PeerProtocolError
from sepe.wire.v1 import event_pb2


def test_an_upload_goes_on_at_the_byte_that_the_hub_names() -> None:
    assert Upload(100_000, 33_333).next_chunk(16_384) == Chunk(33_333, 16_384)


def test_no_more_than_the_window_is_ahead_of_the_hubs_word() -> None:
    upload = Upload(1_000_000, 0)
    for _ in range(WINDOW_CHUNKS):
        chunk = upload.next_chunk(16_384)
        assert chunk is not None
        upload.sent(chunk, 0)
    assert upload.next_chunk(16_384) is None
    assert upload.heard(16_384, 250) == 250
    assert upload.next_chunk(16_384) == Chunk(32_768, 16_384)


def test_the_last_chunk_is_as_long_as_what_is_left() -> None:
    upload = Upload(20_000, 16_384)
    chunk = upload.next_chunk(16_384)
    assert chunk == Chunk(16_384, 3_616)
    upload.sent(chunk, 0)
    assert upload.next_chunk(16_384) is None
    upload.heard(20_000, 10)
    assert upload.is_held


@pytest.mark.parametrize("held", [-1, 20_001])
def test_a_hub_cannot_hold_more_than_there_is(held: int) -> None:
    with pytest.raises(PeerProtocolError, match="impossible_offset"):
        Upload(20_000, held)


@pytest.mark.parametrize("held", [9_999, 26_385])
def test_an_ack_outside_what_was_sent_ends_the_upload(held: int) -> None:
    upload = Upload(100_000, 10_000)
    upload.sent(Chunk(10_000, 16_384), 0)
    with pytest.raises(PeerProtocolError, match="impossible_offset"):
        upload.heard(held, 0)


def test_the_hub_takes_what_is_next_and_nothing_else() -> None:
    assert fresh_part(0, 100, Chunk(0, 40)) == Chunk(0, 40)
    assert fresh_part(40, 100, Chunk(0, 40)) is None
    assert fresh_part(30, 100, Chunk(0, 40)) == Chunk(30, 10)
    for held, chunk, reason in (
        (39, Chunk(40, 10), "gap"),
        (90, Chunk(90, 11), "beyond_end"),
        (0, Chunk(0, 0), "bad_chunk"),
        (0, Chunk(0, CHUNK_BYTES_MAX + 1), "bad_chunk"),
    ):
        with pytest.raises(PeerProtocolError, match=reason):
            fresh_part(held, 100, chunk)


def test_quick_acks_make_larger_chunks_and_slow_ones_smaller() -> None:
    pace = ChunkPace()
    assert pace.chunk_bytes == CHUNK_BYTES_MIN
    for _ in range(5):
        pace.acked(50)
    assert pace.chunk_bytes == CHUNK_BYTES_MAX
    pace.acked(2_000)
    assert pace.chunk_bytes == CHUNK_BYTES_MAX
    pace.acked(9_000)
    assert pace.chunk_bytes == CHUNK_BYTES_MAX // 2
    pace.line_failed()
    assert pace.chunk_bytes == CHUNK_BYTES_MIN


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_that_names_an_attachment_is_told_at_a_glance(kind: str) -> None:
    body = event_pb2.Recorded(name="MARIA TAEK")
    assert not may_name(body.SerializeToString())
    setattr(body, f"{kind}_sha256", bytes(range(32)))
    assert may_name(b"others" + body.SerializeToString() + b"others")
    assert list(named_by(body)) == [(kind, bytes(range(32)))]


def test_a_digest_of_another_length_names_nothing() -> None:
    assert not list(named_by(event_pb2.Recorded(photo_sha256=b"short")))
