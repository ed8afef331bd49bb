"""Sealing and opening frames: compression and signatures around the pure codec.

A peer's frame is hostile until proven otherwise, so `open_frame` goes from cheap to dear: size, header limits,
key, signature, decompressed size *before* and while decompressing, columns, chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import zstandard
from google.protobuf.message import DecodeError

from sepe.codec import (
    FRAME_BYTES_MAX,
    SIGNED_PREFIX,
    Columns,
    Header,
    chains,
    check_chain,
    pack_columns,
    pack_header,
    unpack_columns,
    unpack_header,
)
from sepe.errors import PeerProtocolError
from sepe.wire.v1 import frame_pb2, sync_pb2
from sepe_io.keys import Signer, verify

ZSTD_LEVEL = 3
HELLO_PREFIX = b"sepe-hello-1\0"

# Returns the public key of (node, key_id), or raises PeerProtocolError (unknown_key, revoked).
KeyLookup = Callable[[str, bytes], bytes]


@dataclass(frozen=True, slots=True)
class OpenedFrame:
    """A frame whose signature, sizes and chain were checked.

    Attributes:
        data: the bytes as they arrived; the frame log keeps these.
        chains: digest after each event.
    """

    header: Header
    columns: Columns
    chains: list[bytes]
    data: bytes


def seal_frame(
    *,
    node: str,
    epoch: bytes,
    first_seq: int,
    chain_before: bytes,
    columns: Columns,
    signer: Signer,
    chain_after: bytes = b"",
) -> bytes:
    """One frame, ready to travel. ``columns`` must hold at least one event and keep within the codec's limits.

    Args:
        chain_after: digest after the last event, if the caller has just computed it.
    """
    payload = pack_columns(columns)
    header = pack_header(
        Header(
            node=node,
            epoch=epoch,
            first_seq=first_seq,
            count=len(columns),
            chain_before=chain_before,
            chain_after=chain_after or chains(chain_before, columns)[-1],
            payload_bytes=len(payload),
            key_id=signer.key_id,
        )
    )
    return frame_pb2.Frame(
        header=header,
        payload=zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(payload),
        signature=signer.sign(SIGNED_PREFIX + header),
    ).SerializeToString()


def peek_header(data: bytes) -> Header:
    """A frame's header, unproven: for routing and for naming what is put in quarantine.

    Raises:
        PeerProtocolError: ``oversized_frame``, ``unreadable_frame`` or ``unreadable_header``.
    """
    return unpack_header(_parse(data).header)


def open_frame(data: bytes, public_key_of: KeyLookup) -> OpenedFrame:
    """The frame's events, proven to be its node's.

    Raises:
        PeerProtocolError: with the reason code that the quarantine keeps; nothing was merged.
    """
    frame = _parse(data)
    header = unpack_header(frame.header)
    public_key = public_key_of(header.node, header.key_id)
    if not verify(public_key, frame.signature, SIGNED_PREFIX + frame.header):
        raise PeerProtocolError("bad_signature", header.node)
    columns = unpack_columns(_decompress(frame.payload, header.payload_bytes), header.count)
    return OpenedFrame(header, columns, check_chain(header, columns), data)


def reopen_frame(data: bytes) -> OpenedFrame:
    """A frame of our own log: it was proven when it was logged, so the signature is not checked again.

    Raises:
        PeerProtocolError: the log itself is damaged.
    """
    frame = _parse(data)
    header = unpack_header(frame.header)
    columns = unpack_columns(_decompress(frame.payload, header.payload_bytes), header.count)
    return OpenedFrame(header, columns, check_chain(header, columns), data)


def sign_hello(hello: sync_pb2.Hello, signer: Signer) -> sync_pb2.SignedHello:
    """A greeting that the hub can attribute."""
    data = hello.SerializeToString()
    return sync_pb2.SignedHello(hello=data, key_id=signer.key_id, signature=signer.sign(HELLO_PREFIX + data))


def open_hello(signed: sync_pb2.SignedHello, public_key_of: KeyLookup) -> sync_pb2.Hello:
    """The greeting, proven to be its node's.

    Raises:
        PeerProtocolError: ``unreadable_hello``, ``bad_signature``, or the lookup's reason.
    """
    try:
        hello = sync_pb2.Hello.FromString(signed.hello)
    except DecodeError as exc:
        raise PeerProtocolError("unreadable_hello") from exc
    if not verify(public_key_of(hello.node, signed.key_id), signed.signature, HELLO_PREFIX + signed.hello):
        raise PeerProtocolError("bad_signature", hello.node)
    return hello


def _parse(data: bytes) -> frame_pb2.Frame:
    if len(data) > FRAME_BYTES_MAX:
        raise PeerProtocolError("oversized_frame", f"{len(data)} bytes")
    try:
        return frame_pb2.Frame.FromString(data)
    except DecodeError as exc:
        raise PeerProtocolError("unreadable_frame") from exc


def _decompress(payload: bytes, payload_bytes: int) -> bytes:
    """Decompress to exactly ``payload_bytes``, which `unpack_header` has bounded; a bomb stops there."""
    try:
        claimed = zstandard.frame_content_size(payload)
        if claimed != payload_bytes:
            raise PeerProtocolError("unreadable_payload", f"{claimed} bytes announced, not {payload_bytes}")
        result = zstandard.ZstdDecompressor().decompress(payload, max_output_size=payload_bytes)
    except zstandard.ZstdError as exc:
        raise PeerProtocolError("unreadable_payload", str(exc)) from exc
    if len(result) != payload_bytes:
        raise PeerProtocolError("unreadable_payload", f"{len(result)} bytes, not {payload_bytes}")
    return result
