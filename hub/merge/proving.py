"""Proving a frame: that it is its node's, whole, and what its events add up to. Needs no database, only keys.

It is the larger half of a merge, so `hub.merge.ahead` has it done by processes of their own. A `Proven` is small
for that: nothing of a body is in it but what the writer counts, marks or tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from hub.dispatch import watch
from hub.stock import on_way
from sepe.codec import CHAIN_BYTES, Columns, Header
from sepe.errors import PeerProtocolError
from sepe.events import HUB_KINDS
from sepe.hlc import cap_of
from sepe.ids import HUB_NODE
from sepe_io.frames import KeyLookup, open_frame, peek_header

if TYPE_CHECKING:
    from hub.merge.tally import Tally

# How a frame reached us. Only a person's hand brings another hub's own frames.
VIA_IMPORT, VIA_RELEASE, VIA_SELF = "import", "release", "hub"
BY_HAND = frozenset({VIA_IMPORT, VIA_RELEASE, VIA_SELF})


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that reached the hub.

    Attributes:
        via: ``nats``, ``grpc``, ``import`` or ``release``.
        received_ms: the hub's clock, milliseconds since 1970.
        sender: the node that the transport vouches for, ``None`` when it vouches for none.
    """

    data: bytes
    via: str
    received_ms: int
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Digests(Sequence[bytes]):
    """Digests end to end: a thousand objects fewer to send from one process to another."""

    joined: bytes

    def __len__(self) -> int:
        return len(self.joined) // CHAIN_BYTES

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self.joined[places * CHAIN_BYTES : (places + 1) * CHAIN_BYTES]
        return [self[place] for place in places]


@dataclass(frozen=True, slots=True)
class Proven:
    """A frame that is its node's, and all of it that the writer needs beside the frame's own bytes.

    Attributes:
        chains: digest after each event.
        tally: what the events add to the heads.
        stamp_max: the newest stamp.
        marks, steps: (index of the event, what follows from it), see `watch.marks` and `on_way.steps_in`.
        own: the events of a frame that a hub wrote; of another's, ``None``.
    """

    header: Header
    chains: Digests
    tally: Tally
    stamp_max: int
    marks: tuple[tuple[int, int], ...]
    steps: tuple[tuple[int, on_way.Step], ...]
    own: Columns | None = None


Proof = Sequence[Proven | PeerProtocolError]


def prove(arrival: Arrival, public_key_of: KeyLookup) -> Proven | PeerProtocolError:
    """The frame, proven to be its node's; a fault of the peer is a value, not an exception."""
    from hub.merge.tally import tally  # With numpy, see `hub.merge.fold`.

    try:
        header = peek_header(arrival.data)
        if arrival.sender is not None and header.node != arrival.sender:
            raise PeerProtocolError("wrong_sender", f"sent by {arrival.sender}")
        is_own = header.node == HUB_NODE
        if is_own and arrival.via not in BY_HAND:
            raise PeerProtocolError("wrong_sender", "only a person brings a hub's own frames")
        opened = open_frame(arrival.data, public_key_of)
        columns = opened.columns
        if not is_own and not HUB_KINDS.isdisjoint(columns.kinds):
            raise PeerProtocolError("forbidden_kind", "only the hub writes this kind of event")
    except PeerProtocolError as exc:
        return exc
    return Proven(
        header=opened.header,
        chains=Digests(b"".join(opened.chains)),
        tally=tally(columns, opened.chains, cap_of(arrival.received_ms)),
        stamp_max=max(columns.stamps),
        marks=() if is_own else watch.marks(columns),
        steps=() if is_own else on_way.steps_in(columns, header.node),
        own=columns if is_own else None,
    )
