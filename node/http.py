"""The office machine's small web page: is it alive, what has the centre received, what should a person do.

Counts and the node's name only. No NIK and no resident's name ever appears here, for the page has no login.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from node.attach.uploader import UploadView
from node.figures import Condition, Figures
from node.outbox.view import RelayView
from sepe_io.web import number

REFRESH_S = 3


def application(
    view: RelayView, condition: Callable[[], Condition], attachments: UploadView | None = None
) -> Starlette:
    """The routes. ``condition`` is called in a thread."""
    uploads = attachments or UploadView()
    figures = Figures(view, uploads)

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
        page = figures.render(await asyncio.to_thread(condition))
        return Response(page, headers={"content-type": CONTENT_TYPE_LATEST})

    async def page(_: Request) -> Response:
        return HTMLResponse(render(view, await asyncio.to_thread(condition), uploads))

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape), Route("/", page)]
    )


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
