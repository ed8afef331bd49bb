"""Laws of the likeness of two NIK: symmetric, the same in any order of events, and never without a common key."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sepe.events import Draft
from sepe.likeness import Sketch, date_likeness, keys_of, likeness, name_likeness, sketch_of, words_of
from sepe.resident import fold
from tests.support.world import Node, corrected, nik_of, recorded

NAMES = [
    "MARIA TAEK",
    "TAEK MARIA",
    "MARIA TA'EK LAY",
    "MARIA T",
    "MARYA TAEK",
    "YOHANES",
    "JOHANNES",
    "ANA",
    "ANI",
]
DATES = ["1990-03-05", "1990-05-03", "1990-03-06", "1991-03-05", "1990-12-24", ""]
PLACES = ["KUPANG", "Kota Kupang", "KUPAN", "SOE", ""]
MOTHERS = ["ROSA LAY", "ROSALAY", "ROSA LAI", "BETI", ""]
NIK = nik_of(1)

sketches = st.builds(
    lambda identities, place, mother: Sketch(tuple(sorted(identities)), place, mother),
    st.sets(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(DATES), st.sampled_from("LP")), min_size=1, max_size=3
    ),
    st.sampled_from(PLACES),
    st.sampled_from(MOTHERS),
)
drafts = st.one_of(
    st.builds(
        lambda name, date, place, mother: recorded(
            NIK, name, birth_date=date, birth_place=place, mother_name=mother
        ),
        *(st.sampled_from(values) for values in (NAMES, DATES, PLACES, MOTHERS)),
    ),
    st.builds(lambda mother: corrected(NIK, mother_name=mother), st.sampled_from(MOTHERS[:3])),
)


@settings(max_examples=300)
@given(one=sketches, other=sketches)
def test_likeness_is_symmetric_and_gives_each_reason_once(one: Sketch, other: Sketch) -> None:
    found = likeness(one, other)
    assert found == likeness(other, one)
    assert found is None or len({reason.partition("_")[2] for reason in found}) == len(found) >= 3


@given(
    one=st.sampled_from(NAMES),
    other=st.sampled_from(NAMES),
    at=st.sampled_from(DATES),
    then=st.sampled_from(DATES),
)
def test_names_and_dates_compare_the_same_both_ways(one: str, other: str, at: str, then: str) -> None:
    mine, theirs = words_of(one), words_of(other)
    assert name_likeness(mine, theirs) == name_likeness(theirs, mine)
    assert date_likeness(at, then) == date_likeness(then, at)
    assert name_likeness(mine, mine) == "same" and date_likeness(at, at) == ("same" if at else "")


@settings(max_examples=300)
@given(one=sketches, other=sketches)
def test_the_same_name_and_date_with_the_same_mother_or_place_is_always_found(one: Sketch, other: Sketch) -> None:
    found = likeness(one, other)
    # Keys leave out one thing each, so a pair that differs in nothing but one of them shares a key.
    if found and {"same_name", "same_birth_date"} <= set(found):
        assert keys_of(one) & keys_of(other)
    assert (
        likeness(one, one) is not None
        or not (one.birth_place or one.mother_name)
        or all(not date for _, date, _ in one.identities)
    )


@given(written=st.lists(drafts, min_size=1, max_size=6), seed=st.integers(0, 2**16))
def test_a_sketch_is_the_same_in_any_order_and_with_repeats(written: list[Draft], seed: int) -> None:
    node = Node("537104-1")
    node.write(*written)
    events = node.events()
    shuffled = events + events[:2]
    random.Random(seed).shuffle(shuffled)
    assert sketch_of(fold(shuffled)) == sketch_of(fold(events))
