"""A thousand virtual offices that offer ten thousand recordings a second to a hub on the same machine.

`sepe surge run` in full: each office its own database, outbox, key and line, the hub a process of its own. Wanted
is that the load is really offered and arrives, and that offering it takes less than half of a two-core machine; so
the figure is the generator's CPU for each event, and the reference the hub's in the same run. Without
``--full`` a fifth of it: fewer offices are served oftener, so each frame is smaller and each event dearer.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.table import Row, Target
from surge.run.cast import Options
from surge.run.hubside import start_hub
from surge.run.play import Plan, play
from surge.run.result import Result
from surge.scenario import load

OFFICES, RATE, SECONDS = 1_000, 10_000, 30
SMALL_SHARE = 5
SCENARIO = """
name = "an-hour"
faster = {faster}
[offices]
provinces = ["53"]
[calendar]
first = 2024-11-25
weekdays = "08:00-09:00"
[demand]
first_cards = {half}
other_visits = {half}
by_hour = {{ "08" = 1.0 }}
[printers]
[[link]]
name = "fibre"
share = 1.0
kbit_s = 2000
delay_ms = 15
"""


def run(*, full: bool = False) -> list[Row]:
    """Rows for ``run.py bench``."""
    share = 1 if full else SMALL_SHARE
    offices, events = OFFICES // share, RATE * SECONDS // share
    with tempfile.TemporaryDirectory(prefix="sepe-bench-") as scratch:
        folder = Path(scratch)
        source = folder / "an-hour.toml"
        source.write_text(SCENARIO.format(faster=3_600 / SECONDS, half=events // 2))
        result = asyncio.run(_play(folder, source, offices, events))
    totals, series = result.totals, result.series
    assert totals.unsent == totals.lost == totals.doubled == totals.dropped == 0
    seconds = series.interval_s / result.run.faster
    ours_us = sum(series.generator_cores) * seconds / totals.acked * 1e6
    hubs_us = sum(series.hub_cores) * seconds / totals.acked * 1e6
    rate = RATE // share
    offered = f"{offices} offices offer {rate:,} recordings a second"
    return [
        Row(f"{offered}: CPU of the generator for each", round(ours_us, 1), "µs", "CPU of the hub",
            round(hubs_us, 1), Target(value_max=1e6 / RATE) if full else None),
        Row(f"{offered}: at the hub's disk {SECONDS} s later", float(_acked_by(result, 2 * SECONDS)), "events",
            "offered", float(totals.offered), Target(ratio_min=1.0)),
    ]  # fmt: skip


async def _play(folder: Path, source: Path, offices: int, events: int) -> Result:
    hub = await start_hub(folder)
    try:
        options = Options(nodes=offices, events=events, desk="ahead", printing=0)
        plan = Plan(load(str(source)), str(source), options, folder, is_deep=False)
        return await play(plan, hub, asyncio.Event(), lambda now: None)
    finally:
        await hub.stop()


def _acked_by(result: Result, second: float) -> int:
    """Events that had arrived by that second of the machine."""
    series = result.series
    return max(
        (acked for at, acked in zip(series.at_s, series.acked, strict=True) if at <= second * result.run.faster),
        default=0,
    )
