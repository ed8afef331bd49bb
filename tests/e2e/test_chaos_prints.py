"""Four kills in a batch of cards; `sepe surge chaos prints` is the long run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from surge.chaos.prints import PrintSettings, Tray, judge, run, text_of


@pytest.mark.timeout(240)
async def test_an_office_killed_while_it_prints_has_every_card_of_the_tray_in_its_ledger_once(
    tmp_path: Path,
) -> None:
    report = await run(PrintSettings(kills=4, cards=40, restarts=1, seed=20241127, pace_s=0.02), tmp_path)
    assert report.passed, text_of(report)
    assert report.idle_kills < report.kills, "no kill fell while a card was under way"
    # The checks are no ornament: one card more, under the same name or under none that the ledger knows.
    tray = tmp_path / "tray.jsonl"
    notes = tray.read_text()
    for more in (notes.splitlines()[0], json.dumps({"job_name": "stranger", "spoiled": False})):
        tray.write_text(notes + more + "\n")
        failed = {
            check.name for check in judge(tmp_path / "office", Tray(tray), report.settings) if not check.holds
        }
        assert {"cards in the tray", "residents with other than one card"} & failed
