"""What a look at the outbox tells of this machine's history and of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Position:
    """Where this machine's history stands.

    Attributes:
        last_chain: digest at ``last_seq``, the epoch's start before the first event.
        durable_seq: the hub's watermark as last heard.
    """

    epoch: bytes
    last_seq: int
    last_chain: bytes
    durable_seq: int


@dataclass(frozen=True, slots=True)
class ClockView:
    """What this machine knows of time; see `NodeStore.clock`.

    Attributes:
        hub_ms: the hub's clock when last heard, 0 before that.
        heard_ms: our own clock then.
        skew_ms: ours minus the hub's then.
        last_stamp: of the last event.
    """

    hub_ms: int
    heard_ms: int
    skew_ms: int
    last_stamp: int


class Tail(NamedTuple):
    """Everything that the next event needs to know, in one look; every recording makes two."""

    number: int
    epoch: bytes
    durable_seq: int
    last_seq: int
    last_chain: bytes
    last_stamp: int
    hub_ms: int
    heard_ms: int
    skew_ms: int
