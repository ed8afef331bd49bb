"""What the hub knows of attachments: which are named by events, how much of each is on the disk.

A database of its own beside the files, not tables of ``hub.db``: a chunk's commit never waits behind a merge or a
merge behind it, and the whole folder may be lost and made again: what events name is read from the frame log
(`scan`), and the offices send what they still keep.

The scan follows the log by frame number. It remembers the chain digest of the last frame it read, so it notices
that the hub was restored and its log is another one, and begins again; what it finds twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard
from google.protobuf.message import DecodeError

from sepe.attach import may_name, named_by
from sepe.codec import PAYLOAD_BYTES_MAX, unpack_columns, unpack_header
from sepe.errors import PeerProtocolError
from sepe.events import Kind
from sepe.ids import HUB_NODE
from sepe.wire.v1 import event_pb2, frame_pb2
from sepe_io.logs import logger
from sepe_io.sqlite import Connection, connect, migrate, transaction

FOLDER = "attachments"
INDEX = "index.db"
FRAMES_PER_STEP = 64

_log = logger("hub.attach")

_FIRST = """
-- How far the frame log was read: the last frame's number and chain digest.
CREATE TABLE scan (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    frame INTEGER NOT NULL,
    chain BLOB NOT NULL
) STRICT;
INSERT INTO scan VALUES (1, 0, x'');
-- What events name: sha256 is of the plain file. frame: where it was first named, for the order.
CREATE TABLE named (
    sha256 BLOB NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    frame INTEGER NOT NULL,
    PRIMARY KEY (sha256, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX named_by_node ON named (node, frame);
-- What offices send: one sealed file for each of theirs. held: bytes from the first that are on the disk for sure.
CREATE TABLE attachment (
    sha256 BLOB NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed_sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,
    begun_ms INTEGER NOT NULL,
    complete_ms INTEGER,
    PRIMARY KEY (sha256, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachment_of_node ON attachment (node);
"""
STEPS = [_FIRST]


@dataclass(frozen=True, slots=True)
class AttachmentCounts:
    """Counts for the status.

    Attributes:
        complete: attachments that are whole and open; ``complete_bytes`` of their sealed files.
        waiting: named by an event and not complete; of those ``begun`` are partly here.
    """

    complete: int
    complete_bytes: int
    waiting: int
    begun: int


def open_index(directory: Path, *, read_only: bool = False) -> Connection:
    """The index of the hub in ``directory``, made when it is not there yet."""
    folder = directory / FOLDER
    if not read_only:
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / INDEX).touch(mode=0o600)
    connection = connect(folder / INDEX, read_only=read_only)
    if not read_only:
        migrate(connection, STEPS)
    return connection


def scan(index: Connection, log: Connection, *, frames_max: int) -> bool:
    """Read on in the frame log, at most so many frames; whether its end was reached.

    Args:
        log: a connection to ``hub.db``.
    """
    done = 0
    while done < frames_max:
        with transaction(index):
            frame, chain = index.execute("SELECT frame, chain FROM scan").fetchone()
            if frame and not _is_same_log(log, frame, bytes(chain)):
                _log.warning("scan.restarted", frame=frame)
                frame = 0
            rows = log.execute(
                "SELECT number, node, chain_after, data FROM frame WHERE number > ? ORDER BY number LIMIT ?",
                (frame, min(FRAMES_PER_STEP, frames_max)),
            ).fetchall()
            if not rows:
                return True
            index.executemany(
                "INSERT OR IGNORE INTO named (sha256, node, kind, frame) VALUES (?, ?, ?, ?)",
                # In the order of the key, so that neighbours share pages.
                sorted(
                    (sha256, node, kind, number)
                    for number, node, _, data in rows
                    if node != HUB_NODE
                    for kind, sha256 in _named_in(data)
                ),
            )
            index.execute("UPDATE scan SET frame = ?, chain = ?", (rows[-1][0], rows[-1][2]))
        done += len(rows)
    return False


def counts(index: Connection) -> AttachmentCounts:
    """All counts; exact once `scan` has reached the end of the log."""
    complete, size = index.execute(
        "SELECT count(DISTINCT sha256), coalesce(sum(size), 0) FROM attachment WHERE complete_ms IS NOT NULL"
    ).fetchone()
    waiting, begun = index.execute(
        "SELECT count(DISTINCT sha256), count(DISTINCT IIF(EXISTS (SELECT 1 FROM attachment a"
        " WHERE a.sha256 = n.sha256 AND a.held > 0), sha256, NULL)) FROM named n WHERE NOT EXISTS"
        " (SELECT 1 FROM attachment a WHERE a.sha256 = n.sha256 AND a.complete_ms IS NOT NULL)"
    ).fetchone()
    return AttachmentCounts(complete, size, waiting, begun)


def _is_same_log(log: Connection, frame: int, chain: bytes) -> bool:
    row = log.execute("SELECT chain_after FROM frame WHERE number = ?", (frame,)).fetchone()
    return row is not None and bytes(row[0]) == chain


def _named_in(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What a frame of our own log names. Its chain was checked when it was logged; here only bytes are sought."""
    try:
        frame = frame_pb2.Frame.FromString(data)
        payload = zstandard.ZstdDecompressor().decompress(frame.payload, max_output_size=PAYLOAD_BYTES_MAX)
        if not may_name(payload):
            return
        columns = unpack_columns(payload, unpack_header(frame.header).count)
    except (DecodeError, zstandard.ZstdError, PeerProtocolError) as exc:
        _log.error("frame.unreadable", error=type(exc).__name__)
        return
    for kind, body in zip(columns.kinds, columns.bodies, strict=True):
        if kind == Kind.RECORDED and may_name(body):
            try:
                yield from named_by(event_pb2.Recorded.FromString(body))
            except DecodeError:
                continue  # Parked.
