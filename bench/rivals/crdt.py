"""Records into a CRDT document at an office and from there into one at a hub, for pycrdt (Yjs) and loro.

Runs in an environment of its own that holds these two libraries and nothing of ours. A record is a map of its
fields in a map of all residents; a thousand records make one update, as a relay would cut them; the hub applies
the update to its document and appends it to a SQLite log with a durable commit. One process does all, on no line.

Usage: python crdt.py LIBRARY RECORDS FOLDER; prints the seconds that it took.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

UPDATE_RECORDS = 1_000
Record = dict[str, str]
# Takes records into the office's document and gives the update that the hub must be sent.
Write = Callable[[Sequence[Record]], bytes]
# Takes an update into the hub's document.
Apply = Callable[[bytes], object]


def yjs() -> tuple[Write, Apply, Callable[[], int]]:
    """pycrdt, without giving it any work that is not needed."""
    from pycrdt import Doc, Map  # type: ignore[import-not-found]

    office, hub = Doc(), Doc()
    residents = office.get("residents", type=Map)
    held = hub.get("residents", type=Map)

    def write(records: Sequence[Record]) -> bytes:
        before = office.get_state()
        with office.transaction():
            for record in records:
                residents[record["nik"]] = Map(record)
        return bytes(office.get_update(before))

    return write, hub.apply_update, lambda: len(held)


def loro() -> tuple[Write, Apply, Callable[[], int]]:
    """loro, likewise."""
    from loro import ExportMode, LoroDoc, LoroMap  # type: ignore[import-not-found]

    office, hub = LoroDoc(), LoroDoc()
    residents, held = office.get_map("residents"), hub.get_map("residents")

    def write(records: Sequence[Record]) -> bytes:
        before = office.oplog_vv
        for record in records:
            resident = residents.insert_container(record["nik"], LoroMap())
            for name, value in record.items():
                resident.insert(name, value)
        office.commit()
        return bytes(office.export(ExportMode.Updates(before)))

    return write, hub.import_, lambda: len(held)


def main(library: str, records_file: str, folder: str) -> None:
    """Print the seconds from the first record to the last durable commit."""
    records = [json.loads(line) for line in Path(records_file).read_text().splitlines()]
    write, apply, held = {"pycrdt": yjs, "loro": loro}[library]()
    log = sqlite3.connect(Path(folder) / f"{library}.db", isolation_level=None)
    log.execute("PRAGMA journal_mode=WAL")
    log.execute("PRAGMA synchronous=FULL")
    log.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    began = time.perf_counter()
    for first in range(0, len(records), UPDATE_RECORDS):
        update = write(records[first : first + UPDATE_RECORDS])
        apply(update)
        log.execute("INSERT INTO log (data) VALUES (?)", (update,))
    taken = time.perf_counter() - began
    assert held() == len(records), f"{held()} of {len(records)} arrived"
    print(taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
