"""The planner's model beside the real desk, queue, press and heat limits of one office."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sepe.errors import InvalidInputError
from surge.plan.check import check
from surge.scenario import load
from surge.scenario.model import PrinterModel


def test_the_model_agrees_with_the_real_press_on_a_hot_day() -> None:
    day = load("tts-peak-day")
    # A tenth of the day, with printers that rest and that heat ends before all is done.
    printer = PrinterModel("tenth", 240.0, day_cards=20, run_cards=6, rest_s=1800.0)
    short = replace(
        day,
        demand=replace(day.demand, first_cards=60, other_visits=10),
        desks=replace(day.desks, count=1),
        printers=((printer, 3),),
    )
    seen = check(short)
    assert next((one.name, one.tool) for one in seen.figures) == ("cards", 60)  # Three times twenty, then heat.
    assert seen.worst < 0.05, seen


def test_only_one_office_can_be_checked() -> None:
    with pytest.raises(InvalidInputError, match="one office"):
        check(load("saturday-kupang"))
