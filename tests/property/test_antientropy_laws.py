"""Laws of finding damage: nothing that was altered is missed, and nothing else is named."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sepe.antientropy import FaultKind, Span, find_faults, find_holes
from tests.support.histories import START, Row, history

COUNT = 8
seqs = st.integers(1, COUNT)


def altered(row: Row, what: str) -> Row:
    match what:
        case "body":
            return replace(row, body=row.body + b"!")
        case "nik":
            return replace(row, nik=row.nik + 1)
        case "digest":
            return replace(row, chain=bytes([row.chain[0] ^ 1]) + row.chain[1:])
        case _:
            return replace(row, body=b"", chain=b"x" * 32)


@given(st.dictionaries(seqs, st.sampled_from(["body", "nik"])), st.sets(seqs, max_size=3))
def test_exactly_the_altered_and_the_missing_events_are_named(changes: dict[int, str], gone: set[int]) -> None:
    rows = [altered(row, changes[row.seq]) if row.seq in changes else row for row in history(COUNT)]
    rows = [row for row in rows if row.seq not in gone]
    named: dict[FaultKind, set[int]] = {kind: set() for kind in FaultKind}
    for one in find_faults(START, 0, rows):
        named[one.kind] |= set(range(one.first_seq, one.last_seq + 1))
    last = rows[-1].seq if rows else 0
    assert named[FaultKind.MISSING] == {seq for seq in gone if seq < last}
    # The row behind a missing one has nothing to be checked against until that one is back.
    unchecked = {seq + 1 for seq in gone}
    assert named[FaultKind.EVENT] == {seq for seq in changes if seq not in gone and seq not in unchecked}
    assert named[FaultKind.DIGEST] == set()


@given(st.dictionaries(seqs, st.sampled_from(["body", "nik", "digest", "both"]), min_size=1))
def test_putting_back_what_is_named_again_and_again_ends_with_the_history_that_was_written(
    changes: dict[int, str],
) -> None:
    right = {row.seq: row for row in history(COUNT)}
    rows = [altered(row, changes[row.seq]) if row.seq in changes else row for row in history(COUNT)]
    assert list(find_faults(START, 0, rows)), "damage that nobody sees"
    for _ in range(COUNT + 1):
        found = list(find_faults(START, 0, rows))
        if not found:
            break
        for one in found:
            if one.kind is FaultKind.DIGEST:
                assert one.digest == right[one.first_seq].chain
            rows[one.first_seq - 1] = right[one.first_seq]
    assert rows == history(COUNT)


@given(st.lists(st.booleans(), min_size=COUNT, max_size=COUNT), st.sets(st.integers(1, COUNT - 1)))
def test_spans_and_holes_together_are_the_whole_history(held: list[bool], cuts: set[int]) -> None:
    rows = history(COUNT)
    digest = [START, *(row.chain for row in rows)]
    bounds = [0, *sorted(cuts), COUNT]
    runs = [(first + 1, last) for first, last in pairwise(bounds)]
    spans = [Span(first, last, digest[first - 1], digest[last]) for first, last in runs if held[first - 1]]
    found = find_holes(START, spans, COUNT, digest[COUNT])
    covered = [seq for one in spans for seq in range(one.first_seq, one.last_seq + 1)]
    missing = [seq for one in found.holes for seq in range(one.first_seq, one.last_seq + 1)]
    assert sorted(covered + missing) == list(range(1, COUNT + 1)) and not found.torn
    for hole in found.holes:
        assert (hole.before, hole.after) == (digest[hole.first_seq - 1], digest[hole.last_seq])
    assert (found.seq, found.chain) == (min(missing, default=COUNT + 1) - 1, digest[found.seq])
