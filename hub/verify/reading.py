"""One row of the frame log, read back: is it what was logged, and if not, what can still be believed of it?

========= ============================================ ===================================================
bytes     columns                                      what becomes of the row
========= ============================================ ===================================================
sound     as the header and the seal say               nothing
sound     altered                                      put right: from the header, the rest so that the seal
                                                       fits; see `righted`
damaged   sealed                                       its events are known by seq: asked for, same row
damaged   altered too                                  nothing is believed: to quarantine; what no row covers
                                                       shows as a hole
========= ============================================ ===================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from hub.merge import log, registry
from hub.merge.proving import VIA_IMPORT, VIA_RELEASE, VIA_SELF
from sepe.errors import PeerProtocolError
from sepe.hlc import AHEAD_MS_MAX
from sepe_io.frames import OpenedFrame, open_frame, reopen_frame
from sepe_io.keys import key_id_of
from sepe_io.sqlite import Connection

_COLUMNS = "number, node, epoch, first_seq, last_seq, skip, chain_after, received_ms, cap_ms, via, seal, data"
_VIAS = ("nats", "grpc", VIA_IMPORT, VIA_RELEASE, VIA_SELF)
_ALTERED_KEY = "altered_key"


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of one row of the log; any of them may have been altered, to any type."""

    number: int
    node: str
    epoch: bytes
    first_seq: int
    last_seq: int
    skip: int
    chain_after: bytes
    received_ms: int
    cap_ms: int
    via: str
    seal: bytes | None
    data: bytes

    @property
    def proper_seal(self) -> bytes | None:
        """The seal that fits the columns; ``None`` when they are not even of the right kind."""
        try:
            return log.seal_of(
                self.number, self.node, self.epoch, self.first_seq, self.last_seq, self.skip, self.chain_after,
                self.received_ms, self.cap_ms, self.via,
            )  # fmt: skip
        except (TypeError, AttributeError):
            return None

    @property
    def is_sealed(self) -> bool:
        return self.seal is not None and self.seal == self.proper_seal


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found of one row.

    Attributes:
        frame: its events; ``None`` when the bytes are damaged, ``fault`` then says how.
        proven: the signature was checked; ``False`` while the node's key is not at hand.
        columns_fit: they are those that were logged. A row of before there were seals fits when its header
        agrees.
    """

    row: Row
    frame: OpenedFrame | None
    fault: str
    proven: bool
    columns_fit: bool


def rows_after(connection: Connection, number: int, limit: int) -> list[Row]:
    """The next rows of the log, by number."""
    return _rows(
        connection.execute(
            f"SELECT {_COLUMNS} FROM frame WHERE number > ? ORDER BY number LIMIT ?", (number, limit)
        )
    )


def rows_of(connection: Connection, node: str, epoch: bytes, page: int = log.PAGE_FRAMES) -> Iterator[Row]:
    """The rows of one history, by seq, read page by page."""
    last_seq = -1
    while True:
        found = _rows(
            connection.execute(
                f"SELECT {_COLUMNS} FROM frame WHERE node = ? AND epoch = ? AND last_seq > ?"
                " ORDER BY last_seq LIMIT ?",
                (node, epoch, last_seq, page),
            )
        )
        yield from found
        if len(found) < page:
            return
        last_seq = found[-1].last_seq


def row(connection: Connection, number: int) -> Row | None:
    """The row with this number."""
    found = _rows(connection.execute(f"SELECT {_COLUMNS} FROM frame WHERE number = ?", (number,)))
    return found[0] if found else None


def read(connection: Connection, found: Row) -> Reading:
    """Check one row. Signature, sizes and chain are checked as if the frame came in now."""

    def key_of(node: str, key_id: bytes) -> bytes:
        public_key = registry.public_key_of(connection, node, key_id, even_revoked=True)
        if key_id_of(public_key) != key_id:
            raise PeerProtocolError(_ALTERED_KEY, node)
        return public_key

    proven = True
    try:
        try:
            frame = open_frame(found.data, key_of)
        except PeerProtocolError as exc:
            # A key whose row was altered is no witness against the frame, and one of a node of which no key
            # is left is none either. A name that the frame alone gives is damage: keys are revoked, never
            # deleted.
            is_gone = exc.reason == "unknown_node" and exc.detail == found.node
            if exc.reason != _ALTERED_KEY and not is_gone:
                raise
            proven, frame = False, reopen_frame(found.data)
    except PeerProtocolError as exc:
        return Reading(found, None, exc.reason, False, found.is_sealed)
    except TypeError:
        return Reading(found, None, "no_bytes", False, found.is_sealed)
    return Reading(found, frame, "", proven, _agrees(found, frame) and (found.is_sealed or found.seal is None))


def righted(connection: Connection, reading: Reading) -> Row:
    """The row as it was logged, for one whose bytes are sound.

    What the header says is taken from it. The other columns are varied, each over what it can have been,
    until the seal fits. When it never does, the seal itself was altered or several columns were; then each
    gets what follows from its neighbours, and a new seal.
    """
    assert reading.frame is not None
    header, found = reading.frame.header, reading.row
    base = replace(
        found, node=header.node, epoch=header.epoch, first_seq=header.first_seq, last_seq=header.last_seq,
        chain_after=header.chain_after,
    )  # fmt: skip
    before = connection.execute(
        "SELECT last_seq FROM frame WHERE node = ? AND epoch = ? AND last_seq < ? AND number <> ?"
        " ORDER BY last_seq DESC LIMIT 1",
        (header.node, header.epoch, header.last_seq, found.number),
    ).fetchone()
    skip = max((before[0] if before else 0) + 1 - header.first_seq, 0)
    times = [
        (found.received_ms, found.cap_ms),
        (_less(found.cap_ms), found.cap_ms),
        (found.received_ms, _more(found.received_ms)),
    ]
    for via, one_skip, (received_ms, cap_ms) in product(
        dict.fromkeys((found.via, *_VIAS)), dict.fromkeys((found.skip, skip)), times
    ):
        candidate = replace(base, skip=one_skip, received_ms=received_ms, cap_ms=cap_ms, via=via)
        if candidate.is_sealed:
            return candidate
    if _agrees(found, reading.frame) and found.cap_ms == _more(found.received_ms):
        return found  # Nothing contradicts it but the seal.
    received_ms = _likely_ms(connection, found)
    via = found.via if found.via in _VIAS else VIA_IMPORT
    return replace(base, skip=skip, received_ms=received_ms, cap_ms=received_ms + AHEAD_MS_MAX, via=via)


def write(connection: Connection, found: Row) -> None:
    """Store a row's columns and its proper seal under its number, in the caller's transaction; its bytes stay."""
    connection.execute(
        "UPDATE frame SET node = ?, epoch = ?, first_seq = ?, last_seq = ?, skip = ?, chain_after = ?,"
        " received_ms = ?, cap_ms = ?, via = ?, seal = ? WHERE number = ?",
        (
            found.node, found.epoch, found.first_seq, found.last_seq, found.skip, found.chain_after,
            found.received_ms, found.cap_ms, found.via, found.proper_seal, found.number,
        ),
    )  # fmt: skip


def _rows(rows: Any) -> list[Row]:
    return [Row(*found) for found in rows]


def _agrees(found: Row, frame: OpenedFrame) -> bool:
    header = frame.header
    return (
        found.node == header.node
        and found.epoch == header.epoch
        and found.first_seq == header.first_seq
        and found.last_seq == header.last_seq
        and found.chain_after == header.chain_after
        and isinstance(found.skip, int)
        and 0 <= found.skip < header.count
    )


def _likely_ms(connection: Connection, found: Row) -> int:
    """A time of receipt between those of the rows before and after it, nearest to what the row says."""
    before, after = connection.execute(
        "SELECT (SELECT received_ms FROM frame WHERE number < ?1 ORDER BY number DESC LIMIT 1),"
        " (SELECT received_ms FROM frame WHERE number > ?1 ORDER BY number LIMIT 1)",
        (found.number,),
    ).fetchone()
    said = found.received_ms if isinstance(found.received_ms, int) else 0
    low = before if isinstance(before, int) else said
    high = after if isinstance(after, int) else max(said, low)
    return max(min(said, high), low)


def _less(cap_ms: Any) -> Any:
    return cap_ms - AHEAD_MS_MAX if isinstance(cap_ms, int) else cap_ms


def _more(received_ms: Any) -> Any:
    return received_ms + AHEAD_MS_MAX if isinstance(received_ms, int) else received_ms
