"""Whose card it is that is brought back under a number, by what one office knows of that number. Pure.

A card's number is read by a person from a card and typed, so it may be another resident's, a blank's, or none at
all. To believe it would void a card that nobody brought, or hide that another one is still to be collected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Where the card or blank with a number is. Taken: it was brought back before."""

    OUT = "out"
    MAKING = "making"
    BLANK = "blank"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that an office knows of a number.

    Attributes:
        nik: 0 for a blank.
        attempt: ``""`` where nobody knows it.
    """

    place: Place
    nik: int = 0
    attempt: str = ""
    issue: int = 0


class Answer(StrEnum):
    """What is to be said of a number that is brought under a resident's name."""

    HIS = "his"
    ANOTHERS = "anothers"
    MAKING = "making"
    BLANK = "blank"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Whose:
    """The answer.

    Attributes:
        attempt, issue: which card of his; ``""`` and 0 where that is not known.
        other: whose it is.
    """

    answer: Answer
    attempt: str = ""
    issue: int = 0
    other: int = 0


def whose(nik: int, traces: Iterable[Trace], *, from_elsewhere: bool) -> Whose:
    """Whether the card with a number is this resident's.

    What is known of him goes before what was typed of others, and both before the word that it was made elsewhere.

    Args:
        traces: what this office knows of the number, for one product.
        from_elsewhere: the operator read it on a card that no machine of this office made.
    """
    known = list(traces)
    his = {(one.attempt, one.issue) for one in known if one.nik == nik and one.place is Place.OUT}
    if his:
        # Of two attempts on one blank neither is named: a withdrawal without an attempt ends both.
        named = {one for one in his if one[0]}
        return Whose(Answer.HIS, *(named.pop() if len(named) == 1 else ("", 0)))
    others = [one.nik for one in known if one.nik not in (0, nik) and one.place is not Place.BLANK]
    if others:
        return Whose(Answer.ANOTHERS, other=others[0])
    if any(one.place is Place.MAKING for one in known):
        return Whose(Answer.MAKING)
    if any(one.place is Place.BLANK for one in known):
        return Whose(Answer.BLANK)
    return Whose(Answer.HIS if from_elsewhere else Answer.UNKNOWN)
