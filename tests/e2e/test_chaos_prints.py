"""Four kills in a batch of cards; `sepe surge chaos prints` is the long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from surge.chaos.prints import PrintSettings, run, text_of


@pytest.mark.timeout(240)
async def test_an_office_killed_while_it_prints_has_every_card_of_the_tray_in_its_ledger_once(
    tmp_path: Path,
) -> None:
    report = await run(PrintSettings(kills=4, cards=40, restarts=1, seed=20241127, pace_s=0.02), tmp_path)
    assert report.passed, text_of(report)
    assert report.idle_kills < report.kills, "no kill fell while a card was under way"
