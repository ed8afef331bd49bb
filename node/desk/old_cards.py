"""Cards that come back: taken from their owner, kept until the day's destruction, destroyed with minutes.

The centre hears of both. A card that was taken back is void from then on, whoever made it and wherever it was
made, so the office that somebody moved to takes back the card of the one he left.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.reprints import WITHDRAWAL_REASONS
from sepe.serials import SerialSet, number_of
from sepe.stock import BLANK_PRODUCTS
from sepe.wire.v1 import event_pb2


@dataclass(frozen=True, slots=True)
class OldCard:
    """One card that was taken back. ``minutes``: of its destruction, ``""`` before it."""

    product: str
    serial: str
    nik: int
    reason: str
    taken_ms: int
    operator: str
    minutes: str
    destroyed_ms: int


class OldCards:
    """The cards that lie here to be destroyed, and those that were. A method that writes is one transaction."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def take_back(
        self, nik: int, product: str, serial: str, reason: str, *, operator: str, now_ms: int
    ) -> OldCard:
        """Take a card back from its owner; a card that lies here already is answered the same way again.

        Raises:
            InvalidInputError: no card product, no serial, no such reason, or another resident's card.
        """
        serial = serial.strip().upper()
        if product not in BLANK_PRODUCTS:
            raise InvalidInputError(
                "hanya kartu bernomor yang ditarik", field="product", value=product, hint=", ".join(BLANK_PRODUCTS)
            )
        number_of(serial)  # Raises unless it is one.
        if reason not in WITHDRAWAL_REASONS:
            raise InvalidInputError(
                "alasan tidak dikenal", field="reason", value=reason, hint=", ".join(WITHDRAWAL_REASONS)
            )
        with self._store.transaction():
            known = self._one(product, serial)
            if known is not None:
                if known.nik != nik:
                    raise InvalidInputError(
                        "kartu dengan nomor seri ini sudah ditarik dari orang lain", field="serial", value=serial
                    )
                return known
            self._store.connection.execute(
                "INSERT INTO old_card (product, serial, nik, reason, taken_ms, operator) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (product, serial, nik, reason, now_ms, operator),
            )
            self._announce(nik, product, serial, reason, operator=operator, now_ms=now_ms)
            found = self._one(product, serial)
            assert found is not None
            return found

    def destroy(self, product: str | None, *, number: int, operator: str, now_ms: int) -> int:
        """Note that everything that lies here is destroyed by these minutes; how many cards."""
        minutes = str(number)
        with self._store.transaction():
            waiting = [one for one in self.listing(only_waiting=True) if product in (None, one.product)]
            for one in waiting:
                self._store.connection.execute(
                    "UPDATE old_card SET minutes = ?, destroyed_ms = ? WHERE product = ? AND serial = ?",
                    (minutes, now_ms, one.product, one.serial),
                )
                self._announce(
                    one.nik, one.product, one.serial, one.reason, operator=operator, now_ms=now_ms,
                    minutes=f"{self._store.node}/{minutes}",
                )  # fmt: skip
        return len(waiting)

    def listing(self, *, only_waiting: bool = False) -> list[OldCard]:
        """Every card that was taken back here, the first one first."""
        rows = self._store.connection.execute(
            "SELECT product, serial, nik, reason, taken_ms, operator, minutes, destroyed_ms FROM old_card "
            "WHERE minutes = '' OR ? ORDER BY taken_ms, product, serial",
            (not only_waiting,),
        )
        return [OldCard(*row) for row in rows.fetchall()]

    def in_minutes(self, number: int) -> dict[tuple[str, str], SerialSet]:
        """(product, reason) to the serials that these minutes destroyed."""
        found: dict[tuple[str, str], list[str]] = {}
        for product, reason, serial in self._store.connection.execute(
            "SELECT product, reason, serial FROM old_card WHERE minutes = ? ORDER BY product, reason, serial",
            (str(number),),
        ):
            found.setdefault((product, reason), []).append(serial)
        return {key: SerialSet.of(serials) for key, serials in found.items()}

    def _one(self, product: str, serial: str) -> OldCard | None:
        row = self._store.connection.execute(
            "SELECT product, serial, nik, reason, taken_ms, operator, minutes, destroyed_ms FROM old_card "
            "WHERE product = ? AND serial = ?",
            (product, serial),
        ).fetchone()
        return None if row is None else OldCard(*row)

    def _announce(
        self, nik: int, product: str, serial: str, reason: str, *, operator: str, now_ms: int, minutes: str = ""
    ) -> None:
        # Which attempt it is, is known where it was made here, or where the centre asked for it.
        row = self._store.connection.execute(
            "SELECT attempt, issue FROM recall WHERE nik = ?1 AND product = ?2 AND serial = ?3 UNION ALL "
            "SELECT name, issue FROM job WHERE nik = ?1 AND product = ?2 AND serial = ?3 "
            "AND state IN ('printed', 'handed_over') LIMIT 1",
            (nik, product, serial),
        ).fetchone()
        body = event_pb2.CardWithdrawn(
            product=product, serial=serial, attempt=row[0] if row else "", issue=row[1] if row else 0,
            reason=reason, destroyed=bool(minutes), minutes=minutes, operator=operator,
        )  # fmt: skip
        self._store.append([draft(Kind.CARD_WITHDRAWN, nik, body)], now_ms)
