"""What keeps a card from being printed now: one rule for every way in which a job wakes. Pure.

A job is looked at when it is entered, when somebody releases or confirms it, when more is recorded of its
resident, and, whatever woke it, at the one door through which every card goes: before its blank is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from node.printing.spool import Fact, JobState

# What a person waived of one job; kept in the ledger, and told to the centre but for the confirmed data.
CONFIRMED, INCOMPLETE, DUE_DAY = "confirmed", "incomplete", "due_day"
TOLD = frozenset({INCOMPLETE, DUE_DAY})


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides over one job.

    Attributes:
        verdict: why the resident's cards are held or ended, ``""`` for neither; `ended`: they are.
        doubts, lacking: see `sepe.completeness`.
        waived: of `CONFIRMED` and `INCOMPLETE`, what a person waived.
        is_forced: a supervisor printed without the right; he saw the dispute, but no birthday comes by that.
    """

    due_day: date
    today: date
    verdict: str = ""
    ended: bool = False
    doubts: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    waived: frozenset[str] = field(default_factory=frozenset)
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeps a job, by the fact that the spool's table knows, and why: an operator's words or codes."""

    fact: Fact
    why: str


STATE_OF = {
    Fact.WITHDRAWN: JobState.VOID,
    Fact.DISPUTED: JobState.HELD,
    Fact.DOUBTED: JobState.UNCONFIRMED,
    Fact.LACKING: JobState.INCOMPLETE,
    Fact.NOT_DUE: JobState.WAITING_DUE,
}


def kept_by(facts: Facts) -> Kept | None:
    """The first thing that keeps a job; ``None``: right and blank are all that it needs."""
    if facts.verdict and not facts.is_forced:
        return Kept(Fact.WITHDRAWN if facts.ended else Fact.DISPUTED, facts.verdict)
    if facts.doubts and CONFIRMED not in facts.waived:
        return Kept(Fact.DOUBTED, " ".join(facts.doubts))
    if facts.lacking and INCOMPLETE not in facts.waived:
        return Kept(Fact.LACKING, " ".join(facts.lacking))
    if facts.due_day > facts.today:
        return Kept(Fact.NOT_DUE, "")
    return None
