"""What Prometheus reads of an office machine. Counts and the states of machines only: no NIK, no name.

Every label has a fixed set of values; printers appear by their short names (an address may hold a password), and
at most `PRINTERS_MAX` of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from node.attach.uploader import UploadView
from node.outbox.view import RelayView
from node.printing.condition import Stopper
from node.printing.printers import Mode, Printer
from node.printing.spool import JobState
from node.stock.supplies import Supplies
from sepe_io.figures import gauge, gauge_by, gauges

LINKS = ("nats", "grpc", "offline")
PRINTERS_MAX = 32
CAUTIONS_MAX = 40
_CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Condition:
    """How this machine is, read from its database.

    Attributes:
        storage: why nothing can be stored, ``""`` when all is well.
        prints: print jobs by state.
        oldest_pending_s: age of the oldest event that the centre has not confirmed, seconds.
        proof: what the centre last proved to hold, a line; ``""`` before the first time.
        supplies: ``None`` when they cannot be read.
        printers: those in use.
        clock_skew_ms: our clock minus the hub's, as last heard.
        disk_free_bytes: ``None`` when it cannot be read.
        cautions: codes of what needs a person's eye (`node.desk.status.warnings`).
    """

    node: str
    storage: str = ""
    prints: tuple[tuple[str, int], ...] = ()
    oldest_pending_s: int = 0
    proof: str = ""
    supplies: Supplies | None = None
    printers: tuple[Printer, ...] = ()
    clock_skew_ms: int = 0
    disk_free_bytes: int | None = None
    database_bytes: int = 0
    cautions: tuple[str, ...] = ()


class Figures:
    """The page for Prometheus, one for each running node."""

    def __init__(self, view: RelayView, uploads: UploadView) -> None:
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._process.register(_Relay(view, uploads))

    def render(self, condition: Condition) -> bytes:
        """All figures, with the machine as it was read just now."""
        now = CollectorRegistry()
        now.register(_Machine(condition))
        return generate_latest(self._process) + generate_latest(now)


class _Relay(Collector):
    """The views of relay and uploader."""

    def __init__(self, view: RelayView, uploads: UploadView) -> None:
        self._view = view
        self._uploads = uploads

    def collect(self) -> Iterator[Metric]:
        view, uploads = self._view, self._uploads
        plain = (
            ("sepe_node_last_seq", "Highest seq in the outbox.", view.last_seq),
            ("sepe_node_durable_seq", "Highest contiguous seq that the centre has committed.", view.durable_seq),
            ("sepe_node_pending_events", "Events that the centre has not confirmed.", view.pending),
            ("sepe_node_alarm", "1 while a person must look at the relay.", int(bool(view.alarm))),
            ("sepe_node_refused", "1 while the centre refuses this node.", int(bool(view.refusal))),
            ("sepe_node_attachments_pending", "Attachments that the centre does not hold.", uploads.waiting),
            ("sepe_node_attachments_pending_bytes", "Bytes of them that are to be sent.", uploads.waiting_bytes),
            ("sepe_node_attachments_refused", "Attachments that the centre does not take.", uploads.refused),
        )
        yield from gauges(plain)
        yield gauge_by(
            "sepe_node_link", "1 for the line in use.", "link", {one: view.link == one for one in LINKS}
        )
        counters = (
            ("sepe_node_frames_sent", "Frames handed to a line.", view.frames_sent),
            ("sepe_node_sent_bytes", "Bytes of those frames.", view.bytes_sent),
            ("sepe_node_sessions", "Sessions with the hub.", view.sessions),
            ("sepe_node_line_switches", "Changes to a better line.", view.switches),
            ("sepe_node_epochs_opened", "New epochs after a restore or a clone.", view.epochs_opened),
            ("sepe_node_attachments_sent", "Attachments that became whole at the centre.", uploads.sent),
            ("sepe_node_attachment_sent_bytes", "Bytes of attachments handed to the line.", uploads.sent_bytes),
        )
        for name, text, value in counters:
            yield CounterMetricFamily(name, text, value=value)


class _Machine(Collector):
    """Storage, clock, print jobs, stock and printers."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def collect(self) -> Iterator[Metric]:
        now = self._condition
        yield gauge("sepe_node_storage_ok", "0 while nothing can be recorded.", int(not now.storage))
        if now.disk_free_bytes is not None:
            yield gauge("sepe_node_disk_free_bytes", "Free space where records are kept.", now.disk_free_bytes)
        if now.storage:
            return
        yield gauge("sepe_node_database_bytes", "Size of the database.", now.database_bytes)
        yield gauge("sepe_node_oldest_pending_seconds", "Age of the oldest unsent event.", now.oldest_pending_s)
        yield gauge("sepe_node_clock_skew_seconds", "Our clock minus the hub's.", now.clock_skew_ms / 1000)
        prints = dict(now.prints)
        yield gauge_by(
            "sepe_node_prints", "Print jobs.", "state", {one.value: prints.get(one.value, 0) for one in JobState}
        )
        # Some codes come from the hub: words of code only, and few.
        codes = sorted({code for code in now.cautions if _CODE.fullmatch(code)})[:CAUTIONS_MAX]
        yield gauge_by(
            "sepe_node_cautions", "1: a person must look: sepe node status.", "code", dict.fromkeys(codes, 1)
        )
        yield from _printers(now.printers[:PRINTERS_MAX])
        if now.supplies is not None:
            yield from _supplies(now.supplies, now.printers[:PRINTERS_MAX])


def _printers(printers: Iterable[Printer]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "sepe_node_printer_mode", "1 for what a person told it.", labels=["printer", "mode"]
    )
    for one in printers:
        for mode in Mode:
            family.add_metric([one.name, mode.value], int(one.mode is mode))
    yield family


def _supplies(supplies: Supplies, printers: Iterable[Printer]) -> Iterator[Metric]:
    low = set(supplies.low)
    yield gauge_by("sepe_node_blanks_at_hand", "Blanks at hand.", "product", supplies.at_hand)
    yield gauge_by("sepe_node_blanks_low", "1 below the refill threshold.", "product",
              {product: product in low for product in supplies.at_hand})  # fmt: skip
    left = GaugeMetricFamily("sepe_node_ribbon_left_cards", "Cards left on the ribbon.", labels=["printer"])
    today = GaugeMetricFamily("sepe_node_printer_cards_today", "Cards made today.", labels=["printer"])
    hot = GaugeMetricFamily("sepe_node_printer_hot", "1 when heat forbids more today.", labels=["printer"])
    stopped = GaugeMetricFamily("sepe_node_printer_stopped", "1 while it makes no card.", labels=["printer", "by"])
    conditions = {one.printer: one for one in supplies.printers}
    for printer in printers:
        one = conditions.get(printer.address)
        if one is None:
            continue
        if one.ribbon_left is not None:
            left.add_metric([printer.name], one.ribbon_left)
        today.add_metric([printer.name], one.cards_today)
        stoppers = one.stoppers(supplies.now_ms)
        hot.add_metric([printer.name], int(Stopper.DAY in stoppers))
        for stopper in Stopper:
            stopped.add_metric([printer.name, stopper.value], int(stopper in stoppers))
    yield from (left, today, hot, stopped)
