"""A standby takes over: what was confirmed is there when it is synchronous, and nobody is told of what is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub.merge.audit import audit
from hub.merge.digest import digest
from hub.merge.store import HubStore
from sepe.errors import TransientError
from surge.lab.postgres import LabPostgres, lab_postgres, standby_of
from tests.support.hubs import durable_seq, new_hub, send
from tests.support.world import Node, nik_of, recorded

NAME = "537104-1"
HANGS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def servers() -> Iterator[tuple[LabPostgres, LabPostgres]]:
    """The first, and its synchronous standby."""
    with lab_postgres() as first, standby_of(first, "second") as second:
        first.native("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (second)'")
        first.native("SELECT pg_reload_conf()")
        until(lambda: first.native("SELECT sync_state FROM pg_stat_replication") == [("sync",)])
        yield first, second


def until(holds: object, timeout_s: float = 20) -> None:
    assert callable(holds)
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def deafen(second: LabPostgres) -> None:
    """The standby hears nothing more of the first server."""
    second.native("ALTER SYSTEM SET primary_conninfo = ''")
    second.native("SELECT pg_reload_conf()")
    until(lambda: not second.native("SELECT 1 FROM pg_stat_wal_receiver WHERE pid IS NOT NULL"))


def test_nobody_is_told_of_a_commit_that_the_standby_has_not_and_after_the_failover_it_is_merged_again(
    servers: tuple[LabPostgres, LabPostgres], tmp_path: Path
) -> None:
    first, second = servers
    node = Node(NAME)
    node.write(*(recorded(nik_of(number)) for number in range(40)))
    frames = list(node.frames(10))
    both = f"postgresql://sepe@/sepe?host={first.folder},{second.folder}&target_session_attrs=read-write"
    with new_hub(tmp_path / "hub", [node], database=both) as store:
        said = next(one.detail for one in audit(store, deep=False) if one.check == "durability")
        assert "the loss of this server (synchronous_standby_names" in said
        send(store, frames[:1])
        deafen(second)
        with ThreadPoolExecutor(1) as beside:
            # Whoever cancels the wait makes PostgreSQL say "done", with a warning. To us it is not done.
            beside.submit(cancelled_when_it_hangs, first)
            with pytest.raises(TransientError, match="not yet at the synchronous standby"):
                send(store, frames[1:2])
            assert durable_seq(store, node) == 20, "it is stored at the first server alone"
            # The first server dies while a commit waits.
            merging = threading.Thread(target=lost, args=(store, frames[2:3]))
            merging.start()
            until(lambda: first.native(HANGS))
            first.stop()
            merging.join(20)
        second.promote()
        deadline = time.monotonic() + 20
        while not is_merged(store, frames):
            assert time.monotonic() < deadline
        assert durable_seq(store, node) == 40
        store.project()
        told = digest(store.connection).digest
    with new_hub(tmp_path / "other", [node]) as store:
        send(store, frames)
        store.project()
        assert digest(store.connection).digest == told


def cancelled_when_it_hangs(server: LabPostgres) -> None:
    until(lambda: server.native(HANGS))
    server.native(f"SELECT pg_cancel_backend(pid) FROM ({HANGS}) AS waiting")


def lost(store: HubStore, frames: list[bytes]) -> None:
    with pytest.raises(TransientError):
        send(store, frames)


def is_merged(store: HubStore, frames: list[bytes]) -> bool:
    """All frames again, as offices send what was not confirmed."""
    try:
        send(store, frames)
    except TransientError:
        return False
    return True
