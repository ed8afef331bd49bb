"""The rows of the blanks and the books beside them: every change of a blank's state goes through here.

A blank has one row and so one state. Each change is booked under its day as well (`sepe.stock.day_sums`); the
books are counted up on their own, so rows that were altered do not add up with them any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from node.desk.day import day_of
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.stock import BLANK_PRODUCTS, StockSum, day_sums


class BlankState(StrEnum):
    """Where a blank is. Reserved: it waits for, or lies in, a printer."""

    AT_HAND = "at_hand"
    RESERVED = "reserved"
    PRINTED = "printed"
    SPOILED = "spoiled"
    DESTROYED = "destroyed"
    MOVED_OUT = "moved_out"
    LOST = "lost"


HELD = (BlankState.AT_HAND, BlankState.RESERVED)
# The term of the sum that a blank in this state stands in.
_TERMS = {
    BlankState.PRINTED: "printed",
    BlankState.SPOILED: "spoiled",
    BlankState.DESTROYED: "spoiled",
    BlankState.MOVED_OUT: "moved_out",
    BlankState.LOST: "lost",
}


class Shelf:
    """The blanks of one machine by serial; every method that writes is one transaction."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def state_of(self, product: str, serial: str) -> BlankState | None:
        """Where a blank is; ``None`` for one that never came here."""
        row = self._store.connection.execute(
            "SELECT state FROM blank WHERE product = ? AND serial = ?", (product, serial)
        ).fetchone()
        return None if row is None else BlankState(row[0])

    def take_in(self, product: str, serials: Sequence[str], movement: str, now_ms: int) -> None:
        """New blanks, or such as were moved out before, are at hand; ``movement`` is received or moved_in."""
        with self._store.transaction():
            self._store.connection.executemany(
                "INSERT INTO blank (product, serial, state, changed_ms) VALUES (?1, ?2, 'at_hand', ?3) "
                "ON CONFLICT DO UPDATE SET state = 'at_hand', job = NULL, reason = '', changed_ms = ?3",
                [(product, serial, now_ms) for serial in serials],
            )
            self._book(product, movement, len(serials), now_ms)

    def put(
        self,
        product: str,
        serial: str,
        state: BlankState,
        *,
        now_ms: int,
        job: int | None = None,
        reason: str = "",
    ) -> None:
        """Bring one blank into a state, with its books; one that never came here counts as received then."""
        with self._store.transaction():
            before = self.state_of(product, serial)
            self._store.connection.execute(
                "INSERT INTO blank (product, serial, state, job, reason, changed_ms) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET state = excluded.state, job = excluded.job, "
                "reason = CASE excluded.state WHEN 'destroyed' THEN reason ELSE excluded.reason END, "
                "changed_ms = excluded.changed_ms",
                (product, serial, str(state), job, reason, now_ms),
            )
            if before is None:
                self._book(product, "received", 1, now_ms)
            elif before not in HELD:
                # Back in the hand of this office: given away and returned is moved in, anything else is undone.
                is_return = before is BlankState.MOVED_OUT
                self._book(product, *(("moved_in", 1) if is_return else (_TERMS[before], -1)), now_ms)
            if state not in HELD:
                self._book(product, _TERMS[state], 1, now_ms)

    def next_at_hand(self, product: str) -> str | None:
        """The lowest serial at hand; ``None`` when there is none."""
        row = self._store.connection.execute(
            "SELECT serial FROM blank WHERE product = ? AND state = 'at_hand' ORDER BY serial LIMIT 1", (product,)
        ).fetchone()
        return None if row is None else str(row[0])

    def in_state(self, product: str, *states: BlankState) -> list[tuple[str, str]]:
        """(serial, reason) of the blanks in any of these states, in order of serial."""
        marks = ", ".join("?" * len(states))
        rows = self._store.connection.execute(
            f"SELECT serial, reason FROM blank WHERE product = ? AND state IN ({marks}) ORDER BY serial",
            (product, *map(str, states)),
        )
        return [(str(serial), str(reason)) for serial, reason in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """Product, then state, to how many blanks."""
        found: dict[str, dict[str, int]] = {product: {"at_hand": 0} for product in BLANK_PRODUCTS}
        for product, state, count in self._store.connection.execute(
            "SELECT product, state, count(*) FROM blank GROUP BY product, state ORDER BY product, state"
        ):
            found.setdefault(product, {})[state] = count
        return found

    def sums(self, product: str) -> dict[str, StockSum]:
        """The sum of each day by the books; the last day's closing is what the rows say."""
        flows: dict[str, dict[str, int]] = {}
        for day, movement, count in self._store.connection.execute(
            "SELECT day, movement, count FROM blank_day WHERE product = ?", (product,)
        ):
            flows.setdefault(day, {})[movement] = count
        held = self._store.connection.execute(
            "SELECT count(*) FROM blank WHERE product = ? AND state IN ('at_hand', 'reserved')", (product,)
        ).fetchone()[0]
        return day_sums(flows, int(held))

    def find_state(self, product: str, serial: str, *wanted: BlankState) -> BlankState:
        """The state of a blank that must be in one of these.

        Raises:
            InvalidInputError: it is not.
        """
        state = self.state_of(product, serial)
        if state is None or state not in wanted:
            raise InvalidInputError(
                "blangko ini tidak ada dalam persediaan" if BlankState.AT_HAND in wanted
                else f"blangko ini tidak dalam keadaan {' / '.join(wanted)}",
                field="serial",
                value=serial,
                hint="Lihat dengan: sepe node blanks list DIR",
            )  # fmt: skip
        return state

    def _book(self, product: str, term: str, count: int, now_ms: int) -> None:
        self._store.connection.execute(
            "INSERT INTO blank_day VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (day_of(now_ms, self._store.node).isoformat(), product, term, count),
        )
