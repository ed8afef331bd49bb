"""The IPP codec: what it writes it reads, and what a hostile peer writes it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.printing.ipp.codec import (
    COLLECTION_DEPTH_MAX,
    Attribute,
    Group,
    IntegerRange,
    Localized,
    Message,
    Resolution,
    Tag,
    Value,
    attribute,
    collection,
    decode,
    encode,
)
from sepe.errors import PeerProtocolError

SMALL = st.integers(-(2**31), 2**31 - 1)
SCALARS = st.one_of(
    st.builds(Value, st.sampled_from([Tag.INTEGER, Tag.ENUM]), SMALL),
    st.builds(Value, st.just(Tag.BOOLEAN), st.booleans()),
    st.builds(Value, st.sampled_from([Tag.TEXT, Tag.NAME, Tag.KEYWORD, Tag.URI]), st.text(max_size=20)),
    st.builds(Value, st.just(Tag.OCTETS), st.binary(max_size=20)),
    st.builds(Value, st.just(Tag.RANGE), st.builds(IntegerRange, SMALL, SMALL)),
    st.builds(Value, st.just(Tag.RESOLUTION), st.builds(Resolution, SMALL, SMALL, st.integers(3, 4))),
    st.builds(Value, st.just(Tag.NAME_LANGUAGE), st.builds(Localized, st.just("id"), st.text(max_size=9))),
    st.builds(Value, st.sampled_from([Tag.NO_VALUE, Tag.UNKNOWN]), st.none()),
)
NAMES = st.text("abc-", min_size=1, max_size=8)


def attributes_of(values: st.SearchStrategy[Value]) -> st.SearchStrategy[tuple[Attribute, ...]]:
    several = st.lists(values, min_size=1, max_size=3).map(tuple)
    return st.lists(st.builds(Attribute, NAMES, several), max_size=3).map(tuple)


VALUES = st.recursive(
    SCALARS, lambda inner: st.builds(Value, st.just(Tag.COLLECTION), attributes_of(inner)), max_leaves=8
)
MESSAGES = st.builds(
    Message,
    code=st.integers(0, 0x7FFF),
    request_id=st.integers(1, 2**31 - 1),
    groups=st.lists(
        st.builds(Group, st.sampled_from([Tag.OPERATION, Tag.JOB, Tag.PRINTER]), attributes_of(VALUES)),
        max_size=3,
    ).map(tuple),
    version=st.sampled_from([(1, 1), (2, 0)]),
    document=st.binary(max_size=30),
)


@given(MESSAGES)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES, st.integers(0, 400))
def test_a_message_cut_short_is_refused_or_its_document_is_short(message: Message, length: int) -> None:
    whole = encode(message)
    cut = whole[: min(length, len(whole))]
    if len(cut) >= len(whole) - len(message.document):
        assert message.document.startswith(decode(cut).document)
    else:
        with pytest.raises(PeerProtocolError) as caught:
            decode(cut)
        assert caught.value.reason == "ipp_malformed"


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        decode(data)
    except PeerProtocolError as error:
        assert error.reason == "ipp_malformed"


@given(MESSAGES, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_message_with_flipped_bytes_is_read_or_refused(message: Message, flips: list[tuple[int, int]]) -> None:
    data = bytearray(encode(message))
    for at, byte in flips:
        data[at % len(data)] = byte
    try:
        decode(bytes(data))
    except PeerProtocolError as error:
        assert error.reason == "ipp_malformed"


def test_the_bytes_of_the_example_in_rfc_8010_appendix_a_are_read() -> None:
    # A.1 Print-Job request, abridged to its head, one operation attribute and copies.
    wire = (
        b"\x01\x01\x00\x02\x00\x00\x00\x01"
        b"\x01\x47\x00\x12attributes-charset\x00\x05utf-8"
        b"\x02\x21\x00\x06copies\x00\x04\x00\x00\x00\x14"
        b"\x44\x00\x05sides\x00\x13two-sided-long-edge"
        b"\x03%!PDF"
    )
    message = decode(wire)
    assert message.code == 2 and message.version == (1, 1)
    assert message.group(Tag.OPERATION).text("attributes-charset") == "utf-8"
    assert message.group(Tag.JOB).integer("copies") == 20
    assert message.group(Tag.JOB).text("sides") == "two-sided-long-edge"
    assert message.document == b"%!PDF"
    assert encode(message) == wire


def test_collections_nested_too_deep_are_refused() -> None:
    inner = attribute(Tag.INTEGER, "x", 1)
    for _ in range(COLLECTION_DEPTH_MAX):
        inner = collection("media-col", (inner,))
    assert decode(encode(Message(0, 1, (Group(Tag.JOB, (inner,)),))))
    deeper = Message(0, 1, (Group(Tag.JOB, (collection("media-col", (inner,)),)),))
    with pytest.raises(PeerProtocolError, match="nested deeper"):
        decode(encode(deeper))


def test_a_thousand_open_collections_do_not_exhaust_the_stack() -> None:
    opened = b"\x34\x00\x01a\x00\x00" + b"\x4a\x00\x00\x00\x01m\x34\x00\x00\x00\x00" * 100_000
    with pytest.raises(PeerProtocolError, match="nested deeper"):
        decode(b"\x02\x00\x00\x00\x00\x00\x00\x01\x02" + opened)


def test_latin_1_in_a_text_is_read_with_a_replacement_character() -> None:
    wire = b"\x01\x01\x00\x00\x00\x00\x00\x01\x01\x41\x00\x01t\x00\x04caf\xe9\x03"
    assert decode(wire).group(Tag.OPERATION).text("t") == "caf\N{REPLACEMENT CHARACTER}"
