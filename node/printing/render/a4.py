"""KK, akta and SKPWNI on plain A4 of 80 g (Permendagri 109/2019), each with a QR code instead of a stamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.printing.render.art import A4_MM, flower, specimen
from node.printing.render.card import draw_portrait
from node.printing.render.content import PrintContent
from node.printing.render.fonts import BOLD, REGULAR, Face
from node.printing.render.layout import fit
from node.printing.render.pdf import BLACK, Color, Pen
from node.printing.render.qr import draw_qr
from node.printing.render.words import long_date, long_date_of, sex_word, short_date

MARGIN = 22.0
LABEL_X, COLON_X, VALUE_X = MARGIN, 76.0, 79.0
ROW_MM, LINE_MM = 7.4, 5.0
TEXT_SIZE, TEXT_SIZE_MIN = 10.5, 8.5
RULE: Color = (0.35, 0.35, 0.35)
SHADE: Color = (0.90, 0.90, 0.90)
# Left edge and width of the photo between the QR code and the signature; its height is 4/3 of the width.
PORTRAIT_AT = (72.0, 27.0)
# A KK has ten lines, used or not, so that none can be added.
MEMBERS_MAX = 10
TABLE_ROW_MM = 4.9


@dataclass(frozen=True, slots=True)
class Form:
    """A one-page document: its title, an opening sentence, rows of (label, field) and a closing sentence.

    A field written ``name|date`` is a date in words, ``name|sex`` a sex in words.
    """

    title: str
    opening: str
    rows: tuple[tuple[str, str], ...]
    closing: str
    has_photo: bool = False


PERSON = (
    ("NIK", "nik"),
    ("Nama lengkap", "name"),
    ("Jenis kelamin", "sex|sex"),
    ("Tempat lahir", "birth_place"),
    ("Tanggal lahir", "birth_date|date"),
)
REGISTERED = "Kutipan ini dikeluarkan sesuai dengan data pada register akta pencatatan sipil."

FORMS: dict[str, Form] = {
    "akta-kelahiran": Form(
        "KUTIPAN AKTA KELAHIRAN",
        "Berdasarkan register akta kelahiran, telah lahir seorang anak:",
        (*PERSON, ("Anak ke", "child_order"), ("Nama ayah", "father_name"), ("Nama ibu", "mother_name")),
        REGISTERED,
    ),
    "akta-kematian": Form(
        "KUTIPAN AKTA KEMATIAN",
        "Berdasarkan register akta kematian, telah meninggal dunia:",
        (*PERSON, ("Tempat meninggal", "event_place"), ("Tanggal meninggal", "event_date|date"),
         ("Nama ayah", "father_name"), ("Nama ibu", "mother_name")),
        REGISTERED,
    ),
    "akta-perkawinan": Form(
        "KUTIPAN AKTA PERKAWINAN",
        "Berdasarkan register akta perkawinan, telah tercatat perkawinan antara:",
        (*PERSON, ("dengan", "spouse_name"), ("NIK pasangan", "spouse_nik"),
         ("Tanggal perkawinan", "event_date|date"), ("Tempat perkawinan", "event_place"),
         ("Pemuka agama", "officiant")),
        REGISTERED,
    ),
    "akta-perceraian": Form(
        "KUTIPAN AKTA PERCERAIAN",
        "Berdasarkan register akta perceraian, telah putus perkawinan antara:",
        (*PERSON, ("dengan", "spouse_name"), ("NIK pasangan", "spouse_nik"),
         ("Pengadilan", "court"), ("Nomor putusan", "court_decision"), ("Tanggal putusan", "event_date|date")),
        REGISTERED,
    ),
    "suket": Form(
        "SURAT KETERANGAN PENGGANTI KTP-EL",
        "Menerangkan bahwa penduduk berikut telah merekam KTP-el dan kartunya belum dicetak:",
        (*PERSON, ("Alamat", "address"), ("RT", "rt"), ("RW", "rw"), ("Kelurahan/desa", "kelurahan"),
         ("Kecamatan", "kecamatan"), ("Status perkawinan", "marital_status")),
        "Berlaku sampai KTP-el diterima; surat ini ditukar dengan kartunya dan tidak dipungut biaya.",
    ),
    "biodata": Form(
        "BIODATA PENDUDUK WARGA NEGARA INDONESIA",
        "Data penduduk berikut tercatat dalam basis data kependudukan:",
        (*PERSON, ("Nomor KK", "kk"), ("Alamat", "address"), ("RT", "rt"), ("RW", "rw"),
         ("Kelurahan/desa", "kelurahan"), ("Kecamatan", "kecamatan"), ("Agama", "religion"),
         ("Status perkawinan", "marital_status"), ("Pekerjaan", "occupation")),
        "Berlaku bersama foto di bawah ini sampai KTP-el diterima; lembar ini ditukar dengan kartunya.",
        has_photo=True,
    ),
    "skpwni": Form(
        "SURAT KETERANGAN PINDAH WNI",
        "Yang bertanda tangan di bawah ini menerangkan permohonan pindah penduduk WNI:",
        (*PERSON, ("Nomor KK", "kk"), ("Alamat asal", "address"), ("Kelurahan/desa asal", "kelurahan"),
         ("Kecamatan asal", "kecamatan"), ("Alasan pindah", "move_reason"), ("Alamat tujuan", "to_address"),
         ("Kelurahan/desa tujuan", "to_kelurahan"), ("Kecamatan tujuan", "to_kecamatan"),
         ("Kabupaten/kota tujuan", "to_regency"), ("Provinsi tujuan", "to_province"),
         ("Jumlah yang pindah", "moving_count")),
        "Surat ini berlaku 100 hari sejak tanggal terbit dan KTP-el lama ditarik di daerah tujuan.",
    ),
}  # fmt: skip

# Title, width in millimetres, field.
Column = tuple[str, float, str]
KK_UPPER: tuple[Column, ...] = (
    ("No", 8, "#"), ("Nama Lengkap", 62, "name"), ("NIK", 40, "nik"), ("Jenis Kelamin", 24, "sex|sex"),
    ("Tempat Lahir", 34, "birth_place"), ("Tanggal Lahir", 24, "birth_date|short"), ("Agama", 24, "religion"),
    ("Pendidikan", 22, "education"), ("Gol. Darah", 15, "blood_type"),
)  # fmt: skip
KK_LOWER: tuple[Column, ...] = (
    ("No", 8, "#"), ("Jenis Pekerjaan", 50, "occupation"), ("Status Perkawinan", 40, "marital_status"),
    ("Hubungan Keluarga", 35, "family_role"), ("Kewarganegaraan", 28, "citizenship"),
    ("Nama Ayah", 46, "father_name"), ("Nama Ibu", 46, "mother_name"),
)  # fmt: skip


def draw_form(content: PrintContent) -> tuple[Pen, ...]:
    """An akta or a SKPWNI on one page."""
    form = FORMS[content.product]
    pen = Pen(*A4_MM)
    y = _letterhead(pen, content)
    _centered(pen, y + 13, form.title, size=15, face=BOLD)
    _centered(pen, y + 20, f"Nomor: {content.document_number or '-'}", size=10.5)
    pen.text(MARGIN, y + 33, form.opening, size=TEXT_SIZE, stretch=0.95)
    y += 44
    for label, name in form.rows:
        y = _form_row(pen, y, label, _value(content.fields, name))
    y += 4
    pen.text(MARGIN, y, form.closing, size=9.5, stretch=0.95)
    top = max(y + 12, 216.0)
    _signature(pen, content, top=top)
    if form.has_photo:
        draw_portrait(pen, content, *PORTRAIT_AT, top - 6)
    pen.place(specimen(*A4_MM))
    return (pen,)


def draw_kk(content: PrintContent) -> tuple[Pen, ...]:
    """A KK on landscape A4; a family of more than ten goes on over further pages."""
    members = content.members or (content.fields,)
    starts = range(0, len(members), MEMBERS_MAX)
    return tuple(_kk_page(content, members[start : start + MEMBERS_MAX], start) for start in starts)


def _kk_page(content: PrintContent, members: Sequence[Mapping[str, str]], start: int) -> Pen:
    width, height = A4_MM[1], A4_MM[0]
    pen = Pen(width, height)
    flower(pen, 30, 21, 9)
    pen.text(width / 2, 18, "KARTU KELUARGA", size=18, face=BOLD, align="center")
    pen.text(
        width / 2, 25.5, f"No. {content.document_number or content.text('kk')}", size=13, face=BOLD, align="center"
    )
    head = content.fields.get("head_of_family") or members[0].get("name", "-")
    left = (
        ("Nama Kepala Keluarga", head),
        ("Alamat", content.text("address")),
        ("RT/RW", f"{content.text('rt')}/{content.text('rw')}"),
        ("Kelurahan/Desa", content.text("kelurahan")),
    )
    right = (
        ("Kecamatan", content.text("kecamatan")),
        ("Kabupaten/Kota", content.text("regency")),
        ("Provinsi", content.text("province")),
        ("Tanggal Terbit", long_date(content.issued)),
    )
    for column_x, rows in ((22.0, left), (168.0, right)):
        for index, (label, value) in enumerate(rows):
            y = 38 + index * 5.2
            pen.text(column_x, y, label, size=9)
            pen.text(column_x + 40, y, ":", size=9)
            _cell_text(pen, column_x + 43, y, 88 if column_x < 100 else 64, value, size=9)
    y = _table(pen, 62.0, KK_UPPER, members, start=start)
    _table(pen, y + 4.0, KK_LOWER, members, start=start)
    draw_qr(pen, 22.0, height - 30, 24.0, content.qr_text)
    pen.text(49.0, height - 19, "Pindai kode QR untuk memeriksa keaslian dokumen ini.", size=7.5)
    pen.text(49.0, height - 15, f"Terbitan ke-{content.issue}", size=7.5)
    middle = width - 62
    pen.text(
        middle, height - 27, f"{content.text('regency')}, {long_date(content.issued)}", size=9, align="center"
    )
    pen.text(middle, height - 22.5, "KEPALA DINAS KEPENDUDUKAN DAN PENCATATAN SIPIL", size=7.5, align="center")
    pen.text(middle, height - 13, content.office, size=9, face=BOLD, align="center")
    pen.place(specimen(width, height))
    return pen


def _table(
    pen: Pen, y: float, columns: tuple[Column, ...], members: Sequence[Mapping[str, str]], *, start: int
) -> float:
    """The table with its ten lines; the y of its foot."""
    x = MARGIN
    total = sum(width for _, width, _ in columns)
    pen.rect(x, y, total, 6.0, fill=SHADE)
    foot = y + 6.0 + TABLE_ROW_MM * MEMBERS_MAX
    at = x
    for title, width, name in columns:
        set_as = fit(title, face=BOLD, width_mm=width - 1.6, size=7.5, size_min=5.5, lines_max=1, stretch=0.9)
        pen.text(at + width / 2, y + 4.1, set_as.lines[0], size=set_as.size, face=BOLD, stretch=set_as.stretch,
                 align="center")  # fmt: skip
        for index, member in enumerate(members):
            value = str(start + index + 1) if name == "#" else _value(member, name)
            _cell_text(pen, at + 0.9, y + 6.0 + TABLE_ROW_MM * (index + 0.5) + 1.1, width - 1.8, value, size=7.5)
        pen.line([(at, y), (at, foot)], color=RULE, line_mm=0.15)
        at += width
    pen.line([(at, y), (at, foot)], color=RULE, line_mm=0.15)
    for level in (y, *(y + 6.0 + TABLE_ROW_MM * index for index in range(MEMBERS_MAX + 1))):
        pen.line([(x, level), (x + total, level)], color=RULE, line_mm=0.15)
    return foot


def _letterhead(pen: Pen, content: PrintContent) -> float:
    """The office's head with a double rule; the y of the rule."""
    flower(pen, MARGIN + 9, 25, 10)
    # The flower takes the left: the lines are centred on what remains.
    middle = A4_MM[0] / 2 + 8
    heads = (
        (f"PEMERINTAH {content.text('regency').upper()}", 13.0, BOLD),
        ("DINAS KEPENDUDUKAN DAN PENCATATAN SIPIL", 12.0, BOLD),
        (f"PROVINSI {content.text('province').upper()}", 9.5, REGULAR),
    )
    for index, (text, size, face) in enumerate(heads):
        set_as = fit(text, face=face, width_mm=140, size=size, size_min=7.0, lines_max=1)
        pen.text(middle, 20 + 6.2 * index, set_as.lines[0], size=set_as.size, face=face, stretch=set_as.stretch,
                 align="center")  # fmt: skip
    pen.line([(MARGIN, 39), (A4_MM[0] - MARGIN, 39)], color=BLACK, line_mm=0.8)
    pen.line([(MARGIN, 40), (A4_MM[0] - MARGIN, 40)], color=BLACK, line_mm=0.2)
    return 40.0


def _form_row(pen: Pen, y: float, label: str, value: str) -> float:
    """One row; the y of the next."""
    pen.text(LABEL_X, y, label, size=TEXT_SIZE, stretch=0.95)
    pen.text(COLON_X, y, ":", size=TEXT_SIZE)
    set_as = fit(
        value,
        face=BOLD,
        width_mm=A4_MM[0] - MARGIN - VALUE_X,
        size=TEXT_SIZE,
        size_min=TEXT_SIZE_MIN,
        stretch=0.95,
    )
    for index, line in enumerate(set_as.lines):
        pen.text(VALUE_X, y + LINE_MM * index, line, size=set_as.size, face=BOLD, stretch=set_as.stretch)
    return y + ROW_MM + LINE_MM * (len(set_as.lines) - 1)


def _signature(pen: Pen, content: PrintContent, *, top: float) -> None:
    draw_qr(pen, MARGIN, top, 34.0, content.qr_text)
    pen.text(MARGIN, top + 40, "Pindai kode QR untuk memeriksa keaslian dokumen ini.", size=8)
    pen.text(MARGIN, top + 44.5, f"Terbitan ke-{content.issue} · dicetak pada kertas A4 80 g", size=8)
    middle = 150.0
    pen.text(middle, top + 5, f"{content.text('regency')}, {long_date(content.issued)}", size=10, align="center")
    pen.text(middle, top + 10.5, "Pejabat Pencatatan Sipil", size=10, align="center")
    set_as = fit(content.office or "-", face=BOLD, width_mm=72, size=10, size_min=8)
    for index, line in enumerate(set_as.lines):
        pen.text(middle, top + 31 + 4.6 * index, line, size=set_as.size, face=BOLD, stretch=set_as.stretch,
                 align="center")  # fmt: skip


def _cell_text(pen: Pen, x: float, y: float, width: float, text: str, *, size: float) -> None:
    set_as = fit(text, face=REGULAR, width_mm=width, size=size, size_min=size * 0.68, lines_max=1, stretch=0.95)
    pen.text(x, y, set_as.lines[0], size=set_as.size, stretch=set_as.stretch)


def _centered(pen: Pen, y: float, text: str, *, size: float, face: Face = REGULAR) -> None:
    pen.text(A4_MM[0] / 2, y, text, size=size, face=face, align="center")


def _value(fields: Mapping[str, str], name: str) -> str:
    key, _, kind = name.partition("|")
    text = " ".join(fields.get(key, "").split())
    if not text:
        return "-"
    match kind:
        case "date":
            return long_date_of(text)
        case "short":
            return short_date(text)
        case "sex":
            return sex_word(text)
    return text
