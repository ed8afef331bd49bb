"""The hub's own history: decisions and moved rights are events like any other.

They go into the same frame log as frames of the node ``hub``, signed with the hub's key, in its own epoch, so a
rebuild finds them and another hub can take them over.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from hub.merge import log
from sepe.codec import Columns
from sepe.events import Draft
from sepe.hlc import next_stamp
from sepe.ids import EPOCH_BYTES, HUB_NODE, EventId
from sepe_io.frames import seal_frame
from sepe_io.keys import Signer
from sepe_io.sqlite import Connection


class OwnHistory:
    """Seals the hub's events. Every method runs inside the caller's write transaction."""

    def __init__(self, connection: Connection, signer: Signer) -> None:
        self._connection = connection
        self.signer = signer

    def seal(self, drafts: Sequence[Draft], now_ms: int) -> tuple[bytes, list[EventId]]:
        """The next frame of the hub's history, not logged yet. At most a frame's worth of drafts, at least one."""
        epoch = bytes(self._meta("epoch"))
        state = log.epoch_state(self._connection, HUB_NODE, epoch)
        stamp = int(self._meta("last_stamp", 0))
        rows = []
        for one in drafts:
            stamp = next_stamp(stamp, now_ms)
            rows.append((one, stamp))
        self._set_meta("last_stamp", str(stamp).encode())
        first_seq = state.durable_seq + 1
        frame = seal_frame(
            node=HUB_NODE,
            epoch=epoch,
            first_seq=first_seq,
            chain_before=state.chain,
            columns=Columns.of(rows),
            signer=self.signer,
        )
        return frame, [EventId(HUB_NODE, epoch, first_seq + index) for index in range(len(rows))]

    def open_epoch(self) -> None:
        """Begin another history: after a restore, events that the lost copy wrote may live on at another hub."""
        new_epoch(self._connection)

    def _meta(self, name: str, default: Any = None) -> Any:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return default if row is None else row[0]

    def _set_meta(self, name: str, value: bytes) -> None:
        self._connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            (name, value),
        )


def new_epoch(connection: Connection) -> None:
    """Begin another history of the hub, in the caller's transaction; see `OwnHistory.open_epoch`."""
    connection.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (secrets.token_bytes(EPOCH_BYTES),))
