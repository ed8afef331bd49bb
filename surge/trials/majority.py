"""A cluster without a majority for a full minute: one server killed, one frozen, gRPC carries meanwhile."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from hub.ingest.policy import StreamPolicy, set_policy
from hub.merge.store import HubStore
from sepe.errors import SepeError
from sepe_io.sqlite import transaction
from surge.check import Check
from surge.demo.parts import Part
from surge.drain.offices import START_MS, enrol
from surge.lab.cluster import LabCluster
from surge.trials.crowd import Crowd, at_work, make_crowd, recording
from surge.trials.report import TrialReport, judge

OFFICES = 6
BACK_TIMEOUT_S = 120.0


async def play(folder: Path, seconds: float) -> TrialReport:
    """Take the majority away for so many seconds.

    Raises:
        SepeError: a part did not start, or the offices never came back to NATS.
    """
    report = TrialReport("majority", figures={"without_majority_s": seconds})
    made, hub_dir = make_crowd(folder / "offices", OFFICES, seed=1), folder / "hub"
    with HubStore.create(hub_dir, now_ms=START_MS) as store:
        enrol(store, made, now_ms=START_MS)
        with transaction(store.connection):
            set_policy(store.connection, StreamPolicy(replicas=3))
    cluster = LabCluster(folder / "nats")
    async with AsyncExitStack() as stack:
        stack.callback(cluster.end)
        cluster.start()
        await cluster.until_ready()
        hub = await Part.hub(folder / "hub.log", hub_dir, "--nats", cluster.url)
        stack.push_async_callback(hub.end)
        await cluster.until_whole()
        async with at_work(made, hub=str(hub.ready["grpc"]), nats=str(hub.ready["nats"])) as crowd:
            async with recording(crowd):
                crowd.phase = "three servers"
                await _until_on_nats(crowd)
                await asyncio.sleep(5)
                crowd.phase = "no majority"
                leader = await cluster.until_led()
                cluster.named(leader).kill()
                frozen = next(server for server in cluster.servers if server.is_running)
                frozen.freeze()
                await asyncio.sleep(seconds)
                report.figures["lines_at_the_end_of_it"] = crowd.lines()
                report.checks.append(Check("a leader of the stream meanwhile", "", await cluster.leader()))
                crowd.phase = "servers back"
                began = time.monotonic()
                frozen.thaw()
                cluster.named(leader).start()
                await cluster.until_whole(timeout_s=BACK_TIMEOUT_S)
                report.figures["cluster_whole_again_s"] = round(time.monotonic() - began, 1)
                await _until_on_nats(crowd)
                report.figures["all_offices_on_nats_again_s"] = round(time.monotonic() - began, 1)
                await asyncio.sleep(5)
            report.figures["settled_s"] = round(await crowd.settled(), 2)
        await hub.end()
        judge(crowd, hub_dir, folder, report)
    return report


async def _until_on_nats(crowd: Crowd) -> None:
    deadline = time.monotonic() + BACK_TIMEOUT_S
    while crowd.lines() != {"nats": OFFICES}:
        if time.monotonic() > deadline:
            raise SepeError(f"not all offices use NATS after {BACK_TIMEOUT_S:.0f} s: {crowd.lines()}")
        await asyncio.sleep(0.1)
