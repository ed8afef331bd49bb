"""Which rows of a stored history are altered or missing: by hand, one case after the other."""

from __future__ import annotations

from dataclasses import replace

from sepe.antientropy import Coverage, Fault, FaultKind, Hole, Span, find_faults, find_holes
from tests.support.histories import START, Row, history


def faults(rows: list[Row]) -> list[Fault]:
    return list(find_faults(START, 0, rows))


def event(seq: int) -> Fault:
    return Fault(FaultKind.EVENT, seq, seq)


def test_a_whole_history_has_no_fault() -> None:
    assert faults(history(5)) == [] and faults([]) == []


def test_an_altered_event_is_named_whatever_part_of_it_was_altered() -> None:
    for change in ({"nik": 9}, {"stamp": 9}, {"kind": 9}, {"body": b""}):
        for place in range(5):
            rows = history(5)
            rows[place] = replace(rows[place], **change)
            assert faults(rows) == [event(place + 1)]


def test_an_altered_digest_is_told_from_an_altered_event_and_comes_with_the_right_one() -> None:
    for place in range(4):
        rows = history(5)
        right = rows[place].chain
        rows[place] = replace(rows[place], chain=b"x" * 32)
        assert faults(rows) == [Fault(FaultKind.DIGEST, place + 1, place + 1, right)]


def test_of_the_last_row_nobody_can_tell_which_part_was_altered() -> None:
    rows = history(3)
    rows[2] = replace(rows[2], chain=b"x" * 32)
    assert faults(rows) == [event(3)]


def test_neighbours_that_were_both_altered_are_both_named() -> None:
    rows = history(6)
    rows[2], rows[3] = replace(rows[2], body=b"x"), replace(rows[3], body=b"y")
    assert faults(rows) == [event(3), event(4)]
    rows = history(6)
    rows[2], rows[3] = replace(rows[2], body=b"x", chain=b"x" * 32), replace(rows[3], body=b"y")
    assert faults(rows) == [event(3), event(4)]


def test_missing_rows_are_one_fault_for_each_gap() -> None:
    rows = history(9)
    del rows[6], rows[3], rows[2], rows[0]
    gone = [(one.first_seq, one.last_seq) for one in faults(rows)]
    assert gone == [(1, 1), (3, 4), (7, 7)]
    assert {one.kind for one in faults(rows)} == {FaultKind.MISSING}


def test_a_history_is_checked_from_any_row_on() -> None:
    rows = history(5)
    rows[3] = replace(rows[3], body=b"x")
    assert list(find_faults(rows[1].chain, 2, rows[2:])) == [event(4)]
    assert list(find_faults(b"x" * 32, 2, rows[2:3])) == [event(3)]


def span(rows: list[Row], first_seq: int, last_seq: int) -> Span:
    before = rows[first_seq - 2].chain if first_seq > 1 else START
    return Span(first_seq, last_seq, before, rows[last_seq - 1].chain)


def test_spans_that_join_leave_no_hole() -> None:
    rows = history(9)
    spans = [span(rows, 1, 4), span(rows, 5, 5), span(rows, 6, 9)]
    assert find_holes(START, spans, 9, rows[8].chain) == Coverage((), (), 9, rows[8].chain)
    assert find_holes(START, [], 0, START) == Coverage((), (), 0, START)


def test_a_hole_is_named_with_the_digests_that_its_events_must_lead_from_and_to() -> None:
    rows = history(9)
    spans = [span(rows, 3, 4), span(rows, 6, 7)]
    found = find_holes(START, spans, 9, rows[8].chain)
    assert found.holes == (
        Hole(1, 2, START, rows[1].chain),
        Hole(5, 5, rows[3].chain, rows[4].chain),
        Hole(8, 9, rows[6].chain, rows[8].chain),
    )
    assert [hole.events for hole in found.holes] == [2, 1, 2]
    assert (found.seq, found.chain) == (0, START)
    assert find_holes(START, [span(rows, 1, 2), *spans], 9, rows[8].chain).seq == 4


def test_neighbours_of_different_histories_are_torn_and_an_unknown_beginning_is_not() -> None:
    rows = history(9)
    foreign = replace(span(rows, 4, 9), before=b"x" * 32)
    assert find_holes(START, [span(rows, 1, 3), foreign], 9, rows[8].chain).torn == (3,)
    unknown = replace(foreign, before=b"")
    assert find_holes(START, [span(rows, 1, 3), unknown], 9, rows[8].chain).torn == ()
    assert find_holes(START, [span(rows, 1, 2), unknown], 9, rows[8].chain).holes == (
        Hole(3, 3, rows[1].chain, b""),
    )
    assert find_holes(START, [span(rows, 1, 9)], 9, b"x" * 32).torn == (9,)
