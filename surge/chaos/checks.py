"""Comparing three independent accounts on the files: the desks' answers, the offices' outboxes, the hub's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.merge import digest, log
from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from hub.read.status import counts
from node.storage.store import NodeStore
from sepe.codec import chain_start
from sepe.events import Kind
from sepe.ids import HUB_NODE
from surge.check import Check


@dataclass(frozen=True, slots=True)
class _Outbox:
    """One office's own account: digest after each event of each epoch, and what is still to be received."""

    node: str
    chains: dict[bytes, list[bytes]]
    niks: set[int]
    pending: int


def judge(hub_dir: Path, node_dirs: Sequence[Path], confirmed: Iterable[str]) -> list[Check]:
    """Every check. The processes must have ended; opening the hub brings its cases up to date."""
    outboxes = [_read(folder) for folder in node_dirs]
    written = sum(len(chain) for outbox in outboxes for chain in outbox.chains.values())
    with HubStore.open(hub_dir) as store:
        logged = _read_log(store)
        held = counts(store.connection)
        before = _state(store)
        rebuild(store.connection)
        after = _state(store)
    times: Counter[str] = Counter()
    strangers = 0
    for outbox in outboxes:
        for epoch, chain in outbox.chains.items():
            ours = logged.pop((outbox.node, epoch), [])
            # One line per event that both hold alike; a different event under the same name is a stranger.
            for seq, found in ours:
                if seq <= len(chain) and chain[seq - 1] == found:
                    times[f"{outbox.node}:{epoch.hex()}:{seq}"] += 1
                else:
                    strangers += 1
    strangers += sum(len(events) for events in logged.values())
    confirmed = set(confirmed)
    return [
        Check("recordings confirmed at a desk and not at the hub", 0, sum(not times[name] for name in confirmed)),
        Check("histories begun by the offices", len(outboxes), sum(len(outbox.chains) for outbox in outboxes)),
        Check("events in the offices and at the hub", written, len(times)),
        Check("events at the hub more than once", 0, sum(count > 1 for count in times.values())),
        Check("events at the hub that no office wrote", 0, strangers),
        Check("events still waiting in an office", 0, sum(outbox.pending for outbox in outboxes)),
        Check("events folded into the hub's records", written, held.events),
        Check("residents", len(set().union(*(outbox.niks for outbox in outboxes))), held.residents),
        Check("frames in quarantine", 0, held.quarantined),
        Check("digest and counts after a rebuild from the log", before, after),
    ]


def _state(store: HubStore) -> str:
    """What the hub holds, in a line: its digest and its counts."""
    store.project()
    held = counts(store.connection)
    return f"{digest.digest(store.connection).digest[:16]}, {held.cases} cases, {held.duplicates} duplicates"


def _read(folder: Path) -> _Outbox:
    store = NodeStore.open(folder)
    try:
        chains: dict[bytes, list[bytes]] = {}
        niks: set[int] = set()
        for epoch in store.epochs():
            rows = list(store.events_after(0, epoch))
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1)), "the run is younger than the margin"
            chains[epoch] = [row.chain for row in rows]
            niks.update(row.nik for row in rows if row.kind == Kind.RECORDED)
        position = store.position()
        return _Outbox(store.node, chains, niks, position.last_seq - position.durable_seq)
    finally:
        store.close()


def _read_log(store: HubStore) -> dict[tuple[str, bytes], list[tuple[int, bytes]]]:
    """(seq, digest after it) of every event that counts, by history, in the order of the log."""
    found: dict[tuple[str, bytes], list[tuple[int, bytes]]] = {}
    for logged in log.all_frames(store.connection):
        opened = logged.open()
        header = opened.header
        if header.node == HUB_NODE:
            continue
        events = found.setdefault((header.node, header.epoch), [])
        before = header.chain_before if header.first_seq > 1 else chain_start(header.node, header.epoch)
        assert before == header.chain_before
        events += [(header.first_seq + index, opened.chains[index]) for index in range(logged.skip, header.count)]
    return found
