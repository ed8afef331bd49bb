"""Every scenario script says what stands below its line ``----``."""

from __future__ import annotations

from pathlib import Path

import pytest

from sepe.errors import InvalidInputError
from surge.world.script import play_script, split

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.scenario"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_says_what_is_expected(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert play_script(text) == split(text)[1]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_ends_with_every_promise_held(path: Path) -> None:
    assert "every promise holds" in split(path.read_text(encoding="utf-8"))[1]


def test_there_is_a_story_for_each_way_histories_part() -> None:
    told = "\n".join(path.read_text(encoding="utf-8") for path in SCENARIOS)
    assert "disagree: fork" in told and "disagree: rolled_back" in told and "went back" in told


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("node 537104-1 dance", "no such command of a node"),
        ("fly away", "no such command"),
        ("restore 537104-1", "does not know"),
        ("node 537104-1 record 5371044101909001", "does not know"),
        ("advance soon", "a span is"),
        ('node 537104-1 record 1 name="A', "quotation"),
    ],
)
def test_a_line_that_is_no_command_is_named_by_its_number(line: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        play_script(f"# A story.\nnode 537104-1 status\n{line}\n----\n")
    assert caught.value.field == "line 3"


def test_a_script_without_expected_output_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="----"):
        play_script("settle\n")
