"""Half a minute of random blows at real processes under load; `python -m surge.chaos` is the long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from surge.chaos.__main__ import text_of
from surge.chaos.plan import Blow
from surge.chaos.run import Settings, run


@pytest.mark.timeout(240)
async def test_random_blows_under_load_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    settings = Settings(seconds=15, rate=120, nodes=3, seed=20241127, every_s=0.8)
    report = await run(settings, tmp_path)
    assert report.passed, text_of(report)
    assert report.recorded > 1000, text_of(report)
    landed = {name for name in report.strikes if name in set(Blow)}
    assert {Blow.KILL_HUB, Blow.KILL_NODE, Blow.CUT_LINE} <= landed, text_of(report)
