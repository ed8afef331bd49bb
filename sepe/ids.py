"""Names of nodes, epochs and events.

A node is one machine of one office: the kecamatan's code, a hyphen, the machine's number (``537104-1``).
An epoch is 128 random bits, drawn when a node's database is made or when a restore or clone is suspected.
An event is named for ever by (node, epoch, seq).
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from sepe.errors import InvalidInputError

EPOCH_BYTES = 16
# Until the hub says otherwise. An office too old to hear it stays with this, so these are always read.
PARTITIONS = 8
PARTITIONS_MAX = 256
HUB_NODE = "hub"

# \Z, not $: $ lets a trailing newline pass. [0-9], not \d: \d takes Arabic digits.
_NODE = re.compile(r"[0-9]{6}-[1-9][0-9]{0,2}\Z")


class EventId(NamedTuple):
    """One event's name. Sorts by node, then epoch, then seq."""

    node: str
    epoch: bytes
    seq: int

    def __str__(self) -> str:
        return f"{self.node}:{self.epoch.hex()}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """The inverse of ``str``.

        Raises:
            InvalidInputError: ``text`` is not ``node:epoch:seq``.
        """
        parts = text.split(":")
        if len(parts) == 3 and re.match(r"[0-9a-f]{32}\Z", parts[1]) and re.match(r"[0-9]{1,18}\Z", parts[2]):
            node = parts[0] if parts[0] == HUB_NODE else check_node(parts[0])
            return cls(node, bytes.fromhex(parts[1]), int(parts[2]))
        raise InvalidInputError("an event's name is node:epoch:seq", field="event", value=text)


def check_node(text: str) -> str:
    """``text`` itself when it names a node.

    Raises:
        InvalidInputError: it does not.
    """
    if not _NODE.match(text):
        raise InvalidInputError(
            "a node is the kecamatan's six digits, a hyphen and the machine's number from 1 to 999",
            field="node",
            value=text,
            hint="Example: 537104-1",
        )
    return text


def kecamatan_of(node: str) -> str:
    """The six-digit code of the office that a node stands in."""
    return node[:6]


def partition_of(node: str, partitions: int = PARTITIONS) -> int:
    """Which partition carries a node's frames: the same on every machine and in every release."""
    return zlib.crc32(node.encode()) % partitions
