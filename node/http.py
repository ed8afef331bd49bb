"""The office machine's small web page: is it alive, what has the centre received, what should a person do.

Counts and the node's name only. No NIK and no resident's name ever appears here, for the page has no login.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from node.attach.uploader import UploadView
from node.outbox.view import RelayView
from node.stock.supplies import Supplies
from sepe_io.web import number

REFRESH_S = 3
LINKS = ("nats", "grpc", "offline")


@dataclass(frozen=True, slots=True)
class Condition:
    """How this machine is.

    Attributes:
        storage: why nothing can be stored, ``""`` when all is well.
        prints: print jobs by state.
        oldest_pending_s: age of the oldest event that the centre has not confirmed, seconds.
        proof: what the centre last proved to hold, a line; ``""`` before the first time.
        supplies: ``None`` when they cannot be read.
    """

    node: str
    storage: str = ""
    prints: tuple[tuple[str, int], ...] = ()
    oldest_pending_s: int = 0
    proof: str = ""
    supplies: Supplies | None = None


def application(
    view: RelayView, condition: Callable[[], Condition], attachments: UploadView | None = None
) -> Starlette:
    """The routes. ``condition`` is called in a thread."""
    uploads = attachments or UploadView()
    registry = CollectorRegistry()
    registry.register(_Figures(view, uploads))

    async def healthz(_: Request) -> Response:
        # Answering at all is the answer: the event loop turns.
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        # A machine without a line is as ready as ever: recording and printing never wait for it.
        now = await asyncio.to_thread(condition)
        body = {
            "ready": not now.storage,
            "storage": now.storage or "ok",
            "link": view.link,
            "pending": view.pending,
        }
        return JSONResponse(body, status_code=503 if now.storage else 200)

    async def scrape(_: Request) -> Response:
        own = CollectorRegistry()
        own.register(_SupplyFigures((await asyncio.to_thread(condition)).supplies))
        return Response(
            generate_latest(registry) + generate_latest(own), headers={"content-type": CONTENT_TYPE_LATEST}
        )

    async def page(_: Request) -> Response:
        return HTMLResponse(render(view, await asyncio.to_thread(condition), uploads))

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape), Route("/", page)]
    )


class _Figures(Collector):
    """The views of relay and uploader as Prometheus reads them."""

    def __init__(self, view: RelayView, uploads: UploadView) -> None:
        self._view = view
        self._uploads = uploads

    def collect(self) -> Iterator[Metric]:
        view, uploads = self._view, self._uploads
        gauges = (
            ("sepe_node_last_seq", "Highest seq in the outbox.", view.last_seq),
            ("sepe_node_durable_seq", "Highest contiguous seq that the centre has committed.", view.durable_seq),
            ("sepe_node_pending_events", "Events that the centre has not confirmed.", view.pending),
            ("sepe_node_alarm", "1 while a person must look at the relay.", int(bool(view.alarm))),
            ("sepe_node_refused", "1 while the centre refuses this node.", int(bool(view.refusal))),
            ("sepe_node_attachments_pending", "Attachments that the centre does not hold.", uploads.waiting),
            ("sepe_node_attachments_pending_bytes", "Bytes of them that are to be sent.", uploads.waiting_bytes),
            ("sepe_node_attachments_refused", "Attachments that the centre does not take.", uploads.refused),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(name, text, value=value)
        link = GaugeMetricFamily("sepe_node_link", "1 for the line in use.", labels=["link"])
        for name in LINKS:
            link.add_metric([name], int(view.link == name))
        yield link
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


class _SupplyFigures(Collector):
    """Stock and printers as Prometheus reads them; nothing when they cannot be read."""

    def __init__(self, supplies: Supplies | None) -> None:
        self._supplies = supplies

    def collect(self) -> Iterator[Metric]:
        if self._supplies is None:
            return
        low = set(self._supplies.low)
        at_hand = GaugeMetricFamily("sepe_node_blanks_at_hand", "Blanks at hand.", labels=["product"])
        is_low = GaugeMetricFamily("sepe_node_blanks_low", "1 below the refill threshold.", labels=["product"])
        for product, count in self._supplies.at_hand.items():
            at_hand.add_metric([product], count)
            is_low.add_metric([product], int(product in low))
        left = GaugeMetricFamily("sepe_node_ribbon_left_cards", "Cards left on the ribbon.", labels=["printer"])
        today = GaugeMetricFamily("sepe_node_printer_cards_today", "Cards made today.", labels=["printer"])
        hot = GaugeMetricFamily("sepe_node_printer_hot", "1 when heat forbids more today.", labels=["printer"])
        for one in self._supplies.printers:
            if one.ribbon_left is not None:
                left.add_metric([one.printer], one.ribbon_left)
            today.add_metric([one.printer], one.cards_today)
            hot.add_metric([one.printer], int(one in self._supplies.hot))
        yield from (at_hand, is_low, left, today, hot)


def render(view: RelayView, condition: Condition, uploads: UploadView) -> str:
    """The page, in the operators' language."""
    facts = [
        ("Diterima pusat", f"{number(view.durable_seq)} dari {number(view.last_seq)}"),
        ("Menunggu dikirim", f"{number(view.pending)} peristiwa"),
        ("Jalur", _LINKS[view.link]),
        ("Penyimpanan", condition.storage or "baik"),
    ]
    if view.pending:
        facts.append(("Yang tertua menunggu", _age(condition.oldest_pending_s)))
    if uploads.waiting:
        facts.append(
            ("Lampiran menunggu", f"{number(uploads.waiting)} ({number(uploads.waiting_bytes // 1024)} KB)")
        )
    if condition.proof:
        facts.append(("Bukti", condition.proof))
    if condition.supplies is not None:
        facts += [(f"Blangko {product}", number(count)) for product, count in condition.supplies.at_hand.items()]
    facts += [(f"Cetak: {_PRINTS.get(state, state)}", number(count)) for state, count in condition.prints]
    notes = [text for text in (_refusal(view.refusal), _alarm(view.alarm)) if text]
    if view.link == "offline" and not notes:
        notes.append("Tidak ada jalur ke pusat. Perekaman dan pencetakan tetap jalan; kiriman menyusul sendiri.")
    return _PAGE.format(
        refresh=REFRESH_S,
        node=html.escape(condition.node),
        facts="".join(f"<div><dt>{html.escape(one)}</dt><dd>{html.escape(two)}</dd></div>" for one, two in facts),
        notes="".join(f"<p>{html.escape(note)}</p>" for note in notes),
    )


def _age(seconds: int) -> str:
    for unit, size in (("hari", 86_400), ("jam", 3_600), ("menit", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} detik"


def _refusal(reason: str) -> str:
    if not reason:
        return ""
    return f"Pusat menolak mesin ini ({reason}). {_STEPS.get(reason, 'Hubungi petugas pusat.')}"


def _alarm(alarm: str) -> str:
    return f"Perlu diperiksa petugas: {alarm}" if alarm else ""


_STEPS = {
    "unknown_node": "Minta token ke pusat, lalu jalankan `sepe node enrol DIR --token T`.",
    "unknown_key": "Kunci mesin ini belum dikenal. Minta token baru, lalu `sepe node enrol DIR --token T`.",
    "revoked": "Mesin ini dicabut oleh pusat. Hubungi petugas pusat.",
}
_LINKS = {"nats": "NATS, lancar", "grpc": "gRPC, cadangan", "offline": "putus"}
_PRINTS = {
    "waiting_due": "belum waktunya",
    "queued": "antre",
    "waiting_right": "menunggu hak cetak",
    "waiting_blank": "menunggu blangko",
    "held": "ditahan",
    "ready": "siap cetak",
    "reserved": "dikirim ke pencetak",
    "submitted": "sedang dicetak",
    "in_doubt": "ragu, periksa pencetak",
    "printed": "tercetak",
    "handed_over": "diserahkan",
    "spoiled": "rusak",
    "void": "batal",
    "failed": "gagal",
}
_PAGE = """<!doctype html>
<html lang="id"><head><meta charset="utf-8"><title>Sepe {node}</title>
<meta http-equiv="refresh" content="{refresh}"><meta name="viewport" content="width=device-width">
<style>
body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:50rem;padding:0 1rem;color:#222}}
h1{{font-size:1.4rem}} dl{{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0}}
dl div{{border:1px solid #ccc;border-radius:.4rem;padding:.4rem .8rem;min-width:8rem}}
dt{{color:#555;font-size:.85rem}} dd{{margin:0;font-size:1.2rem}}
p{{background:#fff3cd;border-radius:.4rem;padding:.5rem .8rem}}
</style></head><body>
<h1>Sepe: mesin {node}</h1>
<dl>{facts}</dl>
{notes}
</body></html>
"""
