"""What the frame log says of card stock: each report of stock, and each card that spent a blank.

A database of its own beside ``hub.db``, like the attachments' (`hub.attach.index`), so that the merge never waits
for it; it may be lost and is made again from the log. It is read on whenever somebody asks. A frame that cannot be
read is remembered and tried again each time, until its office has sent it once more; what is met twice changes
nothing, in whatever order it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import zstandard
from google.protobuf.message import DecodeError

from hub.merge.store import HubStore
from sepe.codec import PAYLOAD_BYTES_MAX, unpack_columns, unpack_header
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.events import Kind
from sepe.hlc import effective_stamp, stamp_of, wall_ms_of
from sepe.region import WIB, Zone, zone
from sepe.serials import number_of, span_of
from sepe.stock import BLANK_PRODUCTS, Move, Movement, Spent, StockBooks
from sepe.wire.v1 import event_pb2, frame_pb2
from sepe_io.logs import logger
from sepe_io.sqlite import Connection, connect, migrate, transaction, translated

INDEX = "stock.db"
FRAMES_PER_STEP = 64
STAMP_MAX = (1 << 63) - 1

_log = logger("hub.stock")

_FIRST = """
-- How far the frame log was read: the last frame's number and chain digest.
CREATE TABLE scan (one INTEGER PRIMARY KEY CHECK (one = 1), frame INTEGER NOT NULL, chain BLOB NOT NULL) STRICT;
INSERT INTO scan VALUES (1, 0, x'');
CREATE TABLE unread (frame INTEGER PRIMARY KEY) STRICT;
CREATE TABLE move (
    node TEXT NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    product TEXT NOT NULL,
    movement TEXT NOT NULL,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    other_node TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (node, epoch, seq)
) STRICT, WITHOUT ROWID;
-- Stamps and times of the earliest reports, 0 for never.
CREATE TABLE spent (
    product TEXT NOT NULL,
    serial TEXT NOT NULL,
    node TEXT NOT NULL,
    attempt TEXT NOT NULL,
    printed INTEGER NOT NULL,
    printed_ms INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    spoiled_ms INTEGER NOT NULL,
    PRIMARY KEY (product, serial, node, attempt)
) STRICT, WITHOUT ROWID;
"""
STEPS = [_FIRST]

_PRINTED = frozenset({event_pb2.CARD_STATE_PRINTED, event_pb2.CARD_STATE_HANDED_OVER})
_MOVES = frozenset(Movement)


@dataclass(frozen=True, slots=True)
class _Frame:
    number: int
    skip: int
    cap_ms: int
    data: bytes


class _When(NamedTuple):
    stamp: int
    ms: int


# Of two reports of the same, the earlier; 0 is none.
_EARLIEST = ", ".join(
    f"{name} = IIF({name} AND excluded.{name}, MIN({name}, excluded.{name}), {name} + excluded.{name})"
    for name in ("printed", "printed_ms", "spoiled", "spoiled_ms")
)


def open_index(directory: Path) -> Connection:
    """The index of the hub in ``directory``, made when it is not there yet."""
    (directory / INDEX).touch(mode=0o600)
    connection = connect(directory / INDEX)
    migrate(connection, STEPS)
    return connection


def stock_books(store: HubStore) -> StockBooks:
    """The books of all machines as of the end of the log."""
    index = open_index(store.directory)
    try:
        scan(index, store.connection)
        return books(index)
    finally:
        index.close()


def scan(index: Connection, log: Connection) -> None:
    """Read on to the end of the frame log.

    Args:
        log: a connection to ``hub.db``.
    """
    _read_again(index, log)
    while True:
        with transaction(index):
            number, chain = index.execute("SELECT frame, chain FROM scan").fetchone()
            if number and not _is_same_log(log, number, bytes(chain)):
                # The hub was restored, or the last frame was mended under another number: begin again.
                _log.warning("scan.restarted", frame=number)
                for table in ("move", "spent", "unread"):
                    index.execute(f"DELETE FROM {table}")
                number = 0
            with translated():
                rows = log.execute(
                    "SELECT number, skip, cap_ms, data, chain_after FROM frame WHERE number > ?"
                    " ORDER BY number LIMIT ?",
                    (number, FRAMES_PER_STEP),
                ).fetchall()
            if not rows:
                index.execute("UPDATE scan SET frame = ?, chain = ?", (number, chain if number else b""))
                return
            for *columns, _ in rows:
                if not _take(index, _Frame(*columns)):
                    index.execute("INSERT OR IGNORE INTO unread VALUES (?)", (columns[0],))
            index.execute("UPDATE scan SET frame = ?, chain = ?", (rows[-1][0], rows[-1][-1]))


def books(index: Connection) -> StockBooks:
    """What was read so far, put together."""
    with translated():
        moves = [
            Move(stamp, node, _day(at_ms, node), product, movement, first, last, other, count)
            for node, stamp, at_ms, product, movement, first, last, other, count in index.execute(
                "SELECT node, stamp, at_ms, product, movement, first, last, other_node, count FROM move"
            )
        ]
        spent = [
            Spent(node, product, serial, attempt, printed, _day(printed_ms, node) if printed else "",
                  spoiled, _day(spoiled_ms, node) if spoiled else "")
            for product, serial, node, attempt, printed, printed_ms, spoiled, spoiled_ms in index.execute(
                "SELECT product, serial, node, attempt, printed, printed_ms, spoiled, spoiled_ms FROM spent"
            )
        ]  # fmt: skip
    return StockBooks.of(moves, spent)


def _read_again(index: Connection, log: Connection) -> None:
    for (number,) in index.execute("SELECT frame FROM unread").fetchall():
        with translated():
            row = log.execute(
                "SELECT number, skip, cap_ms, data FROM frame WHERE number = ?", (number,)
            ).fetchone()
        with transaction(index):
            # A frame that is gone comes back under a new number, which the scan will meet.
            if row is None or _take(index, _Frame(*row)):
                index.execute("DELETE FROM unread WHERE frame = ?", (number,))


def _is_same_log(log: Connection, number: int, chain: bytes) -> bool:
    with translated():
        row = log.execute("SELECT chain_after FROM frame WHERE number = ?", (number,)).fetchone()
    return row is not None and bytes(row[0]) == chain


def _take(index: Connection, frame: _Frame) -> bool:
    """Take in one frame; whether it could be read. Its chain was checked when it was logged."""
    try:
        message = frame_pb2.Frame.FromString(frame.data)
        header = unpack_header(message.header)
        payload = zstandard.ZstdDecompressor().decompress(message.payload, max_output_size=PAYLOAD_BYTES_MAX)
        columns = unpack_columns(payload, header.count)
    except (DecodeError, zstandard.ZstdError, PeerProtocolError) as exc:
        _log.error("frame.unreadable", frame=frame.number, error=type(exc).__name__)
        return False
    cap = stamp_of(frame.cap_ms)
    moves: list[tuple[object, ...]] = []
    cards: list[tuple[object, ...]] = []
    for at in range(frame.skip, header.count):
        # The machine's own stamp orders its reports, however wrong its clock is; the day is the capped one's.
        stamp = columns.stamps[at]
        when = _When(min(stamp, STAMP_MAX), wall_ms_of(effective_stamp(stamp, cap)))
        if columns.kinds[at] == Kind.CARD_MOVED:
            cards += _spent_in(columns.bodies[at], header.node, when)
        elif columns.kinds[at] == Kind.STOCK_MOVED:
            moves += _moved_in(columns.bodies[at], (header.node, header.epoch, header.first_seq + at), when)
    index.executemany("INSERT OR IGNORE INTO move VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", moves)
    index.executemany(
        f"INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {_EARLIEST}", cards
    )
    return True


def _spent_in(body: bytes, node: str, when: _When) -> Iterator[tuple[object, ...]]:
    try:
        step = event_pb2.CardMoved.FromString(body)
        if not step.serial or step.product not in BLANK_PRODUCTS:
            return
        number_of(step.serial)
    except (DecodeError, InvalidInputError):
        return  # Parked, or no number of a blank.
    printed, spoiled = step.state in _PRINTED, step.state == event_pb2.CARD_STATE_SPOILED
    if printed or spoiled:
        at, never = (when.stamp, when.ms), (0, 0)
        yield (step.product, step.serial, node, step.attempt, *(at if printed else never),
               *(at if spoiled else never))  # fmt: skip


def _moved_in(body: bytes, name: tuple[str, bytes, int], when: _When) -> Iterator[tuple[object, ...]]:
    try:
        said = event_pb2.StockMoved.FromString(body)
        if said.movement not in _MOVES or said.product not in BLANK_PRODUCTS:
            return
        last = said.last_serial or said.first_serial
        if said.movement != Movement.COUNTED:
            span_of(said.first_serial, last)
    except (DecodeError, InvalidInputError):
        return
    yield (
        *name, when.stamp, when.ms, said.product, said.movement, said.first_serial, last, said.other_node,
        said.count,
    )  # fmt: skip


def _day(at_ms: int, node: str) -> str:
    ms = at_ms + _zone_of(node).utc_offset_hours * 3_600_000
    return _date_text(ms // 86_400_000)


@lru_cache(maxsize=10_000)
def _zone_of(node: str) -> Zone:
    try:
        return zone(node)
    except InvalidInputError:
        return WIB


@lru_cache(maxsize=10_000)
def _date_text(days: int) -> str:
    # Year 9999 is the last that a date can name.
    return date.fromordinal(min(719_163 + days, date.max.toordinal())).isoformat()
