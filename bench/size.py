"""The merge into a hub that holds millions of residents: what the size of the table costs.

The heads of a whole population are put in first, in bulk, by the same statement that the merge uses but
without frames: nobody's events are merged twice as fast because they are old, and a merge reads no old frame. Then
frames of eight offices are merged, all cores in use. Each figure stands beside the same work on 100,000 residents.

*Own regions*: nine of ten events are of the office's own kecamatan, the tenth of anybody. *Random*: every event is
of anybody. Most residents are known, so most rows are changed where they lie. Each is recorded under the name that
he has, so that the merge finds no conflicts, which would be rows in a second table.

They are put in at random, as people came. Put in by NIK they would fill their pages to the last byte, as after
`sepe hub rebuild`, and each page would be divided when a row on it first grows: 3 % (own regions) to 16 % (random)
more CPU at five million, on a shared machine.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bench.table import Row, Target
from hub.engine.place import is_postgres
from hub.engine.rows import NUMBER_COLUMNS, HeadRows
from hub.ingest.merger import BATCH_EVENTS_MAX
from hub.merge.ahead import Prover, merge_ahead
from hub.merge.fold import add_rows
from hub.merge.store import HubStore
from sepe.head import identity_hash
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import transaction
from surge.lab.family import cpu_s
from tests.support.hubs import arrivals, new_hub
from tests.support.postgres import serving
from tests.support.world import Node, nik_of, recorded

SMALL, LARGE, FULL = 100_000, 1_000_000, 5_000_000
OFFICES = 8
KECAMATAN = 125
# Ten commits: what is written back between commits counts.
EVENTS = 320_000
FRAME_EVENTS = 1000
BATCH_FRAMES = BATCH_EVENTS_MAX // FRAME_EVENTS
STRANGERS_SHARE = 0.10
FILL_PARTS = 20
# So many names, each the name of whoever's NIK leaves that remainder.
NAMES = 9973
SETTINGS = ("fsync=on", "shared_buffers=512MB", "max_wal_size=4GB", "wal_compression=on")


@dataclass(frozen=True, slots=True)
class Speed:
    """Events a second: by the clock, and of CPU, provers included."""

    by_clock: float
    by_cpu: float


def run(*, full: bool = False) -> list[Row]:
    """Rows for ``run.py bench``; ``full``: 5 million residents and PostgreSQL too, some minutes."""
    large = FULL if full else LARGE
    rows = _rows("SQLite", "", large)
    if full:
        with serving(*SETTINGS) as server:
            rows += _rows("PostgreSQL", server, large)
    return rows


def _rows(engine: str, server: Any, large: int) -> list[Row]:
    speeds = {
        (residents, share): _measure(server.database() if server else "", residents, share)
        for residents in (SMALL, large)
        for share in (STRANGERS_SHARE, 1.0)
    }
    rows: list[Row] = []
    for kind, share, wanted in (("own regions", STRANGERS_SHARE, 0.75), ("random NIK", 1.0, 0.5)):
        small, full = speeds[SMALL, share], speeds[large, share]
        name, reference = f"merge, {engine}, {large:,} residents, {kind}", f"itself at {SMALL:,}"
        rows.append(Row(name, full.by_clock, "events/s", reference, small.by_clock, Target(ratio_min=wanted)))
        if not server:  # Of a server's work this process knows nothing.
            unit = "events/CPU-s"
            rows.append(Row(f"{name}, per second of one core", full.by_cpu, unit, reference, small.by_cpu))
    return rows


def _measure(database: str, residents: int, strangers_share: float) -> Speed:
    """Of a merge into a hub with so many residents."""
    each = residents // KECAMATAN
    regions = [f"{5300 + number:04}01" for number in range(KECAMATAN)]
    nodes = [_office(number, regions, each, strangers_share) for number in range(OFFICES)]
    turns = zip(*(node.frames(FRAME_EVENTS) for node in nodes), strict=True)
    frames = [frame for turn in turns for frame in turn]
    with (
        tempfile.TemporaryDirectory(prefix="sepe-bench-") as scratch,
        new_hub(Path(scratch) / "hub", nodes, database=database) as store,
        Prover(store.reader) as proving,
    ):
        _fill(store, regions, each)
        batches = (arrivals(frames[start : start + BATCH_FRAMES]) for start in range(0, len(frames), BATCH_FRAMES))
        proving.wait_until_ready()
        began, began_cpu = time.perf_counter(), cpu_s(os.getpid())
        merged = sum(one.events_merged for outcomes in merge_ahead(store, proving, batches) for one in outcomes)
        taken, taken_cpu = time.perf_counter() - began, cpu_s(os.getpid()) - began_cpu
        assert merged == EVENTS
        suspects = store.connection.execute("SELECT COUNT(*) FROM dirty").fetchone()[0]
        assert not suspects, f"{suspects} residents have two names"
    return Speed(EVENTS / taken, EVENTS / taken_cpu)


def _office(number: int, regions: list[str], each: int, strangers_share: float) -> Node:
    node, rng = Node(f"{regions[number]}-1"), Random(number)
    for index in range(EVENTS // OFFICES):
        region = rng.choice(regions) if rng.random() < strangers_share else regions[number]
        nik = nik_of(rng.randrange(each), region)
        node.write(recorded(nik, _name_of(nik % NAMES), address=f"JL. EL TARI {index % 300}", operator="op-1"))
    return node


def _fill(store: HubStore, regions: list[str], each: int) -> None:
    """One head with one claim for every resident, in the order in which people came; written back to the file."""
    rng = np.random.default_rng(1)
    claims = (event_pb2.Recorded.FromString(recorded(0, _name_of(number)).body) for number in range(NAMES))
    identities = np.array([identity_hash(one.name, one.birth_date, one.sex) for one in claims], np.int64)
    niks = np.array([nik_of(number) for number in range(each)]) % 10**10
    everybody = rng.permutation(np.concatenate([niks + int(region) * 10**10 for region in regions]))
    for part in map(np.sort, np.array_split(everybody, FILL_PARTS)):
        one, none = np.ones_like(part), np.zeros_like(part)
        identity, checksum = identities[part % NAMES], rng.integers(0, 1 << 62, len(part))
        numbers = (part, one, one, identity, identity, none, none, checksum)
        assert len(numbers) == len(NUMBER_COLUMNS)
        with transaction(store.connection):
            add_rows(store.connection, HeadRows(numbers, np.full(len(part), 1 << 40, np.uint64), one), "head")
    if not is_postgres(store.connection):
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _name_of(number: int) -> str:
    return f"MARIA TAEK {number}"
