"""A result of `sepe surge run` as JSON: whole, described by its schema, and read back with care."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from sepe.errors import InvalidInputError
from surge.run import result_json
from surge.run.result import FORMAT
from tests.support.surge_sample import sample

# Kept so that readers of results have a file to look at: python -m tests.unit.test_surge_result writes it anew.
SAMPLE_FILE = Path(__file__).parents[1] / "support" / "surge_result.json"
SAMPLE_OFFICES = 40


def test_what_is_written_is_read_back() -> None:
    result = sample(30)
    assert result_json.from_json(result_json.to_json(result)) == result


def test_the_schema_describes_the_sample_file() -> None:
    document = json.loads(SAMPLE_FILE.read_text())
    jsonschema.Draft202012Validator(result_json.schema()).validate(document)
    assert result_json.load(SAMPLE_FILE) == sample(SAMPLE_OFFICES)


def test_the_schema_refuses_what_is_left_out() -> None:
    document = json.loads(SAMPLE_FILE.read_text())
    del document["totals"]["lost"]
    with pytest.raises(jsonschema.ValidationError, match="lost"):
        jsonschema.Draft202012Validator(result_json.schema()).validate(document)


def test_a_field_of_a_later_version_does_no_harm() -> None:
    document = json.loads(result_json.to_json(sample(3)))
    document["totals"]["of_tomorrow"] = 1
    assert result_json.from_json(json.dumps(document)) == sample(3)


def test_a_result_of_a_version_without_the_indonesian_title_is_read() -> None:
    document = json.loads(result_json.to_json(sample(3)))
    del document["scenario"]["title_id"]
    jsonschema.Draft202012Validator(result_json.schema()).validate(document)
    result = sample(3)
    assert result_json.from_json(json.dumps(document)) == replace(
        result, scenario=replace(result.scenario, title_id="")
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no JSON"),
        ("[]", "no result"),
        (json.dumps({"format": FORMAT + 1}), "later version"),
        (json.dumps({"format": FORMAT}), "result.passed is missing"),
        (result_json.to_json(sample(2)).replace('"lost": 0', '"lost": "none"', 1), "totals.lost"),
    ],
)
def test_what_is_no_result_is_refused_by_the_place_that_does_not_fit(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        result_json.from_json(text)


def test_a_figure_that_is_none_never_becomes_a_document() -> None:
    result = sample(2)
    broken = replace(result, totals=replace(result.totals, bytes_per_event=float("nan")))
    with pytest.raises(ValueError, match="not JSON compliant"):
        result_json.to_json(broken)


if __name__ == "__main__":
    SAMPLE_FILE.write_text(result_json.to_json(sample(SAMPLE_OFFICES), indent=1) + "\n")
