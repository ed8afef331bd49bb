"""The frame log: one row per frame, the bytes as they came. The hub's record of truth.

A frame proves itself: its signature covers its header, and the header's digests cover every event. What the hub
adds in the row's other columns (how many events it skipped, when the frame came, by what way) nothing would prove,
so each row carries a *seal*, a hash of all its columns but the bytes. A row whose bytes are damaged can then still
be trusted to say which events it held, and a column that was altered is found, and put right when it follows from
the others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hub.engine.place import is_postgres
from sepe.codec import Header, chain_start
from sepe.errors import PeerProtocolError
from sepe.events import Event
from sepe.head import REF, refs_of
from sepe.hlc import effective_stamp, stamp_of
from sepe.ids import EventId
from sepe.sync.centre import EpochState
from sepe_io.frames import OpenedFrame, reopen_frame
from sepe_io.sqlite import Connection, StorageDamagedError

PAGE_FRAMES = 32
SEAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class LoggedFrame:
    """One row of the log. ``cap`` is the highest effective stamp of its events, fixed when it was logged."""

    number: int
    skip: int
    cap: int
    received_ms: int
    data: bytes

    def open(self) -> OpenedFrame:
        """Its events.

        Raises:
            StorageDamagedError: the bytes are not those that were logged.
        """
        try:
            return reopen_frame(self.data)
        except PeerProtocolError as exc:
            raise StorageDamagedError(
                f"frame {self.number} of the log is damaged ({exc}); its office is asked for it again: "
                "sepe hub verify"
            ) from exc


def seal_of(  # noqa: PLR0917 - the columns in their order
    number: int, node: str, epoch: bytes, first_seq: int, last_seq: int, skip: int, chain_after: bytes,
    received_ms: int, cap_ms: int, via: str,
) -> bytes:  # fmt: skip
    """The seal of a row of the log with these columns."""
    text = f"{number}|{node}|{epoch.hex()}|{first_seq}|{last_seq}|{skip}|{received_ms}|{cap_ms}|{via}|"
    return hashlib.blake2b(text.encode() + chain_after, digest_size=SEAL_BYTES).digest()


def insert(
    connection: Connection, number: int, header: Header, *, skip: int, received_ms: int, cap_ms: int, via: str,
    data: bytes,
) -> None:  # fmt: skip
    """Log a frame under this number, sealed."""
    columns = (
        number, header.node, header.epoch, header.first_seq, header.last_seq, skip, header.chain_after,
        received_ms, cap_ms, via,
    )  # fmt: skip
    connection.execute(
        "INSERT INTO frame (number, node, epoch, first_seq, last_seq, skip, chain_after, received_ms, cap_ms, via,"
        " seal, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*columns, seal_of(*columns), data),
    )


def epoch_state(connection: Connection, node: str, epoch: bytes) -> EpochState:
    """Where the hub stands in one history; a new one stands at 0."""
    row = connection.execute(
        "SELECT durable_seq, chain FROM epoch WHERE node = ? AND epoch = ?", (node, epoch)
    ).fetchone()
    return EpochState.new(node, epoch) if row is None else EpochState(node, epoch, row[0], row[1])


def chain_at(connection: Connection, node: str, epoch: bytes, seq: int) -> bytes | None:
    """The log's chain digest at ``seq``; ``None`` above the watermark, and where the log is damaged.

    A frame is opened only when ``seq`` falls inside one, so the usual question costs one index look-up.
    """
    if seq == 0:
        return chain_start(node, epoch)
    row = connection.execute(
        "SELECT number, first_seq, last_seq, chain_after FROM frame"
        " WHERE node = ? AND epoch = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1",
        (node, epoch, seq),
    ).fetchone()
    if row is None:
        return None
    number, first_seq, last_seq, chain_after = row
    if seq == last_seq:
        return bytes(chain_after)
    if seq < first_seq:
        return None  # The frame that held it is gone.
    try:
        return frame(connection, number).open().chains[int(seq - first_seq)]
    except (StorageDamagedError, IndexError):
        return None


def frame(connection: Connection, number: int) -> LoggedFrame:
    """The frame with this number.

    Raises:
        StorageDamagedError: it is not there.
    """
    row = connection.execute(
        "SELECT number, skip, cap_ms, received_ms, data FROM frame WHERE number = ?", (number,)
    ).fetchone()
    if row is None:
        raise StorageDamagedError(
            f"frame {number} of the log is gone; its office is asked for it again: sepe hub verify"
        )
    return _logged(row)


def frames_after(connection: Connection, number: int, limit: int = PAGE_FRAMES) -> list[LoggedFrame]:
    """The next frames of the log, by number."""
    rows = connection.execute(
        "SELECT number, skip, cap_ms, received_ms, data FROM frame WHERE number > ? ORDER BY number LIMIT ?",
        (number, limit),
    )
    return [_logged(row) for row in rows]


def all_frames(connection: Connection, after: int = 0) -> Iterator[LoggedFrame]:
    """Every frame above number ``after``, read page by page so that no read lock is held while one is used."""
    number = after
    while page := frames_after(connection, number):
        yield from page
        number = page[-1].number


def frames_of_epoch(connection: Connection, node: str, epoch: bytes, after_seq: int) -> Iterator[bytes]:
    """The frames of one history that end above ``after_seq``, by seq, read page by page."""
    while rows := connection.execute(
        "SELECT last_seq, data FROM frame WHERE node = ? AND epoch = ? AND last_seq > ? ORDER BY last_seq LIMIT ?",
        (node, epoch, after_seq, PAGE_FRAMES),
    ).fetchall():
        for after_seq, data in rows:  # noqa: B007, PLR1704 - the last seq pages on
            yield data


def next_number(connection: Connection, wanted: int = 1) -> int:
    """The first of ``wanted`` numbers for new frames; in the write transaction, before anything is written.

    On PostgreSQL workers take numbers side by side, and one that is not used is never given again.
    """
    return int(connection.next_number(wanted)) if is_postgres(connection) else last_number(connection) + 1


def frame_count(connection: Connection) -> int:
    """How many frames the log holds."""
    return int(connection.execute("SELECT COUNT(*) FROM frame").fetchone()[0])


def last_number(connection: Connection) -> int:
    """The highest frame number, 0 in an empty log."""
    return int(connection.execute("SELECT COALESCE(MAX(number), 0) FROM frame").fetchone()[0])


def events_in(logged: LoggedFrame, indexes: Iterable[int] | None = None) -> Iterator[Event]:
    """A frame's events with their effective stamps, all that count (``None``) or those at ``indexes``."""
    opened = logged.open()
    header, columns = opened.header, opened.columns
    for index in range(logged.skip, len(columns)) if indexes is None else indexes:
        yield Event(
            EventId(header.node, header.epoch, header.first_seq + index),
            effective_stamp(columns.stamps[index], logged.cap),
            columns.kinds[index],
            columns.niks[index],
            columns.bodies[index],
        )


def events_of(connection: Connection, niks: Iterable[int]) -> dict[int, list[Event]]:
    """Every event of each of these NIK; a NIK without a head gives an empty list. Each frame is opened once.

    Raises:
        StorageDamagedError: one of the frames, or a head that points to them, is damaged.
    """
    found: dict[int, list[Event]] = {}
    wanted: dict[int, list[int]] = defaultdict(list)
    for nik in niks:
        found[nik] = []
        row = connection.execute("SELECT refs FROM head WHERE nik = ?", (nik,)).fetchone()
        for number, index in pointers(row[0]) if row else ():
            wanted[number].append(index)
    for number, indexes in sorted(wanted.items()):
        try:
            for event in events_in(frame(connection, number), indexes):
                found[event.nik].append(event)
        except (IndexError, KeyError) as exc:
            raise misled(f"to an event of frame {number} that is none of its own") from exc
    return found


def pointers(refs: bytes) -> list[tuple[int, int]]:
    if len(refs) % REF.size:
        raise misled("nowhere")
    return refs_of(refs)


def misled(where: str) -> StorageDamagedError:
    return StorageDamagedError(f"a resident's head points {where}; mend it: sepe hub verify")


def _logged(row: tuple[int, int, int, int, bytes]) -> LoggedFrame:
    number, skip, cap_ms, received_ms, data = row
    return LoggedFrame(number, skip, stamp_of(cap_ms), received_ms, data)
