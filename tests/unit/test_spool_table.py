"""The print job's table: what the module text promises, line by line."""

from __future__ import annotations

import pytest

from node.printing.driver import JobOutcome
from node.printing.press import reading
from node.printing.rights import is_home
from node.printing.spool import DONE, KEPT, SENT, TABLE, WAITING, Blank, Fact, JobState, facts_of, move
from sepe.errors import InvalidInputError
from sepe.wire.v1 import event_pb2

PEOPLE_SAY = {Fact.CAME_OUT, Fact.DID_NOT_COME_OUT, Fact.CAME_OUT_SPOILED}


def test_every_state_is_reached_and_only_void_spoiled_and_handed_over_are_final() -> None:
    reached = {step.state for step in TABLE.values()} | {JobState.QUEUED, JobState.WAITING_DUE}
    assert reached == set(JobState)
    final = {state for state in JobState if not facts_of(state)}
    assert final == {JobState.VOID, JobState.SPOILED, JobState.HANDED_OVER}


def test_only_ready_jobs_are_given_to_the_printer() -> None:
    assert {state for state, fact in TABLE if fact is Fact.INTENT} == {JobState.READY}
    assert {state for (state, _), step in TABLE.items() if step.state is JobState.RESERVED} == {JobState.READY}


def test_nothing_but_a_person_or_the_printers_own_word_ends_a_doubt() -> None:
    exits = {
        fact for (state, fact), step in TABLE.items() if state is JobState.IN_DOUBT and step.state is not state
    }
    assert exits == PEOPLE_SAY | {Fact.PRINTED, Fact.ABORTED, Fact.ACCEPTED}
    for fact in exits:
        assert move(JobState.IN_DOUBT, fact).state not in WAITING


def test_only_a_printer_that_surely_lacks_the_job_gives_it_back() -> None:
    back = {(state, fact) for (state, fact), step in TABLE.items() if state in SENT and step.state in WAITING}
    assert back == {(JobState.RESERVED, Fact.NOT_ACCEPTED)}


def test_a_blank_is_kept_while_a_card_may_lie_on_it() -> None:
    for (state, fact), step in TABLE.items():
        if step.state in SENT:
            assert step.blank is Blank.KEPT, (state, fact)
        if step.blank is Blank.BACK:
            # It waits for a day, data or a word: others may need the blank before.
            assert step.state in (JobState.FAILED, JobState.VOID, *KEPT), (state, fact)


def test_the_centre_hears_of_intent_doubt_and_every_end() -> None:
    assert move(JobState.READY, Fact.INTENT).announce == event_pb2.CARD_STATE_SENT
    for (state, fact), step in TABLE.items():
        if step.state in (*DONE, JobState.IN_DOUBT):
            assert step.announce, (state, fact)


def test_a_fact_that_the_table_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="tidak dapat menerima"):
        move(JobState.PRINTED, Fact.INTENT)


@pytest.mark.parametrize(
    ("state", "outcome", "fact"),
    [
        (JobState.RESERVED, JobOutcome.PRINTED, Fact.PRINTED),
        (JobState.RESERVED, JobOutcome.PENDING, Fact.ACCEPTED),
        (JobState.RESERVED, JobOutcome.UNKNOWN, Fact.LOST),
        (JobState.SUBMITTED, JobOutcome.UNKNOWN, Fact.FORGOTTEN),
        (JobState.SUBMITTED, JobOutcome.PRINTING, None),
        (JobState.SUBMITTED, JobOutcome.CANCELED, Fact.CANCELED),
        (JobState.IN_DOUBT, JobOutcome.UNKNOWN, None),
        (JobState.IN_DOUBT, JobOutcome.CANCELED, None),
        (JobState.IN_DOUBT, JobOutcome.PRINTED, Fact.PRINTED),
        (JobState.IN_DOUBT, JobOutcome.PRINTING, Fact.ACCEPTED),
    ],
)
def test_the_printers_word_is_read_as_no_more_than_it_says(
    state: JobState, outcome: JobOutcome, fact: Fact | None
) -> None:
    assert reading(state, outcome) is fact


@pytest.mark.parametrize("state", SENT)
@pytest.mark.parametrize("outcome", JobOutcome)
def test_whatever_a_printer_says_has_a_line_in_the_table(state: JobState, outcome: JobOutcome) -> None:
    fact = reading(state, outcome)
    assert fact is None or fact in facts_of(state)


def test_home_is_the_office_that_the_nik_names() -> None:
    assert is_home(5371044101909001, "537104-1")
    # Two machines of one office that is cut off would each print the same issue.
    assert not is_home(5371044101909001, "537104-2")
    assert not is_home(5371044101909001, "537105-1")
    assert is_home(101014101909001, "010101-1")
