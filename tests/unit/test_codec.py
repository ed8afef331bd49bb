"""Columns, chain, header and seal: what goes in comes out, and nothing else is let in."""

from dataclasses import replace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sepe import codec
from sepe.codec import (
    Columns,
    Header,
    chain_start,
    chains,
    pack_columns,
    pack_header,
    unpack_columns,
    unpack_header,
)
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.events import EVENT_BYTES_MAX, Draft, Event, Kind, body_of, draft
from sepe.ids import EventId, check_node, partition_of
from sepe.wire.v1 import event_pb2, frame_pb2
from sepe_io.frames import open_frame, seal_frame
from sepe_io.keys import Signer

NODE, EPOCH = "537104-1", b"e" * 16
SIGNER = Signer.generate()

rows = st.tuples(
    st.builds(Draft, kind=st.integers(0, 65535), nik=st.integers(0, 2**64 - 1), body=st.binary(max_size=40)),
    st.integers(0, 2**64 - 1),
)


def sealed(columns: Columns, first_seq: int = 1, before: bytes | None = None) -> bytes:
    start = chain_start(NODE, EPOCH) if before is None else before
    return seal_frame(
        node=NODE, epoch=EPOCH, first_seq=first_seq, chain_before=start, columns=columns, signer=SIGNER
    )


def opened(data: bytes) -> Columns:
    return open_frame(data, lambda _node, _key: SIGNER.public_key).columns


def reason_of(data: bytes) -> str:
    with pytest.raises(PeerProtocolError) as caught:
        opened(data)
    return caught.value.reason


@given(st.lists(rows, min_size=1, max_size=20))
def test_a_sealed_frame_opens_to_the_same_events(events: list[tuple[Draft, int]]) -> None:
    columns = Columns.of(events)
    assert opened(sealed(columns)) == columns


@given(st.lists(rows, min_size=2, max_size=8), st.data())
def test_the_chain_does_not_depend_on_where_frames_are_cut(
    events: list[tuple[Draft, int]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(events) - 1))
    start = chain_start(NODE, EPOCH)
    whole = chains(start, Columns.of(events))
    first = chains(start, Columns.of(events[:cut]))
    assert whole == first + chains(first[-1], Columns.of(events[cut:]))


@given(st.lists(rows, min_size=1, max_size=5), st.data())
def test_every_flipped_bit_of_a_frame_is_noticed(events: list[tuple[Draft, int]], data: st.DataObject) -> None:
    frame = bytearray(sealed(Columns.of(events)))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        columns = opened(bytes(frame))
    except PeerProtocolError:
        return
    assert columns == Columns.of(events), "a flip that zstd ignores may pass, a changed event may not"


def one_event() -> Columns:
    return Columns.of([(Draft(1, 5371044101909001, b"x" * 100), 1 << 16)])


def test_a_foreign_signature_is_refused() -> None:
    frame = frame_pb2.Frame.FromString(sealed(one_event()))
    frame.signature = Signer.generate().sign(codec.SIGNED_PREFIX + frame.header)
    assert reason_of(frame.SerializeToString()) == "bad_signature"


def resealed(payload: bytes, **changes: object) -> bytes:
    """A frame with a valid signature by its node over a header and payload that do not belong together."""
    frame = frame_pb2.Frame.FromString(sealed(one_event()))
    header = pack_header(replace(unpack_header(frame.header), **changes))
    signature = SIGNER.sign(codec.SIGNED_PREFIX + header)
    return frame_pb2.Frame(header=header, payload=payload, signature=signature).SerializeToString()


def test_a_decompression_bomb_is_refused_without_unpacking_it() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(300 * 1024 * 1024))
    assert len(bomb) < codec.FRAME_BYTES_MAX
    assert reason_of(resealed(bomb, payload_bytes=codec.PAYLOAD_BYTES_MAX)) == "unreadable_payload"
    assert reason_of(resealed(bomb, payload_bytes=300 * 1024 * 1024)) == "oversized_frame"


def test_a_bomb_that_hides_its_size_is_refused() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    bomb = compressor.compress(bytes(50 * 1024 * 1024)) + compressor.flush()
    assert reason_of(resealed(bomb, payload_bytes=1000)) == "unreadable_payload"


def test_a_payload_of_another_frame_is_refused() -> None:
    other = pack_columns(Columns.of([(Draft(1, 1, b"y" * 100), 1 << 16)]))
    payload = zstandard.ZstdCompressor().compress(other)
    assert reason_of(resealed(payload, payload_bytes=len(other))) == "bad_chain"


def test_an_oversized_frame_is_refused_before_it_is_parsed() -> None:
    assert reason_of(bytes(codec.FRAME_BYTES_MAX + 1)) == "oversized_frame"


@pytest.mark.parametrize("data", [b"", b"\xff", b"<html>login</html>", b"\x00" * 40])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    assert reason_of(data) in {"unreadable_frame", "unreadable_header"}


def test_columns_that_do_not_add_up_are_refused() -> None:
    message = frame_pb2.Columns.FromString(pack_columns(one_event()))
    message.bodies += b"more"
    with pytest.raises(PeerProtocolError, match="add up"):
        unpack_columns(message.SerializeToString(), 1)
    with pytest.raises(PeerProtocolError, match="unreadable_payload"):
        unpack_columns(pack_columns(one_event()), 2)


def test_a_header_survives_and_its_limits_hold() -> None:
    header = Header(NODE, EPOCH, 5, 10, b"a" * 32, b"b" * 32, 99, b"k" * 8)
    assert unpack_header(pack_header(header)) == header
    for broken in (
        replace(header, count=0),
        replace(header, count=codec.EVENTS_MAX + 1),
        replace(header, first_seq=0),
        replace(header, epoch=b"short"),
        replace(header, chain_after=b""),
        replace(header, payload_bytes=codec.PAYLOAD_BYTES_MAX + 1),
    ):
        with pytest.raises(PeerProtocolError):
            unpack_header(pack_header(broken))


def test_an_event_over_the_limit_is_refused_at_the_desk() -> None:
    with pytest.raises(InvalidInputError, match="at most"):
        draft(Kind.RECORDED, 1, event_pb2.Recorded(address="X" * EVENT_BYTES_MAX))


def test_fields_of_a_newer_office_come_back_intact_from_an_older_reader() -> None:
    newer = event_pb2.Recorded(name="MARIA TAEK").SerializeToString() + bytes.fromhex("c23e0568656c6c6f")
    message = body_of(Kind.RECORDED, newer)
    assert message is not None
    assert message.SerializeToString() == newer
    columns = Columns.of([(Draft(Kind.RECORDED, 1, newer), 1), (Draft(999, 2, b"a kind of tomorrow"), 2)])
    assert opened(sealed(columns)).bodies == (newer, b"a kind of tomorrow")


def test_an_enum_value_of_tomorrow_survives() -> None:
    tomorrow = event_pb2.CardMoved(attempt="a", state=75).SerializeToString()  # type: ignore[arg-type]
    message = body_of(Kind.CARD_MOVED, tomorrow)
    assert message is not None
    assert message.SerializeToString() == tomorrow


@pytest.mark.parametrize(
    "text", ["537104", "537104-0", "537104-1\n", "53710-1", "٥٣٧١٠٤-1", "537104-1000", "hub", ""]
)
def test_what_is_no_node_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInputError, match="537104-1"):
        check_node(text)


def test_partitions_are_the_same_on_every_machine() -> None:
    assert [partition_of(f"5371{office:02}-1", 8) for office in (1, 4, 5)] == [7, 4, 3]
    assert {partition_of(f"{code}-1", 8) for code in range(537101, 537201)} == set(range(8))


def test_event_names_are_read_back() -> None:
    event = Event(EventId(NODE, EPOCH, 7), 1, 1, 1, b"")
    assert EventId.parse(str(event.id)) == event.id
    with pytest.raises(InvalidInputError):
        EventId.parse("537104-1:zz:7")
