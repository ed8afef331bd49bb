"""Printing: cards drawn per second, and from submission to a printed card over IPP.

References: one ReportLab page with one string and the same segno code (the libraries alone), and a bare
HTTP POST of the same bytes to the same printer on a socket (the transport alone). Of a replan: one `sorted`. Of
twenty printers: the driver without a ledger (`bench.printers`).
"""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date

import segno
from PIL import Image, ImageDraw, ImageFilter
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from bench import notices, printers
from node.printing.driver import Document, JobOutcome, Media, open_driver
from node.printing.render import PrintContent, qr_text, render
from sepe.dispatch.order import Queue, Waiting, ranked
from sepe.dispatch.policy import JobClass, Policy
from surge.printer import VirtualPrinter

SECONDS_EACH = 1.5
ROUNDS = 3
QUEUE_CARDS = 50_000
FIELDS = {
    "nik": "5371044101909001", "name": "MARIA TAEK", "birth_place": "KUPANG", "birth_date": "1990-01-01",
    "sex": "P", "address": "JL. EL TARI II", "rt": "003", "rw": "001", "kelurahan": "OEBUFU",
    "kecamatan": "OEBOBO", "regency": "KOTA KUPANG", "province": "NUSA TENGGARA TIMUR",
    "religion": "KATHOLIK", "marital_status": "BELUM KAWIN", "occupation": "PELAJAR/MAHASISWA",
}  # fmt: skip


def run() -> list[dict[str, object]]:
    """Rows for ``run.py bench``; a ratio over 1 means faster than the reference."""
    return [*_rendering(), *asyncio.run(_submitting()), _replanning(), *notices.run(), *printers.run()]


def _rendering() -> list[dict[str, object]]:
    pdfmetrics.registerFont(TTFont("BenchVera", "Vera.ttf"))
    card = PrintContent("ktp-el", FIELDS, "NTT-0012345", 1, "", qr_text("C0", 1), None, "KECAMATAN OEBOBO",
                        date(2024, 11, 14))  # fmt: skip
    portrait = replace(card, photo=_photo())
    paper = replace(card, product="akta-kelahiran", document_number="5371-LU-14112024-0031")

    # A different code each time: both sides would win by remembering one.
    def numbered(content: PrintContent) -> Callable[[int], object]:
        return lambda number: render(replace(content, qr_text=qr_text(f"C{number:09d}", 1)))

    cases = {
        "card": numbered(card),
        "portrait": _with_photos(portrait),
        "paper": numbered(paper),
        "library": _library_page,
    }
    best = dict.fromkeys(cases, 0.0)
    for _ in range(ROUNDS):
        for name, draw in cases.items():
            best[name] = max(best[name], _rate(draw))
    reference = "one bare ReportLab page, one string, one QR"
    return [
        _row("cards drawn, two sides", best["card"], "cards/s", reference, best["library"]),
        _row("cards drawn with photo and QR", best["portrait"], "cards/s", reference, best["library"]),
        _row("A4 papers drawn", best["paper"], "pages/s", reference, best["library"]),
    ]


def _photo(number: int = 0) -> bytes:
    """A camera's portrait: 480 x 640 pixels with the detail of a face, so that the JPEG is of ordinary size."""
    picture = Image.effect_noise((480, 640), 40).convert("RGB").filter(ImageFilter.GaussianBlur(2))
    ImageDraw.Draw(picture).ellipse((120, 140, 360, 460 + number), fill=(200, 170, 150))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def _with_photos(content: PrintContent) -> Callable[[int], object]:
    """Another person on every card: remembering one photo would be no drawing."""
    photos = [_photo(number) for number in range(32)]
    return lambda number: render(
        replace(content, qr_text=qr_text(f"C{number:09d}", 1), photo=photos[number % len(photos)])
    )


def _library_page(number: int) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(85.60 * mm, 53.98 * mm), invariant=1)
    canvas.setFont("BenchVera", 6)
    canvas.drawString(20, 20, "MARIA TAEK")
    path = canvas.beginPath()
    code = segno.make(qr_text(f"C{number:09d}", 1), error="m", mask=3, micro=False, boost_error=False)
    for y, row in enumerate(code.matrix):
        for x, dark in enumerate(row):
            if dark:
                path.rect(2 * x, 2 * y, 2, 2)
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _rate(draw: Callable[[int], object]) -> float:
    draw(0)
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS_EACH / ROUNDS:
        count += 1
        draw(count)
    return count / elapsed


def _replanning() -> dict[str, object]:
    """A whole queue put in order and made ready to be taken from, as after each change in an office."""
    dice = random.Random(1)
    kinds = list(JobClass)
    now_ms = 1_732_323_600_000
    waiting = [Waiting(job, dice.choice(kinds), now_ms - dice.randrange(10**9)) for job in range(QUEUE_CARDS)]
    times = [one.since_ms for one in waiting]
    policy, queue = Policy(), Queue()

    def took_ms(call: Callable[[], object]) -> float:
        started = time.perf_counter()
        call()
        return (time.perf_counter() - started) * 1000

    value = min(took_ms(lambda: queue.replace(ranked(waiting, policy, is_short=True))) for _ in range(9))
    bare = min(took_ms(lambda: sorted(times)) for _ in range(9))
    return {
        "name": f"a queue of {QUEUE_CARDS:,} cards replanned",
        "value": round(value, 1),
        "unit": "ms",
        "reference": "sorted() of as many bare times",
        "reference_value": round(bare, 1),
        "ratio": round(value / bare, 2),
    }


async def _submitting() -> list[dict[str, object]]:
    data = render(PrintContent("ktp-el", FIELDS, "NTT-0012345", 1, "", qr_text("C0", 1), None, "KECAMATAN OEBOBO",
                               date(2024, 11, 14)))  # fmt: skip
    async with VirtualPrinter() as printer:
        driver = open_driver(printer.url)
        host, port = printer.http_url.removeprefix("http://").split(":")

        async def submit(number: int) -> None:
            name = f"bench-{number}"
            await driver.submit(Document(name, Media.CARD, data))
            while await driver.outcome(name) is not JobOutcome.PRINTED:
                pass

        async def post(_: int) -> None:
            reader, writer = await asyncio.open_connection(host, int(port))
            # Not application/ipp, so that the printer reads the body and does nothing with it.
            head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + data)
            await reader.read()
            writer.close()

        best = {"submit": 0.0, "post": 0.0}
        for turn in range(ROUNDS):
            best["submit"] = max(best["submit"], await _rate_async(submit, first=turn * 1_000_000))
            best["post"] = max(best["post"], await _rate_async(post, first=0))
    name = "cards submitted and confirmed over IPP (pace 0)"
    return [_row(name, best["submit"], "cards/s", "bare HTTP POST of the same bytes", best["post"])]


async def _rate_async(do: Callable[[int], Awaitable[None]], *, first: int) -> float:
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS_EACH / ROUNDS:
        await do(first + count)
        count += 1
    return count / elapsed


def _row(name: str, value: float, unit: str, reference: str, reference_value: float) -> dict[str, object]:
    return {
        "name": name,
        "value": round(value, 1),
        "unit": unit,
        "reference": reference,
        "reference_value": round(reference_value, 1),
        "ratio": round(value / reference_value, 2),
    }
