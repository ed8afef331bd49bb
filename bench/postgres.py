"""The hub's merge into PostgreSQL, by one worker and by two, signatures and durable commits included.

Reference: the same recordings as plain 22-column rows, COPY into a staging table and INSERT … ON CONFLICT from
there, a durable commit per batch, nothing verified. Two workers are two processes, each with half of the offices.

A worker is read in two ways. Alone on its machine it has processes beside it that prove, as many as there are
cores, and one worker keeps most of two cores busy. Where there is a worker for each core, each proves in itself.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench.merge import BATCH_FRAMES, COLUMNS, EVENTS, FRAME_EVENTS, _office, _row, _rows
from hub.merge.ahead import Prover, merge_ahead
from hub.merge.digest import digest
from hub.merge.store import HubStore
from tests.support.hubs import arrivals, new_hub, send
from tests.support.postgres import PostgresServer, serving
from tests.support.world import Node

OFFICES = 8
ROWS_PER_COMMIT = BATCH_FRAMES * FRAME_EVENTS
SETTINGS = ("fsync=on", "shared_buffers=512MB", "max_wal_size=4GB", "wal_compression=on")


def run() -> list[dict[str, Any]]:
    """Rows for ``run.py bench``."""
    nodes = [_office(number) for number in range(OFFICES)]
    with tempfile.TemporaryDirectory(prefix="sepe-bench-") as scratch, serving(*SETTINGS) as server:
        upsert_s = _copy_and_upsert(server.database(), nodes)
        folder = Path(scratch)
        one_s, one = _workers(folder / "one", server, nodes, workers=1, provers=None)
        two_s, two = _workers(folder / "two", server, nodes, workers=2, provers=None)
        bare_s, bare = _workers(folder / "bare", server, nodes, workers=1, provers=0)
        pair_s, pair = _workers(folder / "pair", server, nodes, workers=2, provers=0)
        with new_hub(folder / "sqlite", nodes, is_durable=False) as store:
            for node in nodes:
                send(store, node.frames(FRAME_EVENTS))
            assert {one, two, bare, pair} == {digest(store.connection).digest}, "the engines disagree"
    return [
        _row(
            "merge, PostgreSQL, one worker", EVENTS / one_s, "events/s", "COPY + INSERT … ON CONFLICT",
            EVENTS / upsert_s,
        ),
        _row("merge, PostgreSQL, two workers", EVENTS / two_s, "events/s", "one worker", EVENTS / one_s),
        _row(
            "merge, PostgreSQL, two workers that prove in themselves", EVENTS / pair_s, "events/s",
            "one worker that proves in itself", EVENTS / bare_s,
        ),
    ]  # fmt: skip


def _workers(
    folder: Path, server: PostgresServer, nodes: Sequence[Node], *, workers: int, provers: int | None
) -> tuple[float, str]:
    """Seconds from the moment at which all workers are ready to the last commit, and the digest.

    Args:
        provers: processes beside each worker that prove; ``None``: as a hub has them.
    """
    new_hub(folder, nodes, database=server.database()).close()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    shares = [_in_turn(nodes[first::workers]) for first in range(workers)]
    processes = [context.Process(target=_work, args=(folder, share, provers, barrier)) for share in shares]
    for process in processes:
        process.start()
    barrier.wait()
    began = time.perf_counter()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    taken = time.perf_counter() - began
    with HubStore.open(folder) as store:
        return taken, digest(store.connection).digest


def _work(folder: Path, frames: Sequence[bytes], provers: int | None, barrier: Any) -> None:
    with HubStore.open(folder) as store, Prover(store.reader, provers) as proving:
        proving.wait_until_ready()
        batches = (arrivals(frames[start : start + BATCH_FRAMES]) for start in range(0, len(frames), BATCH_FRAMES))
        barrier.wait()
        for _ in merge_ahead(store, proving, batches):
            pass


def _in_turn(nodes: Sequence[Node]) -> list[bytes]:
    return [frame for turn in zip(*(node.frames(FRAME_EVENTS) for node in nodes), strict=True) for frame in turn]


def _copy_and_upsert(url: str, nodes: Sequence[Node]) -> float:
    rows = [row for turn in zip(*(_rows(node) for node in nodes), strict=True) for row in turn]
    types = {"nik": "bigint", "stamp": "bigint", "seq": "bigint", "photo_sha256": "bytea"}
    columns = ", ".join(f"{name} {types.get(name, 'text')}" for name in COLUMNS)
    sets = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE resident ({columns}, PRIMARY KEY (nik))")
        connection.execute(f"CREATE TEMP TABLE staging ({columns}) ON COMMIT DELETE ROWS")
        began = time.perf_counter()
        for start in range(0, len(rows), ROWS_PER_COMMIT):
            with connection.transaction():
                with connection.cursor().copy("COPY staging FROM STDIN") as copy:
                    for row in rows[start : start + ROWS_PER_COMMIT]:
                        copy.write_row(row)
                connection.execute(
                    "INSERT INTO resident SELECT DISTINCT ON (nik) * FROM staging ORDER BY nik, stamp DESC"
                    f" ON CONFLICT (nik) DO UPDATE SET {sets} WHERE excluded.stamp > resident.stamp"
                )
        return time.perf_counter() - began


if __name__ == "__main__":
    for found in run():
        print(found)
