"""The merge into a hub that holds millions of residents: what the size of the table costs.

The heads of a whole population are put in first, sorted and in bulk, by the same statement that the merge uses but
without frames: nobody's events are merged twice as fast because they are old, and a merge reads no old frame. Then
frames of eight offices are merged, all cores in use. Each figure stands beside the same work on 100,000 residents.

*Own regions*: nine of ten events are of the office's own kecamatan, the tenth of anybody. *Random*: every event is
of anybody. Most residents are known, so most rows are changed where they lie.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bench.table import Row, Target
from hub.engine.rows import NUMBER_COLUMNS, HeadRows
from hub.ingest.merger import BATCH_EVENTS_MAX
from hub.merge.ahead import Prover, merge_ahead
from hub.merge.fold import add_rows
from hub.merge.store import HubStore
from sepe_io.sqlite import transaction
from tests.support.hubs import arrivals, new_hub
from tests.support.postgres import serving
from tests.support.world import Node, nik_of, recorded

SMALL, LARGE, FULL = 100_000, 1_000_000, 5_000_000
OFFICES = 8
KECAMATAN = 125
EVENTS = 96_000
FRAME_EVENTS = 1000
BATCH_FRAMES = BATCH_EVENTS_MAX // FRAME_EVENTS
STRANGERS_SHARE = 0.10
FILL_ROWS = 250_000
SETTINGS = ("fsync=on", "shared_buffers=512MB", "max_wal_size=4GB", "wal_compression=on")


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
    return [
        Row(
            f"merge, {engine}, {large:,} residents, {name}", speeds[large, share], "events/s",
            f"itself at {SMALL:,}", speeds[SMALL, share], Target(ratio_min=wanted),
        )
        for name, share, wanted in (("own regions", STRANGERS_SHARE, 0.75), ("random NIK", 1.0, 0.5))
    ]  # fmt: skip


def _measure(database: str, residents: int, strangers_share: float) -> float:
    """Events a second into a hub with so many residents."""
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
        began = time.perf_counter()
        merged = sum(one.events_merged for outcomes in merge_ahead(store, proving, batches) for one in outcomes)
        taken = time.perf_counter() - began
        assert merged == EVENTS
    return EVENTS / taken


def _office(number: int, regions: list[str], each: int, strangers_share: float) -> Node:
    node, rng = Node(f"{regions[number]}-1"), Random(number)
    for index in range(EVENTS // OFFICES):
        region = rng.choice(regions) if rng.random() < strangers_share else regions[number]
        nik = nik_of(rng.randrange(each), region)
        node.write(
            recorded(nik, f"MARIA TAEK {nik % 9973}", address=f"JL. EL TARI {index % 300}", operator="op-1")
        )
    return node


def _fill(store: HubStore, regions: list[str], each: int) -> None:
    """One head with one claim for every resident."""
    rng = np.random.default_rng(1)
    niks = np.sort(np.array([nik_of(number) for number in range(each)]) % 10**10)
    everybody = np.concatenate([niks + int(region) * 10**10 for region in regions])
    for start in range(0, len(everybody), FILL_ROWS):
        part = everybody[start : start + FILL_ROWS]
        one, none = np.ones_like(part), np.zeros_like(part)
        identity, checksum = (rng.integers(0, 1 << 62, len(part)) for _ in range(2))
        numbers = (part, one, one, identity, identity, none, none, checksum)
        assert len(numbers) == len(NUMBER_COLUMNS)
        with transaction(store.connection):
            add_rows(store.connection, HeadRows(numbers, np.full(len(part), 1 << 40, np.uint64), one), "head")
