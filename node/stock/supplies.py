"""What runs out: blanks below their threshold, ribbons near their end, printers that heat stops today."""

from __future__ import annotations

from dataclasses import dataclass

from node.desk.day import day_of
from node.printing.condition import Condition, Conditions, Stopper
from node.stock.shelf import Shelf
from node.storage.store import NodeStore
from sepe.stock import BLANK_PRODUCTS


@dataclass(frozen=True, slots=True)
class Supplies:
    """Stock and printers of one machine now.

    Attributes:
        at_hand: blanks at hand by product.
        blanks_min: below it a product is low, 0 for no threshold.
    """

    at_hand: dict[str, int]
    blanks_min: int
    printers: tuple[Condition, ...]
    now_ms: int

    @property
    def low(self) -> tuple[str, ...]:
        """Products of which more blanks are to be asked for. One that never came here is not missed."""
        return tuple(product for product, count in self.at_hand.items() if count < self.blanks_min)

    @property
    def low_ribbons(self) -> tuple[Condition, ...]:
        return tuple(one for one in self.printers if one.is_ribbon_low)

    @property
    def hot(self) -> tuple[Condition, ...]:
        """Printers that may make no card more today."""
        return tuple(one for one in self.printers if Stopper.DAY in one.stoppers(self.now_ms))


def supplies(store: NodeStore, now_ms: int) -> Supplies:
    """What this machine has."""
    counts = Shelf(store).counts()
    at_hand = {
        product: counts[product].get("at_hand", 0) for product in BLANK_PRODUCTS if sum(counts[product].values())
    }
    today = day_of(now_ms, store.node).isoformat()
    return Supplies(at_hand, store.settings.blanks_min, tuple(Conditions(store).all(today)), now_ms)


def as_json(condition: Condition, now_ms: int) -> dict[str, object]:
    """A printer's condition as a document."""
    return {
        "printer": condition.printer,
        "ribbon_left": condition.ribbon_left,
        "ribbon_cards": condition.limits.ribbon_cards,
        "cards_today": condition.cards_today,
        "day_cards": condition.limits.day_cards,
        "day_left": condition.day_left,
        "run_cards": condition.limits.run_cards,
        "rest_s": condition.limits.rest_s,
        "stopped_by": [str(one) for one in condition.stoppers(now_ms)],
    }
