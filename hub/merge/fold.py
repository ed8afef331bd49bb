"""Folding frames into head rows, and adding head rows to those stored.

`sepe.head.add_frame` is the rule and this is its fast form. The work on arrays is done by `hub.merge.tally`,
`hub.merge.sums` and the engines, loaded by the first frame, here and in `hub.merge.proving`: numpy takes a
tenth of a second, and most commands that open a hub merge nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.engine.place import is_postgres
from sepe.codec import Columns
from sepe.head import Parked
from sepe_io.sqlite import Connection

if TYPE_CHECKING:
    from hub.engine.rows import HeadRows
    from hub.merge.tally import Tally


class Heads:
    """What the frames of a batch add up to, per NIK. Not idempotent: the watermark lets each event in once."""

    def __init__(self) -> None:
        self._tallies: list[tuple[Tally, int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._tallies)

    def add(self, frame: Tally, *, frame_number: int, start: int) -> list[Parked]:
        """Take in a frame's events from index ``start``; return which of them could not be folded."""
        self._tallies.append((frame, frame_number, start))
        return [one for one in frame.parked if one.index >= start] if frame.parked else []

    def rows(self) -> HeadRows:
        """One row for each NIK. At least one frame was added."""
        from hub.merge.sums import head_rows

        return head_rows(self._tallies)


def fold_frame(
    heads: Heads, columns: Columns, chains: list[bytes], *, frame_number: int, cap: int, start: int
) -> list[Parked]:
    """Add a frame's events, from index ``start``, to ``heads``; return those that could not be folded."""
    from hub.merge.tally import tally

    return heads.add(tally(columns, chains, cap), frame_number=frame_number, start=start)


def write_heads(connection: Connection, heads: Heads, table: str = "head") -> None:
    """Add ``heads`` to those stored, in the order of the NIK: neighbours share pages. In a transaction."""
    if heads:
        add_rows(connection, heads.rows(), table)


def add_rows(connection: Connection, rows: HeadRows, table: str) -> None:
    """Add rows to those stored in ``table``. In a transaction."""
    if is_postgres(connection):
        from hub.engine import heads as postgres

        postgres.write_heads(connection, rows, table)
    else:
        from hub.engine import embedded

        embedded.write_heads(connection, rows, table)
    if table == "head":
        # A row that was there already is looked at by a trigger.
        marks = [(nik,) for nik in {*rows.suspects().tolist(), *_watched(connection, rows)}]
        connection.executemany("INSERT OR IGNORE INTO dirty (nik) VALUES (?)", marks)


def _watched(connection: Connection, rows: HeadRows) -> list[int]:
    """Of these NIK, those with a death from elsewhere: any further event may give it authority."""
    watched = connection.execute(
        # The kind as a literal, so that the index is used that holds these alone.
        "SELECT DISTINCT nik FROM resident_case WHERE kind = 'life_elsewhere'"
    ).fetchall()
    if not watched:
        return []
    here = set(rows.niks.tolist())
    return [nik for (nik,) in watched if nik in here]


def write_parked(connection: Connection, frame_number: int, parked: list[Parked], table: str = "parked") -> None:
    """Keep which events of a frame could not be folded."""
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} (frame, place, reason) VALUES (?, ?, ?)",
        [(frame_number, one.index, one.reason) for one in parked],
    )
