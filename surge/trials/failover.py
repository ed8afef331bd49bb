"""A PostgreSQL server is lost and its standby promoted, while offices record: synchronous, and asynchronous.

The standby hears nothing in the last seconds, as when its line fails before the first machine does: that is the
case in which the two kinds differ. Then the first server crashes and stays away, and the standby is promoted. The
hub names both servers in its address and finds the one that takes writes by itself.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from hub.merge.store import HubStore
from sepe.errors import SepeError
from surge.check import Check
from surge.demo.parts import Part
from surge.drain.offices import START_MS, enrol
from surge.lab.postgres import LabPostgres, lab_postgres, standby_of
from surge.trials.crowd import Crowd, at_work, make_crowd, recording
from surge.trials.report import TrialReport, judge

OFFICES = 4
STANDBY = "second"
FOLLOWS_TIMEOUT_S = 20.0
# How long the offices record before the fault, and after it, so that waits can be compared.
CALM_S = 5.0


async def play(folder: Path, seconds: float, *, is_synchronous: bool) -> TrialReport:
    """Lose the first server after the standby was deaf for so many seconds.

    Raises:
        SepeError: a part did not start, or the offices never got all confirmed again.
    """
    kind = "synchronous" if is_synchronous else "asynchronous"
    report = TrialReport(f"failover, {kind}", figures={"standby_deaf_s": seconds})
    made, hub_dir = make_crowd(folder / "offices", OFFICES, seed=3), folder / "hub"
    async with AsyncExitStack() as stack:
        first = stack.enter_context(lab_postgres())
        second = stack.enter_context(standby_of(first, STANDBY))
        if is_synchronous:
            first.native(f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ({STANDBY})'")
            first.native("SELECT pg_reload_conf()")
        await _until_following(first, is_synchronous=is_synchronous)
        both = f"postgresql://sepe@/sepe?host={first.folder},{second.folder}&target_session_attrs=read-write"
        with HubStore.create(hub_dir, now_ms=START_MS, database=both) as store:
            enrol(store, made, now_ms=START_MS)
        hub = await Part.hub(folder / "hub.log", hub_dir, "--nats-port", "0")
        stack.push_async_callback(hub.end)
        async with at_work(made, hub=str(hub.ready["grpc"]), nats=str(hub.ready["nats"])) as crowd:
            async with recording(crowd):
                crowd.phase = "both servers"
                await asyncio.sleep(CALM_S)
                crowd.phase = "the standby is deaf"
                await asyncio.to_thread(_deafen, second)
                await asyncio.sleep(seconds)
                said = _confirmed(crowd)
                crowd.phase = "no server"
                began = time.monotonic()
                await asyncio.to_thread(first.stop)
                await asyncio.to_thread(second.promote)
                report.figures["promoted_after_s"] = round(time.monotonic() - began, 2)
                crowd.phase = "the standby is the server"
                kept = await asyncio.to_thread(_events, second)
                report.figures |= {"confirmed_before": said, "of_these_at_the_standby": min(kept, said)}
                await _until_more(crowd, said)
                report.figures["confirming_again_after_s"] = round(time.monotonic() - began, 2)
                await asyncio.sleep(CALM_S)
            report.figures["settled_s"] = round(await crowd.settled(), 2)
            report.figures["epochs_opened"] = sum(view.epochs_opened for view in crowd.views)
        report.checks.append(Check("the hub ended by itself", None, hub.child.returncode))
        if is_synchronous:
            report.checks.append(Check("confirmed recordings that the standby lacked", 0, max(said - kept, 0)))
        await hub.end()
        judge(crowd, hub_dir, folder, report)
    return report


async def _until_following(first: LabPostgres, *, is_synchronous: bool) -> None:
    wanted = "sync" if is_synchronous else "async"
    deadline = time.monotonic() + FOLLOWS_TIMEOUT_S
    while first.native("SELECT sync_state FROM pg_stat_replication") != [(wanted,)]:
        if time.monotonic() > deadline:
            raise SepeError("the standby does not follow")
        await asyncio.sleep(0.05)


def _deafen(second: LabPostgres) -> None:
    """The standby gives up its line to the first server and does not find it again."""
    second.native("ALTER SYSTEM SET primary_conninfo = ''")
    second.native("SELECT pg_reload_conf()")
    while second.native("SELECT 1 FROM pg_stat_wal_receiver WHERE pid IS NOT NULL"):
        time.sleep(0.02)


def _confirmed(crowd: Crowd) -> int:
    return len(crowd.waits)


async def _until_more(crowd: Crowd, than: int) -> None:
    deadline = time.monotonic() + 60
    while _confirmed(crowd) <= than:
        if time.monotonic() > deadline:
            raise SepeError(f"nothing is confirmed after the promotion: {[view.reason for view in crowd.views]}")
        await asyncio.sleep(0.02)


def _events(server: LabPostgres) -> int:
    """How many events of offices the database of this server holds."""
    import psycopg

    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "SELECT COALESCE(SUM(durable_seq), 0) FROM sepe.epoch WHERE node <> 'hub'"
        ).fetchone()
    return int(row[0]) if row else 0
