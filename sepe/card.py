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

The valid card bears the standing identity, always. A card bears that of the claim that its step to the printer
names; where an older office named none, that of a claim of its own from before it, in the standing one's favour. A
card whose identity lost (an officer decided, its office corrected itself) is void and to be collected
(`IDENTITY`), and so is every card under a NIK that is another one now (`NIK_REPLACED`). While a conflict is open,
a card whose identity does not stand is neither valid nor recalled: it is in question. When its claim has won, a
card that is missing is `owed`.

Of the others that are out (printed or handed over) for one (NIK, product, issue) one is valid and the rest are
recalled. The rightful card goes before one that a supervisor forced: an override carries no right and
so no fence of its own, and would tie with the home office's fence 0 otherwise. Among the rightful ones the highest
fence is valid; where that ties too (a disk that was cloned, two overrides), the one that was printed first.

A valid card ends when its owner is dead, or when a card of a later issue is out: it is then to be collected like
the recalled ones (`to_collect`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sepe.claims import Claims, claims_of
from sepe.crdt import Version
from sepe.life import life_of
from sepe.replaced import replaced_by
from sepe.reprints import LOST
from sepe.resident import CardStep, Claim, Resident, Withdrawal
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
IDENTITY, NIK_REPLACED = "identity", "nik_replaced"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to make one card, joined from its steps.

    Attributes:
        fence: of the right it was made under; an override without a right has 0.
        was_printed: a printed step was reported at any time, whatever came after.
        first: version of the earliest step; names the node that printed.
        reason: that came with the latest step that gave one, such as why a supervisor forced it.
        out: version of the earliest step that says the card came out; `first` where none does.
        claim: whose identity it bears; ``None``: of nobody's claim that is known.
        waived: what a supervisor waived, of ``incomplete`` and ``due_day``.
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
    claim: Claim | None = None
    waived: str = ""

    @property
    def node(self) -> str:
        """The machine that made it."""
        return self.first.node


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of one document: its attempts, the valid card and those that another makes invalid.

    Attributes:
        recalled: out beside the valid one.
        void: out, and never valid again, each with why: `IDENTITY` or `NIK_REPLACED`.
        in_question: out, with an identity on which an officer has still to decide.
        ended: why the valid card is no longer good, `DEATH` or `REISSUED`; ``""`` while it is.
    """

    product: str
    issue: int
    attempts: tuple[Attempt, ...]
    valid: Attempt | None
    recalled: tuple[Attempt, ...]
    ended: str = ""
    void: tuple[tuple[Attempt, str], ...] = ()
    in_question: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Owed:
    """A card that an officer's decision made due, to be made where ``claim`` was recorded."""

    product: str
    issue: int
    claim: Claim


def issues_of(resident: Resident) -> tuple[Issue, ...]:
    """Every issue ever tried, by product and number."""
    if not resident.steps:
        return ()
    steps: dict[tuple[str, int], dict[str, list[CardStep]]] = defaultdict(lambda: defaultdict(list))
    for step in resident.steps:
        steps[step.product, step.issue][step.attempt].append(step)
    claims = claims_of(resident)
    is_replaced = replaced_by(resident) != 0
    found = []
    for (product, number), tried in sorted(steps.items()):
        attempts = sorted((_attempt(one, resident, claims) for one in tried.values()), key=lambda one: one.first)
        found.append(_issue(product, number, tuple(attempts), claims, is_replaced=is_replaced))
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
    """Cards that are out and should not be, each with its issue and why.

    Why: `NIK_REPLACED`, `IDENTITY`, `DOUBLE`, `DEATH` or `REISSUED`.
    """
    found: list[tuple[Issue, Attempt, str]] = []
    for issue in issues_of(resident):
        found += [(issue, one, why) for one, why in issue.void]
        found += [(issue, one, DOUBLE) for one in issue.recalled]
        if issue.valid is not None and issue.ended:
            found.append((issue, issue.valid, issue.ended))
    return tuple(found)


def owed(resident: Resident) -> tuple[Owed, ...]:
    """Cards of the standing identity that were asked for and that nobody makes or has made.

    Only where an officer decided or an office corrected itself: everything else its own office's queue knows.

    Under the issue that was asked for, or the next one where a card of that came out or may have.
    """
    claims = claims_of(resident)
    standing = claims.standing
    is_dead = life_of(resident) == event_pb2.LIFE_STATE_DEAD
    is_plain = claims.decision is None and not claims.corrected
    if is_plain or claims.is_on_hold or standing is None or is_dead or replaced_by(resident):
        return ()
    asked: dict[str, Claim] = {}
    for claim in claims.counting:
        if claim.issue and claims.agree(claim, standing):
            asked.setdefault(claim.product, claim)
    issues = issues_of(resident)
    found = []
    for product, claim in sorted(asked.items()):
        tried = [one for issue in issues if issue.product == product for one in issue.attempts]
        if any(_serves(claims, one) for one in tried):
            continue
        # A card that is spoiled is made again under its own issue.
        is_free = not any(one.issue >= claim.issue and _is_taken(one) and one.state != SPOILED for one in tried)
        found.append(Owed(product, claim.issue if is_free else next_issue(issues, product), claim))
    return tuple(found)


def _serves(claims: Claims, attempt: Attempt) -> bool:
    """Whether this attempt is the standing identity's card, or its office makes that one again."""
    if attempt.state == VOID or not bears(claims, attempt.claim):
        return False
    # An office that corrected itself makes the corrected card, never the spoiled one again.
    return attempt.state != SPOILED or attempt.claim is None or attempt.claim.id not in claims.corrected


def bears(claims: Claims, claim: Claim | None) -> bool:
    """Whether a card of this claim bears the standing identity; one of nobody's claim may."""
    return claim is None or claims.standing is None or claims.agree(claim, claims.standing)


def next_issue(issues: Iterable[Issue], product: str) -> int:
    """The first issue of a product above all of which a card came out or may have."""
    taken = (one.issue for one in issues if one.product == product and any(map(_is_taken, one.attempts)))
    return max(taken, default=0) + 1


def _ended(issue: Issue, latest: int, *, is_dead: bool) -> str:
    if is_dead:
        return DEATH
    return REISSUED if issue.issue < latest else ""


def _is_taken(attempt: Attempt) -> bool:
    """A card of it came out, or may have."""
    return attempt.was_printed or attempt.state in IN_HAND


def _issue(product: str, issue: int, attempts: tuple[Attempt, ...], claims: Claims, *, is_replaced: bool) -> Issue:
    # Earliest first, and a stable sort: what is equal otherwise stays so, and the first one wins.
    out = sorted((one for one in attempts if one.state in OUT), key=lambda one: (one.out, one.first))
    out.sort(key=lambda one: (one.override, -one.fence))
    if is_replaced:
        return Issue(product, issue, attempts, None, (), void=tuple((one, NIK_REPLACED) for one in out))
    good = [one for one in out if bears(claims, one.claim)]
    lost = [one for one in out if one.claim is not None and claims.is_lost(one.claim)]
    return Issue(
        product, issue, attempts, good[0] if good else None, tuple(good[1:]),
        void=tuple((one, IDENTITY) for one in lost),
        in_question=tuple(one for one in out if one not in good and one not in lost),
    )  # fmt: skip


def _claim_of(attempt: list[CardStep], claims: Claims) -> Claim | None:
    """Whose identity an attempt's card bears; ``attempt``: its steps in order."""
    named = next((step.claim for step in reversed(attempt) if step.claim is not None), None)
    if named is not None and named in claims.known:
        return claims.known[named]
    first = attempt[0]
    before = [one for one in claims.known.values() if one.version < first.version]
    asked = [one for one in before if (one.product, one.issue) == (first.product, first.issue)]
    own = [one for one in asked if one.version.node == first.version.node]
    likely = own or asked or before
    if not likely:
        return None
    return max((one for one in likely if bears(claims, one)), default=max(likely))


def _attempt(steps: list[CardStep], resident: Resident, claims: Claims) -> Attempt:
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
        claim=_claim_of(ordered, claims),
        waived=next((step.waived for step in reversed(ordered) if step.waived), ""),
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
