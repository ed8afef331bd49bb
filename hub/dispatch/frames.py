"""One resident's events for somebody who waits: the frames that were opened last stay open.

A claim is for somebody who was recorded minutes ago, so the frame that holds his events is the one that the claims
before and after him need too. Opening a full frame costs two milliseconds, reading one event from it microseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from hub.merge import log
from sepe.events import Event
from sepe.hlc import effective_stamp
from sepe.ids import EventId
from sepe_io.frames import OpenedFrame
from sepe_io.sqlite import Connection

# A frame is at most 512 KiB compressed and a thousand events: some 60 MB in the worst case.
FRAMES_MAX = 64


def refs_of(connection: Connection, niks: Collection[int]) -> dict[int, bytes]:
    """Where the events of these NIK are, by NIK; of whom there are none is missing."""
    if not niks:
        return {}
    marks = ", ".join("?" * len(niks))
    rows = connection.execute(f"SELECT nik, refs FROM head WHERE nik IN ({marks})", tuple(niks)).fetchall()
    return {nik: bytes(refs) for nik, refs in rows}


class FrameCache:
    """The frames opened last, by number. Frames never change; one that was mended is another object on disk
    only."""

    def __init__(self) -> None:
        self._opened: OrderedDict[int, tuple[log.LoggedFrame, OpenedFrame]] = OrderedDict()

    def events_of(self, connection: Connection, nik: int) -> list[Event]:
        """Every event of one NIK.

        Raises:
            StorageDamagedError: one of the frames, or the head that points to them, is damaged.
        """
        return self.events_at(connection, nik, refs_of(connection, [nik]).get(nik, b""))

    def events_at(self, connection: Connection, nik: int, refs: bytes) -> list[Event]:
        """The events of one NIK to which its head points; see `events_of`."""
        found = []
        for number, index in log.pointers(refs):
            logged, opened = self._frame(connection, number)
            header, columns = opened.header, opened.columns
            if index >= len(columns) or columns.niks[index] != nik:
                raise log.misled(f"to an event of frame {number} that is none of its own")
            found.append(
                Event(
                    EventId(header.node, header.epoch, header.first_seq + index),
                    effective_stamp(columns.stamps[index], logged.cap), columns.kinds[index], nik,
                    columns.bodies[index],
                )
            )  # fmt: skip
        return found

    def _frame(self, connection: Connection, number: int) -> tuple[log.LoggedFrame, OpenedFrame]:
        found = self._opened.get(number)
        if found is None:
            logged = log.frame(connection, number)
            found = self._opened[number] = (logged, logged.open())
            while len(self._opened) > FRAMES_MAX:
                self._opened.popitem(last=False)
        else:
            self._opened.move_to_end(number)
        return found
