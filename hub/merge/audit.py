"""Is the hub's data whole? What ``hub doctor`` finds, each finding with the next step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from hub.engine.place import is_postgres
from hub.merge import log, registry
from hub.merge.digest import digest
from hub.merge.fold import Heads, fold_frame, write_heads
from hub.merge.schema import REBUILT
from hub.merge.store import HubStore
from sepe.codec import chain_start
from sepe.errors import PeerProtocolError
from sepe_io.frames import open_frame
from sepe_io.sqlite import Connection, wal_is_safe

DISK_FREE_BYTES_MIN = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``hint`` is the next step when it is not well."""

    check: str
    is_well: bool
    detail: str
    hint: str = ""


def audit(store: HubStore, *, deep: bool) -> Iterator[Finding]:
    """Look at everything; with ``deep`` also at every signature, chain and head: a second per 50,000 events."""
    connection = store.connection
    free = shutil.disk_usage(store.directory).free
    yield from _server(connection) if is_postgres(connection) else _file(connection)
    yield Finding("disk", free >= DISK_FREE_BYTES_MIN, f"{free >> 20} MiB free", "make room before it is full")
    broken = _broken_epochs(connection)
    yield Finding(
        "log", not broken, f"{broken} histories with a hole" if broken else "every history is whole",
        "restore from a backup; the offices send the rest",
    )  # fmt: skip
    held = connection.execute("SELECT COUNT(*) FROM quarantine").fetchone()[0]
    yield Finding("quarantine", held == 0, f"{held} frames", "sepe hub quarantine list")
    parked = connection.execute("SELECT COUNT(*) FROM parked").fetchone()[0]
    yield Finding("parked", parked == 0, f"{parked} events", "update Sepe, then: sepe hub rebuild")
    if deep:
        # One snapshot: what a running hub merges meanwhile must not look like a difference.
        connection.execute("BEGIN")
        try:
            yield from _deep(connection)
        finally:
            connection.execute("ROLLBACK")


def _file(connection: Connection) -> Iterator[Finding]:
    version = connection.execute("SELECT sqlite_version()").fetchone()[0]
    yield Finding(
        "sqlite", wal_is_safe(), f"version {version}", "below 3.51.3 the slower rollback journal is used; update"
    )
    result = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    yield Finding("database", result == "ok", result[:100], "restore from a backup; the offices send the rest")


def _server(connection: Connection) -> Iterator[Finding]:
    """What a PostgreSQL server says of itself. Its disk is its own machine's and not looked at from here."""
    version, checksums, failures = connection.native(
        "SELECT current_setting('server_version'), current_setting('data_checksums'),"
        " COALESCE((SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()), 0)"
    ).fetchone()
    yield Finding("postgresql", True, f"version {version}")
    unsafe = [
        f"{name} = {value}"
        for name in ("fsync", "full_page_writes", "synchronous_commit")
        if (value := connection.native(f"SELECT current_setting('{name}')").fetchone()[0]) in ("off", "local")
    ]
    standbys = connection.native("SELECT current_setting('synchronous_standby_names')").fetchone()[0]
    beyond = (
        f"and the loss of this server (synchronous_standby_names = {standbys})"
        if standbys
        else ("but not the loss of this server: no standby is waited for")
    )
    yield Finding(
        "durability", not unsafe, ", ".join(unsafe) or f"a commit survives a power cut, {beyond}",
        "switch it on in postgresql.conf: what the hub acknowledged, offices delete after a month",
    )  # fmt: skip
    detail = f"{failures} pages with a wrong checksum" if checksums == "on" else "page checksums are off"
    yield Finding(
        "database", failures == 0, detail,
        "restore from a pg_dump or a standby; the offices send the rest",
    )  # fmt: skip


def _broken_epochs(connection: Connection) -> int:
    """Epochs whose frames do not reach from 1 to the watermark without a gap; by the index alone."""
    return int(
        connection.execute(
            "SELECT COUNT(*) FROM epoch e WHERE e.durable_seq <>"
            " (SELECT COALESCE(SUM(last_seq - first_seq + 1 - skip), 0) FROM frame f"
            "  WHERE f.node = e.node AND f.epoch = e.epoch)"
        ).fetchone()[0]
    )


def _deep(connection: Connection) -> Iterator[Finding]:
    template = REBUILT["head"].strip().rstrip(";")
    connection.execute(template.replace("CREATE TABLE", "CREATE TEMP TABLE").format(table="audit_head"))
    chains: dict[tuple[str, bytes], bytes] = {}
    frames = bad = 0
    heads = Heads()
    for logged in log.all_frames(connection):
        frames += 1
        try:
            opened = open_frame(
                logged.data, lambda node, key: registry.public_key_of(connection, node, key, even_revoked=True)
            )
        except PeerProtocolError:
            bad += 1
            continue
        key = (opened.header.node, opened.header.epoch)
        before = opened.chains[logged.skip - 1] if logged.skip else opened.header.chain_before
        bad += before != chains.get(key, chain_start(*key))
        chains[key] = opened.header.chain_after
        fold_frame(
            heads, opened.columns, opened.chains, frame_number=logged.number, cap=logged.cap, start=logged.skip
        )
        if frames % 100 == 0:
            write_heads(connection, heads, "audit_head")
            heads = Heads()
    write_heads(connection, heads, "audit_head")
    yield Finding(
        "signatures", bad == 0, f"{frames} frames, {bad} bad", "restore from a backup; the offices send the rest"
    )
    same = digest(connection, "audit_head").digest == digest(connection).digest
    yield Finding("heads", same, "as the log says" if same else "not as the log says", "sepe hub rebuild")
