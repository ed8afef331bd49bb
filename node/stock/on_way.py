"""Blanks that are on their way here by the centre's word, and those that it wants brought elsewhere.

The word says everything that was given to this machine and that the centre has not heard of yet. What lies here by
our own books already is left out, so a word that is old or heard twice takes nothing in twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.stock.shelf import BlankState, Shelf
from node.stock.stock import Stock, Story, check_product
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.ids import HUB_NODE
from sepe.rpc.v1 import rights_pb2
from sepe.serials import SerialRange, SerialSet, span_of
from sepe.stock import Movement
from sepe.wire.v1 import event_pb2

# A word of more blanks than any delivery has is a mistake; nobody waits while a million rows are looked up.
BLANKS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Coming:
    """Blanks of one product from one sender; ``hub``: an allotment of the centre."""

    product: str
    sender: str
    serials: SerialSet


@dataclass(frozen=True, slots=True)
class Wanted:
    """Blanks that are to be brought to another machine until then (milliseconds since 1970)."""

    product: str
    to_node: str
    count: int
    until_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was taken in. ``off``: by how many the delivery differs from the centre's word, below 0 too few."""

    product: str
    count: int
    off: int


def take_word(store: NodeStore, word: rights_pb2.BlanksOnWay) -> None:
    """Note what is on its way from one sender, in the caller's transaction."""
    store.connection.execute(
        "DELETE FROM blanks_on_way WHERE product = ? AND from_node = ?", (word.product, word.from_node)
    )
    store.connection.executemany(
        "INSERT OR REPLACE INTO blanks_on_way (product, from_node, first, last) VALUES (?, ?, ?, ?)",
        [(word.product, word.from_node, run.first, run.last) for run in word.runs],
    )


def take_wish(store: NodeStore, wish: rights_pb2.BlanksWanted) -> None:
    """Note what is to be brought to another machine, in the caller's transaction."""
    store.connection.execute(
        "INSERT OR REPLACE INTO blanks_wanted (product, to_node, count, until_ms, reason) VALUES (?, ?, ?, ?, ?)",
        (wish.product, wish.to_node, wish.count, wish.until_ms, wish.reason),
    )


def coming(store: NodeStore) -> list[Coming]:
    """What is on its way here and not in our books."""
    found: dict[tuple[str, str], SerialSet] = {}
    rows = store.connection.execute(
        "SELECT product, from_node, first, last FROM blanks_on_way ORDER BY product, from_node, first"
    ).fetchall()
    for product, sender, first, last in rows:
        try:
            found.setdefault((product, sender), SerialSet()).add(*span_of(first, last))
        except InvalidInputError:
            continue  # A centre of another version; the range can be typed in.
    shelf = Shelf(store)
    return [
        Coming(product, sender, left)
        for (product, sender), serials in found.items()
        if len(serials) <= BLANKS_MAX and (left := _unknown(shelf, product, serials))
    ]


def wanted(store: NodeStore, now_ms: int) -> list[Wanted]:
    """What is to be brought elsewhere and was not yet, as far as its time is not over."""
    rows = store.connection.execute(
        "SELECT product, to_node, count, until_ms, reason FROM blanks_wanted WHERE count > 0 AND until_ms > ? "
        "ORDER BY product, to_node",
        (now_ms,),
    )
    return [Wanted(*row) for row in rows.fetchall()]


def brought(store: NodeStore, product: str, to_node: str, count: int) -> None:
    """So many were handed over; in the transaction that moves them."""
    store.connection.execute(
        "UPDATE blanks_wanted SET count = max(0, count - ?) WHERE product = ? AND to_node = ?",
        (count, product, to_node),
    )


def receive(
    store: NodeStore, product: str, counted: int, *, sender: str = "", missing: SerialSet | None = None,
    operator: str = "", now_ms: int,
) -> Arrival:  # fmt: skip
    """Take in what is on its way, as counted at the door; one transaction.

    Blanks that are named as missing are not taken in; they stay on their way, where the centre sees them. A count
    that differs from the rest is told to the centre as a discrepancy of this day, and a count by hand
    (`node blanks count`) finds which they are.

    Args:
        sender: of this one alone; ``""``: everything of the product.

    Raises:
        InvalidInputError: nothing of this product is on its way (from there), or a blank that is not is named as
            missing; nothing is changed.
    """
    check_product(product)
    stock = Stock(store)
    with store.transaction():
        parts = [one for one in coming(store) if one.product == product and sender in ("", one.sender)]
        if not parts:
            raise InvalidInputError(
                "menurut pusat tidak ada blangko ini dalam perjalanan ke sini", field="--from",
                value=sender or "-", hint="sepe node blanks coming DIR; atau sebut nomornya: --first A --last B",
            )  # fmt: skip
        absent = missing or SerialSet()
        expected = SerialSet()
        for one in parts:
            expected.update(one.serials)
        if strange := absent - expected:
            raise InvalidInputError(
                "nomor ini tidak dalam perjalanan ke sini", field="--missing", value=str(strange),
                hint="sepe node blanks coming DIR",
            )  # fmt: skip
        count = 0
        for one in parts:
            story = Story(operator=operator, other_node="" if one.sender == HUB_NODE else one.sender)
            for first, last in (one.serials - absent).ranges():
                count += stock.receive(SerialRange(product, first, last), now_ms=now_ms, story=story)
        if counted != count:
            held = Shelf(store).counts()[product]
            at_hand = held.get(BlankState.AT_HAND, 0) + held.get(BlankState.RESERVED, 0)
            body = event_pb2.StockMoved(
                product=product, movement=Movement.COUNTED, count=max(0, at_hand + counted - count),
                reason=f"diterima {counted}, menurut pusat {count}", operator=operator,
            )  # fmt: skip
            store.append([draft(Kind.STOCK_MOVED, 0, body)], now_ms)
    return Arrival(product, count, counted - count)


def last_at_hand(store: NodeStore, product: str, count: int) -> list[SerialRange]:
    """Ranges of so many blanks at hand, those that would be printed on last.

    Raises:
        InvalidInputError: fewer are at hand.
    """
    serials = [serial for serial, _ in Shelf(store).in_state(check_product(product), BlankState.AT_HAND)]
    if count > len(serials) or count < 1:
        raise InvalidInputError(
            f"di sini ada {len(serials)} blangko", field="--count", value=count, hint="sepe node blanks count DIR"
        )
    chosen: Iterable[str] = serials[len(serials) - count :]
    return [SerialRange(product, first, last) for first, last in SerialSet.of(chosen).ranges()]


def _unknown(shelf: Shelf, product: str, serials: SerialSet) -> SerialSet:
    return SerialSet.of(
        serial for serial in serials.serials() if shelf.state_of(product, serial) in (None, BlankState.MOVED_OUT)
    )
