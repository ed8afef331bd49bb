"""Numbered card stock of one machine: what came, what is left, and where each blank went.

Blanks are counted by serial, one row each, so that the books close:
opening + received + moved in = printed + spoiled + moved out + lost + at hand (reserved ones included).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from node.printing.job import BLANK_PRODUCTS
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.wire.v1 import event_pb2

RANGE_MAX = 100_000
_SERIAL = re.compile(r"([A-Z0-9/.-]*?)([0-9]{1,18})\Z")
# What takes a blank away from this machine, and the state it leaves behind.
GONE = {"moved_out": "moved_out", "lost": "lost", "spoiled": "spoiled"}


@dataclass(frozen=True, slots=True)
class Story:
    """Why stock moved, who moved it, and to or from which other node."""

    reason: str = ""
    operator: str = ""
    other_node: str = ""


NO_STORY = Story()


@dataclass(frozen=True, slots=True)
class SerialRange:
    """Serials from ``first`` to ``last``, both included, of one product."""

    product: str
    first: str
    last: str

    @property
    def serials(self) -> list[str]:
        """Every serial of the range, in order.

        Raises:
            InvalidInputError: not a range of blanks; see `serials_between`.
        """
        return serials_between(self.first, self.last)


def serials_between(first: str, last: str) -> list[str]:
    """All serials from ``first`` to ``last``: one prefix, a number of one width that counts up.

    Raises:
        InvalidInputError: different prefixes or widths, last before first, or over `RANGE_MAX` serials.
    """
    one, other = _SERIAL.match(first), _SERIAL.match(last)
    if one is None or other is None:
        raise InvalidInputError(
            "nomor blangko: huruf besar, angka, / . -, dan diakhiri angka",
            field="first" if one is None else "last",
            value=first if one is None else last,
            hint="Contoh: A00012001",
        )
    if one[1] != other[1] or len(one[2]) != len(other[2]):
        raise InvalidInputError(
            "nomor pertama dan terakhir harus berawalan dan berpanjang sama", field="last", value=last
        )
    start, end = int(one[2]), int(other[2])
    if not start <= end < start + RANGE_MAX:
        raise InvalidInputError(
            f"nomor terakhir harus setelah yang pertama, paling banyak {RANGE_MAX} blangko",
            field="last",
            value=last,
        )
    width = len(one[2])
    return [f"{one[1]}{number:0{width}d}" for number in range(start, end + 1)]


def opening_range(node: str, product: str, count: int) -> SerialRange:
    """Serials for an opening stock whose real numbers nobody typed in."""
    prefix = f"{'K' if product == 'ktp-el' else 'A'}{node.replace('-', '')}-"
    return SerialRange(product, f"{prefix}{1:06d}", f"{prefix}{count:06d}")


class Stock:
    """The blanks of one machine; every change is one transaction with its event."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def receive(self, serials: SerialRange, *, now_ms: int, story: Story = NO_STORY) -> int:
        """Take a range into stock; return how many. with a story of another node it was moved in from there.

        Raises:
            InvalidInputError: no such product, no range, or a serial that this machine had before.
        """
        check_product(serials.product)
        names = serials.serials
        with self._store.transaction():
            for serial in names:
                known = self._state(serials.product, serial)
                if known not in (None, "moved_out"):
                    raise InvalidInputError(
                        "blangko ini sudah pernah diterima di sini", field="serial", value=serial
                    )
            self._store.connection.executemany(
                "INSERT OR REPLACE INTO blank (product, serial, state) VALUES (?, ?, 'at_hand')",
                [(serials.product, serial) for serial in names],
            )
            self._announce(
                "moved_in" if story.other_node else "received", serials, len(names), story=story, now_ms=now_ms
            )
        return len(names)

    def take_out(self, serials: SerialRange, movement: str, *, now_ms: int, story: Story = NO_STORY) -> int:
        """Take a range out of stock; ``movement`` is a key of `GONE`.

        Raises:
            InvalidInputError: a serial of the range is not at hand; nothing is changed.
        """
        check_product(serials.product)
        names = serials.serials
        with self._store.transaction():
            for serial in names:
                if self._state(serials.product, serial) != "at_hand":
                    raise InvalidInputError(
                        "blangko ini tidak ada dalam persediaan", field="serial", value=serial,
                        hint="Lihat dengan: sepe node blanks list DIR",
                    )  # fmt: skip
            self._store.connection.executemany(
                "UPDATE blank SET state = ? WHERE product = ? AND serial = ?",
                [(GONE[movement], serials.product, serial) for serial in names],
            )
            self._announce(movement, serials, len(names), story=story, now_ms=now_ms)
        return len(names)

    def counts(self) -> dict[str, dict[str, int]]:
        """Product, then state, to how many blanks."""
        found: dict[str, dict[str, int]] = {product: {"at_hand": 0} for product in BLANK_PRODUCTS}
        for product, state, count in self._store.connection.execute(
            "SELECT product, state, count(*) FROM blank GROUP BY product, state ORDER BY product, state"
        ):
            found.setdefault(product, {})[state] = count
        return found

    def listing(
        self, product: str | None = None, state: str | None = None
    ) -> list[tuple[str, str, str, int | None]]:
        """(product, serial, state, job) of each blank, in order of serial."""
        rows = self._store.connection.execute(
            "SELECT product, serial, state, job FROM blank WHERE (?1 IS NULL OR product = ?1) "
            "AND (?2 IS NULL OR state = ?2) ORDER BY product, serial",
            (product, state),
        )
        return [tuple(row) for row in rows]

    def _state(self, product: str, serial: str) -> str | None:
        row = self._store.connection.execute(
            "SELECT state FROM blank WHERE product = ? AND serial = ?", (product, serial)
        ).fetchone()
        return None if row is None else str(row[0])

    def _announce(self, movement: str, serials: SerialRange, count: int, *, story: Story, now_ms: int) -> None:
        body = event_pb2.StockMoved(
            product=serials.product,
            movement=movement,
            first_serial=serials.first,
            last_serial=serials.last,
            count=count,
            reason=story.reason,
            other_node=story.other_node,
            operator=story.operator,
        )
        self._store.append([draft(Kind.STOCK_MOVED, 0, body)], now_ms)


def check_product(product: str) -> None:
    """Raise ``InvalidInputError`` unless the product is printed on numbered blanks."""
    if product not in BLANK_PRODUCTS:
        raise InvalidInputError(
            "hanya ini yang memakai blangko bernomor",
            field="product",
            value=product,
            hint=", ".join(BLANK_PRODUCTS),
        )
