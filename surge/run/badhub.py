"""A hub with a planted mistake, for tests of the verdict: ``python -m surge.run.badhub MISTAKE hub run DIR …``.

The mistakes live here and never in the product. A load test that passes such a hub proves nothing about any other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hub.engine import place
from hub.ingest.writer import WriterThread
from hub.merge.store import HubStore, Outcome
from sepe_io.sqlite import Connection

SLOW_S = 1.5
# So long what was acknowledged may wait for its commit.
EARLY_S = 1.0


def slow() -> None:
    """Each batch takes a second and a half more."""
    merge = HubStore.merge

    def merge_slowly(store: HubStore, *arguments: Any, **options: Any) -> list[Outcome]:
        time.sleep(SLOW_S)
        return merge(store, *arguments, **options)

    HubStore.merge = merge_slowly  # type: ignore[assignment,method-assign]


@dataclass(slots=True)
class _Open:
    """The transaction that several batches share."""

    connection: Connection | None = None
    since: float = 0.0

    def commit(self) -> None:
        if self.connection is not None:
            self.connection.execute("COMMIT")
            self.connection = None


def ack_early() -> None:
    """Batches share a commit that comes up to a second later, and are acknowledged at once.

    It is what anybody does who finds that commits are slow. As long as the power stays, nobody notices.
    """
    gathered, call = _Open(), WriterThread.call

    @contextmanager
    def lazily(connection: Connection, nodes: Iterable[str]) -> Iterator[None]:
        if gathered.connection is None:
            connection.execute("BEGIN IMMEDIATE")
            gathered.connection, gathered.since = connection, time.monotonic()
        yield
        if time.monotonic() - gathered.since > EARLY_S:
            gathered.commit()

    async def called(thread: WriterThread, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def with_a_clean_slate() -> Any:
            if getattr(function, "__name__", "") != "merge":
                gathered.commit()
            return function(*args, **kwargs)

        return await call(thread, with_a_clean_slate)

    place.merge_transaction = lazily
    WriterThread.call = called  # type: ignore[assignment,method-assign]


MISTAKES = {"slow": slow, "ack_early": ack_early}


def command(mistake: str) -> Callable[[Sequence[object]], list[str]]:
    """How to build the command line of such a hub; for `surge.run.hubside.start_hub`."""
    return lambda words: [sys.executable, "-m", "surge.run.badhub", mistake, *map(str, words)]


if __name__ == "__main__":
    MISTAKES[sys.argv.pop(1)]()
    from surge.program import main

    main()
