"""What officers decided is to go elsewhere: cards and blanks; the newest decision on each counts.

A decision moves nothing. It says what the hub asks for and to whom a right goes once its holder has promised it
away, so that a decision which is lost, repeated, late or overtaken by another one doubles no card.
"""

from __future__ import annotations

from dataclasses import dataclass

from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

STAMP_MAX = (1 << 62) - 1
Key = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class Reroute:
    """A card is to be made elsewhere.

    Attributes:
        until_ms: when the receiving printers close; what its holder promised later goes nowhere by itself.
        stamp: of the decision.
    """

    nik: int
    product: str
    issue: int
    from_node: str
    to_node: str
    until_ms: int
    stamp: int = 0
    reason: str = ""
    officer: str = ""

    @property
    def key(self) -> Key:
        return self.nik, self.product, self.issue


@dataclass(frozen=True, slots=True)
class BlanksOrder:
    """So many blanks are to be brought from one machine to another."""

    product: str
    from_node: str
    to_node: str
    count: int
    until_ms: int
    stamp: int = 0
    reason: str = ""
    officer: str = ""


Decided = event_pb2.CardRerouted | event_pb2.BlanksOrdered

_REROUTE = "nik, product, issue, from_node, to_node, until_ms, stamp, reason, officer"
_ORDER = "product, from_node, to_node, count, until_ms, stamp, reason, officer"
# The tables that are folded from decisions: the columns of the key, and all columns.
TABLES = {
    "reroute": (("nik", "product", "issue"), _REROUTE),
    "blanks_order": (("product", "from_node", "to_node"), _ORDER),
}


def apply(connection: Connection, nik: int, stamp: int, said: Decided, prefix: str = "") -> None:
    """Fold one decision, in any order."""
    stamp = min(stamp, STAMP_MAX)
    match said:
        case event_pb2.CardRerouted():
            _upsert(
                connection, prefix, "reroute",
                (nik, said.product, said.issue, said.from_node, said.to_node, min(said.until_ms, STAMP_MAX), stamp,
                 said.reason, said.officer),
            )  # fmt: skip
        case event_pb2.BlanksOrdered():
            _upsert(
                connection, prefix, "blanks_order",
                (said.product, said.from_node, said.to_node, said.count, min(said.until_ms, STAMP_MAX), stamp,
                 said.reason, said.officer),
            )  # fmt: skip


def any_reroute(connection: Connection, now_ms: int) -> bool:
    """Whether some card is to go elsewhere still; mostly none is."""
    return connection.execute("SELECT 1 FROM reroute WHERE until_ms > ? LIMIT 1", (now_ms,)).fetchone() is not None


def reroute_of(connection: Connection, key: Key) -> Reroute | None:
    """The newest decision on one card."""
    row = connection.execute(
        f"SELECT {_REROUTE} FROM reroute WHERE nik = ? AND product = ? AND issue = ?", key
    ).fetchone()
    return None if row is None else Reroute(*row)


def reroutes(connection: Connection, *, after_ms: int = 0) -> list[Reroute]:
    """Decisions that held at some time after then, newest first."""
    rows = connection.execute(
        f"SELECT {_REROUTE} FROM reroute WHERE until_ms > ? ORDER BY stamp DESC", (after_ms,)
    )
    return [Reroute(*row) for row in rows.fetchall()]


def blanks_orders(connection: Connection, *, after_ms: int) -> list[BlanksOrder]:
    """Blanks that are to be brought, of decisions that hold at some time after then."""
    rows = connection.execute(
        f"SELECT {_ORDER} FROM blanks_order WHERE until_ms > ? AND count > 0 ORDER BY stamp DESC", (after_ms,)
    )
    return [BlanksOrder(*row) for row in rows.fetchall()]


def _upsert(connection: Connection, prefix: str, table: str, values: tuple[object, ...]) -> None:
    key, columns = TABLES[table]
    others = [name for name in columns.split(", ") if name not in key]
    connection.execute(
        f"INSERT INTO {prefix}{table} AS known ({columns}) VALUES ({', '.join('?' * len(values))})"
        f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}"
        " WHERE excluded.stamp > known.stamp",
        values,
    )
