"""The projector of hints that two NIK may be one person; the rule is `sepe.likeness`.

It follows the frame log by number, so a merge does nothing for it: no mark, no trigger. `step` takes a few frames,
folds the residents that they speak of, and stores of each its sketch and the keys that it is found by; residents
who share a key are compared, and a pair that is alike is a row of ``likeness_hint``. Sketches are stored, so
comparing reads no log and a damaged frame hurts nobody but its own residents.

The hints are a function of the records alone: whenever a resident's sketch changes, or the size of a block of his
(all who share a key) crosses the limit, his hints are found anew. They are no part of `digest`, as cases are not;
the officer's decisions, which close them, are events and so are.

The cursor is compared and moved in the transaction that stores, so of two processes that do the same work one
finds it done. It carries the digest of the last frame read: a log that is another one is read from its beginning.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hub.merge import log
from hub.merge.project import fold_events
from sepe.errors import PeerProtocolError
from sepe.events import Kind
from sepe.head import NIK_MAX
from sepe.hlc import wall_ms_of
from sepe.likeness import BLOCK_NIKS_MAX, SAME_PERSON, Sketch, keys_of, likeness, sketch_of
from sepe.resident import Decision, Replacement, Resident
from sepe_io.frames import peek_header
from sepe_io.logs import logger
from sepe_io.sqlite import Connection, StorageDamagedError, transaction, translated

# What a step takes: 0.15 s of work for a thousand new residents, so a merge that comes meanwhile hardly waits.
EVENTS_MAX = 1_000
FRAMES_MAX = 16
UNREAD_MAX = 64
VALUES_MAX = 400
TABLES = ("likeness", "likeness_key", "likeness_hint", "likeness_unread")
_KINDS = frozenset(
    int(kind)
    for kind in (Kind.RECORDED, Kind.CORRECTED, Kind.CLAIM_CORRECTED, Kind.CASE_DECIDED, Kind.NIK_REPLACED)
)

_log = logger("hub.likeness")


@dataclass(frozen=True, slots=True)
class _Row:
    """One resident's row: the sketch and the decisions as JSON; ``first_ms`` is when he was first recorded."""

    sketch: str
    settled: str
    first_ms: int


def project(connection: Connection) -> None:
    """Bring the hints up to date with the whole log; a second for some 6,000 new residents."""
    while step(connection):
        pass


def step(connection: Connection) -> bool:
    """Read on by a few frames; whether more are waiting."""
    with translated():
        cursor = _cursor(connection)
        number = int.from_bytes(cursor[:8])
        if number and _at(connection, number) != cursor:
            _log.warning("likeness.restarted", frame=number)
            number = 0
        waiting = log.frames_after(connection, number, FRAMES_MAX)
        frames = _first_of(waiting)
        again = connection.execute("SELECT frame FROM likeness_unread ORDER BY frame LIMIT ?", (UNREAD_MAX,))
        retried = [logged for (one,) in again.fetchall() for logged in log.frames_after(connection, one - 1, 1)]
        unread, niks = _niks_of([*retried, *frames])
        rows = _rows_of(connection, niks, unread)
        if not frames and not rows:
            return False
    with transaction(connection):
        # First, for it makes a second process wait for the end of this one where several may write.
        if not _move(connection, cursor, _at(connection, frames[-1].number) if frames else cursor):
            return True  # Another process was faster.
        if not number:
            _empty(connection)
        _Blocks(connection).store(rows)
        connection.executemany("DELETE FROM likeness_unread WHERE frame = ?", [(one.number,) for one in retried])
        connection.executemany(
            "INSERT INTO likeness_unread (frame) VALUES (?) ON CONFLICT DO NOTHING", [(one,) for one in unread]
        )
    return len(frames) < len(waiting) or len(waiting) == FRAMES_MAX


def clear(connection: Connection) -> None:
    """Throw all of it away, in the caller's transaction; `step` then begins at the first frame."""
    _empty(connection)
    connection.execute("DELETE FROM meta WHERE name = 'likeness'")


def sketch_from(text: str) -> Sketch:
    """The sketch of a stored row."""
    identities, birth_place, mother_name = json.loads(text)
    return Sketch(tuple((name, date, sex) for name, date, sex in identities), birth_place, mother_name)


def settled_from(text: str) -> dict[int, dict[str, Any]]:
    """The last decision on each pair in which this resident has the lesser NIK, by the other NIK."""
    return {int(other): decision for other, decision in json.loads(text).items()} if text else {}


def _cursor(connection: Connection) -> bytes:
    """How far the log was read, see `_at`; empty at its beginning."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'likeness'").fetchone()
    return b"" if row is None else bytes(row[0])


def _at(connection: Connection, number: int) -> bytes:
    """A frame's number and the digest of its history there; empty when it is not in the log."""
    row = connection.execute("SELECT chain_after FROM frame WHERE number = ?", (number,)).fetchone()
    return b"" if row is None else number.to_bytes(8) + bytes(row[0])


def _move(connection: Connection, was: bytes, now: bytes) -> bool:
    """Move the cursor; ``False`` when it is not where it was."""
    connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('likeness', ?)", (b"",))
    moved = connection.execute("UPDATE meta SET value = ? WHERE name = 'likeness' AND value = ?", (now, was))
    return bool(moved.rowcount == 1)


def _empty(connection: Connection) -> None:
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")


def _first_of(waiting: Sequence[log.LoggedFrame]) -> Sequence[log.LoggedFrame]:
    """Frames up to `EVENTS_MAX`, at least one where there is one."""
    events = 0
    for place, logged in enumerate(waiting, start=1):
        # A frame whose header cannot be read is taken like any other, and noted as unread.
        with suppress(PeerProtocolError):
            events += peek_header(logged.data).count
        if events >= EVENTS_MAX:
            return waiting[:place]
    return waiting


def _niks_of(frames: Iterable[log.LoggedFrame]) -> tuple[set[int], dict[int, int]]:
    """The numbers of frames that cannot be read, and the NIK that may be drawn anew, each with its frame."""
    unread, niks = set(), {}
    for logged in frames:
        try:
            columns = logged.open().columns
        except StorageDamagedError:
            unread.add(logged.number)
            continue
        for nik, kind in zip(columns.niks[logged.skip :], columns.kinds[logged.skip :], strict=True):
            if kind in _KINDS and 0 < nik <= NIK_MAX:
                niks[nik] = logged.number
    return unread, niks


def _rows_of(connection: Connection, niks: Mapping[int, int], unread: set[int]) -> dict[int, _Row | None]:
    """What to store of each NIK. Where its events cannot be read, its frame is added to ``unread``."""
    with suppress(StorageDamagedError):
        return _fold(connection, niks)
    found: dict[int, _Row | None] = {}
    for nik, frame in niks.items():
        try:
            found |= _fold(connection, [nik])
        except StorageDamagedError:
            unread.add(frame)
    return found


def _fold(connection: Connection, niks: Iterable[int]) -> dict[int, _Row | None]:
    return {nik: _row_of(nik, fold_events(events)) for nik, events in log.events_of(connection, niks).items()}


def _row_of(nik: int, resident: Resident) -> _Row | None:
    sketch = sketch_of(resident)
    if sketch is None:
        return None
    # That one number is the other settles the hint too, however it was said.
    said: list[tuple[Decision | Replacement, int, int]] = [
        (one, one.other, one.keep_nik) for one in resident.decisions if one.case_kind == SAME_PERSON
    ]
    said += [
        (one, one.new_nik or one.old_nik, one.new_nik or nik)
        for one in resident.replacements if one.new_nik or one.old_nik
    ]  # fmt: skip
    settled = {
        str(other): {
            "keep": keep, "reason": one.reason, "officer": one.officer, "at_ms": wall_ms_of(one.version.stamp),
        }
        for one, other, keep in sorted(said, key=lambda word: word[0].version)
    }  # fmt: skip
    return _Row(
        json.dumps(
            (sketch.identities, sketch.birth_place, sketch.mother_name), ensure_ascii=False, separators=(",", ":")
        ),
        json.dumps(settled, ensure_ascii=False, sort_keys=True) if settled else "",
        wall_ms_of(min(claim.version.stamp for claim in resident.claims)),
    )


class _Blocks:
    """Stores the rows of one step, inside its transaction. A block is everybody who shares a key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sketches: dict[int, Sketch] = {}
        self._keys: dict[int, frozenset[int]] = {}
        # By key: how many share it, where that is more than one; and who, where they are few enough to compare.
        self._sizes: dict[int, int] = {}
        self._members: dict[int, list[int]] = {}

    def store(self, rows: Mapping[int, _Row | None]) -> None:
        """Store what changed of these residents, and find the hints anew of whoever that touches."""
        stored = self._stored(rows)
        changed = {nik: row for nik, row in rows.items() if row != stored.get(nik)}
        came: defaultdict[int, set[int]] = defaultdict(set)
        left: defaultdict[int, set[int]] = defaultdict(set)
        for nik, row in changed.items():
            was = stored.get(nik)
            before = keys_of(sketch_from(was.sketch)) if was else frozenset()
            if row:
                self._sketches[nik] = sketch_from(row.sketch)
            after = self._keys[nik] = keys_of(self._sketches[nik]) if row else frozenset()
            for key in after - before:
                came[key].add(nik)
            for key in before - after:
                left[key].add(nik)
        self._write(changed, came, left)
        self._load({key for nik in changed for key in self._keys[nik]} | left.keys())
        touched = set(changed)
        for key in came.keys() | left.keys():
            size = self._sizes.get(key, 1)
            was_large = size - len(came[key]) + len(left[key]) > BLOCK_NIKS_MAX
            # It says something from now on, or nothing any more: whoever was or is in it looks again.
            if was_large != (size > BLOCK_NIKS_MAX):
                touched |= set(self._block(key))
        others = touched - changed.keys()
        for nik in others:
            sketch = self._sketch(nik)
            self._keys[nik] = keys_of(sketch) if sketch else frozenset()
        self._load({key for nik in others for key in self._keys[nik]})
        for nik in sorted(touched):
            self._hint(nik, is_new=nik in changed and nik not in stored)

    def _stored(self, niks: Iterable[int]) -> dict[int, _Row]:
        rows = self._select("SELECT nik, sketch, settled, first_ms FROM likeness WHERE nik IN", niks)
        return {nik: _Row(*rest) for nik, *rest in rows}

    def _write(
        self,
        changed: Mapping[int, _Row | None],
        came: Mapping[int, set[int]],
        left: Mapping[int, set[int]],
    ) -> None:
        connection = self._connection
        connection.executemany("DELETE FROM likeness WHERE nik = ?", [(nik,) for nik in changed])
        connection.executemany(
            "INSERT INTO likeness (nik, sketch, settled, first_ms) VALUES (?, ?, ?, ?)",
            [(nik, row.sketch, row.settled, row.first_ms) for nik, row in sorted(changed.items()) if row],
        )
        connection.executemany("DELETE FROM likeness_key WHERE key = ? AND nik = ?", _pairs(left))
        connection.executemany("INSERT INTO likeness_key (key, nik) VALUES (?, ?)", _pairs(came))

    def _load(self, keys: Iterable[int]) -> None:
        """Read how many share each of these keys, and who."""
        counted = self._select("SELECT key, COUNT(*) FROM likeness_key WHERE key IN", keys, "GROUP BY key")
        shared = {key: size for key, size in counted if size > 1}
        self._sizes |= shared
        few = [key for key, size in shared.items() if size <= BLOCK_NIKS_MAX]
        for key, nik in self._select("SELECT key, nik FROM likeness_key WHERE key IN", few, "ORDER BY key, nik"):
            self._members.setdefault(key, []).append(nik)

    def _block(self, key: int) -> list[int]:
        rows = self._connection.execute("SELECT nik FROM likeness_key WHERE key = ?", (key,))
        return [nik for (nik,) in rows]

    def _hint(self, nik: int, *, is_new: bool) -> None:
        connection, mine = self._connection, self._sketch(nik)
        found: dict[tuple[int, int], str] = {}
        candidates = {other for key in self._keys[nik] for other in self._members.get(key, ())} - {nik}
        for other in candidates:
            theirs = self._sketch(other)
            reasons = likeness(mine, theirs) if mine and theirs else None
            if reasons:
                found[min(nik, other), max(nik, other)] = " ".join(reasons)
        if not is_new:
            connection.execute("DELETE FROM likeness_hint WHERE nik = ? OR other = ?", (nik, nik))
        if found:
            connection.executemany(
                "INSERT INTO likeness_hint (nik, other, reasons) VALUES (?, ?, ?)"
                " ON CONFLICT (nik, other) DO UPDATE SET reasons = excluded.reasons",
                [(*pair, reasons) for pair, reasons in sorted(found.items())],
            )

    def _sketch(self, nik: int) -> Sketch | None:
        if nik not in self._sketches:
            row = self._connection.execute("SELECT sketch FROM likeness WHERE nik = ?", (nik,)).fetchone()
            if row is None:
                return None
            self._sketches[nik] = sketch_from(row[0])
        return self._sketches[nik]

    def _select(self, head: str, values: Iterable[int], tail: str = "") -> Iterator[tuple[Any, ...]]:
        """Rows of a query that ends with ``IN``, some hundred values at a time."""
        left = sorted(values)
        for start in range(0, len(left), VALUES_MAX):
            part = left[start : start + VALUES_MAX]
            yield from self._connection.execute(f"{head} ({', '.join('?' * len(part))}) {tail}", part)


def _pairs(blocks: Mapping[int, set[int]]) -> Sequence[tuple[int, int]]:
    return sorted((key, nik) for key, niks in blocks.items() for nik in niks)
