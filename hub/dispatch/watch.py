"""Cards that a person at the centre must see: those that were forced, and those that are to be collected.

The merge marks a resident for the projector of cases when an event may change that (`marks`), beside those that
may hold a case. The projector brings him here, and `note` writes what the record says into two lists and tells the
offices.
"""

from __future__ import annotations

from collections.abc import Iterable

from hub.dispatch import feed
from hub.dispatch.book import entry_of_roll
from sepe import card
from sepe.codec import Columns
from sepe.events import Kind
from sepe.hlc import wall_ms_of
from sepe.resident import Resident
from sepe_io.sqlite import Connection

# Since this version of the contract, see `sepe.sync.centre.CONTRACT`.
ORDERS_CONTRACT = 2
_NIK_MAX = 10**16 - 1
_MARKS = frozenset({int(Kind.LIFE_CHANGED), int(Kind.CARD_WITHDRAWN)})
_CARD_MOVED = int(Kind.CARD_MOVED)
_LOOKED_AT = _MARKS | {_CARD_MOVED}
# Field 9 of CardMoved, a varint, true. Found elsewhere in a body it costs one needless look.
_OVERRIDE = b"\x48\x01"
# Field 14, what a supervisor waived; the two words in their order, or one of them.
_INCOMPLETE, _DUE_DAY = b"\x72\x0aincomplete", b"due_day"


def marks(columns: Columns) -> tuple[tuple[int, int], ...]:
    """(index of the event, NIK) of the residents of a frame whose cards have to be looked at.

    They are to be marked in the transaction that logs these events.
    """
    if _LOOKED_AT.isdisjoint(columns.kinds):
        return ()
    found = (
        (index, columns.niks[index])
        for index, kind in enumerate(columns.kinds)
        if kind in _MARKS or (kind == _CARD_MOVED and _is_forced(columns.bodies[index]))
    )
    return tuple((index, nik) for index, nik in found if 0 < nik <= _NIK_MAX)


def _is_forced(body: bytes) -> bool:
    # Asked of every step of every card: no loop.
    return _OVERRIDE in body or _INCOMPLETE in body or _DUE_DAY in body


def mark(connection: Connection, niks: Iterable[int]) -> None:
    """Have these residents looked at by the projector."""
    connection.executemany("INSERT OR IGNORE INTO dirty (nik) VALUES (?)", [(nik,) for nik in sorted(niks)])


def note(connection: Connection, nik: int, resident: Resident, instead: int = 0) -> None:
    """Write down a resident's forced cards and those to be collected, and tell the offices.

    Part of the caller's transaction.

    Args:
        instead: the NIK that counts instead of this one, 0 for none.
    """
    for table in ("forced_card", "recalled_card"):
        connection.execute(f"DELETE FROM {table} WHERE nik = ?", (nik,))
    connection.executemany(
        "INSERT INTO forced_card (nik, attempt, product, issue, node, serial, state, reason, at_ms, forced)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (nik, one.attempt, issue.product, issue.issue, one.node, one.serial, one.state, _why(resident, one),
             wall_ms_of(one.first.stamp), " ".join(["right"] * one.override + one.waived.split()))
            for issue in card.issues_of(resident) for one in issue.attempts if one.override or one.waived
        ],
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO recalled_card (nik, attempt, product, issue, node, serial, reason, at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (nik, one.attempt, issue.product, issue.issue, one.node, one.serial, why, wall_ms_of(one.out.stamp))
            for issue, one, why in card.to_collect(resident)
        ],
    )
    # Who holds a right without having recorded him: an officer had his card moved there.
    concerned = [
        node
        for (node,) in connection.execute(
            "SELECT node FROM right_wish WHERE nik = ? UNION SELECT holder FROM print_right WHERE nik = ?",
            (nik, nik),
        )
    ]
    feed.tell_standing(
        connection, nik, resident, [*concerned, entry_of_roll(connection, nik).holder], replaced_by=instead
    )
    owed = card.owed(resident)
    feed.take_back_orders(connection, nik, {(one.claim.version.node, one.product, one.issue) for one in owed})
    for one in owed:
        node = one.claim.version.node
        if _understands_orders(connection, node):
            feed.tell_card(
                connection, node, nik, one.product, one.issue, from_node="", reason="", by_decision=True
            )


def _understands_orders(connection: Connection, node: str) -> bool:
    """Whether this office knows what an order by an officer's decision is; an older one would print two cards."""
    row = connection.execute("SELECT contract FROM node WHERE node = ?", (node,)).fetchone()
    return row is not None and row[0] >= ORDERS_CONTRACT


def _why(resident: Resident, attempt: card.Attempt) -> str:
    """The supervisor's reason: of the first step that says the card was forced."""
    steps = sorted(
        one for one in resident.steps if one.attempt == attempt.attempt and (one.override or one.waived)
    )
    return next((one.reason for one in steps if one.reason), "")
