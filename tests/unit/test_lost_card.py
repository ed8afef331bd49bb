"""A card that its owner lost and whose number nobody knows at that desk: what it ends, and what it does not."""

from __future__ import annotations

import pytest

from sepe.card import DOUBLE, HANDED_OVER, PRINTED, REISSUED, to_collect
from sepe.crdt import Version
from sepe.resident import CardStep, Resident, Withdrawal


def version(stamp: int, node: str = "537104-1") -> Version:
    return Version(stamp, node, b"e" * 16, stamp)


def step(stamp: int, attempt: str, state: int, issue: int = 1, *, fence: int = 0) -> CardStep:
    return CardStep(version(stamp), "ktp-el", issue, attempt, state, f"S-{attempt}", fence, "", False)


def lost(stamp: int, issue: int = 1, product: str = "ktp-el") -> Withdrawal:
    return Withdrawal(version(stamp, "537105-1"), product, "", "", "lost", False, "", issue)


GIVEN = (step(1, "a", PRINTED), step(2, "a", HANDED_OVER), step(9, "b", HANDED_OVER, issue=2))


@pytest.mark.parametrize(
    ("word", "left"),
    [
        (lost(5), []),
        (lost(5, issue=2), []),
        (lost(5, product="kia"), [REISSUED]),
        # The card of issue 1 was given to him after the letter: it is not the lost one.
        (lost(1), [REISSUED]),
    ],
)
def test_what_had_been_given_to_him_is_lost(word: Withdrawal, left: list[str]) -> None:
    record = Resident(steps=frozenset(GIVEN), withdrawals=frozenset({word}))
    assert [why for _, _, why in to_collect(record)] == left


def test_a_card_that_lay_at_an_office_was_not_lost() -> None:
    steps = frozenset({*GIVEN, step(3, "c", PRINTED, fence=-1)})
    record = Resident(steps=steps, withdrawals=frozenset({lost(5)}))
    assert [(one.attempt, why) for _, one, why in to_collect(record)] == [("c", REISSUED)]
    both = Resident(steps=steps)
    assert sorted(why for _, _, why in to_collect(both)) == [DOUBLE, REISSUED]
