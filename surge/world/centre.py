"""The hub's disk: frame log, watermarks, heads, rights and quarantine, all changed in one commit at a time."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sepe.errors import PeerProtocolError
from sepe.events import Event, Kind, body_of
from sepe.head import Head, Parked, add_frame, refs_of
from sepe.hlc import effective_stamp
from sepe.ids import HUB_NODE, EventId
from sepe.replaced import with_older
from sepe.resident import NOBODY, Resident, fold
from sepe.rights import Entry
from sepe.sync.centre import EpochState, advanced
from sepe.wire.v1 import event_pb2
from surge.world.rights import Word
from surge.world.wire import Opened

Key = tuple[str, bytes]
Right = tuple[int, int]
_DIGEST_ROW = struct.Struct(">QQQQQQQQ")


@dataclass(frozen=True, slots=True)
class LogRow:
    """One accepted frame.

    Attributes:
        skip: how many of its first events an earlier frame brought.
        cap: highest effective stamp, fixed when it was logged.
    """

    opened: Opened
    skip: int
    cap: int

    @property
    def key(self) -> Key:
        return self.opened.header.node, self.opened.header.epoch

    def bodies(self) -> tuple[bytes, ...]:
        """The events that this frame added."""
        return self.opened.columns.bodies[self.skip :]

    def event(self, index: int) -> Event:
        """One of its events, with its effective stamp."""
        header, columns = self.opened.header, self.opened.columns
        name = EventId(header.node, header.epoch, header.first_seq + index)
        stamp = effective_stamp(columns.stamps[index], self.cap)
        return Event(name, stamp, columns.kinds[index], columns.niks[index], columns.bodies[index])

    def events(self) -> Iterator[Event]:
        """The events that this frame added."""
        return map(self.event, range(self.skip, len(self.opened.columns)))


@dataclass(slots=True)
class HubDisk:
    """The hub's database.

    Attributes:
        chains: digest after each seq of an epoch.
        parked: (number of the log row, event) that cannot be folded.
        quarantine: refused frames with the reason.
        rights: the entry of each (nik, issue) whose right ever moved.
        wishes, feed: who waits for a right, and what each machine is to be told, with its number; a backup has
            neither. ``feed_id`` names these lists.
    """

    log: list[LogRow] = field(default_factory=list)
    states: dict[Key, EpochState] = field(default_factory=dict)
    chains: dict[Key, list[bytes]] = field(default_factory=dict)
    heads: dict[int, Head] = field(default_factory=dict)
    parked: list[tuple[int, Parked]] = field(default_factory=list)
    quarantine: dict[bytes, str] = field(default_factory=dict)
    rights: dict[Right, Entry] = field(default_factory=dict)
    wishes: dict[Right, set[str]] = field(default_factory=dict)
    feed: dict[str, dict[tuple[str, Right], tuple[int, Word]]] = field(default_factory=dict)
    feed_id: int = 0
    words_told: int = 0
    _folded: dict[int, tuple[int, Resident]] = field(default_factory=dict)

    def state_of(self, key: Key) -> EpochState:
        """The watermark of an epoch, that of its start when nothing of it came yet."""
        return self.states.get(key) or EpochState.new(*key)

    def take(self, row: LogRow) -> None:
        """Log a frame that was judged acceptable, fold its events and move the watermark."""
        opened, key = row.opened, row.key
        header = opened.header
        state = self.state_of(key)
        if header.last_seq > state.durable_seq:
            self.states[key] = advanced(state, header)
            self.chains.setdefault(key, []).extend(opened.chains[state.durable_seq + 1 - header.first_seq :])
        number = len(self.log)
        self.log.append(row)
        parked = add_frame(
            self.heads, opened.columns, opened.chains, frame_number=number, cap=row.cap, start=row.skip
        )
        self.parked += [(number, one) for one in parked]
        if header.node == HUB_NODE:
            self._move_rights(row)

    def events_of(self, nik: int) -> list[Event]:
        """Every readable event of one NIK, found as the product finds them: by the head's pointers."""
        head = self.heads.get(nik)
        return (
            []
            if head is None
            else readable(self.log[number].event(index) for number, index in refs_of(bytes(head.refs)))
        )

    def resident(self, nik: int) -> Resident:
        """What the hub knows of one NIK; folded again when there is something new."""
        return with_older(self._own_record(nik), nik, self._own_record)

    def _own_record(self, nik: int) -> Resident:
        """Without what it has from numbers that are this one now."""
        head = self.heads.get(nik)
        if head is None:
            return NOBODY
        events, record = self._folded.get(nik, (0, NOBODY))
        if events != head.events:
            record = fold(self.events_of(nik))
            self._folded[nik] = head.events, record
        return record

    def bodies(self) -> Iterator[bytes]:
        """Every event in the log, as often as it was counted."""
        for row in self.log:
            yield from row.bodies()

    def digest(self) -> str:
        """One number for the whole state; the same sums as the product's `hub digest`."""
        running = hashlib.sha256()
        for nik, head in sorted(self.heads.items()):
            running.update(
                _DIGEST_ROW.pack(
                    nik, head.events, head.claims, head.identity_min, head.identity_max + 1, head.prints,
                    head.decisions, head.checksum,
                )
            )  # fmt: skip
        return running.hexdigest()

    def backup(self) -> HubDisk:
        """A copy to restore from; only what a restore needs, `restored` makes the rest again."""
        return HubDisk(log=list(self.log), quarantine=dict(self.quarantine))

    def restored(self) -> HubDisk:
        """The disk that this backup makes: a rebuild from its log."""
        disk = HubDisk(quarantine=dict(self.quarantine))
        for row in self.log:
            disk.take(row)
        return disk

    def _move_rights(self, row: LogRow) -> None:
        for event in row.events():
            moved = body_of(event.kind, event.body)
            if isinstance(moved, event_pb2.RightMoved):
                key = (event.nik, moved.issue)
                if key not in self.rights or moved.fence > self.rights[key].fence:
                    self.rights[key] = Entry(moved.holder, moved.fence)


def readable(events: Iterable[Event]) -> list[Event]:
    """The events without those whose body cannot be read; the product parks these."""
    result: list[Event] = []
    for event in events:
        try:
            if event.kind in (Kind.RECORDED, Kind.CORRECTED):
                body_of(event.kind, event.body)
        except PeerProtocolError:
            continue
        result.append(event)
    return result
