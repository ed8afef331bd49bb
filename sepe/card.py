"""Cards: the steps of an attempt, and which of the cards printed for one issue is the valid one.

An *attempt* is one try to make one physical card; its state only rises::

    requested < ready < sent < in doubt < printed < spoiled < handed over < void

*printed* and *spoiled* are both ends of a sent job. When reports contradict each other the attempt counts
as spoiled: a spoiled card is destroyed with minutes and printed again under a new serial, which does no harm
to the one-valid-card promise, while the opposite reading would. *handed over* stands above both because a
card in the resident's hand is a fact that a late report cannot undo.

A card that was taken back (`Withdrawal`) is void whatever its own steps say. Where its owner lost it and nobody at
that desk knew its number, that is each card that had been handed to him before; one that still lay at an office
was not lost.

Of the cards that are out (printed or handed over) for one (NIK, product, issue) one is valid and the others are
recalled (DESIGN §6). The rightful card goes before one that a supervisor forced: an override carries no right and
so no fence of its own, and would tie with the home office's fence 0 otherwise. Among the rightful ones the highest
fence is valid; where that ties too (a disk that was cloned, two overrides), the one that was printed first.

A valid card ends when its owner is dead, or when a card of a later issue is out: it is then to be collected like
the recalled ones (`to_collect`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sepe.crdt import Version
from sepe.reprints import LOST
from sepe.resident import CardStep, Resident, Withdrawal, life_of
from sepe.wire.v1 import event_pb2

REQUESTED = event_pb2.CARD_STATE_REQUESTED
READY = event_pb2.CARD_STATE_READY
SENT = event_pb2.CARD_STATE_SENT
IN_DOUBT = event_pb2.CARD_STATE_IN_DOUBT
PRINTED = event_pb2.CARD_STATE_PRINTED
SPOILED = event_pb2.CARD_STATE_SPOILED
HANDED_OVER = event_pb2.CARD_STATE_HANDED_OVER
VOID = event_pb2.CARD_STATE_VOID

STATE_NAMES = {
    REQUESTED: "requested",
    READY: "ready",
    SENT: "sent",
    IN_DOUBT: "in_doubt",
    PRINTED: "printed",
    SPOILED: "spoiled",
    HANDED_OVER: "handed_over",
    VOID: "void",
}
OUT = frozenset({PRINTED, HANDED_OVER})
IN_HAND = frozenset({SENT, IN_DOUBT})
# Why a card is to be collected.
DOUBLE, DEATH, REISSUED = "double_print", "death", "reissued"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to make one card, joined from its steps.

    Attributes:
        fence: of the right it was made under; an override without a right has 0.
        was_printed: a printed step was reported at any time, whatever came after.
        first: version of the earliest step; names the node that printed.
        reason: that came with the latest step that gave one, such as why a supervisor forced it.
        out: version of the earliest step that says the card came out; `first` where none does.
    """

    attempt: str
    product: str
    issue: int
    state: int
    serial: str
    fence: int
    override: bool
    was_printed: bool
    first: Version
    last: Version
    reason: str
    out: Version

    @property
    def node(self) -> str:
        """The machine that made it."""
        return self.first.node


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of one document: its attempts, the valid card and those that another makes invalid.

    Attributes:
        ended: why the valid card is no longer good, `DEATH` or `REISSUED`; ``""`` while it is.
    """

    product: str
    issue: int
    attempts: tuple[Attempt, ...]
    valid: Attempt | None
    recalled: tuple[Attempt, ...]
    ended: str = ""


def issues_of(resident: Resident) -> tuple[Issue, ...]:
    """Every issue ever tried, by product and number."""
    steps: dict[tuple[str, int], dict[str, list[CardStep]]] = defaultdict(lambda: defaultdict(list))
    for step in resident.steps:
        steps[step.product, step.issue][step.attempt].append(step)
    found = [_issue(*key, attempts, resident) for key, attempts in sorted(steps.items())]
    is_dead = life_of(resident) == event_pb2.LIFE_STATE_DEAD
    latest: dict[str, int] = {}
    for one in found:
        if one.valid is not None:
            latest[one.product] = one.issue  # Sorted: the last one stands.
    return tuple(
        one if one.valid is None else replace(one, ended=_ended(one, latest[one.product], is_dead=is_dead))
        for one in found
    )


def to_collect(resident: Resident) -> tuple[tuple[Issue, Attempt, str], ...]:
    """Cards that are out and should not be, each with its issue and why: `DOUBLE`, `DEATH` or `REISSUED`."""
    found: list[tuple[Issue, Attempt, str]] = []
    for issue in issues_of(resident):
        found += [(issue, one, DOUBLE) for one in issue.recalled]
        if issue.valid is not None and issue.ended:
            found.append((issue, issue.valid, issue.ended))
    return tuple(found)


def next_issue(issues: Iterable[Issue], product: str) -> int:
    """The first issue of a product above all of which a card came out or may have."""
    taken = (
        one.issue
        for one in issues
        if one.product == product
        and any(attempt.was_printed or attempt.state in IN_HAND for attempt in one.attempts)
    )
    return max(taken, default=0) + 1


def _ended(issue: Issue, latest: int, *, is_dead: bool) -> str:
    if is_dead:
        return DEATH
    return REISSUED if issue.issue < latest else ""


def _issue(product: str, issue: int, steps: dict[str, list[CardStep]], resident: Resident) -> Issue:
    attempts = tuple(sorted((_attempt(taken, resident) for taken in steps.values()), key=lambda one: one.first))
    # Earliest first, and a stable sort: what is equal otherwise stays so, and the first one wins.
    out = sorted((one for one in attempts if one.state in OUT), key=lambda one: (one.out, one.first))
    out.sort(key=lambda one: (one.override, -one.fence))
    return Issue(product, issue, attempts, out[0] if out else None, tuple(out[1:]))


def _attempt(steps: list[CardStep], resident: Resident) -> Attempt:
    ordered = sorted(steps)
    name, product = ordered[0].attempt, ordered[0].product
    serial = next((step.serial for step in reversed(ordered) if step.serial), "")
    state = max(step.state for step in steps)
    given = min((step.version for step in steps if step.state == HANDED_OVER), default=None)
    is_withdrawn = any(_ends(one, name, product, serial, ordered[0].issue, given) for one in resident.withdrawals)
    return Attempt(
        attempt=name,
        product=product,
        issue=ordered[0].issue,
        state=max(state, VOID) if is_withdrawn else state,
        serial=serial,
        fence=max(step.fence for step in steps),
        override=any(step.override for step in steps),
        was_printed=any(step.state in OUT for step in steps),
        first=ordered[0].version,
        last=ordered[-1].version,
        reason=next((step.reason for step in reversed(ordered) if step.reason), ""),
        out=next((step.version for step in ordered if step.state in OUT), ordered[0].version),
    )


def _ends(  # noqa: PLR0917 - what is known of an attempt
    word: Withdrawal, attempt: str, product: str, serial: str, issue: int, given: Version | None
) -> bool:
    """Whether this word is about this attempt; ``given``: when its card was handed to its owner, if it was."""
    if word.attempt:
        return word.attempt == attempt
    if word.product != product:
        return False
    if word.serial:
        return word.serial == serial
    return word.reason == LOST and issue <= word.issue and given is not None and given < word.version
