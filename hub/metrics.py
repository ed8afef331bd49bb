"""What Prometheus reads of a hub. Counts and seconds only: no NIK, no name, no node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Arrival(Protocol):
    @property
    def via(self) -> str: ...


class _Outcome(Protocol):
    @property
    def events_merged(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def judgement(self) -> object: ...


class Metrics:
    """One registry per hub, so that two hubs in one process (a test) do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._frames = Counter(
            "sepe_hub_frames", "Frames by transport and verdict", ["via", "verdict"], registry=self.registry
        )
        self._events = Counter("sepe_hub_events_merged", "Events merged", ["via"], registry=self.registry)
        self._deferred = Counter(
            "sepe_hub_frames_deferred", "Frames answered with 'later'", registry=self.registry
        )
        self._merge_seconds = Histogram(
            "sepe_hub_merge_seconds", "Time of one merged batch, commit included", registry=self.registry
        )
        self._queue_frames = Gauge("sepe_hub_queue_frames", "Frames that wait", registry=self.registry)
        self._queue_bytes = Gauge("sepe_hub_queue_bytes", "Bytes that wait", registry=self.registry)
        self._greetings = Counter(
            "sepe_hub_greetings", "Greetings by transport and verdict", ["via", "verdict"], registry=self.registry
        )
        self.nats_connected = Gauge("sepe_hub_nats_connected", "1 while NATS is there", registry=self.registry)
        self.broker_restarts = Gauge(
            "sepe_hub_broker_restarts", "Restarts of the embedded nats-server", registry=self.registry
        )
        self.consumers_remade = Counter(
            "sepe_hub_consumers_remade", "JetStream consumers made again", registry=self.registry
        )

    def merged(self, arrivals: Sequence[_Arrival], outcomes: Sequence[_Outcome], seconds: float) -> None:
        """Count one committed batch."""
        self._merge_seconds.observe(seconds)
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            verdict = getattr(outcome.judgement, "value", None) or outcome.reason or "refused"
            self._frames.labels(arrival.via, verdict).inc()
            if outcome.events_merged:
                self._events.labels(arrival.via).inc(outcome.events_merged)

    def deferred(self, frames: int) -> None:
        self._deferred.inc(frames)

    def queue(self, frames: int, size: int) -> None:
        self._queue_frames.set(frames)
        self._queue_bytes.set(size)

    def greeted(self, via: str, verdict: str) -> None:
        self._greetings.labels(via, verdict).inc()

    def render(self) -> bytes:
        """The page that Prometheus scrapes."""
        return generate_latest(self.registry)
