"""Does the outbox still hold what was written?"""

from __future__ import annotations

from collections.abc import Iterable

from node.outbox.plan import Row
from sepe import codec
from sepe_io.sqlite import StorageDamagedError


def check_rows(chain: bytes, rows: Iterable[Row]) -> bytes:
    """Follow the chain from ``chain`` over ``rows``; return the digest at its end.

    Raises:
        StorageDamagedError: a row is missing or is not the one that was written.
    """
    before: Row | None = None
    for row in rows:
        chain = codec.chain_next(chain, row.nik, row.stamp, row.kind, row.body)
        if chain != row.chain or (before is not None and row.seq != before.seq + 1):
            raise StorageDamagedError(
                f"outbox row {row.seq} does not fit the chain of events; run `sepe node doctor`"
            )
        before = row
    return chain
