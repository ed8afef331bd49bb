"""What machines tell of their printers between two greetings: the room there is, and the cards left over."""

from __future__ import annotations

from sepe.dispatch.room import LEFT_CARDS_MAX
from sepe.rpc.v1 import rights_pb2
from sepe_io.sqlite import Connection

NIK_MAX = 10**16 - 1
TEXT_CHARS_MAX = 40
MS_MAX = 1 << 62


def hear(connection: Connection, node: str, told: rights_pb2.ChangesRequest, now_ms: int) -> None:
    """Write down what a machine told, in the caller's transaction; a request without it changes nothing."""
    if not told.HasField("print_room"):
        return
    connection.execute(
        "INSERT INTO print_room (node, told_ms, room) VALUES (?, ?, ?)"
        " ON CONFLICT (node) DO UPDATE SET told_ms = excluded.told_ms, room = excluded.room",
        (node, now_ms, told.print_room.SerializeToString()),
    )
    connection.execute("DELETE FROM left_card WHERE node = ?", (node,))
    connection.executemany(
        "INSERT INTO left_card (node, place, nik, product, issue, finish_ms, why) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (node, place, one.nik, one.product[:TEXT_CHARS_MAX], one.issue, min(one.finish_ms, MS_MAX),
             one.why[:TEXT_CHARS_MAX])
            for place, one in enumerate(told.left[:LEFT_CARDS_MAX])
            if 0 < one.nik <= NIK_MAX
        ],
    )  # fmt: skip
