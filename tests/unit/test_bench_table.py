"""What the benchmarks' table says of a figure."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from bench.__main__ import MODULES
from bench.table import MISSED, NONE, REACHED, Row, Target


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("", 40, "", "", 100, Target(ratio_min=0.4)), REACHED),
        (Row("", 40, "", "", 101, Target(ratio_min=0.4)), MISSED),
        (Row("", 40, "", "", 100, Target(ratio_min=0.4, value_min=50)), MISSED),
        (Row("", 105, "", "", 100, Target(ratio_max=1.05)), REACHED),
        (Row("", 401, "", target=Target(value_max=400)), MISSED),
        (Row("", 40, "", target=Target(ratio_min=0.4)), MISSED),
        (Row("", 40, "", "", 100), NONE),
    ],
)
def test_a_row_is_reached_only_if_every_bound_holds(row: Row, verdict: str) -> None:
    assert row.verdict == verdict


def test_a_row_given_as_a_mapping_is_the_same_row() -> None:
    row = Row("merge", 150.0, "events/s", "one UPSERT per event", 75.0, Target(ratio_min=2))
    given = {**row.to_json(), "target": {"ratio_min": 2}}
    assert Row.of(given) == row and row.ratio == 2 and str(row.target) == "≥ 2 ×"


def test_every_benchmark_of_the_table_is_a_module() -> None:
    assert [name for name in MODULES if find_spec(f"bench.{name}") is None] == []
