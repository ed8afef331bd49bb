"""Cases: what a person must decide. Derived from a resident's record, never stored as truth of its own."""

from __future__ import annotations

from dataclasses import dataclass

from sepe.card import Attempt, Issue, issues_of
from sepe.claims import NIK_CONFLICT, claims_of
from sepe.life import LIFE_ELSEWHERE, is_decided, needs_officer
from sepe.replaced import REPLACED_TWICE, is_contested, replaced_by
from sepe.replaced import words as replacements_of
from sepe.resident import Claim, LifeChange, Replacement, Resident

DOUBLE_PRINT = "double_print"
# What of a case of two numbers can be decided by hand, and how; the others close by what happens.
DECIDABLE = (NIK_CONFLICT, LIFE_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to decide.

    Attributes:
        kind: ``nik_conflict`` (one NIK, different identities; the card is on hold), ``double_print`` (two cards
        out for
            one issue), ``life_elsewhere`` (a death from an office that never recorded the resident) or
            ``replaced_twice`` (officers named two numbers instead of this one).
        subject: what within the NIK it is about: ``""``, ``product/issue``, or the name of an event.
        is_open: no decision covers all that is known now.
        claims: for a conflict, the earliest claim of each identity, earliest first.
        cards: for a double print, the valid card first, then those to be collected.
        change: the word on the resident's life that waits for an officer.
        replacements: for two numbers, the officers' words, oldest first.
    """

    kind: str
    subject: str
    is_open: bool
    claims: tuple[Claim, ...] = ()
    cards: tuple[Attempt, ...] = ()
    change: LifeChange | None = None
    replacements: tuple[Replacement, ...] = ()


def cases_of(resident: Resident) -> tuple[Case, ...]:
    """Every case of one NIK, open and decided."""
    found: list[Case] = []
    claims = claims_of(resident)
    distinct = claims.identities()
    if len(distinct) > 1:
        # Under a NIK that is another one now, nothing is left to decide: its claims stand there.
        is_open = claims.is_on_hold and not replaced_by(resident)
        found.append(Case(NIK_CONFLICT, "", is_open, distinct))
    found += [_double_print(issue) for issue in issues_of(resident) if issue.recalled]
    found += [
        Case(LIFE_ELSEWHERE, str(one.version.event_id), not is_decided(resident, one), change=one)
        for one in sorted(resident.life)
        if needs_officer(resident, one)
    ]
    if is_contested(resident):
        found.append(Case(REPLACED_TWICE, "", True, replacements=replacements_of(resident)))
    return tuple(found)


def is_on_hold(resident: Resident) -> bool:
    """Whether no card may be printed until an officer decided."""
    return claims_of(resident).is_on_hold


def _double_print(issue: Issue) -> Case:
    assert issue.valid is not None
    # A recalled card that came back is spoiled or void and no longer out, so an open case closes by itself.
    return Case(DOUBLE_PRINT, f"{issue.product}/{issue.issue}", True, cards=(issue.valid, *issue.recalled))
