"""The hub's book of rights as it stands in the database: folded from the moves, which are events of the hub
itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hub.dispatch import moves
from sepe.codec import Columns
from sepe.errors import PeerProtocolError
from sepe.events import Kind, body_of
from sepe.rights import FENCE_MAX, HOME_FENCE, Entry, kecamatan_of
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

_KINDS = frozenset({Kind.RIGHT_MOVED, Kind.ROLL_MOVED, Kind.CARD_REROUTED, Kind.BLANKS_ORDERED})


def home_machine(connection: Connection, nik: int) -> str:
    """The first machine of the office that the NIK begins with; ``""`` when none is enrolled there."""
    kecamatan = kecamatan_of(nik)
    machines = connection.execute(
        "SELECT DISTINCT node FROM key WHERE node > ? AND node < ? AND revoked_ms IS NULL",
        (f"{kecamatan}-", f"{kecamatan}."),  # The full stop follows the hyphen in ASCII.
    ).fetchall()
    return min((node for (node,) in machines), key=lambda node: int(node[7:]), default="")


def entry_of_roll(connection: Connection, nik: int) -> Entry:
    """Who holds the rights of this NIK's roll that never moved by themselves."""
    row = connection.execute(
        "SELECT holder, fence FROM roll_right WHERE kecamatan = ?", (int(kecamatan_of(nik)),)
    ).fetchone()
    return Entry(home_machine(connection, nik), HOME_FENCE) if row is None else Entry(str(row[0]), int(row[1]))


def entry_of(connection: Connection, nik: int, product: str, issue: int) -> tuple[Entry, bool]:
    """The entry of one right, and whether it is its own or the roll's."""
    own = own_entry(connection, nik, product, issue)
    if own is not None:
        return own, True
    roll = entry_of_roll(connection, nik)
    return roll, roll.fence > HOME_FENCE


def own_entry(connection: Connection, nik: int, product: str, issue: int) -> Entry | None:
    """The entry of a right that moved by itself; ``None``: it is the roll's."""
    row = connection.execute(
        "SELECT holder, fence FROM print_right WHERE nik = ? AND product = ? AND issue = ?", (nik, product, issue)
    ).fetchone()
    return None if row is None else Entry(str(row[0]), int(row[1]))


def own_entries(connection: Connection, niks: Collection[int]) -> dict[tuple[int, str, int], Entry]:
    """The entries of every right of these residents that moved by itself."""
    if not niks:
        return {}
    marks = ", ".join("?" * len(niks))
    rows = connection.execute(
        f"SELECT nik, product, issue, holder, fence FROM print_right WHERE nik IN ({marks})", tuple(niks)
    ).fetchall()
    return {(nik, product, issue): Entry(str(holder), int(fence)) for nik, product, issue, holder, fence in rows}


def apply_frame(connection: Connection, columns: Columns, start: int, prefix: str = "") -> None:
    """Fold the moved rights of a hub's frame, in any order: the highest fence stands, ties go by stamp.

    Decisions on what is to go elsewhere are folded as well (`hub.dispatch.moves`).

    Args:
        prefix: of the tables' names, for a rebuild beside those in use.
    """
    for index in range(start, len(columns)):
        if columns.kinds[index] not in _KINDS:
            continue
        try:
            moved = body_of(columns.kinds[index], columns.bodies[index])
        except PeerProtocolError:
            continue  # Parked with its reason.
        if isinstance(moved, moves.Decided):
            moves.apply(connection, columns.niks[index], columns.stamps[index], moved, prefix)
            continue
        assert isinstance(moved, event_pb2.RightMoved | event_pb2.RollMoved)
        if moved.fence > FENCE_MAX:
            continue
        values = (moved.holder, moved.fence, min(columns.stamps[index], FENCE_MAX), moved.reason)
        if isinstance(moved, event_pb2.RightMoved):
            _upsert(
                connection, f"{prefix}print_right", "nik, product, issue",
                (columns.niks[index], moved.product, moved.issue, *values),
            )  # fmt: skip
        elif moved.kecamatan_code.isdigit():
            _upsert(connection, f"{prefix}roll_right", "kecamatan", (int(moved.kecamatan_code), *values))


def _upsert(connection: Connection, table: str, key: str, values: Iterable[object]) -> None:
    row = tuple(values)
    connection.execute(
        f"INSERT INTO {table} AS held ({key}, holder, fence, stamp, reason) VALUES ({', '.join('?' * len(row))})"
        " ON CONFLICT DO UPDATE SET holder = excluded.holder, fence = excluded.fence, stamp = excluded.stamp,"
        " reason = excluded.reason WHERE (excluded.fence, excluded.stamp) > (held.fence, held.stamp)",
        row,
    )
