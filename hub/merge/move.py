"""Moving a hub's data to another database while it runs: `hub copy`.

Frames first: they are copied page by page under their numbers and folded on the way, while the hub goes on merging
into the old database. When little is left, the old one's writers are held for a moment: what came last is copied,
the small tables as they stand, and both digests must be equal. Then the new database is complete and committed,
the old one is closed off for good by triggers that refuse every change, and the directory names the new place. A
hub or worker that runs looks there twice a second and goes on in the new database by itself; until then it can
write nothing. Offices see a delay.

Killed at any moment, `hub copy` is called again and goes on: before the switch from the last page, after it with
the few steps that are missing. The old database stays where it was, closed off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.dispatch import book
from hub.engine import place, tables
from hub.merge import log
from hub.merge.digest import Digest, digest
from hub.merge.fold import Heads, fold_frame, write_heads, write_parked
from hub.merge.schema import REBUILT
from hub.merge.store import KEY_FILE
from sepe.errors import InvalidInputError, SepeError, TransientError
from sepe.hlc import stamp_of
from sepe.ids import HUB_NODE
from sepe_io import keys, sqlite
from sepe_io.sqlite import Connection, transaction, translated

FRAMES_PER_STEP = 50
ROWS_PER_STEP = 2_000
# In the new database's ``meta`` until the move is over: whose data it is.
_MARK = "moving"
# Numbers that a table gives by itself.
_GIVEN = {"quarantine": "id", "feed": "number"}
# Folded from the log again when somebody asks; it may be larger than all else and is not waited for.
_LATER = "likeness"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Moved:
    """``frames``: in the log; ``held_ms``: for how long nobody could write."""

    frames: int
    digest: Digest
    held_ms: int


def move(directory: Path, to: str, *, progress: Progress, clock_ms: Callable[[], int]) -> Moved:
    """Move the data of the hub in ``directory``.

    Args:
        to: the address of an empty PostgreSQL database; ``""``: ``hub.db`` in the directory.
        progress: called with (frames done, frames known) after each page.

    Raises:
        InvalidInputError: it is there already, or another hub's data is.
        TransientError: the old database was repaired meanwhile; call again.
        StorageDamagedError: a frame cannot be read; `sepe hub verify` gets it back first.
    """
    if place.url_of(directory) == to:
        raise InvalidInputError("the hub's data is there already", field="--to")
    owner = keys.load(directory / KEY_FILE).key_id
    with closing(place.connect(directory)) as source, translated():
        place.prepare(source)
        target = _target(directory, to)
        with closing(target):
            place.prepare(target)
            _check_target(target, owner)
            for one in (source, target):
                if place.is_postgres(one):  # One waits while the other works, and must not be ended for that.
                    one.native("SET idle_in_transaction_session_timeout = 0")
            if tables.is_closed_off(source):
                found = _finish_late(target)
            else:
                _copy_frames(source, target, progress)
                found = _switch(source, target, clock_ms)
            place.remember(directory, to)
            with transaction(target):
                target.execute("DELETE FROM meta WHERE name = ?", (_MARK,))
    return found


def _target(directory: Path, to: str) -> Connection:
    if to:
        return place.connect_to(to)
    path = directory / place.DATABASE
    if path.exists():
        with closing(sqlite.connect(path, read_only=True)) as old:
            is_old = tables.is_closed_off(old)
        if is_old:
            _set_aside(path)
    path.touch(mode=0o600)
    return sqlite.connect(path)


def _set_aside(path: Path) -> None:
    """Keep the file that the data was once moved away from, under another name."""
    with closing(sqlite.connect(path)) as old:
        old.execute("PRAGMA journal_mode=DELETE")
    number = 1
    while (aside := path.with_name(f"{path.name}.moved-{number}")).exists():
        number += 1
    path.rename(aside)


def _check_target(target: Connection, owner: bytes) -> None:
    """Make the new database ours, or find that it is already."""
    with transaction(target):
        row = target.execute("SELECT value FROM meta WHERE name = ?", (_MARK,)).fetchone()
        if row is not None and bytes(row[0]) == owner and not tables.is_closed_off(target):
            return
        if row is not None or target.execute("SELECT 1 FROM meta LIMIT 1").fetchone():
            raise InvalidInputError(
                "there is already a hub's data in that database", field="--to",
                hint="Name an empty one: createdb NAME.",
            )  # fmt: skip
        target.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (_MARK, owner))


def _copy_frames(source: Connection, target: Connection, progress: Progress) -> None:
    """Until the next page would not be full."""
    number = log.last_number(target)
    while True:
        total = log.last_number(source)
        rows = _frames_after(source, number, FRAMES_PER_STEP)
        if rows:
            with transaction(target):
                _take(target, rows)
            number = rows[-1][0]
        progress(number, max(total, number))
        if len(rows) < FRAMES_PER_STEP:
            return


def _switch(source: Connection, target: Connection, clock_ms: Callable[[], int]) -> Moved:
    with transaction(source):
        began_ms = clock_ms()
        with transaction(target):
            while rows := _frames_after(source, log.last_number(target), FRAMES_PER_STEP):
                _take(target, rows)
            _check_same_log(source, target)
            for table in tables.names(source):
                if table != "frame" and table not in REBUILT and not table.startswith((_LATER, "rebuilt_")):
                    _copy_table(source, target, table)
            target.execute("DELETE FROM meta WHERE name = ?", (_LATER,))
            tables.give_frames_from(target, log.last_number(source))
            said, found = digest(source), digest(target)
            if said != found:
                raise SepeError(
                    "the copy's digest is another than the hub's, so nothing was switched. Run `sepe hub verify`,"
                    " then copy into an empty database"
                )
        tables.close_off(source)
    return Moved(log.frame_count(target), found, clock_ms() - began_ms)


def _finish_late(target: Connection) -> Moved:
    """Everything was copied and the old database closed off; only the directory does not say so yet."""
    if target.execute("SELECT 1 FROM meta WHERE name = 'made_ms'").fetchone() is None:
        raise InvalidInputError("the hub's data was moved to another database than this one", field="--to")
    return Moved(log.frame_count(target), digest(target), 0)


def _frames_after(source: Connection, number: int, limit: int) -> list[tuple[Any, ...]]:
    """Whole rows of the log: number first, then cap_ms, skip and data, then the others."""
    names = ", ".join(_frame_columns(source))
    sql = f"SELECT {names} FROM frame WHERE number > ? ORDER BY number LIMIT ?"
    return [tuple(row) for row in source.execute(sql, (number, limit)).fetchall()]


def _frame_columns(connection: Connection) -> list[str]:
    first = ["number", "cap_ms", "skip", "received_ms", "data"]
    return [*first, *(name for name in tables.columns(connection, "frame") if name not in first)]


def _take(target: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Log frames under the numbers they had, and fold them, in the caller's transaction."""
    heads = Heads()
    for number, cap_ms, skip, received_ms, data, *_ in rows:
        logged = log.LoggedFrame(number, skip, stamp_of(cap_ms), received_ms, bytes(data))
        opened = logged.open()
        parked = fold_frame(heads, opened.columns, opened.chains, frame_number=number, cap=logged.cap, start=skip)
        if parked:
            write_parked(target, number, parked)
        if opened.header.node == HUB_NODE:
            book.apply_frame(target, opened.columns, skip)
    _insert(target, "frame", _frame_columns(target), rows)
    write_heads(target, heads)


def _check_same_log(source: Connection, target: Connection) -> None:
    """Frames that were repaired, or put into quarantine, after they were copied."""
    sql = "SELECT number, seal FROM frame ORDER BY number"
    if list(place.stream(source, sql)) != list(place.stream(target, sql)):
        raise TransientError("frames were repaired while they were copied: empty that database and copy again")


def _copy_table(source: Connection, target: Connection, table: str) -> None:
    names = tables.columns(source, table)
    keep = " WHERE name <> ?" if table == "meta" else ""
    target.execute(f"DELETE FROM {table}{keep}", (_MARK,) if keep else ())
    for rows in _pages(source, f"SELECT {', '.join(names)} FROM {table}"):
        _insert(target, table, names, [_fitting(table, names, row) for row in rows])
    if table in _GIVEN:
        column = _GIVEN[table]
        tables.give_from(target, table, column, tables.last_given(source, table, column))


def _pages(source: Connection, sql: str) -> Iterator[list[tuple[Any, ...]]]:
    page: list[tuple[Any, ...]] = []
    for row in place.stream(source, sql):
        page.append(tuple(row))
        if len(page) == ROWS_PER_STEP:
            yield page
            page = []
    if page:
        yield page


def _fitting(table: str, names: list[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Older hubs on SQLite kept a few numbers in ``meta`` as numbers; PostgreSQL's column takes bytes."""
    if table != "meta":
        return row
    return tuple(
        str(value).encode() if name == "value" and isinstance(value, int) else value
        for name, value in zip(names, row, strict=True)
    )


def _insert(target: Connection, table: str, names: list[str], rows: list[tuple[Any, ...]]) -> None:
    places = ", ".join("?" * len(names))
    target.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", rows)
