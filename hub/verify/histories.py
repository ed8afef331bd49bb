"""Every history of the log, end to end: which events are missing, and where the watermark belongs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hub.merge.proofs import Proof
from hub.merge.wanted import Wanted
from hub.verify.reading import Row, rows_of
from sepe.antientropy import Coverage, Span, find_holes
from sepe.codec import chain_start
from sepe.errors import PeerProtocolError
from sepe_io.frames import peek_header, reopen_frame
from sepe_io.sqlite import Connection


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a history reaches, as its row says; ``None`` for a history whose row is gone."""

    seq: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class History:
    """One (node, epoch) of the log.

    Attributes:
        end: where the frames end. ``stored``: what the epoch's row says.
        wanted: what is to be asked for.
        torn: seqs at which neighbours contradict each other.
    """

    node: str
    epoch: bytes
    stored: Watermark | None
    end: Watermark
    wanted: tuple[Wanted, ...]
    torn: tuple[int, ...]
    proof: Proof

    @property
    def ends_early(self) -> bool:
        """Whether the watermark promises events that no frame at the end holds."""
        return self.stored is not None and self.stored.seq > self.end.seq

    @property
    def watermark_is_right(self) -> bool:
        return self.stored == self.end


def epochs(connection: Connection) -> list[tuple[str, bytes]]:
    """Every history that has a watermark or a frame."""
    return [
        (node, bytes(epoch))
        for node, epoch in connection.execute(
            "SELECT node, epoch FROM epoch UNION SELECT DISTINCT node, epoch FROM frame ORDER BY 1, 2"
        )
    ]


def stored_watermark(connection: Connection, node: str, epoch: bytes) -> Watermark | None:
    """What the epoch's row says."""
    row = connection.execute(
        "SELECT durable_seq, chain FROM epoch WHERE node = ? AND epoch = ?", (node, epoch)
    ).fetchone()
    return None if row is None else Watermark(*row)


def follow(
    connection: Connection,
    node: str,
    epoch: bytes,
    *,
    damaged: Mapping[int, Row],
    junk: Collection[int],
    now_ms: int,
) -> History:
    """Follow one history from its start to its end.

    Args:
        damaged: rows by number whose bytes cannot be read and whose columns can be believed.
        junk: numbers of rows of which nothing can be believed.

    What the watermark promises beyond the last frame is no hole here: see `History.ends_early`.
    """
    start = chain_start(node, epoch)
    spans: list[Span] = []
    asked: list[Wanted] = []
    missing = 0
    end = Watermark(0, start)
    for span, row in _spans(connection, node, epoch, damaged, junk):
        spans.append(span)
        end = Watermark(span.last_seq, span.after)
        if row is not None:
            asked.append(Wanted(node, epoch, row.first_seq, row.last_seq, row.number, None, row.chain_after))
            missing += span.last_seq - span.first_seq + 1
    coverage = find_holes(start, spans, end.seq, end.chain)
    for hole in coverage.holes:
        missing += hole.events
        asked.append(Wanted(node, epoch, hole.first_seq, hole.last_seq, None, hole.before, hole.after))
    sound = _sound_until(coverage, asked)
    chain = next((span.after for span in reversed(spans) if span.last_seq == sound), start)
    proof = Proof(node, epoch, end.seq - missing, sound, chain, now_ms)
    asked.sort(key=lambda one: one.first_seq)
    return History(
        node, epoch, stored_watermark(connection, node, epoch), end, tuple(asked), coverage.torn, proof
    )  # fmt: skip


def _spans(
    connection: Connection, node: str, epoch: bytes, damaged: Mapping[int, Row], junk: Collection[int]
) -> Iterator[tuple[Span, Row | None]]:
    """The counted run of each row; with the row for those whose bytes cannot be read."""
    for row in rows_of(connection, node, epoch):
        if row.number in junk:
            continue
        if row.number in damaged:
            # The digest that it begins with is among what cannot be read; the one at its end is sealed.
            yield Span(row.first_seq + row.skip, row.last_seq, b"", row.chain_after), row
        else:
            try:
                before = (
                    reopen_frame(row.data).chains[row.skip - 1] if row.skip else peek_header(row.data).chain_before
                )
            except (PeerProtocolError, IndexError, TypeError):
                continue  # Altered since it was read a moment ago: the next reading finds it.
            yield Span(row.first_seq + row.skip, row.last_seq, before, row.chain_after), None


def _sound_until(coverage: Coverage, asked: list[Wanted]) -> int:
    """The last seq before the first event that is not there."""
    return min((coverage.seq, *(one.first_seq - 1 for one in asked)))
