"""What each machine last told of its printers."""

from __future__ import annotations

from hub.dispatch.overflow import Office
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


def offices(connection: Connection, product: str) -> list[Office]:
    """The machines as `hub.dispatch.overflow` wants them, for blanks of one product."""
    places = centroids()
    return [
        Office(
            node, room.waiting, room.blanks.get(product, 0), room.capacity, seen_ms, places.get(kecamatan_of(node))
        )
        for node, seen_ms, room in rooms(connection)
    ]
