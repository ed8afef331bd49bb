"""``sepe surge world`` as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sepe.errors import InvalidInputError
from surge.cli import app
from surge.world.bugs import Bug

SCENARIO = Path(__file__).parent / "scenarios" / "gap_and_rewind.scenario"


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["world", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_seed_is_named_with_the_commit_and_the_verdict() -> None:
    code, said = run("--seed", "7")
    assert code == 0
    assert said.startswith("seed 7, commit ")
    assert "green" in said


def test_json_is_one_document_with_what_is_needed_to_play_it_again() -> None:
    code, said = run("--seed", "7", "--seeds", "2", "--all-faults", "--offices", "3", "--days", "1", "--json")
    document = json.loads(said)
    assert code == 0
    assert (document["first_seed"], document["seeds"], document["verdict"], document["red"]) == (7, 2, "green", [])
    assert (document["offices"], document["days"]) == (3, 1)
    assert "hub_restore" in document["faults"]


def test_a_red_seed_ends_with_99_and_says_which_checker_and_how_to_play_it_again() -> None:
    code, said = run("--seed", "7", "--seeds", "2", "--bug", "no_dedupe")
    assert code == 99
    assert "seed 7, commit " in said and "exactly_once_in_log: fact " in said


def test_the_line_that_a_red_seed_prints_plays_it_again_identically() -> None:
    _, said = run(
        "--seed", "7", "--bug", "ack_before_commit", "--fault", "loss", "--recordings", "90", "--days", "1"
    )
    line = said.splitlines()[-1].partition("sepe surge world ")[2]
    assert line.endswith("--fault loss --bug ack_before_commit --trace")
    told = [run(*line.split()) for _ in range(2)]
    assert told[0] == told[1]
    assert told[0][0] == 99
    assert told[0][1].endswith(said), "the same verdict below the story"


def test_the_full_world_is_played_by_the_same_words_and_refuses_those_that_are_not_its_own() -> None:
    words = ("--full", "--seed", "3", "--offices", "3", "--recordings", "40", "--days", "1", "--all-faults")
    code, said = run(*words, "--trace")
    assert code == 0
    assert "hub acknowledges 537101-1" in said and "seed 3, commit " in said
    code, said = run(*words, "--json")
    document = json.loads(said)
    assert (code, document["full"], document["verdict"], document["days"]) == (0, True, "green", 1)
    for other in (("--bug", "no_dedupe"), ("--script", str(SCENARIO)), ("--fault", "jam")):
        with pytest.raises(InvalidInputError, match="full"):
            run("--full", *other)


def test_every_planted_bug_has_a_row_with_its_rate_and_an_unseen_one_ends_with_99() -> None:
    code, said = run("--seed", "1", "--seeds", "2", "--recordings", "100", "--every-bug")
    rows = said.splitlines()[1:]
    assert [row.split()[0].rstrip(":") for row in rows] == [bug.value for bug in Bug]
    assert code == (99 if any("red in 0 of 2" in row for row in rows) else 0)
    _, said = run("--seed", "1", "--recordings", "60", "--every-bug", "--json")
    assert [row["bug"] for row in json.loads(said)["bugs"]] == [bug.value for bug in Bug]


def test_the_trace_tells_the_story() -> None:
    _, said = run("--seed", "7", "--fault", "partition", "--trace")
    assert "line cut" in said and "hub commits" in said


def test_a_script_is_played_and_compared(tmp_path: Path) -> None:
    assert run("--script", str(SCENARIO))[0] == 0
    other = tmp_path / "other.scenario"
    other.write_text(SCENARIO.read_text(encoding="utf-8") + "something else\n", encoding="utf-8")
    assert run("--script", str(other))[0] == 99


@pytest.mark.parametrize(
    ("words", "value"),
    [(("--fault", "rain"), "rain"), (("--bug", "none"), "none"), (("--script", "nowhere"), "nowhere")],
)
def test_a_wrong_name_is_answered_with_the_right_ones(words: tuple[str, ...], value: str) -> None:
    with pytest.raises(InvalidInputError, match=value):
        run(*words)


def test_faults_are_chosen_in_one_way_only() -> None:
    with pytest.raises(InvalidInputError, match="one of"):
        run("--fault", "loss", "--calm")
