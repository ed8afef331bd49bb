"""What a recording costs at the desk, beside a raw SQLite transaction of the same bytes on the same disk.

All sides take turns in short rounds, so that whatever else the machine does hits them alike. Between the two stand
two parts of a recording: its rows, in the tables that they lie in, by bare statements; and the line read, checked
and decided on, then the raw transaction. A journal that grows makes every sync dearer, so the rounds are played
again when all journals have their length and are written over, as in an office that has been open for some hours.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from bench.disk import disk
from bench.table import Row, Target
from node.desk.lines import BATCH_LINES_MAX, InputLine
from node.desk.plan import plan
from node.desk.record import Desk
from node.settings import NodeSettings, save_settings
from node.storage.store import NodeStore
from sepe.recording import parse_line, parse_recording
from sepe_io import sqlite
from sepe_io.regions import region_table

NOW_MS = 1_732_323_600_000
ROUNDS = 15
SINGLES = 40
BATCHES = 4


def run() -> list[Row]:
    """One durable recording, and recordings from a file."""
    # /tmp may be memory; a durable commit is measured on a disk.
    with tempfile.TemporaryDirectory(dir=disk()) as folder:
        return [*_single(Path(folder)), _batch(Path(folder))]


def _single(folder: Path) -> list[Row]:
    desk, store = _desk(folder / "single")
    raw, read_raw = _raw(folder / "raw.db"), _raw(folder / "read.db")
    lines = _lines(2 * ROUNDS * SINGLES + 1)
    desk.record(lines[:1], NOW_MS)
    # What one recording writes: event, chain and NIK, the resident's row, the job's row.
    size = _bytes_of(store)
    left, left_to_read = iter(lines[1:]), iter(lines[1:])

    def ours() -> None:
        desk.record([next(left)], NOW_MS)

    def theirs() -> None:
        _write(raw, size)

    def read_and_theirs() -> None:
        today = date(2024, 11, 23)
        recording, _ = parse_recording(parse_line(next(left_to_read).data), today=today, regions=region_table())
        plan(recording, None, (), attached={}, now_ms=NOW_MS, today=today, first_day=None)
        _write(read_raw, size)

    _, bare_store = _desk(folder / "bare")
    copies = _copies(store, bare_store, lines)

    def bare() -> None:
        next(copies)

    sides = ours, theirs, bare, read_and_theirs
    connections = store.connection, raw, bare_store.connection, read_raw
    ours_rate, raw_rate, bare_rate, read_rate = _in_turns(SINGLES, *sides)
    for one in connections:
        one.execute("PRAGMA wal_checkpoint")
    ours_later, raw_later, _, _ = _in_turns(SINGLES, *sides)
    for one in connections:
        one.close()
    reference = f"one raw SQLite transaction of the same {size} bytes"
    return [
        Row(
            "durable recording: event, resident, print job, outbox; FULL sync", ours_rate, "recordings/s",
            reference, raw_rate, Target(ratio_min=0.85),
        ),
        Row(
            "its rows by bare SQLite statements, nothing read, checked or hashed", bare_rate, "recordings/s",
            reference, raw_rate,
        ),
        Row(
            "its line read, checked and decided on, then the raw transaction", read_rate, "recordings/s",
            reference, raw_rate,
        ),
        Row(
            "durable recording, journals written over", ours_later, "recordings/s",
            f"{reference}, journal written over", raw_later,
        ),
    ]  # fmt: skip


def _raw(path: Path) -> sqlite.Connection:
    connection = sqlite.connect(path)
    connection.execute("CREATE TABLE raw (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    return connection


def _write(connection: sqlite.Connection, size: int) -> None:
    with sqlite.transaction(connection):
        connection.execute("INSERT INTO raw (body) VALUES (?)", (bytes(size),))


def _copies(store: NodeStore, target: NodeStore, lines: list[InputLine]) -> Iterator[None]:
    """Write the rows of the only recording in ``store`` again, one transaction a step, a line's NIK in each."""
    columns, values = {}, {}
    for table in ("outbox", "resident", "job", "tally"):
        cursor = store.connection.execute(f"SELECT * FROM {table}")
        columns[table] = [one[0] for one in cursor.description]
        values[table] = cursor.fetchone()
    marks = {table: ", ".join("?" * len(row)) for table, row in values.items()}
    inserts = {table: f"INSERT INTO {table} VALUES ({marks[table]})" for table in values}
    inserts["tally"] += " ON CONFLICT (day, product, status) DO UPDATE SET count = count + excluded.count"
    for number, line in enumerate(lines, start=1):
        new = {"nik": int(json.loads(line.data)["nik"]), "seq": number, "id": number}
        rows = {
            table: [new.get(column, old) for column, old in zip(columns[table], values[table], strict=True)]
            for table in values
        }
        with sqlite.transaction(target.connection):
            for table, row in rows.items():
                target.connection.execute(inserts[table], row)
        yield


def _batch(folder: Path) -> Row:
    desk, store = _desk(folder / "batch")
    lines = _lines(ROUNDS * BATCHES * BATCH_LINES_MAX)
    batches = iter([lines[start : start + BATCH_LINES_MAX] for start in range(0, len(lines), BATCH_LINES_MAX)])
    parsed = iter(lines)
    regions = region_table()

    def ours() -> None:
        for answer in desk.record(next(batches), NOW_MS):
            answer.to_json()

    def theirs() -> None:
        for _ in range(BATCH_LINES_MAX):
            parse_recording(parse_line(next(parsed).data), today=date(2024, 11, 23), regions=regions)

    ours_rate, parse_rate = _in_turns(BATCHES, ours, theirs)
    store.close()
    return Row(
        f"recordings from a file, {BATCH_LINES_MAX} lines a commit, answers included",
        ours_rate * BATCH_LINES_MAX, "lines/s", "reading and checking the lines alone, nothing stored",
        parse_rate * BATCH_LINES_MAX,
    )  # fmt: skip


def _in_turns(count: int, *calls: Callable[[], None]) -> list[float]:
    """Calls per second of each, the median over rounds."""
    rates: list[list[float]] = [[] for _ in calls]
    for number in range(ROUNDS):
        turns = list(zip(calls, rates, strict=True))
        for call, found in turns if number % 2 else reversed(turns):
            start = time.perf_counter()
            for _ in range(count):
                call()
            found.append(count / (time.perf_counter() - start))
    return [statistics.median(found) for found in rates]


def _desk(folder: Path) -> tuple[Desk, NodeStore]:
    folder.mkdir()
    settings = NodeSettings("537104-1")
    save_settings(folder, settings)
    NodeStore.create(folder, settings, now_ms=NOW_MS).close()
    store = NodeStore.open(folder)  # As every day but the first.
    return Desk(store, regions=region_table(), photo_base=folder), store


def _lines(count: int) -> list[InputLine]:
    lines = []
    for number in range(count):
        day, month, year = number % 28 + 1, number // 28 % 12 + 1, 60 + number // 336 % 40
        document = {
            "nik": f"537104{day + 40:02d}{month:02d}{year:02d}{9001 + number // 13_440:04d}",
            "name": f"MARIA TAEK {'ABCDEFGHIJ'[number % 10]}", "birth_place": "KUPANG",
            "birth_date": f"19{year}-{month:02d}-{day:02d}", "sex": "P", "kk": "5371042501100012",
            "address": f"JL. EL TARI II NO. {number}", "rt": "003", "rw": "001", "kelurahan": "OEBUFU",
            "religion": "KATHOLIK", "marital_status": "BELUM KAWIN", "occupation": "PELAJAR", "product": "ktp-el",
            "reason": "new", "operator": "op-1",
        }  # fmt: skip
        lines.append(InputLine(number + 1, json.dumps(document).encode()))
    return lines


def _bytes_of(store: NodeStore) -> int:
    """Bytes of values in the rows of the only recording."""
    total = 0
    for table in ("outbox", "resident", "job", "tally"):
        for row in store.connection.execute(f"SELECT * FROM {table}"):
            total += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
    return total


if __name__ == "__main__":
    for line in run():
        print(line)
