"""Proving ahead: while one batch is written, the next is proven in a thread beside.

Proving (decompress, signature, chain, reading each body once) is the larger half of a merge and needs nothing of
the database but the keys; writing is SQLite's or the server's work, during which Python's lock is free. So a hub
that is behind uses two cores. An idle one proves where it writes: for one frame a second thread is only a detour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Protocol

from hub.merge.arrival import Arrival, Outcome, Proven, prove
from sepe.errors import PeerProtocolError
from sepe_io.logs import logger
from sepe_io.sqlite import Connection, translated

# A batch takes the writer some fifty statements, and after each it waits for Python's lock as long as the prover
# may hold it: at the usual 5 ms that is longer than the merge itself. Switching costs microseconds.
SWITCH_S = 0.000_2

Proof = Sequence[Proven | PeerProtocolError]

_log = logger("hub.merge")


class MergingStore(Protocol):
    """What proving ahead needs of the hub's storage; `hub.merge.store.HubStore` is one."""

    def reader(self) -> Connection:
        """A second connection, for another thread."""

    def merge(self, arrivals: Sequence[Arrival], proven: Proof | None = None) -> list[Outcome]:
        """Commit a batch."""


class Prover:
    """A thread with its own connection. Used by one thread at a time; `close` it."""

    def __init__(self, reader: Callable[[], Connection]) -> None:
        self._reader = reader
        self._connection: Connection | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub-prover")
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))

    def start(self, arrivals: Sequence[Arrival]) -> Future[Proof | None]:
        """Begin to prove these. The result is for `HubStore.merge`; ``None`` when they must be proven there."""
        return self._executor.submit(self._prove, arrivals)

    def close(self) -> None:
        """Wait for what runs, and let go of the connection."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._forget()

    def _prove(self, arrivals: Sequence[Arrival]) -> Proof | None:
        try:
            with translated():
                if self._connection is None:
                    self._connection = self._reader()
                return [prove(self._connection, arrival) for arrival in arrivals]
        except Exception as exc:
            # A lost connection, or a frame that breaks us: the merge meets it again and knows what to do.
            _log.warning("proving.left_to_merge", frames=len(arrivals), error=type(exc).__name__)
            self._forget()
            return None

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def merge_ahead(store: MergingStore, batches: Iterable[Sequence[Arrival]]) -> Iterator[list[Outcome]]:
    """Merge batch after batch, each proven while the one before is written; the outcomes of each, committed.

    Raises:
        what `HubStore.merge` raises; the batches before are stored.
    """
    with closing(Prover(store.reader)) as prover:
        waiting: tuple[Sequence[Arrival], Future[Proof | None]] | None = None
        for batch in batches:
            following = batch, prover.start(batch)
            if waiting is not None:
                yield store.merge(waiting[0], waiting[1].result())
            waiting = following
        if waiting is not None:
            yield store.merge(waiting[0], waiting[1].result())
