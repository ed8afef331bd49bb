"""Cases: what a person must decide. Derived from a resident's record, never stored as truth of its own."""

from __future__ import annotations

from dataclasses import dataclass

from sepe.card import Attempt, Issue, issues_of
from sepe.resident import Claim, Resident, identities

NIK_CONFLICT = "nik_conflict"
DOUBLE_PRINT = "double_print"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to decide.

    Attributes:
        kind: ``nik_conflict`` (one NIK, different identities; the card is on hold) or ``double_print``
            (two cards out for one issue).
        subject: what within the NIK it is about: ``""`` or ``product/issue``.
        is_open: no decision covers all that is known now.
        claims: for a conflict, the earliest claim of each identity, earliest first.
        cards: for a double print, the valid card first, then those to be collected.
    """

    kind: str
    subject: str
    is_open: bool
    claims: tuple[Claim, ...] = ()
    cards: tuple[Attempt, ...] = ()


def cases_of(resident: Resident) -> tuple[Case, ...]:
    """Every case of one NIK, open and decided."""
    found: list[Case] = []
    distinct = identities(resident)
    if len(distinct) > 1:
        found.append(Case(NIK_CONFLICT, "", not _is_settled(resident), tuple(distinct.values())))
    found += [_double_print(issue) for issue in issues_of(resident) if issue.recalled]
    return tuple(found)


def is_on_hold(resident: Resident) -> bool:
    """Whether no card may be printed until an officer decided."""
    return len(identities(resident)) > 1 and not _is_settled(resident)


def _is_settled(resident: Resident) -> bool:
    """One decision saw a claim of every identity that is known now."""
    identity_of = {claim.id: claim.identity for claim in resident.claims}
    known = set(identity_of.values())
    return any(
        decision.case_kind == NIK_CONFLICT
        and decision.keep in identity_of
        and {identity_of[ref] for ref in decision.seen if ref in identity_of} >= known
        for decision in resident.decisions
    )


def _double_print(issue: Issue) -> Case:
    assert issue.valid is not None
    # A recalled card that came back is spoiled or void and no longer out, so an open case closes by itself.
    return Case(DOUBLE_PRINT, f"{issue.product}/{issue.issue}", True, cards=(issue.valid, *issue.recalled))
