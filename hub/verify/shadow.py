"""The folded state made once more, beside the one in use, to compare the two.

It grows in a scratch database of its own, some frames at a time, while the hub goes on merging. What differs
in the end is a row that was altered, lost or made up, and it is replaced by its shadow in one short
transaction. Heads that
point into frames that cannot be read are left alone until those are back: the shadow lacks their events.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hub.dispatch import book, moves
from hub.engine.place import is_postgres
from hub.merge.fold import Heads, fold_frame, write_heads, write_parked
from hub.merge.schema import HEAD_COLUMNS, MARK_SUSPECT, REBUILT
from sepe.head import NO_NIK, REF, refs_of
from sepe.hlc import stamp_of
from sepe.ids import HUB_NODE
from sepe_io.frames import OpenedFrame
from sepe_io.sqlite import Connection

FILE = "verify.db"
_HEAD = f"({HEAD_COLUMNS})"
_RIGHT = "nik, product, issue, holder, fence, stamp, reason"
_ROLL = "kecamatan, holder, fence, stamp, reason"
_VALUE_DIFFERS = " OR ".join(f"m.{name} IS DISTINCT FROM s.{name}" for name in HEAD_COLUMNS.split(", "))
# SQLite takes any type in any column, and 5 and 5.0 or x'41' and 'A' are not the same.
_TYPE_DIFFERS = " OR ".join(f"typeof(m.{name}) <> typeof(s.{name})" for name in HEAD_COLUMNS.split(", "))


class Shadow:
    """The second state. ``connection`` is one of our own that nobody else uses; close it with `close`."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self._connection = connection
        self._path = directory / FILE
        self._is_attached = not is_postgres(connection)
        self._differs = _VALUE_DIFFERS
        # On PostgreSQL the scratch tables are temporary ones of this connection.
        if self._is_attached:
            self._differs = f"{_VALUE_DIFFERS} OR {_TYPE_DIFFERS}"
            self._drop_file()
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            connection.execute("ATTACH DATABASE ? AS shadow", (str(self._path),))
            # Scratch: after a crash it is made anew, so nothing is synced.
            connection.execute("PRAGMA shadow.journal_mode=MEMORY")
            connection.execute("PRAGMA shadow.synchronous=OFF")
        for table, template in REBUILT.items():
            connection.execute(template.format(table=f"shadow.{table}").strip().rstrip(";"))

    def close(self) -> None:
        """Let go of the scratch database and delete it."""
        if self._is_attached:
            self._connection.execute("DETACH DATABASE shadow")
            self._drop_file()

    def add(self, frames: Iterable[tuple[int, int, int, OpenedFrame]]) -> None:
        """Fold frames, each with its number, skip and cap in milliseconds. One transaction, unless in one."""
        heads = Heads()
        mine = not self._connection.in_transaction
        if mine:
            self._connection.execute("BEGIN")
        for number, skip, cap_ms, frame in frames:
            parked = fold_frame(
                heads, frame.columns, frame.chains, frame_number=number, cap=stamp_of(cap_ms), start=skip
            )
            write_parked(self._connection, number, parked, "shadow.parked")
            if frame.header.node == HUB_NODE:
                book.apply_frame(self._connection, frame.columns, skip, "shadow.")
        write_heads(self._connection, heads, "shadow.head")
        if mine:
            self._connection.execute("COMMIT")

    def altered_heads(self) -> list[int]:
        """NIK whose head is not what the frames say, also those that have none or should have none."""
        rows = self._connection.execute(
            "SELECT m.nik FROM main.head m LEFT JOIN shadow.head s ON s.nik = m.nik"
            f" WHERE s.nik IS NULL OR {self._differs}"
            " UNION ALL SELECT s.nik FROM shadow.head s LEFT JOIN main.head m ON m.nik = s.nik"
            " WHERE m.nik IS NULL ORDER BY 1"
        )
        return [nik for (nik,) in rows]

    def leans_on(self, nik: int, unreadable: frozenset[int], *, lacks_rows: bool) -> bool:
        """Whether the head in use points into frames that cannot be read now.

        Args:
            unreadable: numbers of the frames whose bytes are damaged.
            lacks_rows: some frames' rows are gone, so a pointer may lead nowhere.
        """
        if not unreadable and not lacks_rows:
            return False
        row = self._connection.execute("SELECT refs FROM main.head WHERE nik = ?", (nik,)).fetchone()
        if row is None or nik == NO_NIK:
            return True  # It has no pointers that could tell.
        if not isinstance(row[0], bytes) or len(row[0]) % REF.size:
            return False
        numbers = {number for number, _ in refs_of(row[0])}
        if numbers & unreadable:
            return True
        return lacks_rows and any(
            self._connection.execute("SELECT 1 FROM main.frame WHERE number = ?", (number,)).fetchone() is None
            for number in numbers
        )

    def is_altered(self, nik: int) -> bool:
        """Whether one head differs, now."""
        row = self._connection.execute(
            "SELECT COUNT(m.nik), COUNT(s.nik), "
            f"SUM(IIF({self._differs}, 1, 0)) FROM (SELECT ? AS nik) n LEFT JOIN main.head m ON m.nik = n.nik"
            " LEFT JOIN shadow.head s ON s.nik = n.nik",
            (nik,),
        ).fetchone()
        return row[0] != row[1] or bool(row[0] and row[2])

    def restore_head(self, nik: int) -> None:
        """Put the shadow in place of one head, in the caller's transaction; a suspect is then dirty."""
        execute = self._connection.execute
        for table in ("head", "folded", "resident_case", "dirty"):
            execute(f"DELETE FROM main.{table} WHERE nik = ?", (nik,))
        execute(f"INSERT INTO main.head {_HEAD} SELECT {HEAD_COLUMNS} FROM shadow.head WHERE nik = ?", (nik,))
        execute(MARK_SUSPECT, (nik,))

    def altered_parked(self) -> list[tuple[int, int]]:
        """(frame, place) of parked events that are not, or should not be, or have another reason."""
        return [(frame, place) for frame, place in self._altered("parked", "frame, place, reason", 2)]

    def restore_parked(self, frame: int, place: int) -> None:
        """Put one parked event right, in the caller's transaction."""
        self._restore("parked", "frame = ? AND place = ?", "frame, place, reason", (frame, place))

    def altered_rights(self) -> list[tuple[int, str, int]]:
        """(NIK, product, issue) of rights that are not as the hub's own events say."""
        return [(nik, product, issue) for nik, product, issue in self._altered("print_right", _RIGHT, 3)]

    def restore_right(self, nik: int, product: str, issue: int) -> None:
        """Put one right right, in the caller's transaction."""
        self._restore("print_right", "nik = ? AND product = ? AND issue = ?", _RIGHT, (nik, product, issue))

    def altered_rolls(self) -> list[int]:
        """Kecamatan whose roll is not with whom the hub's own events say."""
        return [code for (code,) in self._altered("roll_right", _ROLL, 1)]

    def restore_roll(self, kecamatan: int) -> None:
        """Put one roll right, in the caller's transaction."""
        self._restore("roll_right", "kecamatan = ?", _ROLL, (kecamatan,))

    def altered_decisions(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Table and key of what is to go elsewhere, and is not as the hub's own events say."""
        return [
            (table, key)
            for table, (of_key, columns) in moves.TABLES.items()
            for key in self._altered(table, columns, len(of_key))
        ]

    def restore_decision(self, table: str, key: tuple[object, ...]) -> None:
        """Put one of them right, in the caller's transaction."""
        of_key, columns = moves.TABLES[table]
        self._restore(table, " AND ".join(f"{name} = ?" for name in of_key), columns, key)

    def _altered(self, table: str, columns: str, key_columns: int) -> list[tuple[Any, ...]]:
        rows = self._connection.execute(
            f"SELECT {columns} FROM main.{table} EXCEPT SELECT {columns} FROM shadow.{table}"
        ).fetchall()
        rows += self._connection.execute(
            f"SELECT {columns} FROM shadow.{table} EXCEPT SELECT {columns} FROM main.{table}"
        ).fetchall()
        return sorted({row[:key_columns] for row in rows}, key=repr)

    def _restore(self, table: str, where: str, columns: str, key: tuple[object, ...]) -> None:
        self._connection.execute(f"DELETE FROM main.{table} WHERE {where}", key)
        self._connection.execute(
            f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM shadow.{table} WHERE {where}", key
        )

    def _drop_file(self) -> None:
        for suffix in ("", "-journal", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
