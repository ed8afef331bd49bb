"""KTP-el and KIA at ID-1: the front a person knows, the back with QR, serial and office."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from node.printing.render.art import (
    BLEED_MM,
    CARD_MM,
    KIA_GROUND,
    KTP_GROUND,
    PHOTO_GROUND,
    card_ground,
    flower,
    silhouette,
    specimen,
)
from node.printing.render.content import PrintContent
from node.printing.render.fonts import BOLD, REGULAR
from node.printing.render.layout import fit
from node.printing.render.pdf import Color, Pen
from node.printing.render.photo import framed
from node.printing.render.qr import draw_qr
from node.printing.render.words import long_date, parsed_date, sex_word, short_date
from sepe.products import KIA_PHOTO_AGE_YEARS, KTP_AGE_YEARS, birthday, kia_has_photo

INK: Color = (0.05, 0.08, 0.16)
LABEL_X, COLON_X, VALUE_X = 3.4, 22.4, 23.9
PHOTO_X, PHOTO_Y, PHOTO_W, PHOTO_H = 63.6, 13.4, 18.6, 24.8
TEXT_SIZE, TEXT_SIZE_MIN = 5.9, 4.7
TEXT_STRETCH = 0.92
ROWS_TOP, ROWS_FOOT = 18.3, 51.3
ROW_MM_MAX = 3.05


@dataclass(frozen=True, slots=True)
class Row:
    """A label and its value; ``aside`` is a second pair on the same line (blood group beside sex)."""

    label: str
    value: str
    aside: str = ""
    is_indented: bool = False
    lines_max: int = 1


def draw_ktp(content: PrintContent) -> tuple[Pen, Pen]:
    """Front and back of a KTP-el."""
    pen = _front(content, KTP_GROUND, title="")
    rows = (
        Row("Nama", content.text("name"), lines_max=2),
        Row("Tempat/Tgl Lahir", _born(content)),
        Row("Jenis Kelamin", sex_word(content.text("sex")), aside=f"Gol. Darah : {content.text('blood_type')}"),
        Row("Alamat", content.text("address"), lines_max=2),
        *_place_rows(content),
        Row("Agama", content.text("religion")),
        Row("Status Perkawinan", content.text("marital_status")),
        Row("Pekerjaan", content.text("occupation")),
        Row("Kewarganegaraan", content.fields.get("citizenship") or "WNI"),
        Row("Berlaku Hingga", "SEUMUR HIDUP"),
    )
    _draw_rows(pen, rows, right=PHOTO_X - 1.2)
    _draw_portrait(pen, content)
    pen.place(specimen(*CARD_MM))
    return pen, _back(content, KTP_GROUND, "KARTU TANDA PENDUDUK ELEKTRONIK")


def draw_kia(content: PrintContent) -> tuple[Pen, Pen]:
    """Front and back of a KIA; under five it has no photo and the text takes its room."""
    born = parsed_date(content.text("birth_date"))
    has_photo = born is None or kia_has_photo(born, content.issued)
    pen = _front(content, KIA_GROUND, title="KARTU IDENTITAS ANAK")
    rows = (
        Row("Nama", content.text("name"), lines_max=2),
        Row("Tempat/Tgl Lahir", _born(content)),
        Row("Jenis Kelamin", sex_word(content.text("sex")), aside=f"Gol. Darah : {content.text('blood_type')}"),
        Row("No. KK", content.text("kk")),
        Row("Nama Kep. Keluarga", content.text("head_of_family"), lines_max=2),
        Row("No. Akta Kelahiran", content.text("birth_certificate")),
        Row("Agama", content.text("religion")),
        Row("Kewarganegaraan", content.fields.get("citizenship") or "WNI"),
        Row("Alamat", content.text("address"), lines_max=2),
        *_place_rows(content),
        Row("Berlaku Hingga", _kia_end(born, content.issued)),
    )
    _draw_rows(pen, rows, right=PHOTO_X - 1.2 if has_photo else CARD_MM[0] - 3.4)
    if has_photo:
        _draw_portrait(pen, content)
    else:
        pen.text(CARD_MM[0] - 3.4, 51.3, _issued_line(content), size=4.6, color=INK, align="right", stretch=0.9)
    pen.place(specimen(*CARD_MM))
    return pen, _back(content, KIA_GROUND, "KARTU IDENTITAS ANAK")


def _front(content: PrintContent, ground: tuple[Color, Color], *, title: str) -> Pen:
    pen = Pen(*CARD_MM, bleed_mm=BLEED_MM)
    pen.place(card_ground(ground, is_back=False))
    middle = CARD_MM[0] / 2
    heads = [f"PROVINSI {content.text('province')}", content.text("regency"), *([title] if title else [])]
    size, step, top = (7.6, 3.3, 4.7) if len(heads) == 2 else (6.2, 2.6, 4.0)
    for index, head in enumerate(heads):
        set_as = fit(head.upper(), face=BOLD, width_mm=78, size=size, size_min=5.0, lines_max=1)
        y = top + step * index
        pen.text(middle, y, set_as.lines[0], size=set_as.size, face=BOLD, color=INK, align="center",
                 stretch=set_as.stretch)  # fmt: skip
    pen.text(LABEL_X, 14.2, "NIK", size=8.2, face=BOLD, color=INK)
    pen.text(13.2, 14.2, ":", size=8.2, face=BOLD, color=INK)
    pen.text(15.4, 14.2, content.text("nik"), size=10.4, face=BOLD, color=INK, stretch=0.95)
    return pen


def _place_rows(content: PrintContent) -> tuple[Row, ...]:
    return (
        Row("RT/RW", f"{content.text('rt')}/{content.text('rw')}", is_indented=True),
        Row("Kel/Desa", content.text("kelurahan"), is_indented=True),
        Row("Kecamatan", content.text("kecamatan"), is_indented=True),
    )


def _draw_rows(pen: Pen, rows: tuple[Row, ...], *, right: float) -> None:
    width = right - VALUE_X
    values = [
        fit(row.value, face=REGULAR, width_mm=width - (16.5 if row.aside else 0), size=TEXT_SIZE,
            size_min=TEXT_SIZE_MIN, lines_max=row.lines_max, stretch=TEXT_STRETCH)
        for row in rows
    ]  # fmt: skip
    # A wrapped value's second line needs less than a row; the rows share what is left.
    wrapped = sum(len(one.lines) - 1 for one in values)
    step = min(ROW_MM_MAX, (ROWS_FOOT - ROWS_TOP) / (len(rows) - 1 + 0.8 * wrapped))
    y = ROWS_TOP
    for row, value in zip(rows, values, strict=True):
        label_x = LABEL_X + (2.2 if row.is_indented else 0)
        pen.text(label_x, y, row.label, size=TEXT_SIZE, color=INK, stretch=0.86)
        pen.text(COLON_X, y, ":", size=TEXT_SIZE, color=INK)
        if row.aside:
            pen.text(right, y, row.aside, size=TEXT_SIZE, color=INK, stretch=0.86, align="right")
        for index, line in enumerate(value.lines):
            y += 0.8 * step if index else 0
            pen.text(VALUE_X, y, line, size=value.size, color=INK, stretch=value.stretch)
        y += step


def _draw_portrait(pen: Pen, content: PrintContent) -> None:
    draw_portrait(pen, content, PHOTO_X, PHOTO_W, PHOTO_Y)
    middle = PHOTO_X + PHOTO_W / 2
    place = fit(content.text("regency"), face=REGULAR, width_mm=PHOTO_W + 1, size=5.2, size_min=4.0, stretch=0.9)
    for index, line in enumerate((*place.lines, f"{content.issued:%d-%m-%Y}")):
        pen.text(middle, PHOTO_Y + PHOTO_H + 3.1 + 2.4 * index, line, size=place.size, color=INK,
                 stretch=place.stretch, align="center")  # fmt: skip


def draw_portrait(pen: Pen, content: PrintContent, x: float, width: float, y: float) -> None:
    """The photo in its frame, or a silhouette where there is none; the height is 4/3 of the width."""
    height = width * PHOTO_H / PHOTO_W
    if content.photo is None:
        born = parsed_date(content.text("birth_date"))
        # Red behind odd birth years, blue behind even ones, as on Indonesian portraits.
        ground = PHOTO_GROUND["red" if born is None or born.year % 2 else "blue"]
        silhouette(pen, x, y, width=width, height=height, ground=ground)
    else:
        pen.image(x, y, width, height, framed(content.photo, width_mm=width, height_mm=height))
    pen.frame(x, y, width, height, color=INK, line_mm=0.1)


def _back(content: PrintContent, ground: tuple[Color, Color], title: str) -> Pen:
    pen = Pen(*CARD_MM, bleed_mm=BLEED_MM)
    pen.place(card_ground(ground, is_back=True))
    pen.text(CARD_MM[0] / 2, 6.0, "REPUBLIK INDONESIA", size=8.2, face=BOLD, color=INK, align="center")
    pen.text(CARD_MM[0] / 2, 9.6, title, size=6.4, face=BOLD, color=INK, align="center")
    draw_qr(pen, 4.0, 13.0, 25.0, content.qr_text)
    pen.text(4.0 + 12.5, 40.6, "Pindai untuk memeriksa", size=4.6, color=INK, stretch=0.88, align="center")
    flower(pen, 77.5, 43.5, 4.6)
    lines = (
        ("No. Seri Kartu", content.card_serial or "-"),
        ("Terbitan ke", str(content.issue)),
        ("Tanggal cetak", long_date(content.issued)),
        ("Dicetak oleh", content.office or "-"),
    )
    y = 17.0
    for label, value in lines:
        pen.text(33.0, y, label, size=5.2, color=INK, stretch=0.9)
        set_as = fit(value, face=BOLD, width_mm=48, size=6.6, size_min=5.0, stretch=0.95)
        for line in set_as.lines:
            y += 2.9
            pen.text(33.0, y, line, size=set_as.size, face=BOLD, color=INK, stretch=set_as.stretch)
        y += 3.5
    pen.text(4.0, 47.4, "Bila menemukan kartu ini, mohon serahkan ke kantor kecamatan terdekat.",
             size=4.8, color=INK, stretch=0.9)  # fmt: skip
    pen.text(
        4.0, 50.0, "Pelayanan administrasi kependudukan tidak dipungut biaya.", size=4.8, color=INK, stretch=0.9
    )
    pen.place(specimen(*CARD_MM))
    return pen


def _born(content: PrintContent) -> str:
    return f"{content.text('birth_place')}, {short_date(content.text('birth_date'))}"


def _issued_line(content: PrintContent) -> str:
    return f"{content.text('regency')}, {content.issued:%d-%m-%Y}"


def _kia_end(born: date | None, issued: date) -> str:
    """The fifth birthday for those under five, else the day before the seventeenth."""
    if born is None:
        return "-"
    fifth = birthday(born, KIA_PHOTO_AGE_YEARS)
    end = fifth if issued < fifth else birthday(born, KTP_AGE_YEARS) - timedelta(days=1)
    return f"{end:%d-%m-%Y}"
