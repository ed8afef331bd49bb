"""Making everything that is folded anew from the frame log.

The new tables grow beside the ones in use, some frames per transaction, so the hub goes on merging meanwhile. Only
the last step holds the write lock for longer: it takes in what was logged since, puts the new tables in place of
the old ones, marks every suspect NIK for the projector and lets that of hints begin again. A kill at any moment
leaves the old tables in use; the next rebuild begins again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from hub.dispatch import book, watch
from hub.merge import likeness, log
from hub.merge.fold import Heads, fold_frame, write_heads, write_parked
from hub.merge.schema import HEAD_TRIGGERS, REBUILT, SUSPECT_HEADS
from sepe.errors import TransientError
from sepe.ids import HUB_NODE
from sepe_io.sqlite import Connection, transaction, translated

# A hundred full frames are 100,000 events: a transaction of about two seconds.
FRAMES_PER_STEP = 100
_PREFIX = "rebuilt_"
_ALL = 1 << 62


Progress = Callable[[int, int], None]


class OtherRebuildError(TransientError):
    """Somebody began a rebuild after us; ours stopped and changed nothing."""


def rebuild(connection: Connection, progress: Progress = lambda done, total: None) -> int:
    """Fold the whole log again; return how many frames it holds.

    Args:
        progress: called with (frames done, frames in the log) after each step.

    Raises:
        OtherRebuildError: another one began after this one.
        StorageDamagedError: a frame of the log is not what was logged; the tables in use stay as they are.
    """
    mine = secrets.token_bytes(8)
    with transaction(connection):
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('rebuild', ?)", (mine,))
        for table, template in REBUILT.items():
            connection.execute(f"DROP TABLE IF EXISTS {_PREFIX}{table}")
            connection.execute(template.format(table=_PREFIX + table).strip().rstrip(";"))
    number = 0
    while True:
        with translated():
            frames = log.frames_after(connection, number, FRAMES_PER_STEP)
            total = log.last_number(connection)
        if len(frames) < FRAMES_PER_STEP:
            break
        with transaction(connection):
            _check_turn(connection, mine)
            _fold(connection, frames)
        number = frames[-1].number
        progress(number, total)
    with transaction(connection):
        _check_turn(connection, mine)
        _fold(connection, log.frames_after(connection, number, _ALL))
        _swap(connection)
        total = log.frame_count(connection)
    progress(total, total)
    return total


def _check_turn(connection: Connection, mine: bytes) -> None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'rebuild'").fetchone()
    if row is None or bytes(row[0]) != mine:
        raise OtherRebuildError("another rebuild began meanwhile and will finish it")


def _fold(connection: Connection, frames: Sequence[log.LoggedFrame]) -> None:
    heads = Heads()
    for logged in frames:
        opened = logged.open()
        parked = fold_frame(
            heads, opened.columns, opened.chains, frame_number=logged.number, cap=logged.cap, start=logged.skip
        )
        write_parked(connection, logged.number, parked, f"{_PREFIX}parked")
        if opened.header.node == HUB_NODE:
            book.apply_frame(connection, opened.columns, logged.skip, _PREFIX)
        else:
            marks = watch.marks(opened.columns)
            watch.mark(connection, {nik for index, nik in marks if index >= logged.skip})
    write_heads(connection, heads, f"{_PREFIX}head")


def _swap(connection: Connection) -> None:
    for table in REBUILT:
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE {_PREFIX}{table} RENAME TO {table}")
    for trigger in HEAD_TRIGGERS:
        connection.execute(trigger)
    for table in ("dirty", "folded", "resident_case"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute(f"INSERT INTO dirty (nik) {SUSPECT_HEADS}")
    likeness.clear(connection)
