"""Relay to hub: a backlog of 200,000 recordings in one office's outbox drains over NATS and over gRPC.

Two processes, as in life: this one pages, seals and sends, the hub verifies, merges and commits, and every
watermark is stored durably here. Reference: the same rows sealed into frames and merged in one process, no
transport, so what both sides must do in any case. A single office is the slowest case: its frames follow one
another, while those of many offices share the hub's commits.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from hub.merge.store import Arrival, HubStore
from node.outbox.office import open_office
from node.outbox.view import RelayView
from node.settings import KEY_NAME
from node.storage.store import NodeStore
from sepe.events import Draft
from sepe_io import keys
from sepe_io.frames import seal_frame
from tests.support.relay_rig import NODE, Hub, make_office, running_hub
from tests.support.world import START_MS, nik_of, recorded

EVENTS = 200_000
WRITE_EVENTS = 5_000
MERGE_FRAMES = 8
TIMEOUT_S = 300


def run() -> list[dict[str, Any]]:
    """Rows for ``run.py bench``."""
    with tempfile.TemporaryDirectory(prefix="sepe-bench-") as scratch:
        alone = _alone(Path(scratch) / "alone")
        over_nats, _, _ = _drain(Path(scratch) / "nats", "nats")
        over_grpc, view, cpu_s = _drain(Path(scratch) / "grpc", "grpc")
    reference = "seal and merge in one process, no line"
    body_bytes = sum(len(_draft(number).body) for number in range(1_000)) / 1_000
    return [
        _row("relay to hub over NATS JetStream", over_nats, "events/s", reference, alone),
        _row("relay to hub over gRPC", over_grpc, "events/s", reference, alone),
        _row("the office's share, per second of one core", EVENTS / cpu_s, "events/s", reference, alone),
        _row("bytes on the wire per event", view.bytes_sent / EVENTS, "bytes", "bytes of its body", body_bytes),
    ]


def _draft(number: int) -> Draft:
    """A recording that compresses like a real one: names repeat, numbers do not."""
    rng = Random(number)
    clans, given = (
        ("TAEK", "SERAN", "LAY", "BANI", "NGGILI", "DJAMI"),
        ("MARIA", "YOHANES", "ANA", "PETRUS", "RUT"),
    )
    name, mother = (f"{rng.choice(given)} {rng.choice(given)} {rng.choice(clans)}" for _ in range(2))
    born = f"{rng.randint(1950, 2007)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return recorded(
        nik_of(number), name, birth_date=born,
        birth_place="KUPANG", kk=f"537104{rng.randint(10**9, 10**10 - 1)}",
        address=f"JL. EL TARI NO. {rng.randint(1, 300)}", rt=f"{rng.randint(1, 30):03}",
        rw=f"{rng.randint(1, 9):03}",
        kelurahan="OEBUFU", religion="KATHOLIK", marital_status="BELUM KAWIN", occupation="PELAJAR/MAHASISWA",
        mother_name=mother, operator="op-1", photo_sha256=rng.randbytes(32),
    )  # fmt: skip


def _office(folder: Path, hub: Hub, nats: str) -> Path:
    make_office(folder, hub, nats=nats)
    store = NodeStore.open(folder)
    try:
        for first in range(0, EVENTS, WRITE_EVENTS):
            store.append([_draft(number) for number in range(first, first + WRITE_EVENTS)], START_MS + first)
    finally:
        store.close()
    return folder


def _drain(scratch: Path, via: str) -> tuple[float, RelayView, float]:
    scratch.mkdir()
    with running_hub(scratch / "hub") as hub:
        folder = _office(scratch / "node", hub, hub.nats if via == "nats" else "")
        return asyncio.run(_relay(folder))


async def _relay(folder: Path) -> tuple[float, RelayView, float]:
    """(events/s, the relay's view, CPU seconds of this process)."""
    async with open_office(folder) as office:
        view = office.relay.view
        began, cpu_began = time.perf_counter(), time.process_time()
        task = asyncio.create_task(office.relay.run())
        async with asyncio.timeout(TIMEOUT_S):
            while not (view.last_seq and view.pending == 0):  # noqa: ASYNC110 - the view is plain data
                await asyncio.sleep(0.02)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
        task.cancel()
        await asyncio.wait({task})
    return EVENTS / seconds, view, cpu_s


def _alone(scratch: Path) -> float:
    scratch.mkdir()
    with running_hub(scratch / "hub") as hub:
        folder = _office(scratch / "node", hub, "")
    store, signer = NodeStore.open(folder), keys.load(folder / KEY_NAME)
    with HubStore.open(scratch / "hub") as hub_store:
        began, after, batch = time.perf_counter(), 0, list[Arrival]()
        epoch = store.position().epoch
        while (page := store.page(after)) is not None:
            frame = seal_frame(
                node=NODE, epoch=epoch, first_seq=page.first_seq, chain_before=page.chain_before,
                columns=page.columns, signer=signer,
            )  # fmt: skip
            batch.append(Arrival(frame, "nats", START_MS, NODE))
            after = page.last_seq
            if len(batch) == MERGE_FRAMES:
                hub_store.merge(batch)
                batch.clear()
        if batch:
            hub_store.merge(batch)
        seconds = time.perf_counter() - began
    store.close()
    return EVENTS / seconds


def _row(name: str, value: float, unit: str, reference: str, reference_value: float) -> dict[str, Any]:
    return {
        "name": name, "value": value, "unit": unit, "reference": reference,
        "reference_value": reference_value, "ratio": value / reference_value,
    }  # fmt: skip
