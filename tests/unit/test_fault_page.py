"""docs/reference/faults.md and docs/guarantees.md stay true: every fault has a row, and what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from surge.chaos.plan import Blow
from surge.world.faults import NAMES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "faults.md"
GUARANTEES = ROOT / "docs" / "guarantees.md"
# Numbers are names: some were given up and are not given again.
FAULTS = frozenset(range(1, 76)) - {8, 17, 35, 60, 67, 72}
OPEN = "**not yet**"
SCENARIOS = "simulation/scenarios/"

_ROW = re.compile(r"\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
_NAMED = re.compile(r"`([^`]+)`")


def rows() -> dict[int, str]:
    """What holds each fault, by its number."""
    found = [(int(number), holds) for number, _, holds in _ROW.findall(PAGE.read_text(encoding="utf-8"))]
    assert len(dict(found)) == len(found), "a number has two rows"
    return dict(found)


def names() -> list[tuple[int, str]]:
    return [(number, name) for number, holds in rows().items() for name in _NAMED.findall(holds)]


def test_every_fault_has_one_row() -> None:
    assert rows().keys() == FAULTS


def test_every_row_names_what_holds_it_or_says_that_nothing_does() -> None:
    assert [number for number, holds in rows().items() if not _NAMED.search(holds) and OPEN not in holds] == []


def test_the_count_at_the_top_is_that_of_the_rows() -> None:
    held = sum(OPEN not in holds for holds in rows().values())
    assert f"{held} of {len(FAULTS)} are held" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("number", "name"), names())
def test_what_a_row_names_exists(number: int, name: str) -> None:
    kind, _, rest = name.partition(" ")
    if kind == "world":
        assert rest in NAMES, f"fault {number}: the world has no option {rest}"
    elif kind == "chaos":
        assert rest in {str(blow) for blow in Blow}, f"fault {number}: no blow {rest!r}"
    else:
        path, _, test = name.partition("::")
        file = ROOT / "tests" / path
        assert file.is_file(), f"fault {number}: {path} is not there"
        if path.startswith(SCENARIOS):
            return
        assert re.search(
            rf"^ *(async )?def {re.escape(test)}\(", file.read_text(encoding="utf-8"), re.MULTILINE
        ), f"fault {number}: {path} has no {test}"


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:surge|tests|sepe_io|deploy|docs)/[^` ]+)`", GUARANTEES.read_text())))
)
def test_what_the_guarantees_name_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_checker_of_the_world_stands_behind_a_promise() -> None:
    checkers = {file.name for file in (ROOT / "surge" / "world" / "checkers").glob("[a-z]*.py")}
    text = GUARANTEES.read_text(encoding="utf-8")
    assert [name for name in sorted(checkers) if f"surge/world/checkers/{name}" not in text] == []
