"""`sepe surge run` on real processes: a good hub passes, and each kind of bad one is caught by its threshold."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest
from grpc import aio

from sepe.errors import InvalidInputError, TransientError
from sepe_io.process import free_port
from surge.run import badhub, result_json, verdict
from surge.run.cast import Options
from surge.run.hubside import HANDLES_EACH, check_handles, given_hub, start_hub
from surge.run.play import Plan, play
from surge.run.result import Result
from surge.scenario import load
from tests.support.processes import hub_run, running, sepe

SCENARIO = """
name = "a-morning"
seed = 3
faster = 3600
[offices]
kecamatan = ["537101", "537104", "537105"]
[calendar]
first = 2024-11-25
weekdays = "08:00-12:00"
[demand]
first_cards = 60
other_visits = 60
repeat_share = 0.1
conflict_share = 0.05
[[link]]
name = "4g"
share = 1.0
kbit_s = 2000
delay_ms = 20
loss = 0.01
[thresholds]
{thresholds}
{faults}
"""
BLOWS = """
[[fault]]
at = "09:00"
cut = "line"
for = "30 min"
share = 0.4
[[fault]]
at = "09:30"
kill = "hub"
[[fault]]
at = "10:30"
purge = "broker"
"""


def scenario_file(
    folder: Path, *, thresholds: str = 'catch_up = "24 h"', faults: str = "", faster: int = 3600
) -> Path:
    path = folder / "a-morning.toml"
    path.write_text(SCENARIO.format(thresholds=thresholds, faults=faults))
    return path


def played(folder: Path, source: Path, options: Options, mistake: str = "") -> Result:
    async def run() -> Result:
        hub = await (start_hub(folder, command=badhub.command(mistake)) if mistake else start_hub(folder))
        try:
            plan = Plan(load(str(source)), str(source), options, folder, workers=1, settle_s=30)
            return await play(plan, hub, asyncio.Event(), lambda now: None)
        finally:
            await hub.stop()

    return asyncio.run(run())


def missed(result: Result) -> set[str]:
    return {one.key for one in result.thresholds if not one.passed}


def test_a_morning_with_a_cut_line_a_killed_hub_and_a_purged_broker_passes(tmp_path: Path) -> None:
    source = scenario_file(tmp_path, faults=BLOWS)
    result_file = tmp_path / "result.json"
    done = sepe(
        "surge", "run", source, "--workers", 1, "--json", result_file, "--keep", tmp_path / "run", timeout_s=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = result_json.load(result_file)
    assert result.passed
    assert result.totals.offered == result.totals.accepted == 120
    assert result.totals.unsent == result.totals.lost == result.totals.doubled == 0
    assert all(row.digest_agrees for row in result.offices)
    assert [(fault.what, fault.landed) for fault in result.faults] == [
        ("cut line", True), ("kill hub", True), ("purge broker", True),
    ]  # fmt: skip
    # Real cards from the real ledger.
    assert result.printers is not None
    assert result.totals.cards == sum(result.printers.cards) > 0
    assert result.printers.valid_cards_per_nik_max == 1
    assert result.catch_up.offices > 0
    assert "✓" in done.stdout and done.stdout.rstrip().endswith("passed")


def test_a_hub_that_is_slow_misses_the_latency_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "FLOOR_S", badhub.SLOW_S * 0.9)
    source = scenario_file(tmp_path, thresholds="ack_p95 = { 4g = '1 min' }")
    result = played(tmp_path, source, Options(faster=7200, printing=0, desk="ahead"), "slow")
    assert missed(result) == {"ack_p95_s:4g"}


def test_a_hub_that_acknowledges_before_its_commit_is_caught_in_the_act(tmp_path: Path) -> None:
    source = scenario_file(tmp_path)
    result = played(tmp_path, source, Options(events=1_500, faster=7200, printing=0, desk="ahead"), "ack_early")
    assert "acked_early" in missed(result)
    # Ended in between, it really loses them; nothing is blamed that has nothing to do with it.
    assert missed(result) <= {"acked_early", "taken_back", "lost", "digests", "unsent"}


def test_a_scenario_that_cannot_be_played_is_refused_by_line_value_and_remedy_before_anything_starts(
    tmp_path: Path,
) -> None:
    source = scenario_file(tmp_path)
    text = source.read_text().replace('"537101"', '"999901"').replace("first_cards", "frist_cards")
    source.write_text(text.replace('"08:00-12:00"', '"08:00-26:00"'))
    done = sepe("surge", "run", source, "--keep", tmp_path / "run")
    assert done.returncode == 2
    for word in ("line 6", "999901", "line 9", "26:00", "line 11", "frist_cards", "first_cards"):
        assert word in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


async def test_a_hub_that_is_not_there_or_no_hub_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="nobody answers"):
        await given_hub(f"127.0.0.1:{free_port()}")
    with pytest.raises(InvalidInputError, match="no hub was ever made"):
        await given_hub(str(tmp_path))
    server = aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        with pytest.raises(TransientError, match="no hub of this version"):
            await given_hub(f"127.0.0.1:{port}")
    finally:
        await server.stop(None)


def test_a_hub_that_was_started_elsewhere_lets_offices_in_by_their_tokens(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    assert sepe("hub", "init", directory).returncode == 0
    tokens = {
        node: sepe("hub", "enrol", directory, "--node", node).stdout.strip()
        for node in ("537101-1", "537104-1", "537105-1")
    }
    source = scenario_file(tmp_path, faster=14_400)

    async def run(address: str) -> Result:
        side = await given_hub(address)
        assert side.directory is None and not side.is_ours
        plan = Plan(load(str(source)), str(source), Options(), tmp_path, workers=1, tokens=tokens, settle_s=30)
        return await play(plan, side, asyncio.Event(), lambda now: None)

    with running(hub_run(directory)) as hub:
        result = asyncio.run(run(hub.ready["grpc"]))
        assert hub.stop() == 0, hub.tail()
    assert result.passed, missed(result)
    assert result.totals.accepted == 120 and result.totals.unsent == 0
    assert all(row.digest_agrees for row in result.offices)


def test_more_machines_than_open_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1_024, 4_096))
    with pytest.raises(InvalidInputError, match="--nodes 256 or fewer"):
        check_handles(300 * HANDLES_EACH)
    check_handles(256 * HANDLES_EACH)
