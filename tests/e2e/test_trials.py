"""A trial of `python -m surge.trials`, small: its verdict is kept, and would not be with one event more."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.clock import now_ms
from node.storage.store import NodeStore
from surge.drain.offices import one_draft
from surge.trials import failover
from surge.trials.crowd import Crowd
from surge.trials.report import TrialReport, judge


async def test_a_promoted_standby_has_what_was_confirmed_and_a_recording_it_never_heard_of_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = TrialReport("planted")

    def judge_twice(crowd: Crowd, hub_dir: Path, folder: Path, report: TrialReport) -> None:
        judge(crowd, hub_dir, folder, report)
        mute = crowd.made[0]
        store = NodeStore.open(mute.folder)
        try:
            recorded = store.position().last_seq
            store.append([one_draft(mute, recorded)], now_ms())
        finally:
            store.close()
        crowd._recorded[mute.node].append((0.0, ""))
        judge(crowd, hub_dir, folder / "again", planted)

    monkeypatch.setattr(failover, "judge", judge_twice)
    monkeypatch.setattr(failover, "CALM_S", 0.5)
    report = await failover.play(tmp_path, 0.5, is_synchronous=True)
    assert report.passed, report.text()
    assert {"both servers", "the standby is the server"} <= report.waits.keys()
    assert report.document()["verdict"] == "kept"
    broken = {one.name.partition(",")[0] for one in planted.checks if not one.holds}
    assert broken == {"recordings confirmed at an office", "events at the hub", "digest"}, planted.text()
    assert "BROKEN events at the hub" in planted.text() and planted.document()["verdict"] == "broken"
