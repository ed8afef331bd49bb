"""Mistakes that sync programs make, to be switched on one at a time: the checkers must see each of them.

They live here and never in the product. A world that stays green with one of them proves that a checker sleeps.
"""

from __future__ import annotations

from enum import Enum

from sepe.errors import InvalidInputError


class Bug(Enum):
    """One planted mistake."""

    ACK_BEFORE_COMMIT = "ack_before_commit"
    PRUNE_ON_BROKER_ACK = "prune_on_broker_ack"
    DEDUPE_BY_WINDOW = "dedupe_by_window"
    NO_DEDUPE = "no_dedupe"
    NO_TIE_BREAK = "no_tie_break"
    WALL_CLOCK = "wall_clock"
    EPOCH_KEPT_AFTER_RESTORE = "epoch_kept_after_restore"
    PRINT_BEFORE_RESERVE = "print_before_reserve"


# What JetStream's own window is by default.
DEDUPE_WINDOW_MS = 120_000


def bug_named(name: str) -> Bug:
    """The bug of that name.

    Raises:
        InvalidInputError: there is none.
    """
    for bug in Bug:
        if bug.value == name:
            return bug
    raise InvalidInputError(
        "no such bug", field="--bug", value=name, hint=f"One of: {', '.join(bug.value for bug in Bug)}."
    )
