"""What Prometheus reads of a hub and of a worker. Counts and seconds only: no NIK, no name, no node.

Every label has a fixed set of values, so the page has the same few hundred lines for one office and for 7,285:
transports, verdicts and reasons of our own code, products, and at most `PARTITIONS_MAX` partitions. Whatever else
comes (a reason that a later version wrote into the database) is counted as ``other``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.read.figures import Figures, PostgresState, Reader
from sepe_io.figures import gauge, gauge_by, gauges

# A second series of each counter, with its birthday, that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
# Why a frame was not merged, or a greeting not answered: the reasons of PeerProtocolError, and those of the hub.
REASONS = frozenset(
    {
        "bad_chain", "bad_proof", "bad_signature", "forbidden_kind", "fork", "merge_error", "oversized_event",
        "oversized_frame", "retired_key", "revoked", "unknown_key", "unknown_kind", "unknown_node",
        "unreadable_frame", "unreadable_header", "unreadable_hello", "unreadable_payload", "wrong_sender",
    }
)  # fmt: skip
# From one quick commit to one that a disk in trouble holds up.
_MERGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Arrival(Protocol):
    @property
    def via(self) -> str: ...

    @property
    def data(self) -> bytes: ...


class _Outcome(Protocol):
    @property
    def events_merged(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def judgement(self) -> object: ...


@dataclass(slots=True)
class PipeState:
    """What the broker last told of the stream and of the partitions that this process takes.

    Attributes:
        messages, size: what the stream holds: frames that were merged too, until newer ones push them out.
        replicas, replicas_current: copies of the stream, and those of them that have everything.
        waiting: frames of a partition that were not handed out yet; ``unacked``: handed out and not settled.
    """

    messages: int = 0
    size: int = 0
    replicas: int = 1
    replicas_current: int = 1
    waiting: dict[int, int] = field(default_factory=dict)
    unacked: dict[int, int] = field(default_factory=dict)


class Metrics:
    """One registry per hub, so that two hubs in one process (a test) do not share counts."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._frames = Counter(
            "sepe_hub_frames", "Frames by transport and verdict.", ["via", "verdict"], registry=registry
        )
        self._frame_bytes = Counter("sepe_hub_frame_bytes", "Bytes of judged frames.", ["via"], registry=registry)
        self._refused = Counter(
            "sepe_hub_frames_refused", "Frames put in quarantine, by reason.", ["reason"], registry=registry
        )
        # From 0 on: the rate of a series that begins with 1 is 0, and the first refusal would be told to nobody.
        for reason in (*REASONS, OTHER):
            self._refused.labels(reason)
        self._events = Counter("sepe_hub_events_merged", "Events merged.", ["via"], registry=registry)
        self._deferred = Counter("sepe_hub_frames_deferred", "Frames answered with 'later'.", registry=registry)
        self._merge_seconds = Histogram(
            "sepe_hub_merge_seconds", "Time of one merged batch, commit included.", buckets=_MERGE_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._queue_frames = Gauge("sepe_hub_queue_frames", "Frames that wait in this process.", registry=registry)
        self._queue_bytes = Gauge("sepe_hub_queue_bytes", "Bytes that wait in this process.", registry=registry)
        self._greetings = Counter(
            "sepe_hub_greetings", "Greetings by transport and verdict.", ["via", "verdict"], registry=registry
        )
        self._storage_ok = Gauge("sepe_hub_storage_ok", "0 while nothing can be stored.", registry=registry)
        self._storage_ok.set(1)
        self.nats_connected = Gauge("sepe_hub_nats_connected", "1 while NATS is there.", registry=registry)
        self._broker_restarts = Counter(
            "sepe_hub_broker_restarts", "Restarts of the embedded nats-server.", registry=registry
        )
        self._broker_restarts_known = 0
        self.consumers_remade = Counter(
            "sepe_hub_consumers_remade", "JetStream consumers made again.", registry=registry
        )
        self.pipe = PipeState()
        registry.register(_PipeFigures(self.pipe))

    def add_figures(self, read: Reader) -> None:
        """Export what the database holds too. One process of a hub does, else the sums would be counted twice."""
        self.registry.register(_DatabaseFigures(read))

    def merged(self, arrivals: Sequence[_Arrival], outcomes: Sequence[_Outcome], seconds: float) -> None:
        """Count one committed batch."""
        self._merge_seconds.observe(seconds)
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            judged = getattr(outcome.judgement, "value", None)
            refusal = outcome.reason if judged is None else ("fork" if judged == "fork" else "")
            self._frames.labels(arrival.via, judged or "refused").inc()
            self._frame_bytes.labels(arrival.via).inc(len(arrival.data))
            if refusal or judged is None:
                self._refused.labels(known_reason(refusal)).inc()
            if outcome.events_merged:
                self._events.labels(arrival.via).inc(outcome.events_merged)

    def deferred(self, frames: int) -> None:
        """Count frames that were answered with "later"."""
        self._deferred.inc(frames)

    def queue(self, frames: int, size: int) -> None:
        """Tell what waits in this process now."""
        self._queue_frames.set(frames)
        self._queue_bytes.set(size)

    def greeted(self, via: str, verdict: str) -> None:
        """Count a greeting."""
        self._greetings.labels(via, verdict).inc()

    def stored(self, *, is_ok: bool) -> None:
        """Tell whether frames can be stored."""
        self._storage_ok.set(int(is_ok))

    def broker_restarted(self, times: int) -> None:
        """Tell how often the embedded nats-server was started again so far."""
        self._broker_restarts.inc(max(times - self._broker_restarts_known, 0))
        self._broker_restarts_known = times

    def render(self) -> bytes:
        """The page that Prometheus scrapes. Reads the database: call it in a thread."""
        return generate_latest(self.registry)


def known_reason(reason: str) -> str:
    """``reason`` itself when it is one of ours, else `OTHER`: labels must not grow with what peers send."""
    return reason if reason in REASONS else OTHER


class _PipeFigures(Collector):
    """The stream and its consumers."""

    def __init__(self, state: PipeState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state = self._state
        yield gauge("sepe_hub_stream_messages", "Frames that the JetStream stream holds.", state.messages)
        yield gauge("sepe_hub_stream_bytes", "Bytes that the JetStream stream holds.", state.size)
        yield gauge("sepe_hub_stream_replicas", "Copies that the stream should have.", state.replicas)
        yield gauge("sepe_hub_stream_replicas_current", "Copies that have everything.", state.replicas_current)
        for name, text, counts in (
            ("sepe_hub_partition_waiting_frames", "Frames in JetStream not handed out yet.", state.waiting),
            ("sepe_hub_partition_unacked_frames", "Frames handed out and not settled yet.", state.unacked),
        ):
            yield gauge_by(name, text, "partition", {str(number): counts[number] for number in sorted(counts)})


class _DatabaseFigures(Collector):
    """What `hub.read.figures` read last."""

    def __init__(self, read: Reader) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering shall not read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        found = self._read()
        yield gauge("sepe_hub_database_up", "1 while the database can be read.", int(found is not None))
        if found is None:
            return
        info = InfoMetricFamily("sepe_hub_database", "The engine of the database.")
        info.add_metric([], {"engine": found.engine, "version": found.version})
        yield info
        yield from gauges(_plain(found))
        quarantined = dict.fromkeys((*sorted(REASONS), OTHER), 0)
        for reason, count in found.quarantined.items():
            quarantined[known_reason(reason)] += count
        yield gauge_by("sepe_hub_quarantined_frames", "Frames in quarantine.", "reason", quarantined)
        yield gauge_by("sepe_hub_nodes_linked", "Nodes heard within 15 minutes, by line.", "link", found.linked)
        yield gauge_by("sepe_hub_nodes_flagged", "Nodes with something amiss.", "flag", found.flagged)
        yield gauge_by("sepe_hub_open_cases", "Cases that an officer must decide.", "kind", found.cases)
        yield gauge_by("sepe_hub_blanks_at_hand", "Blanks in all offices, as they told.", "product", found.blanks)
        if found.postgres is not None:
            yield from _postgres(found.postgres)


def _plain(found: Figures) -> tuple[tuple[str, str, float], ...]:
    return (
        ("sepe_hub_database_bytes", "Size of the database.", found.size_bytes),
        ("sepe_hub_disk_free_bytes", "Free space where the hub's directory is.", found.disk_free_bytes),
        ("sepe_hub_disk_bytes", "Size of that disk.", found.disk_bytes),
        ("sepe_hub_events", "Events of offices in the log.", found.events),
        ("sepe_hub_nodes", "Office machines that may send.", found.nodes),
        ("sepe_hub_nodes_behind", "Machines that told of events which are not here.", found.behind),
        ("sepe_hub_lag_events", "Events that machines told of and that are not here.", found.lag_events),
        ("sepe_hub_lag_max_events", "The most of them at one machine.", found.lag_max),
        (
            "sepe_hub_behind_unheard_seconds",
            "Since when the machine that is behind and longest unheard was not heard.",
            found.behind_silent_s,
        ),
        (
            "sepe_hub_nodes_clock_skew_max_seconds",
            "Greatest difference of a linked machine's clock from ours.",
            found.skew_s_max,
        ),
        ("sepe_hub_parked_events", "Events that this version cannot read.", found.parked),
        ("sepe_hub_wanted_events", "Events confirmed once, unreadable now, asked for.", found.wanted),
        (
            "sepe_hub_verified_timestamp_seconds",
            "When the log was last read back, 0 for never.",
            found.verified_ms / 1000,
        ),
        ("sepe_hub_printing_nodes", "Machines that told of printers.", found.printing),
        ("sepe_hub_waiting_cards", "Cards that wait for a printer or a blank.", found.waiting),
        ("sepe_hub_card_capacity", "Cards that printers can still make today.", found.capacity),
    )


def _postgres(state: PostgresState) -> Iterator[Metric]:
    rows = (
        ("sepe_hub_postgres_connections", "Connections to the hub's database.", state.connections),
        ("sepe_hub_postgres_connections_limit", "Connections that the server allows.", state.connections_max),
        ("sepe_hub_postgres_standbys", "Standbys that are connected.", state.standbys),
        (
            "sepe_hub_postgres_oldest_transaction_seconds",
            "Age of the oldest open transaction.",
            state.oldest_transaction_s,
        ),
        ("sepe_hub_postgres_clock_ahead_seconds", "The server's clock minus ours.", state.clock_ahead_s),
    )
    yield from gauges(rows)
    yield CounterMetricFamily("sepe_hub_postgres_deadlocks", "Deadlocks that were ended.", value=state.deadlocks)
    if state.standby_lag_bytes is not None:
        yield gauge(
            "sepe_hub_postgres_standby_lag_bytes",
            "Write-ahead log the last standby lacks.",
            state.standby_lag_bytes,
        )
