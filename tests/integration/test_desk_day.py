"""Which day a desk writes by, when the hub's clock comes in by another process while it waits for its next line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.desk.lines import InputLine
from node.desk.record import Desk
from node.storage.store import NodeStore
from tests.support.office import NOW_MS, OTHER_NIK, line, make_office

BORN_LATER = "5371042012249001"
LATER_MS = NOW_MS + 30 * 86_400_000


@pytest.mark.parametrize("beside", [[], [line(OTHER_NIK)]], ids=["alone", "beside a line that any day accepts"])
def test_a_desk_whose_clock_fell_back_hears_of_the_day_that_another_process_learned(
    tmp_path: Path, beside: list[dict[str, object]]
) -> None:
    store = make_office(tmp_path)
    desk = Desk(store, regions=None, photo_base=tmp_path)
    assert [answer.ok for answer in desk.record([_input(1, line())], NOW_MS)] == [True]
    running = NodeStore.open(tmp_path)
    running.see_hub_clock(LATER_MS)
    running.close()
    baby = line(BORN_LATER, birth_date="2024-12-20", sex="L", product="kia")
    lines = [_input(number, one) for number, one in enumerate([baby, *beside], start=1)]

    assert [answer.error for answer in desk.record(lines, NOW_MS)] == [None] * len(lines)

    assert store.position().last_seq == 1 + len(lines)
    days = dict(store.connection.execute("SELECT day, sum(count) FROM tally GROUP BY day").fetchall())
    assert days == {"2024-11-23": 1, "2024-12-23": len(lines)}
    store.close()


def _input(number: int, document: dict[str, object]) -> InputLine:
    return InputLine(number, json.dumps(document).encode())
