"""How a hub is judged once nobody writes any more: nothing lost, nothing twice, the digest of one hub alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hub.merge.digest import digest
from hub.merge.store import HubStore
from hub.read.status import counts
from node.clock import now_ms
from surge.check import Check
from surge.drain.offices import START_MS, Backlog, enrol, frames_of

MERGE_FRAMES = 32


def held_against_one_hub(made: Sequence[Backlog], hub_dir: Path, reference: Path, events: int) -> list[Check]:
    """Compare the hub with one SQLite hub, made in ``reference``, that is given the same outboxes by hand.

    Args:
        made: all offices that sent.
        events: how many they committed.
    """
    with HubStore.open(hub_dir) as store:
        store.project()
        found, told = counts(store.connection), digest(store.connection).digest
        broken = store.connection.execute(
            "SELECT COUNT(*) FROM epoch e WHERE e.durable_seq <>"
            " (SELECT COALESCE(SUM(last_seq - first_seq + 1 - skip), 0) FROM frame f"
            "  WHERE f.node = e.node AND f.epoch = e.epoch)"
        ).fetchone()[0]
    return [
        Check("events at the hub", events, found.events),
        Check("histories that are not whole, or hold an event twice", 0, int(broken)),
        Check("frames in quarantine", 0, found.quarantined),
        Check("digest, as of one SQLite hub with the same frames", _digest_by_hand(made, reference), told),
    ]


def _digest_by_hand(made: Sequence[Backlog], directory: Path) -> str:
    with HubStore.create(directory, now_ms=START_MS) as store:
        enrol(store, made, now_ms=START_MS)
        for one in made:
            frames = list(frames_of(one, received_ms=now_ms()))
            for start in range(0, len(frames), MERGE_FRAMES):
                store.merge(frames[start : start + MERGE_FRAMES])
        store.project()
        return digest(store.connection).digest
