"""Whose card a number is: what is known goes before what is typed."""

from __future__ import annotations

import pytest

from sepe.taking_back import Answer, Place, Trace, whose

HIS, OTHER = 5371044101909001, 5371044101909002


@pytest.mark.parametrize(
    ("traces", "from_elsewhere", "answer"),
    [
        ([], False, Answer.UNKNOWN),
        ([], True, Answer.HIS),
        ([Trace(Place.OUT, HIS, "a", 1)], False, Answer.HIS),
        ([Trace(Place.OUT, OTHER, "a", 1)], False, Answer.ANOTHERS),
        ([Trace(Place.OUT, OTHER, "a", 1)], True, Answer.ANOTHERS),
        ([Trace(Place.MAKING, OTHER, "a", 1)], True, Answer.ANOTHERS),
        ([Trace(Place.TAKEN, OTHER)], True, Answer.ANOTHERS),
        # Somebody typed his number under another name before: his own card comes back all the same.
        ([Trace(Place.TAKEN, OTHER), Trace(Place.OUT, HIS, "a", 1)], False, Answer.HIS),
        ([Trace(Place.MAKING, HIS, "a", 1)], True, Answer.MAKING),
        ([Trace(Place.BLANK)], True, Answer.BLANK),
    ],
)
def test_a_number_is_whose_it_is_known_to_be(traces: list[Trace], from_elsewhere: bool, answer: Answer) -> None:
    assert whose(HIS, traces, from_elsewhere=from_elsewhere).answer is answer


def test_the_attempt_is_named_where_it_is_one() -> None:
    typed, made, again = Trace(Place.OUT, HIS), Trace(Place.OUT, HIS, "a", 2), Trace(Place.OUT, HIS, "b", 2)
    assert (whose(HIS, [typed, made], from_elsewhere=False).attempt) == "a"
    assert (whose(HIS, [made, again], from_elsewhere=False).attempt) == "", "both end"
