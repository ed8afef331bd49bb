"""What the database tells an operator in numbers, a fixed few however many offices there are."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub.engine import place
from hub.merge.store import HubStore
from hub.read import printers, status
from hub.read.status import NodeRow
from sepe.errors import SepeError
from sepe.ids import HUB_NODE
from sepe.products import PRODUCTS
from sepe_io.sqlite import Connection, translated

# A look takes 0.2 s of a core with the 14,570 machines of a nation; Prometheus asks every 15 s, perhaps twice.
AGE_S_MAX = 10.0
LINKS = ("nats", "grpc", "import")
FLAGS = ("revoked", "fork", "clock_ahead", "clock_behind", "quarantine", "silent")
CASE_KINDS = ("nik_conflict", "double_print", "blank_conflict", "same_person")


@dataclass(frozen=True, slots=True)
class PostgresState:
    """One PostgreSQL server, as an ordinary user may see it.

    Attributes:
        standby_lag_bytes: of the standby that is farthest behind, ``None`` when there is none or the user has not
            the role ``pg_monitor``.
        oldest_transaction_s: age of the oldest open transaction in this database.
        clock_ahead_s: the server's clock minus ours.
    """

    connections: int
    connections_max: int
    deadlocks: int
    standbys: int
    standby_lag_bytes: int | None
    oldest_transaction_s: float
    clock_ahead_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One look. Counts of nodes leave out those that were revoked, except ``flagged["revoked"]``.

    Attributes:
        linked: nodes heard within a quarter of an hour, by the line they last used.
        behind: nodes that told of events which the hub has not committed.
        lag_events: those events, of all nodes; ``lag_max``: the most of one node.
        behind_silent_s: seconds since the node that is behind and was not heard the longest was heard.
        skew_s_max: greatest difference of the clock of a node that is linked from ours, seconds.
        wanted: events that the hub confirmed once, cannot read now, and asks for.
        verified_ms: when something was last read back, 0 for never.
        blanks: at hand in all offices by product, as they last told; ``waiting`` and ``capacity``: cards that wait
            for nothing but a printer or a blank, and cards that printers can still make today.
    """

    engine: str
    version: str
    size_bytes: int
    disk_free_bytes: int
    disk_bytes: int
    nodes: int
    events: int
    linked: Mapping[str, int]
    flagged: Mapping[str, int]
    behind: int
    lag_events: int
    lag_max: int
    behind_silent_s: float
    skew_s_max: float
    quarantined: Mapping[str, int]
    parked: int
    cases: Mapping[str, int]
    wanted: int
    verified_ms: int
    printing: int
    waiting: int
    capacity: int
    blanks: Mapping[str, int] = field(default_factory=dict)
    postgres: PostgresState | None = None


Reader = Callable[[], Figures | None]


def reader(store: HubStore) -> Reader:
    """Reads the figures from any thread by a connection of its own, `AGE_S_MAX` at most between two looks.

    It gives ``None`` when the database cannot be read. While a look hangs, others get the one before.
    """
    lock = threading.Lock()
    last: list[tuple[float, Figures | None]] = [(float("-inf"), None)]

    def read() -> Figures | None:
        at, found = last[0]
        if time.monotonic() - at < AGE_S_MAX or not lock.acquire(blocking=False):
            return found
        try:
            found = _look(store)
        except SepeError:
            found = None
        finally:
            # By the end of the look: a slow database is asked seldom, not without a pause.
            last[0] = (time.monotonic(), found)
            lock.release()
        return found

    return read


def _look(store: HubStore) -> Figures:
    connection = store.reader()
    try:
        with translated():
            return look(connection, store.directory, now_ms=time.time_ns() // 1_000_000)
    finally:
        connection.close()


def look(connection: Connection, directory: Path, *, now_ms: int) -> Figures:
    """The figures now."""

    def one(sql: str, *values: object) -> int:
        return int(connection.execute(sql, values).fetchone()[0] or 0)

    nodes = status.nodes(connection, now_ms=now_ms)
    active = [node for node in nodes if "revoked" not in node.flags]
    heard = [node for node in active if node.last_seen_ms is not None and "silent" not in node.flags]
    behind = [node for node in active if node.lag_events]
    rooms = [room for _, _, room in printers.rooms(connection)]
    disk = shutil.disk_usage(directory)
    is_postgres = place.is_postgres(connection)
    return Figures(
        engine="postgresql" if is_postgres else "sqlite",
        version=_version(connection),
        size_bytes=place.size_bytes(directory, connection),
        disk_free_bytes=disk.free,
        disk_bytes=disk.total,
        nodes=len(active),
        events=one("SELECT SUM(durable_seq) FROM epoch WHERE node <> ?", HUB_NODE),
        linked={link: sum(node.link == link for node in heard) for link in LINKS},
        flagged=_flagged(nodes),
        behind=len(behind),
        lag_events=sum(node.lag_events for node in behind),
        lag_max=max((node.lag_events for node in behind), default=0),
        behind_silent_s=max((now_ms - (node.last_seen_ms or now_ms) for node in behind), default=0) / 1000,
        skew_s_max=max((abs(node.clock_skew_ms or 0) for node in heard), default=0) / 1000,
        quarantined=_counted(connection, "SELECT reason, COUNT(*) FROM quarantine GROUP BY reason"),
        parked=one("SELECT COUNT(*) FROM parked"),
        cases={
            **dict.fromkeys(CASE_KINDS, 0),
            **_counted(connection, "SELECT kind, COUNT(*) FROM resident_case WHERE is_open GROUP BY kind"),
        },
        wanted=one("SELECT SUM(last_seq - first_seq + 1) FROM wanted"),
        verified_ms=one("SELECT MAX(at_ms) FROM proof"),
        printing=len(rooms),
        waiting=sum(room.waiting for room in rooms),
        capacity=sum(room.capacity for room in rooms),
        # An office's word: only products that we know become names in a metric.
        blanks=_summed(((product, count) for room in rooms for product, count in room.blanks.items())),
        postgres=_postgres(connection) if is_postgres else None,
    )


def _flagged(nodes: Iterable[NodeRow]) -> dict[str, int]:
    found = Counter(
        flag for node in nodes for flag in node.flags if flag == "revoked" or "revoked" not in node.flags
    )
    return {flag: found[flag] for flag in FLAGS}


def _summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    result: Counter[str] = Counter()
    for product, count in counts:
        if product in PRODUCTS:
            result[product] += count
    return dict(result)


def _counted(connection: Connection, sql: str) -> dict[str, int]:
    return {str(name): int(count) for name, count in connection.execute(sql).fetchall()}


def _version(connection: Connection) -> str:
    if place.is_postgres(connection):
        return str(connection.native("SELECT current_setting('server_version')").fetchone()[0])
    return str(connection.execute("SELECT sqlite_version()").fetchone()[0])


def _postgres(connection: Connection) -> PostgresState:
    began = time.time()
    connections, deadlocks, connections_max, clock_s = connection.native(
        "SELECT numbackends::bigint, deadlocks::bigint, current_setting('max_connections')::bigint,"
        " EXTRACT(EPOCH FROM clock_timestamp())::float8"
        " FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    standbys, lag_bytes = connection.native(
        "SELECT COUNT(*), MAX(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint FROM pg_stat_replication"
    ).fetchone()
    oldest_s = connection.native(
        "SELECT COALESCE(EXTRACT(EPOCH FROM MAX(clock_timestamp() - xact_start)), 0)::float8"
        " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()[0]
    return PostgresState(
        int(connections), int(connections_max), int(deadlocks), int(standbys),
        None if lag_bytes is None else int(lag_bytes), max(float(oldest_s), 0.0), float(clock_s) - began,
    )  # fmt: skip
