"""The total order of writes."""

from __future__ import annotations

from typing import NamedTuple

from sepe.ids import EventId


class Version(NamedTuple):
    """When and by whom something was written. Later beats earlier; ties go by node, never by value.

    Two nodes may write in one stamp, so stamp and node alone would leave ties; epoch and seq close them:
    no two events in the world have equal versions.
    """

    stamp: int
    node: str
    epoch: bytes
    seq: int

    @classmethod
    def of(cls, event_id: EventId, stamp: int) -> Version:
        return cls(stamp, event_id.node, event_id.epoch, event_id.seq)

    @property
    def event_id(self) -> EventId:
        return EventId(self.node, self.epoch, self.seq)
