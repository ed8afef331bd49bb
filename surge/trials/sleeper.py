"""A worker that is stopped in the middle of a transaction for longer than its lease, and wakes among its heirs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import nats.errors
import nats.js.errors
import psycopg

from hub.ingest import leases
from hub.ingest import partitions as setting
from hub.ingest.leases import Table
from hub.merge.store import HubStore
from sepe.errors import SepeError
from sepe_io.channel import close_nats, connect_nats
from sepe_io.sqlite import transaction
from surge.check import Check
from surge.demo.parts import Part
from surge.drain.offices import START_MS, enrol
from surge.lab.postgres import lab_postgres
from surge.trials.crowd import at_work, make_crowd, recording
from surge.trials.report import TrialReport, judge

OFFICES = 8
PARTITIONS = 8
WORKERS = ("w1", "w2")
SHARED_TIMEOUT_S = 60.0
CUT_OFF = "terminating connection due to idle-in-transaction timeout"
# So often it is stopped and let go again until it stands inside a transaction.
TRIES_MAX = 2_000
# No merge that runs pauses for so long between two statements, and the server ends one only after 5 s.
STANDS_S = 1.0


async def play(folder: Path, seconds: float) -> TrialReport:
    """Stop a worker for so many seconds.

    Raises:
        SepeError: a part did not start, the partitions were not shared, or it was never met inside a transaction.
    """
    report = TrialReport("sleeper", figures={"asleep_s": seconds, "lease_s": leases.LEASE_S})
    made, hub_dir = make_crowd(folder / "offices", OFFICES, seed=2), folder / "hub"
    async with AsyncExitStack() as stack:
        server = stack.enter_context(lab_postgres())
        with HubStore.create(hub_dir, now_ms=START_MS, database=server.url) as store:
            enrol(store, made, now_ms=START_MS)
            with transaction(store.connection):
                setting.set_count(store.connection, PARTITIONS)
        hub = await Part.hub(folder / "hub.log", hub_dir, "--nats-port", "0")
        stack.push_async_callback(hub.end)
        url = str(hub.ready["nats"])
        workers: dict[str, Part] = {}
        for name in WORKERS:
            workers[name] = await Part.sepe(
                name, folder / f"{name}.log", "hub", "worker", hub_dir, "--name", name, "--nats", url
            )
            stack.push_async_callback(workers[name].end)
        async with at_work(made, hub=str(hub.ready["grpc"]), nats=url) as crowd:
            async with recording(crowd):
                crowd.phase = "all awake"
                await _until_sharing(url, 3)
                await asyncio.sleep(5)
                pid = workers["w1"].child.pid
                stack.callback(_wake, pid)
                crowd.phase = "one asleep"
                report.figures["stopped_after_tries"] = await asyncio.to_thread(
                    _stop_in_transaction, pid, server.url
                )
                began = time.monotonic()
                shares = await _until_without(url, "worker-w1")
                report.figures["partitions_had_heirs_after_s"] = round(time.monotonic() - began, 1)
                report.figures["heirs"] = shares
                await asyncio.sleep(max(seconds - (time.monotonic() - began), 0))
                report.checks.append(
                    Check("partitions of the sleeper when it wakes", 0, (await _shares(url)).get("worker-w1", 0))
                )
                crowd.phase = "it wakes"
                began = time.monotonic()
                _wake(pid)
                await _until_sharing(url, 3)
                report.figures["took_part_again_after_s"] = round(time.monotonic() - began, 1)
                await asyncio.sleep(10)
            report.figures["settled_s"] = round(await crowd.settled(), 2)
        said = (server.folder / "log").read_text(errors="replace")
        report.checks.append(Check("the server ended the transaction it slept in", True, CUT_OFF in said))
        ended = [one.name for one in (hub, *workers.values()) if one.child.returncode is not None]
        report.checks.append(Check("processes that ended by themselves", [], ended))
        for part in (*workers.values(), hub):
            await part.end()
        judge(crowd, hub_dir, folder, report)
    return report


def _stop_in_transaction(pid: int, url: str) -> int:
    """Stop the process while PostgreSQL waits for its next statement; how many tries it took.

    Raises:
        SepeError: it was never met there.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(1, TRIES_MAX + 1):
            os.kill(pid, signal.SIGSTOP)
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND client_addr IS NULL"
                " AND state_change < clock_timestamp() - interval '1 ms'"
            ).fetchone()
            if row and row[0]:
                # Others are inside a transaction for a moment too; who stands there is the one that is stopped.
                time.sleep(STANDS_S)
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
                    f" AND state_change < clock_timestamp() - interval '{STANDS_S * 0.9} s'"
                ).fetchone()
                if row and row[0]:
                    return number
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.003)
    raise SepeError(f"the worker was never met inside a transaction in {TRIES_MAX} tries")


def _wake(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


async def _shares(url: str) -> dict[str, int]:
    """How many partitions each process holds."""
    client = await connect_nats(url, name="trial", on_error=lambda exc: None, on_down=lambda: None)
    try:
        bucket = await client.jetstream().key_value(leases.BUCKET)
        table = Table.parse((await bucket.get(leases.KEY)).value or b"")
    except (nats.js.errors.Error, nats.errors.Error):
        return {}
    finally:
        await close_nats(client)
    return {name: len(table.held_by(name)) for name in table.beats}


async def _until_sharing(url: str, processes: int) -> None:
    """Every one of so many processes holds some, together all."""
    found: dict[str, int] = {}
    for _ in range(round(SHARED_TIMEOUT_S / 0.2)):
        found = await _shares(url)
        if len(found) == processes and all(found.values()) and sum(found.values()) == PARTITIONS:
            return
        await asyncio.sleep(0.2)
    raise SepeError(f"partitions are not shared by {processes} processes: {json.dumps(found)}")


async def _until_without(url: str, name: str) -> dict[str, int]:
    """All partitions are held by others than ``name``; by whom."""
    found: dict[str, int] = {}
    for _ in range(round(SHARED_TIMEOUT_S / 0.2)):
        found = await _shares(url)
        if not found.get(name) and sum(found.values()) == PARTITIONS:
            return found
        await asyncio.sleep(0.2)
    raise SepeError(f"{name} still has partitions: {json.dumps(found)}")
