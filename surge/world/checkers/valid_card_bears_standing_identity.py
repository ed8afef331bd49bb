"""The valid card bears the standing identity, always: what a card says is what the record says of its NIK.

Whatever an officer decided, late or anew, whatever an office corrected, whatever number proved to be another: a
card that is valid says the name that stands; one that is out and says another is to be collected, unless that is
still to be decided; one under a number that is another now is to be collected. And whom an officer kept has a
card, or waits for a blank or for his day.

What a card says is what the printer drew (the oracle's), not what any event says of it. Not judged is a card of a
machine that was put back, whose claim has another name since (docs/guarantees.md).
"""

from __future__ import annotations

from sepe.card import OUT, Issue
from sepe.claims import Claims, claims_of
from sepe.replaced import replaced_by
from surge.world.checkers import no_starving
from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    drawn = {one.attempt: one.name for one in ending.world.oracle.cards if not _is_nameless(ending, one.attempt)}
    problems: list[str] = []
    for nik, issues in ending.issues.items():
        record = ending.whole[nik]
        claims = claims_of(record)
        for issue in issues:
            problems += _of_issue(issue, claims, drawn, is_replaced=replaced_by(record) != 0)
    return problems + no_starving.owing(ending.world)


def _of_issue(issue: Issue, claims: Claims, drawn: dict[str, str], *, is_replaced: bool) -> list[str]:
    problems: list[str] = []
    collected = {one.attempt for one, _ in issue.void} | {one.attempt for one in issue.recalled}
    for attempt in issue.attempts:
        if attempt.state not in OUT or attempt.attempt not in drawn:
            continue
        name, is_valid = drawn[attempt.attempt], attempt is issue.valid
        if is_replaced:
            if attempt.attempt not in collected:
                problems.append(
                    f"a card under a NIK that is another one now is not to be collected: {attempt.attempt}"
                )
        elif _is_standing(claims, name):
            continue
        elif is_valid:
            problems.append(f"the valid card {attempt.attempt} says {name}, which does not stand")
        elif attempt.attempt not in collected and not claims.is_on_hold:
            problems.append(f"{attempt.attempt} says {name}, which does not stand, and is not to be collected")
    return problems


def _is_nameless(ending: Ending, attempt: str) -> bool:
    """Whether what the card names is no claim of whoever it says.

    A machine that was put back writes again, in a new epoch and so under new names, what the hub had lost; what
    its other events name has the old ones, which are nobody's then, or those of what its clone wrote. What a hub
    that was put back lost for good may be a claim.
    """
    oracle = ending.world.oracle
    is_forgetful = oracle.hub_restores > 0 or attempt.partition("/")[0] in oracle.unruly
    return is_forgetful and attempt in ending.unnamed


def _is_standing(claims: Claims, name: str) -> bool:
    """Whether somebody of that name stands; a name that the hub never heard of says nothing."""
    mine = [one for one in claims.known.values() if one.name == name]
    return not mine or claims.standing is None or any(claims.agree(one, claims.standing) for one in mine)
