"""The hub's merge from memory: events per second of `HubStore.merge`, signatures and durable commits included.

Reference: the same recordings as plain rows, one UPSERT of a 22-column row per event by a prepared statement, a
durable commit per 1,000: what a hub without a frame log would do, with nothing verified. Both take the recordings
of one region in the order in which several offices send them in turn.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from hub.ingest.merger import BATCH_EVENTS_FIRST, BATCH_EVENTS_MAX
from hub.merge.ahead import Prover, merge_ahead
from hub.merge.digest import digest
from hub.merge.rebuild import rebuild
from hub.merge.store import Arrival, HubStore
from hub.read.status import counts
from sepe.resident import IDENTITY_FIELDS, RESIDENT_FIELDS
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import connect, transaction
from surge.lab.family import cpu_s
from tests.support.hubs import arrivals, let_in, new_hub
from tests.support.world import Node, nik_of, recorded

OFFICES = 8
# More commits than a transaction has names for table images.
EVENTS = 640_000
TURNS = 3
FRAME_EVENTS = 1_000
# As the merger does while a backlog drains: batches grow to its limit. In full frames.
BATCH_FRAMES_FIRST, BATCH_FRAMES = BATCH_EVENTS_FIRST // FRAME_EVENTS, BATCH_EVENTS_MAX // FRAME_EVENTS
REPEAT_SHARE = 0.10
CONFLICT_SHARE = 0.01
COLUMNS = ("nik", *IDENTITY_FIELDS, *RESIDENT_FIELDS, "stamp", "node", "seq")
assert len(COLUMNS) == 22


def run() -> list[dict[str, Any]]:
    """Rows for ``run.py bench``."""
    nodes = [_office(number) for number in range(OFFICES)]
    frames = [frame for turn in zip(*(node.frames(FRAME_EVENTS) for node in nodes), strict=True) for frame in turn]
    merges: list[tuple[float, float]] = []
    upserts: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="sepe-bench-") as folder:
        scratch = Path(folder)
        # In turns, so that whatever else the machine does hits both alike.
        for turn in range(TURNS):
            upserts.append(_upsert(scratch / f"rows{turn}.db", nodes))
            with new_hub(scratch / f"hub{turn}") as store:
                let_in(store, nodes)
                merges.append(_merge(store, frames))
                if turn < TURNS - 1:
                    continue
                project_s = _seconds(store.project)
                digest_s = _seconds(lambda: digest(store.connection))
                residents = counts(store.connection).residents
                rebuild_s = _seconds(lambda: rebuild(store.connection))
                size = (store.directory / "hub.db").stat().st_size
    merge_s, merge_cpu_s = (statistics.median(column) for column in zip(*merges, strict=True))
    upsert_s, upsert_cpu_s = (statistics.median(column) for column in zip(*upserts, strict=True))
    reference = "one 22-column UPSERT per event"
    return [
        _row("merge", EVENTS / merge_s, "events/s", reference, EVENTS / upsert_s),
        _row("merge, per second of one core", EVENTS / merge_cpu_s, "events/s", reference, EVENTS / upsert_cpu_s),
        _row("rebuild from the log", EVENTS / rebuild_s, "events/s", "merge", EVENTS / merge_s),
        _row("cases brought up to date", project_s, "s", "merge", merge_s),
        _row("digest", residents / digest_s, "residents/s"),
        _row("hub.db", size / EVENTS, "bytes/event"),
    ]


def _office(number: int) -> Node:
    node, rng = Node(f"5371{number + 1:02}-1"), Random(number)
    for index in range(EVENTS // OFFICES):
        draw = rng.random()
        who = rng.randrange(index) if index and draw < REPEAT_SHARE else index
        # Names follow the NIK, so a repeat agrees; a share of the repeats does not.
        name = f"MARIA TAEK {who}" if draw >= CONFLICT_SHARE else f"YOHANES {index}"
        node.write(
            recorded(
                nik_of(who, node.name[:6]), name, birth_place="KUPANG", kk=f"{node.name[:6]}2501{who:06}",
                address=f"JL. EL TARI II NO. {who % 300} BLOK {who % 7}, SAMPING GEREJA", rt=f"{who % 30:03}",
                rw=f"{who % 9:03}", kelurahan="OEBUFU", religion="KATHOLIK", marital_status="BELUM KAWIN",
                occupation="PELAJAR/MAHASISWA", citizenship="WNI", education="SLTA/SEDERAJAT", blood_type="O",
                mother_name=f"YULIANA BANU {who % 977}", father_name=f"FRANSISKUS TAEK {who % 1013}",
                phone=f"0812{who:08}", operator="op-1", photo_sha256=rng.randbytes(32),
            )
        )  # fmt: skip
    return node


def _merge(store: HubStore, frames: Sequence[bytes]) -> tuple[float, float]:
    with Prover(store.reader) as proving:
        proving.wait_until_ready()
        began, began_cpu = time.perf_counter(), cpu_s(os.getpid())
        merged = sum(
            one.events_merged for outcomes in merge_ahead(store, proving, _batches(frames)) for one in outcomes
        )
        taken = time.perf_counter() - began, cpu_s(os.getpid()) - began_cpu
    assert merged == EVENTS
    return taken


def _batches(frames: Sequence[bytes]) -> Iterator[list[Arrival]]:
    start, size = 0, BATCH_FRAMES_FIRST
    while start < len(frames):
        yield arrivals(frames[start : start + size])
        start, size = start + size, min(2 * size, BATCH_FRAMES)


def _upsert(path: Path, nodes: Sequence[Node]) -> tuple[float, float]:
    turns = zip(*(_rows(node) for node in nodes), strict=True)
    rows = [row for turn in turns for row in turn]
    connection = connect(path)
    connection.execute(f"CREATE TABLE resident ({', '.join(COLUMNS)}, PRIMARY KEY (nik)) WITHOUT ROWID")
    sets = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])
    sql = (
        f"INSERT INTO resident VALUES ({', '.join('?' * len(COLUMNS))})"
        f" ON CONFLICT (nik) DO UPDATE SET {sets} WHERE excluded.stamp > stamp"
    )
    began, began_cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(rows), 1000):
        with transaction(connection):
            connection.executemany(sql, rows[start : start + 1000])
    taken = time.perf_counter() - began, time.process_time() - began_cpu
    connection.close()
    return taken


def _rows(node: Node) -> list[tuple[object, ...]]:
    rows = []
    for seq, (one, stamp) in enumerate(zip(node.drafts, node.stamps, strict=True), start=1):
        body = event_pb2.Recorded.FromString(one.body)
        values = (getattr(body, column) for column in COLUMNS[1:-3])
        rows.append((one.nik, *values, stamp, node.name, seq))
    return rows


def _seconds(action: Any) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _row(
    name: str, value: float, unit: str, reference: str = "", reference_value: float | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "reference": reference,
        "reference_value": reference_value,
        "ratio": None if reference_value is None else value / reference_value,
    }
