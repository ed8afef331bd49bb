"""Any story a job can live through keeps the promises of the print ledger.

A story is a list of facts; those that the table does not know in the state of the moment are left out, so every
story generated is one that can happen. Two jobs and two blanks, so that they meet.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from node.desk.doctor import examine
from node.printing.ledger import Ledger
from node.printing.spool import NO_CARD, SENT, TABLE, WAITING, Blank, Fact, JobState, facts_of
from sepe.card import OUT, issues_of
from sepe.events import Event
from sepe.ids import EventId
from sepe.resident import fold
from tests.support.office import NOW_MS, line, make_office, record

facts = st.lists(st.sampled_from(Fact), max_size=30)


@given(facts)
def test_what_the_centre_hears_of_an_attempt_only_rises(story: list[Fact]) -> None:
    state, heard = JobState.QUEUED, 0
    for fact in story:
        if fact not in facts_of(state):
            continue
        step = TABLE[state, fact]
        # A job that was given back and is sent again repeats its `sent`; a doubt that the printer's word ended
        # may come back as a doubt. Both are the same fact again.
        assert step.announce == 0 or step.announce >= heard
        heard, state = max(heard, step.announce), step.state


@given(facts)
def test_a_card_is_printed_only_after_its_intent_and_never_sent_again_after_a_doubt(story: list[Fact]) -> None:
    state, intents, was_in_doubt = JobState.QUEUED, 0, False
    for fact in story:
        if fact not in facts_of(state):
            continue
        intents += fact is Fact.INTENT
        assert not (was_in_doubt and fact is Fact.INTENT)
        state = TABLE[state, fact].state
        was_in_doubt = was_in_doubt or state is JobState.IN_DOUBT
        assert intents or state not in (*SENT, JobState.PRINTED, JobState.HANDED_OVER)


@given(facts)
def test_a_blank_leaves_the_job_exactly_once(story: list[Fact]) -> None:
    state, fate = JobState.QUEUED, Blank.KEPT
    for fact in story:
        if fact not in facts_of(state):
            continue
        step = TABLE[state, fact]
        if step.state is JobState.QUEUED and fate is Blank.BACK:
            fate = Blank.KEPT  # Released from `failed`: it takes a new blank.
        if step.blank is not Blank.KEPT:
            # A card that lay printed may still turn out to be no good.
            assert (
                fate is Blank.KEPT or (fate is Blank.PRINTED and step.blank is Blank.SPOILED) or fate is step.blank
            )
            fate = step.blank
        state = step.state
    if state in WAITING:
        assert fate in (Blank.KEPT, Blank.BACK)


moves = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([*Fact, "allot", "retry"])), min_size=5, max_size=40)


@settings(max_examples=40, deadline=None)
@given(moves)
def test_the_ledger_the_blanks_and_the_centres_view_agree_after_any_story(
    story: list[tuple[int, Fact | str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = make_office(Path(folder) / "node", blanks=2)
        record(store, line(), line("5371044101909002"))
        ledger = Ledger(store)
        for which, what in story:
            nik = 5371044101909001 + which
            job = ledger.of_resident(nik)[-1]
            if what == "allot" and job.state in WAITING:
                ledger.allot(job.id, NOW_MS)
            elif what == "retry" and job.state in NO_CARD:
                ledger.retry(job.id, NOW_MS)
            elif what is Fact.INTENT and job.state is JobState.READY:
                if ledger.allot(job.id, NOW_MS) is not None:
                    ledger.intend(job.id, printer="p", now_ms=NOW_MS)
            elif isinstance(what, Fact) and what is not Fact.INTENT and what in facts_of(job.state):
                ledger.settle(job.id, what, now_ms=NOW_MS)
        for nik in (5371044101909001, 5371044101909002):
            events = [
                Event(EventId(store.node, store.epoch, row.seq), row.stamp, row.kind, row.nik, row.body)
                for row in store.events_after(0)
                if row.nik == nik
            ]
            issues = issues_of(fold(events))
            assert all(not issue.recalled for issue in issues), "two cards out for one issue"
            here = [
                job for job in ledger.of_resident(nik) if job.state in (JobState.PRINTED, JobState.HANDED_OVER)
            ]
            there = [one for issue in issues for one in issue.attempts if one.state in OUT]
            assert [(job.name, job.serial) for job in here] == [(one.attempt, one.serial) for one in there]
        counts = dict(store.connection.execute("SELECT state, count(*) FROM blank GROUP BY state"))
        assert sum(counts.values()) == 2
        assert all(one.is_ok for one in examine(store)), examine(store)
        store.close()
