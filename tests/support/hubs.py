"""Real hub stores for tests: made, nodes let in, frames delivered until all is merged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hub.merge.registry import add_key
from hub.merge.store import Arrival, HubStore, Outcome
from sepe_io.sqlite import transaction
from tests.support.world import START_MS, Node

ROUNDS_MAX = 100


def new_hub(
    directory: Path, nodes: Iterable[Node] = (), *, is_durable: bool = True, database: str = ""
) -> HubStore:
    """A hub that knows these nodes. Without durability it skips fsync: for tests that kill nothing."""
    store = HubStore.create(directory, now_ms=START_MS, database=database)
    if not is_durable and database:
        store.connection.native("SET synchronous_commit = off")
    elif not is_durable:
        store.connection.execute("PRAGMA synchronous=OFF")
    let_in(store, nodes)
    return store


def let_in(store: HubStore, nodes: Iterable[Node]) -> None:
    """Make the nodes' keys known."""
    with transaction(store.connection):
        for node in nodes:
            add_key(store.connection, node.name, node.signer.public_key, now_ms=START_MS)


def arrivals(frames: Iterable[bytes], *, via: str = "nats", received_ms: int = START_MS) -> list[Arrival]:
    return [Arrival(frame, via, received_ms) for frame in frames]


def send(
    store: HubStore, frames: Iterable[bytes], *, via: str = "nats", received_ms: int = START_MS
) -> list[Outcome]:
    """One batch."""
    return store.merge(arrivals(frames, via=via, received_ms=received_ms))


def settle(store: HubStore, frames: Sequence[bytes], nodes: Sequence[Node], *, batch: int = 3) -> None:
    """Deliver all frames again and again, as they lie, until the hub holds every event of every node."""
    for _ in range(ROUNDS_MAX):
        for start in range(0, len(frames), batch):
            send(store, frames[start : start + batch])
        if all(durable_seq(store, node) == node.last_seq for node in nodes):
            store.project()
            return
    raise AssertionError("the hub does not come to hold everything")


def durable_seq(store: HubStore, node: Node) -> int:
    row = store.connection.execute(
        "SELECT durable_seq FROM epoch WHERE node = ? AND epoch = ?", (node.name, node.epoch)
    ).fetchone()
    return 0 if row is None else int(row[0])


def count(store: HubStore, sql: str, *values: object) -> int:
    """One number."""
    return int(store.connection.execute(sql, values).fetchone()[0] or 0)
