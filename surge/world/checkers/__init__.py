"""The promises of the house, each as a checker that reads a world at rest and lists what breaks it.

A checker compares what the hub ended with against what the `oracle.Oracle` saw happen; it shares no code with the
offices and the hub beyond the product's own fold.
"""

from __future__ import annotations

from collections.abc import Callable

from surge.world.checkers import (
    ack_means_committed,
    blank_arithmetic,
    card_uniqueness,
    convergence,
    exactly_once_in_log,
    lag_returns_to_zero,
    later_edit_wins,
    losing_values_kept,
    no_card_before_its_day,
    no_card_of_an_open_case,
    no_lost_event,
    no_starving,
    one_card_in_a_hand,
    valid_card_bears_standing_identity,
)
from surge.world.ending import Ending

Checker = Callable[[Ending], list[str]]

CHECKERS: dict[str, Checker] = {
    "lag_returns_to_zero": lag_returns_to_zero.check,
    "ack_means_committed": ack_means_committed.check,
    "no_lost_event": no_lost_event.check,
    "exactly_once_in_log": exactly_once_in_log.check,
    "convergence": convergence.check,
    "losing_values_kept": losing_values_kept.check,
    "later_edit_wins": later_edit_wins.check,
    "card_uniqueness": card_uniqueness.check,
    "blank_arithmetic": blank_arithmetic.check,
    "no_starving": no_starving.check,
    "valid_card_bears_standing_identity": valid_card_bears_standing_identity.check,
    "no_card_before_its_day": no_card_before_its_day.check,
    "no_card_of_an_open_case": no_card_of_an_open_case.check,
    "one_card_in_a_hand": one_card_in_a_hand.check,
}
# One broken promise breaks it a hundred times; the first few say enough.
PROBLEMS_MAX = 3
