"""The hub's small web page: is it alive, is it ready, what does Prometheus read, what do people see.

Counts, node names and lags only. No NIK and no resident's name ever appears here, for the page has no login.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from hub.metrics import CONTENT_TYPE, Metrics
from hub.read.status import Counts, NodeRow
from sepe.errors import SepeError
from sepe_io.web import number

REFRESH_S = 5
NODES_SHOWN_MAX = 500


@dataclass(frozen=True, slots=True)
class Condition:
    """How the hub is.

    Attributes:
        storage: why nothing can be stored, ``""`` when all is well.
        nats: ``connected`` or ``down``.
        waiting_frames: frames that were received and are not merged yet.
    """

    storage: str
    nats: str
    waiting_frames: int

    @property
    def is_ready(self) -> bool:
        """Whether an office that sends now gets its acks. NATS may be down: gRPC carries then."""
        return not self.storage


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows of the database, read at ``now_ms``."""

    counts: Counts
    nodes: list[NodeRow]
    now_ms: int


def application(
    metrics: Metrics, condition: Callable[[], Condition], overview: Callable[[], Overview]
) -> Starlette:
    """The routes. ``overview`` is called in a thread."""

    async def healthz(_: Request) -> Response:
        # Answering at all is the answer: the event loop turns.
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        now = condition()
        body = {
            "ready": now.is_ready,
            "storage": now.storage or "ok",
            "nats": now.nats,
            "waiting": now.waiting_frames,
        }
        return JSONResponse(body, status_code=200 if now.is_ready else 503)

    async def scrape(_: Request) -> Response:
        metrics.stored(is_ok=condition().is_ready)
        return Response(await asyncio.to_thread(metrics.render), headers={"content-type": CONTENT_TYPE})

    async def page(_: Request) -> Response:
        try:
            shown: Overview | None = await asyncio.to_thread(overview)
        except SepeError:
            shown = None
        return HTMLResponse(render(condition(), shown))

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape), Route("/", page)]
    )


def render(condition: Condition, overview: Overview | None) -> str:
    """The page, in the operators' language."""
    nats = "tersambung" if condition.nats == "connected" else "putus, kantor memakai gRPC"
    storage = "baik" if condition.is_ready else f"terganggu: {condition.storage}"
    facts = [
        ("Penyimpanan", storage),
        ("NATS", nats),
        ("Menunggu digabung", f"{number(condition.waiting_frames)} paket"),
    ]
    rows = ""
    if overview is not None:
        counts = overview.counts
        facts += [
            ("Peristiwa", number(counts.events)),
            ("Paket", number(counts.frames)),
            ("Penduduk", number(counts.residents)),
            ("Rekam ganda", number(counts.duplicates)),
            ("Kartu", number(counts.cards)),
            ("Kasus terbuka", number(counts.cases_open)),
            ("Karantina", number(counts.quarantined)),
        ]
        rows = "".join(_node_row(node, overview.now_ms) for node in overview.nodes[:NODES_SHOWN_MAX])
    return _PAGE.format(
        refresh=REFRESH_S,
        facts="".join(f"<div><dt>{label}</dt><dd>{html.escape(value)}</dd></div>" for label, value in facts),
        rows=rows or _NO_NODES,
        count=len(overview.nodes) if overview else 0,
    )


def _node_row(node: NodeRow, now_ms: int) -> str:
    cells = (
        node.node,
        number(node.durable_seq),
        number(node.lag_events),
        node.link or "-",
        "belum pernah" if node.last_seen_ms is None else _age(now_ms - node.last_seen_ms),
        ", ".join(_FLAGS.get(flag, flag) for flag in node.flags),
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _age(age_ms: int) -> str:
    seconds = max(age_ms, 0) // 1000
    for unit, size in (("hari", 86_400), ("jam", 3_600), ("menit", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} lalu"
    return f"{seconds} detik lalu"


_FLAGS = {
    "revoked": "dicabut",
    "fork": "riwayat bercabang",
    "clock_ahead": "jam terlalu cepat",
    "clock_behind": "jam terlambat",
    "quarantine": "ada karantina",
    "silent": "tidak terdengar",
}
_NO_NODES = '<tr><td colspan="6">Belum ada kantor yang terdaftar.</td></tr>'
_PAGE = """<!doctype html>
<html lang="id"><head><meta charset="utf-8"><title>Sepe: pusat</title>
<meta http-equiv="refresh" content="{refresh}"><meta name="viewport" content="width=device-width">
<style>
body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}}
h1{{font-size:1.4rem}} dl{{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0}}
dl div{{border:1px solid #ccc;border-radius:.4rem;padding:.4rem .8rem;min-width:8rem}}
dt{{color:#555;font-size:.85rem}} dd{{margin:0;font-size:1.2rem}}
table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}}
</style></head><body>
<h1>Sepe: pusat</h1>
<dl>{facts}</dl>
<h2>Kantor ({count})</h2>
<table><thead><tr><th>Mesin</th><th>Diterima</th><th>Tertinggal</th><th>Jalur</th><th>Terakhir terlihat</th>
<th>Tanda</th></tr></thead><tbody>{rows}</tbody></table>
</body></html>
"""
