"""The attachments of this machine as rows: what each is, whether it is sealed, how far the hub holds it.

| state | Means | Goes on when |
|---|---|---|
| plain | only the plain file exists | the hub's sealing key is known: sealed |
| sealed | the sealed file waits, or is on its way | the hub holds it all: sent; it does not want it: refused |
| sent | the hub holds it and opened it | the hub lost it: sealed (or plain) again |
| refused | the hub does not take it; ``reason`` says why | the hub asks for it: sealed again |

The plain file is there for the printer and goes by its own rule (`node.attach.retention`), so each row says of
both files whether they still exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.storage.store import NodeStore
from sepe.attach import SEALING_BYTES
from sepe_io.sqlite import translated

PLAIN, SEALED, SENT, REFUSED = "plain", "sealed", "sent", "refused"
SEALING_KEY = "sealing_key"
# How many that the hub asks for are nowhere on this machine.
MISSING_KEY = "attachments_missing"
_COLUMNS = "sha256, kind, bytes, state, sealed_sha256, sealed_bytes, acked_bytes, has_plain, reason"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One row.

    Attributes:
        sha256: of the plain file; ``size`` is its own.
        sealed_sha256: empty while there is no sealed file.
        acked_bytes: how much of the sealed file the hub said it holds, as last noted; the hub's own word counts.
    """

    sha256: bytes
    kind: str
    size: int
    state: str
    sealed_sha256: bytes
    sealed_bytes: int
    acked_bytes: int
    has_plain: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the hub does not hold yet: how many, how many bytes of them; and how many it refused."""

    count: int
    waiting_bytes: int
    refused: int


class Shelf:
    """The rows of one open store; as the store, for one thread at a time."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._connection = store.connection

    def add(self, sha256: bytes, kind: str, size: int, now_ms: int) -> None:
        """A file was taken, in the transaction of the event that names it. Taken again, its plain file is back."""
        self._connection.execute(
            "INSERT INTO attachment (sha256, kind, bytes, recorded_ms) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (sha256) DO UPDATE SET has_plain = 1, recorded_ms = excluded.recorded_ms, "
            "state = IIF(state = 'refused' AND NOT sealed_bytes, 'plain', state)",
            (sha256, kind, size, now_ms),
        )

    def of(self, sha256: bytes) -> Attachment | None:
        """The row of a plain digest."""
        found = self._rows("WHERE sha256 = ?", sha256)
        return found[0] if found else None

    def unsealed(self, key_id: bytes, limit: int) -> list[Attachment]:
        """What is to be sealed to the key of this id: it is not sealed, or to another key and did not arrive."""
        return self._rows(
            "WHERE has_plain AND state <> 'sent' AND (state = 'plain' OR key_id <> ?) "
            "ORDER BY recorded_ms LIMIT ?",
            key_id,
            limit,
        )

    def due(self, limit: int) -> list[Attachment]:
        """What to send next: what was begun, then the oldest."""
        return self._rows("WHERE state = 'sealed' ORDER BY acked_bytes = 0, recorded_ms, sha256 LIMIT ?", limit)

    def sealed(self, sha256: bytes, sealed_sha256: bytes, sealed_bytes: int, key_id: bytes) -> None:
        """The sealed file is on the disk."""
        self._change(
            "state = 'sealed', sealed_sha256 = ?, sealed_bytes = ?, key_id = ?, acked_bytes = 0, reason = ''",
            sha256, sealed_sha256, sealed_bytes, key_id,
        )  # fmt: skip

    def unseal(self, sha256: bytes, reason: str) -> None:
        """The sealed file is gone or worth nothing: seal again, if the plain file is there to seal."""
        self._change(
            "state = IIF(has_plain, 'plain', 'refused'), sealed_sha256 = x'', sealed_bytes = 0, acked_bytes = 0, "
            "reason = ?",
            sha256, reason,
        )  # fmt: skip

    def acked(self, sha256: bytes, held: int) -> None:
        """The hub holds the first ``held`` bytes of the sealed file."""
        self._change("acked_bytes = ?", sha256, held)

    def sent(self, sha256: bytes, now_ms: int) -> None:
        """The hub holds it and has opened it."""
        self._change("state = 'sent', sent_ms = ?, acked_bytes = sealed_bytes, reason = ''", sha256, now_ms)

    def refused(self, sha256: bytes, reason: str) -> None:
        """The hub does not take it."""
        self._change("state = 'refused', acked_bytes = 0, reason = ?", sha256, reason)

    def wanted(self, sha256s: Iterable[bytes]) -> int:
        """The hub lacks these: what was sent or refused is to be sent again, as far as a file of it is left."""
        again = 0
        with self._store.transaction():
            for sha256 in sha256s:
                again += self._connection.execute(
                    "UPDATE attachment SET state = IIF(sealed_bytes, 'sealed', 'plain'), acked_bytes = 0, "
                    "reason = '' WHERE sha256 = ? AND state IN ('sent', 'refused') "
                    "AND (sealed_bytes OR has_plain)",
                    (sha256,),
                ).rowcount
        return again

    def waiting(self) -> Waiting:
        """Counts for the status."""
        with translated():
            row = self._connection.execute(
                "SELECT count(*), coalesce(sum(IIF(state = 'plain', bytes + ?, sealed_bytes - acked_bytes)), 0) "
                "FROM attachment WHERE state IN ('plain', 'sealed')",
                (SEALING_BYTES,),
            ).fetchone()
            refused = self._connection.execute(
                "SELECT count(*) FROM attachment WHERE state = 'refused'"
            ).fetchone()
        return Waiting(row[0], row[1], refused[0])

    def sealing_key(self) -> bytes:
        """The hub's public sealing key, empty before this machine has heard it."""
        return bytes.fromhex(self._store.get(SEALING_KEY) or "")

    # Retention, see node.attach.retention

    def plain_before(self, recorded_ms: int) -> list[bytes]:
        """Digests of plain files from before then that are not all there is of them."""
        return self._digests("WHERE has_plain AND state <> 'plain' AND recorded_ms < ?", recorded_ms)

    def plain_removed(self, sha256: bytes) -> None:
        self._change("has_plain = 0", sha256)

    def sent_files(self) -> list[tuple[bytes, bytes, int, int]]:
        """(digest, sealed digest, bytes, sent_ms) of sealed files that the hub holds too, oldest first."""
        with translated():
            rows = self._connection.execute(
                "SELECT sha256, sealed_sha256, sealed_bytes, sent_ms FROM attachment "
                "WHERE state = 'sent' AND sealed_bytes ORDER BY sent_ms, sha256"
            )
            return [(bytes(one), bytes(two), size, sent_ms) for one, two, size, sent_ms in rows]

    def sealed_removed(self, sha256: bytes) -> None:
        self._change("sealed_sha256 = x'', sealed_bytes = 0, acked_bytes = 0", sha256)

    def is_sealed_name(self, sealed_sha256: bytes) -> bool:
        """Whether a sealed file of this digest belongs to a row."""
        return bool(self._rows("WHERE sealed_sha256 = ?", sealed_sha256))

    def all(self) -> list[Attachment]:
        """Every row, for an examination."""
        return self._rows("ORDER BY sha256")

    def _rows(self, where: str, *arguments: object) -> list[Attachment]:
        with translated():
            rows: Sequence[tuple[bytes, str, int, str, bytes, int, int, int, str]] = self._connection.execute(
                f"SELECT {_COLUMNS} FROM attachment {where}", arguments
            ).fetchall()
        return [
            Attachment(
                bytes(sha256), kind, size, state, bytes(sealed), sealed_bytes, acked, bool(has_plain), reason
            )
            for sha256, kind, size, state, sealed, sealed_bytes, acked, has_plain, reason in rows
        ]

    def _digests(self, where: str, *arguments: object) -> list[bytes]:
        return [row.sha256 for row in self._rows(where, *arguments)]

    def _change(self, assignment: str, sha256: bytes, *values: object) -> None:
        with self._store.transaction():
            self._connection.execute(f"UPDATE attachment SET {assignment} WHERE sha256 = ?", (*values, sha256))
