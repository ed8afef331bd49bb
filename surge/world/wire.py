"""Frames as bytes: the real header, columns and chain; without compression and signature, which cost most and say
nothing about histories (`sepe_io.frames` and its tests have them)."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from sepe.codec import Columns, Header, check_chain, pack_columns, pack_header, unpack_columns, unpack_header
from sepe.errors import PeerProtocolError
from sepe.wire.v1 import frame_pb2

KEY_ID = b"world-ky"


@dataclass(frozen=True, slots=True)
class Opened:
    """A frame whose sizes and chain were checked."""

    header: Header
    columns: Columns
    chains: list[bytes]


def seal(
    *, node: str, epoch: bytes, first_seq: int, chain_before: bytes, chain_after: bytes, columns: Columns
) -> bytes:
    """One frame, ready to travel."""
    payload = pack_columns(columns)
    header = pack_header(
        Header(node, epoch, first_seq, len(columns), chain_before, chain_after, len(payload), KEY_ID)
    )
    return frame_pb2.Frame(header=header, payload=payload).SerializeToString()


def open_(data: bytes) -> Opened:
    """The frame's events.

    Raises:
        PeerProtocolError: the bytes are not a whole frame.
    """
    try:
        frame = frame_pb2.Frame.FromString(data)
    except DecodeError as exc:
        raise PeerProtocolError("unreadable_frame") from exc
    header = unpack_header(frame.header)
    if len(frame.payload) != header.payload_bytes:
        raise PeerProtocolError("unreadable_payload", f"{len(frame.payload)} bytes, not {header.payload_bytes}")
    columns = unpack_columns(frame.payload, header.count)
    return Opened(header, columns, check_chain(header, columns))


def peek(data: bytes) -> Header | None:
    """Who sent this, if that much can be read."""
    try:
        return unpack_header(frame_pb2.Frame.FromString(data).header)
    except (DecodeError, PeerProtocolError):
        return None
