"""Mistakes that sync programs make, to be switched on one at a time: the checkers must see each of them.

They live here and never in the product. A world that stays green with one of them proves that a checker sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    RIGHT_WITHOUT_PROMISE = "right_without_promise"
    DUE_BY_OWN_CLOCK = "due_by_own_clock"
    WOKEN_WITHOUT_LOOKING = "woken_without_looking"
    HAND_OVER_ALL = "hand_over_all"
    VALID_BY_FENCE_ALONE = "valid_by_fence_alone"


@dataclass(frozen=True, slots=True)
class Trap:
    """Where a mistake shows.

    Attributes:
        checker: which must find it.
        needs: faults without which it would not matter, besides a bad line and failing power.
    """

    checker: str
    needs: tuple[str, ...] = ()


TRAPS = {
    Bug.ACK_BEFORE_COMMIT: Trap("ack_means_committed"),
    Bug.PRUNE_ON_BROKER_ACK: Trap("no_lost_event", ("broker_loses_acked",)),
    Bug.DEDUPE_BY_WINDOW: Trap("exactly_once_in_log"),
    Bug.NO_DEDUPE: Trap("exactly_once_in_log"),
    Bug.NO_TIE_BREAK: Trap("convergence"),
    Bug.WALL_CLOCK: Trap("later_edit_wins", ("clock_jump",)),
    Bug.EPOCH_KEPT_AFTER_RESTORE: Trap("no_lost_event", ("restore_office",)),
    Bug.PRINT_BEFORE_RESERVE: Trap("card_uniqueness"),
    Bug.RIGHT_WITHOUT_PROMISE: Trap("card_uniqueness"),
    Bug.DUE_BY_OWN_CLOCK: Trap("no_card_before_its_day", ("clock_jump",)),
    Bug.WOKEN_WITHOUT_LOOKING: Trap("no_card_of_an_open_case"),
    Bug.HAND_OVER_ALL: Trap("one_card_in_a_hand"),
    Bug.VALID_BY_FENCE_ALONE: Trap("valid_card_bears_standing_identity"),
}
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
