"""How each printer stands by our own count: cards left on its ribbon, cards made today, whether it must rest.

Small card printers make about 100 cards a day before heat spoils blanks, better ones 250 to 300; a ribbon lasts
about 500 cards (DOMAIN §1). Printers report an empty ribbon, not how much is left, so the ledger counts every card
that a printer made, good or spoiled, and a person enters each change of ribbon.

The count can be wrong by a few (a sheet fed by hand, a ribbon that was not new). So a ribbon that should be at
its end is no reason to hold a card back: the printer stops by itself and says so. Heat is a reason: the printer
goes on and spoils blanks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from node.storage.store import NodeStore
from sepe.errors import InvalidInputError

RIBBON_CARDS = 500
# Below this a ribbon is to be at hand; an hour's work of a quick printer.
RIBBON_LOW_CARDS = 50
COUNT_MAX = 100_000


class Stopper(StrEnum):
    """Why a printer makes no card now. Rest ends by itself, day at midnight, ribbon by a person."""

    RIBBON = "ribbon"
    DAY = "heat_day"
    REST = "heat_rest"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a printer can take.

    Attributes:
        ribbon_cards: cards that a new ribbon makes.
        day_cards: cards a day before heat spoils blanks, 0 for no limit.
        run_cards: cards one after the other before it must rest ``rest_s`` seconds, 0 for no limit.
    """

    ribbon_cards: int = RIBBON_CARDS
    day_cards: int = 0
    run_cards: int = 0
    rest_s: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """One printer on one day of its office.

    Attributes:
        printer: its address, as in the ledger.
        ribbon_left: cards that its ribbon still makes, never below 0; ``None`` until a ribbon was entered.
        cards_today: cards it made today, spoiled ones included.
        run_cards: cards since it last rested for ``limits.rest_s``; the last of them at ``last_card_ms``.
    """

    printer: str
    limits: Limits = field(default_factory=Limits)
    ribbon_left: int | None = None
    cards_today: int = 0
    run_cards: int = 0
    last_card_ms: int = 0

    @property
    def day_left(self) -> int | None:
        """Cards that heat still allows today; ``None`` for no limit."""
        return max(self.limits.day_cards - self.cards_today, 0) if self.limits.day_cards else None

    @property
    def cards_left(self) -> int | None:
        """Cards it can still make today without a person: the lesser of ribbon and heat; ``None`` for no limit."""
        known = [left for left in (self.ribbon_left, self.day_left) if left is not None]
        return min(known, default=None)

    @property
    def is_ribbon_low(self) -> bool:
        return self.ribbon_left is not None and self.ribbon_left < RIBBON_LOW_CARDS

    def rests_until_ms(self, now_ms: int) -> int:
        """When it may make the next card after a long run, ``now_ms`` or earlier when it may now."""
        if not self.limits.run_cards or self.run_cards < self.limits.run_cards:
            return 0
        rest_ms = self.limits.rest_s * 1000
        # A clock that went back must not make it rest for years.
        return self.last_card_ms + rest_ms if now_ms >= self.last_card_ms else now_ms + rest_ms

    def stoppers(self, now_ms: int) -> tuple[Stopper, ...]:
        """What stands against the next card. A press holds cards back for heat, never for a counted ribbon."""
        found = {
            Stopper.DAY: self.day_left == 0,
            Stopper.REST: self.rests_until_ms(now_ms) > now_ms,
            Stopper.RIBBON: self.ribbon_left == 0,
        }
        return tuple(stopper for stopper, is_so in found.items() if is_so)

    def is_hot(self, now_ms: int) -> bool:
        """Whether heat forbids the next card now."""
        return any(stopper is not Stopper.RIBBON for stopper in self.stoppers(now_ms))


class Conditions:
    """The conditions of one machine's printers; every method that writes is one transaction."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def of(self, printer: str, today: str) -> Condition:
        """One printer's condition on ``today`` (ISO date); of one that is not known yet, the default."""
        return next((one for one in self.all(today) if one.printer == printer), Condition(printer))

    def all(self, today: str) -> list[Condition]:
        """Every printer that made a card or was ever set up, by address."""
        rows = self._store.connection.execute(
            "SELECT p.printer, ribbon_cards, day_cards, run_cards_max, rest_s, ribbon_left, "
            "coalesce((SELECT cards FROM printer_day d WHERE d.printer = p.printer AND d.day = ?), 0), "
            "run_cards, last_card_ms FROM printer p ORDER BY p.printer",
            (today,),
        )
        return [
            Condition(printer, Limits(ribbon, day, run_max, rest_s), left, cards, run, last_ms)
            for printer, ribbon, day, run_max, rest_s, left, cards, run, last_ms in rows.fetchall()
        ]

    def set_limits(self, printer: str, limits: Limits) -> None:
        """Remember what a printer can take.

        Raises:
            InvalidInputError: a number below 0 or beyond reason; nothing is changed.
        """
        for name, value in (("ribbon_cards", limits.ribbon_cards), ("day_cards", limits.day_cards),
                            ("run_cards", limits.run_cards), ("rest_s", limits.rest_s)):  # fmt: skip
            _check(name, value)
        with self._store.transaction():
            self._know(printer)
            self._store.connection.execute(
                "UPDATE printer SET ribbon_cards = ?, day_cards = ?, run_cards_max = ?, rest_s = ? "
                "WHERE printer = ?",
                (limits.ribbon_cards, limits.day_cards, limits.run_cards, limits.rest_s, printer),
            )

    def change_ribbon(self, printer: str, now_ms: int, cards: int | None = None) -> None:
        """A person put in a ribbon that makes ``cards`` cards, as many as usual when not given.

        Raises:
            InvalidInputError: a number below 0 or beyond reason; nothing is changed.
        """
        if cards is not None:
            _check("cards", cards)
        with self._store.transaction():
            self._know(printer)
            self._store.connection.execute(
                "UPDATE printer SET ribbon_left = coalesce(?, ribbon_cards), ribbon_ms = ? WHERE printer = ?",
                (cards, now_ms, printer),
            )

    def count_card(self, printer: str, today: str, now_ms: int) -> None:
        """A card left this printer, good or spoiled; call it in the transaction that books the card."""
        execute = self._store.connection.execute
        with self._store.transaction():
            self._know(printer)
            execute(
                "UPDATE printer SET ribbon_left = max(ribbon_left - 1, 0), last_card_ms = ?1, run_cards = "
                "CASE WHEN ?1 - last_card_ms BETWEEN 0 AND rest_s * 1000 - 1 THEN run_cards + 1 ELSE 1 END "
                "WHERE printer = ?2",
                (now_ms, printer),
            )
            execute(
                "INSERT INTO printer_day VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET cards = cards + 1",
                (printer, today),
            )

    def _know(self, printer: str) -> None:
        self._store.connection.execute("INSERT OR IGNORE INTO printer (printer) VALUES (?)", (printer,))


def _check(name: str, value: int) -> None:
    if not 0 <= value <= COUNT_MAX:
        raise InvalidInputError(f"antara 0 dan {COUNT_MAX}", field=name, value=value)
