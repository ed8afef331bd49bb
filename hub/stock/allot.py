"""Giving numbered blanks to offices, in ranges: an event of the hub, so that every copy of the log knows it."""

from __future__ import annotations

from hub.merge import registry
from hub.merge.store import HubStore
from hub.stock import on_way
from hub.stock.index import stock_books
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.ids import HUB_NODE, EventId, check_node
from sepe.serials import SerialRange, SerialSet
from sepe.stock import BLANK_PRODUCTS, Movement, StockBooks
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import transaction


def allot(
    store: HubStore, node: str, serials: SerialRange, *, reason: str = "", officer: str = "", now_ms: int
) -> EventId:
    """Give a range to a node; it is in transit until the node receives it, and the node hears that it comes.

    Raises:
        InvalidInputError: no such node or product, no range, or a serial that is somewhere already; nothing is
            given.
    """
    check_node(node)
    if not registry.is_enrolled(store.connection, node):
        raise InvalidInputError(
            "this node is not enrolled", field="--node", value=node, hint="`sepe hub nodes DIR` lists them."
        )
    if serials.product not in BLANK_PRODUCTS:
        raise InvalidInputError(
            "only these are printed on numbered blanks", field="--product", value=serials.product,
            hint=", ".join(BLANK_PRODUCTS),
        )  # fmt: skip
    wanted = SerialSet.between(serials.first, serials.last)
    for where, taken in _taken(stock_books(store), serials.product):
        if both := wanted & taken:
            raise InvalidInputError(
                f"a serial is given once; these are {where} already", field="--first", value=str(both),
                hint="`sepe hub blanks where DIR SERIAL` shows a serial's way.",
            )  # fmt: skip
    body = event_pb2.StockMoved(
        product=serials.product, movement=Movement.ALLOTTED, first_serial=serials.first, last_serial=serials.last,
        count=len(wanted), reason=reason, other_node=node, operator=officer,
    )  # fmt: skip
    with transaction(store.connection):
        on_way.allotted(store.connection, node, serials.product, serials.first, serials.last)
        return store.append_in_transaction([draft(Kind.STOCK_MOVED, 0, body)], now_ms)[0]


def _taken(books: StockBooks, product: str) -> list[tuple[str, SerialSet]]:
    at = [(f"at {one.node}", one.claimed) for one in books.machines if one.product == product]
    under_way = [
        (f"allotted to {one.receiver}" if one.sender == HUB_NODE else f"on the way to {one.receiver}", one.serials)
        for one in books.transits
        if one.product == product
    ]
    return at + under_way
