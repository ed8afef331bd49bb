"""Minutes of a destruction (berita acara pemusnahan) as an A4 PDF: which serials, why, who saw it.

They are drawn from the database whenever they are asked for and come out byte for byte the same, so a printer's
trouble or a lost sheet costs nothing. No resident is named: a spoiled card is its serial.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import date

from node.desk.day import day_of
from node.desk.old_cards import OldCards
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.ids import kecamatan_of
from sepe.products import PRODUCTS
from sepe.reprints import WITHDRAWAL_REASONS
from sepe.serials import SerialRange, SerialSet
from sepe.stock import SPOIL_REASONS
from sepe_io.regions import region_table

REASONS = {**WITHDRAWAL_REASONS, **SPOIL_REASONS}


@dataclass(frozen=True, slots=True)
class Destroyed:
    """Serials of one product that were destroyed for one reason."""

    product: str
    reason: str
    serials: SerialSet


@dataclass(frozen=True, slots=True)
class Minutes:
    """One destruction. ``entries`` are in the order of product and reason."""

    number: int
    node: str
    day: date
    witnesses: tuple[str, ...]
    operator: str
    entries: tuple[Destroyed, ...]

    @property
    def count(self) -> int:
        return sum(len(one.serials) for one in self.entries)


def minutes_of(store: NodeStore, number: int) -> Minutes:
    """The minutes with this number.

    Raises:
        InvalidInputError: there are none.
    """
    row = store.connection.execute(
        "SELECT at_ms, witnesses, operator FROM minutes WHERE number = ?", (number,)
    ).fetchone()
    if row is None:
        last = store.connection.execute("SELECT max(number) FROM minutes").fetchone()[0]
        raise InvalidInputError(
            "tidak ada berita acara dengan nomor ini", field="NUMBER", value=number,
            hint=f"Yang terakhir nomor {last}." if last else "Belum ada: sepe node blanks destroy DIR",
        )  # fmt: skip
    by_reason: dict[tuple[str, str], list[str]] = {}
    for product, reason, serial in store.connection.execute(
        "SELECT product, reason, serial FROM blank WHERE minutes = ? ORDER BY product, reason, serial", (number,)
    ):
        by_reason.setdefault((product, reason), []).append(serial)
    entries = tuple(Destroyed(*key, SerialSet.of(serials)) for key, serials in by_reason.items())
    entries += tuple(Destroyed(*key, serials) for key, serials in OldCards(store).in_minutes(number).items())
    witnesses = tuple(json.loads(row[1]))
    return Minutes(number, store.node, day_of(row[0], store.node), witnesses, str(row[2]), entries)


def draw_minutes(minutes: Minutes) -> bytes:
    """The PDF."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    from node.printing.render.words import long_date

    for name, file in (("Vera", "Vera.ttf"), ("VeraBd", "VeraBd.ttf")):
        pdfmetrics.registerFont(TTFont(name, file))
    plain = ParagraphStyle("plain", fontName="Vera", fontSize=9.5, leading=13)
    small = ParagraphStyle("small", parent=plain, fontSize=8.5, leading=11)
    head = ParagraphStyle("head", parent=plain, fontName="VeraBd", fontSize=12.5, leading=17, alignment=1)
    office = region_table().kecamatan(kecamatan_of(minutes.node))
    place = f"Kecamatan {office.district}, {office.regency}" if office else minutes.node

    def words(text: str, style: ParagraphStyle) -> Paragraph:
        return Paragraph(text.replace("&", "&amp;").replace("<", "&lt;"), style)

    rows: list[list[object]] = [["No.", "Jenis", "Nomor seri", "Banyaknya", "Alasan"]]
    for one in minutes.entries:
        for first, last in one.serials.ranges():
            run = SerialRange(one.product, first, last)
            rows.append([
                str(len(rows)), PRODUCTS[one.product].title, words(str(run), small), str(len(run.serials)),
                words(REASONS.get(one.reason, one.reason or "-"), small),
            ])  # fmt: skip
    rows.append(["", "Jumlah", "", str(minutes.count), ""])
    table = Table(rows, colWidths=[11 * mm, 36 * mm, 62 * mm, 22 * mm, 39 * mm], repeatRows=1)
    table.setStyle(TableStyle([
        ("FONT", (0, 0), (-1, -1), "Vera", 8.5), ("FONT", (0, 0), (-1, 0), "VeraBd", 8.5),
        ("FONT", (0, -1), (-1, -1), "VeraBd", 8.5), ("GRID", (0, 0), (-1, -1), 0.4, "black"),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"), ("ALIGN", (3, 1), (3, -1), "RIGHT"),
    ]))  # fmt: skip
    people = [("Petugas", minutes.operator or "-"), *(("Saksi", name) for name in minutes.witnesses)]
    signed = Table(
        [[words(f"{role}: {name}", plain), "_" * 30] for role, name in people],
        colWidths=[100 * mm, 70 * mm], rowHeights=16 * mm,
    )  # fmt: skip
    signed.setStyle(TableStyle([("FONT", (0, 0), (-1, -1), "Vera", 9), ("VALIGN", (0, 0), (-1, -1), "BOTTOM")]))
    text = (
        f"Pada hari ini, {long_date(minutes.day)}, di {place}, telah dimusnahkan {minutes.count} blangko rusak "
        "dan kartu yang ditarik, dengan nomor seri dan alasan sebagai berikut. Pemusnahan disaksikan oleh "
        "nama-nama di bawah ini."
    )
    title = f"Berita acara pemusnahan {minutes.node}/{minutes.day.year}/{minutes.number:04d}"

    def specimen(canvas: Canvas, _document: object) -> None:
        canvas.saveState()
        canvas.setFont("VeraBd", 64)
        canvas.setFillGray(0.93)
        canvas.translate(A4[0] / 2, A4[1] / 2)
        canvas.rotate(45)
        canvas.drawCentredString(0, 0, "SPECIMEN")
        canvas.restoreState()

    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=20 * mm, rightMargin=20 * mm, topMargin=20 * mm, bottomMargin=20 * mm,
        title=title, author="Sepe", invariant=1,
    )  # fmt: skip
    document.build(
        [
            words("BERITA ACARA PEMUSNAHAN BLANGKO", head),
            words(f"Nomor: {minutes.node}/{minutes.day.year}/{minutes.number:04d}", plain),
            Spacer(1, 5 * mm), words(text, plain), Spacer(1, 5 * mm), table, Spacer(1, 8 * mm), signed,
        ],
        onFirstPage=specimen, onLaterPages=specimen,
    )  # fmt: skip
    return out.getvalue()
