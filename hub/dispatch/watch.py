"""Cards that a person at the centre must see: those that were forced, and those that are to be collected.

The merge marks a resident here when an event may change that (`mark`), and the projector of cases brings those
with several cards. Either way `note` writes what the record says into two lists and tells the offices.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from hub.dispatch import feed
from hub.dispatch.book import entry_of_roll
from hub.merge import log
from sepe import card
from sepe.codec import Columns
from sepe.errors import PeerProtocolError
from sepe.events import Event, Kind
from sepe.hlc import wall_ms_of
from sepe.resident import Resident, join_all, lift
from sepe_io.sqlite import Connection, StorageDamagedError, transaction, translated

NIKS_MAX = 500
_NIK_MAX = 10**16 - 1
_MARKS = frozenset({int(Kind.LIFE_CHANGED), int(Kind.CARD_WITHDRAWN)})
_CARD_MOVED = int(Kind.CARD_MOVED)
_LOOKED_AT = _MARKS | {_CARD_MOVED}
# Field 9 of CardMoved, a varint, true. Found elsewhere in a body it costs one needless look.
_OVERRIDE = b"\x48\x01"


def marks(columns: Columns) -> tuple[tuple[int, int], ...]:
    """(index of the event, NIK) of the residents of a frame whose cards have to be looked at.

    They are to be marked in the transaction that logs these events.
    """
    if _LOOKED_AT.isdisjoint(columns.kinds):
        return ()
    found = (
        (index, columns.niks[index])
        for index, kind in enumerate(columns.kinds)
        if kind in _MARKS or (kind == _CARD_MOVED and _OVERRIDE in columns.bodies[index])
    )
    return tuple((index, nik) for index, nik in found if 0 < nik <= _NIK_MAX)


def mark(connection: Connection, niks: Iterable[int]) -> None:
    """Have the cards of these residents looked at."""
    connection.executemany("INSERT OR IGNORE INTO card_mark (nik) VALUES (?)", [(nik,) for nik in sorted(niks)])


def project(connection: Connection) -> int:
    """Look at every marked resident; return how many."""
    done = after = 0
    while True:
        with translated():
            rows = connection.execute(
                "SELECT nik FROM card_mark WHERE nik > ? ORDER BY nik LIMIT ?", (after, NIKS_MAX)
            ).fetchall()
        if not rows:
            return done
        niks = [nik for (nik,) in rows]
        with transaction(connection):
            for nik in niks:
                # A damaged frame keeps this resident marked until it is back, and nobody else.
                with suppress(StorageDamagedError):
                    note(connection, nik, _fold(log.events_of(connection, [nik])[nik]))
                    connection.execute("DELETE FROM card_mark WHERE nik = ?", (nik,))
                    done += 1
        after = niks[-1]


def note(connection: Connection, nik: int, resident: Resident) -> None:
    """Write down a resident's forced cards and those to be collected, and tell the offices.

    Part of the caller's transaction.
    """
    for table in ("forced_card", "recalled_card"):
        connection.execute(f"DELETE FROM {table} WHERE nik = ?", (nik,))
    connection.executemany(
        "INSERT INTO forced_card (nik, attempt, product, issue, node, serial, state, reason, at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (nik, one.attempt, issue.product, issue.issue, one.node, one.serial, one.state, _why(resident, one),
             wall_ms_of(one.first.stamp))
            for issue in card.issues_of(resident) for one in issue.attempts if one.override
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
    feed.tell_standing(connection, nik, resident, [*concerned, entry_of_roll(connection, nik).holder])


def _why(resident: Resident, attempt: card.Attempt) -> str:
    """The supervisor's reason: of the first step that says the card was forced."""
    steps = sorted(one for one in resident.steps if one.attempt == attempt.attempt and one.override)
    return next((one.reason for one in steps if one.reason), "")


def _fold(events: Iterable[Event]) -> Resident:
    """The record without the events that were parked when they were merged."""
    found = []
    for event in events:
        with suppress(PeerProtocolError):
            found.append(lift(event))
    return join_all(found)
