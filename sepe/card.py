"""Cards: the steps of an attempt, and which of the cards printed for one issue is the valid one.

An *attempt* is one try to make one physical card; its state only rises::

    requested < ready < sent < in doubt < printed < spoiled < handed over < void

*printed* and *spoiled* are both ends of a sent job. When reports contradict each other the attempt counts
as spoiled: a spoiled card is destroyed with minutes and printed again under a new serial, which does no harm
to the one-valid-card promise, while the opposite reading would. *handed over* stands above both because a
card in the resident's hand is a fact that a late report cannot undo.

Of the attempts whose card is out (printed or handed over) for one (NIK, product, issue), the highest fence
is valid and the others go on the recall list (DESIGN §6).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sepe.crdt import Version
from sepe.resident import CardStep, Resident
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to make one card, joined from its steps.

    Attributes:
        was_printed: a printed step was reported at any time, whatever came after.
        first: version of the earliest step; names the node that printed.
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


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of one document: its attempts, the valid card and those to be collected."""

    product: str
    issue: int
    attempts: tuple[Attempt, ...]
    valid: Attempt | None
    recalled: tuple[Attempt, ...]


def issues_of(resident: Resident) -> tuple[Issue, ...]:
    """Every issue ever tried, by product and number."""
    steps: dict[tuple[str, int], dict[str, list[CardStep]]] = defaultdict(lambda: defaultdict(list))
    for step in resident.steps:
        steps[step.product, step.issue][step.attempt].append(step)
    return tuple(_issue(product, issue, attempts) for (product, issue), attempts in sorted(steps.items()))


def _issue(product: str, issue: int, steps: dict[str, list[CardStep]]) -> Issue:
    attempts = tuple(sorted((_attempt(taken) for taken in steps.values()), key=lambda one: one.first))
    out = sorted((one for one in attempts if one.state in OUT), key=lambda one: (one.fence, one.first))
    return Issue(product, issue, attempts, out[-1] if out else None, tuple(out[:-1]))


def _attempt(steps: list[CardStep]) -> Attempt:
    ordered = sorted(steps)
    return Attempt(
        attempt=ordered[0].attempt,
        product=ordered[0].product,
        issue=ordered[0].issue,
        state=max(step.state for step in steps),
        serial=next((step.serial for step in reversed(ordered) if step.serial), ""),
        fence=max(step.fence for step in steps),
        override=any(step.override for step in steps),
        was_printed=any(step.state in OUT for step in steps),
        first=ordered[0].version,
        last=ordered[-1].version,
    )
