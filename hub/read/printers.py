"""What each machine last told of its printers, and what officers decided about their cards since."""

from __future__ import annotations

from collections import Counter

from hub.dispatch import moves
from hub.dispatch.book import entry_of
from hub.dispatch.overflow import Office
from sepe.hlc import wall_ms_of
from sepe.ids import kecamatan_of
from sepe.wire.v1 import sync_pb2
from sepe_io.regions import centroids
from sepe_io.sqlite import Connection


def rooms(connection: Connection) -> list[tuple[str, int, sync_pb2.PrintRoom]]:
    """(machine, when by the hub's clock, what it told) of each that prints and is not shut out, by name."""
    rows = connection.execute(
        "SELECT p.node, p.told_ms, p.room FROM print_room p JOIN node n ON n.node = p.node"
        " WHERE n.revoked_ms IS NULL ORDER BY p.node"
    ).fetchall()
    return [(str(node), int(told_ms), sync_pb2.PrintRoom.FromString(bytes(room))) for node, told_ms, room in rows]


def offices(connection: Connection, product: str, now_ms: int) -> list[Office]:
    """The machines as `hub.dispatch.overflow` wants them, for blanks of one product.

    What was decided after a machine told of its queue counts as if it had told it since, so that a plan which is
    applied twice moves nothing more.
    """
    places = centroids()
    told = rooms(connection)
    waiting = _decided_since(connection, {node: told_ms for node, told_ms, _ in told}, product, now_ms)
    blanks = _ordered_since(connection, {node: told_ms for node, told_ms, _ in told}, product, now_ms)
    return [
        Office(
            node, max(0, room.waiting + waiting[node]), max(0, room.blanks.get(product, 0) + blanks[node]),
            room.capacity, told_ms, places.get(kecamatan_of(node)),
        )
        for node, told_ms, room in told
    ]  # fmt: skip


def _decided_since(connection: Connection, told_ms: dict[str, int], product: str, now_ms: int) -> Counter[str]:
    """How many cards more, or fewer, wait at each machine than it told."""
    found: Counter[str] = Counter()
    for one in moves.reroutes(connection, after_ms=now_ms):
        if one.product != product:
            continue
        entry, _ = entry_of(connection, *one.key)
        if entry.holder == one.to_node:
            row = connection.execute(
                "SELECT stamp FROM print_right WHERE nik = ? AND product = ? AND issue = ?", one.key
            ).fetchone()
            moved_ms = wall_ms_of(row[0]) if row else 0
            found[one.from_node] -= moved_ms > told_ms.get(one.from_node, 0)
            found[one.to_node] += moved_ms > told_ms.get(one.to_node, 0)
        elif entry.holder == one.from_node and not _is_kept(connection, one.key):
            found[one.from_node] -= 1
            found[one.to_node] += 1
    return found


def _ordered_since(connection: Connection, told_ms: dict[str, int], product: str, now_ms: int) -> Counter[str]:
    """How many blanks more, or fewer, each machine will have than it told."""
    found: Counter[str] = Counter()
    for one in moves.blanks_orders(connection, after_ms=now_ms):
        if one.product == product:
            at_ms = wall_ms_of(one.stamp)
            found[one.from_node] -= one.count * (at_ms > told_ms.get(one.from_node, 0))
            found[one.to_node] += one.count * (at_ms > told_ms.get(one.to_node, 0))
    return found


def _is_kept(connection: Connection, key: moves.Key) -> bool:
    row = connection.execute(
        "SELECT kept FROM right_ask WHERE nik = ? AND product = ? AND issue = ?", key
    ).fetchone()
    return row is not None and bool(row[0])
