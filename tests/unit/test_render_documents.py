"""What comes out of the renderer, read back: its text, its size, its QR code, its refusals."""

from __future__ import annotations

import io

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from node.printing.render import is_qr_text, qr_text, render
from node.printing.render.fonts import REGULAR
from node.printing.render.layout import STRETCH_MIN, fit
from node.printing.render.pdf import POINTS_PER_MM
from sepe.errors import InvalidInputError
from sepe.products import PRODUCTS
from tests.support.printing import FIELDS, content

PRINTED = [code for code, product in PRODUCTS.items() if product.prints]


def pages_of(pdf: bytes) -> list[str]:
    with pypdfium2.PdfDocument(pdf) as document:
        return [page.get_textpage().get_text_range().replace("\r\n", "\n") for page in document]


def bitmap_of(pdf: bytes, page: int, dpi: int = 300) -> Image.Image:
    with pypdfium2.PdfDocument(pdf) as document:
        return document[page].render(scale=dpi / 72).to_pil().convert("RGB")


@pytest.mark.parametrize("product", PRINTED)
def test_every_product_that_prints_names_its_holder_and_says_specimen(product: str) -> None:
    pages = pages_of(render(content(product)))
    assert "MARIA TAEK" in pages[0] and FIELDS["nik"] in pages[0]
    assert all("SPECIMEN" in page for page in pages)


@pytest.mark.parametrize("product", ["ktp-el", "kia"])
def test_a_card_has_two_sides_of_id_1_size(product: str) -> None:
    with pypdfium2.PdfDocument(render(content(product))) as document:
        sizes = [tuple(round(side / POINTS_PER_MM, 2) for side in page.get_size()) for page in document]
    assert sizes == [(85.60, 53.98)] * 2


@pytest.mark.parametrize("product", [code for code in PRINTED if code not in ("ktp-el", "kia")])
def test_a_paper_is_one_page_of_a4(product: str) -> None:
    with pypdfium2.PdfDocument(render(content(product))) as document:
        sizes = [sorted(round(side / POINTS_PER_MM) for side in page.get_size()) for page in document]
    assert sizes == [[210, 297]]


@pytest.mark.parametrize("product", PRINTED)
def test_the_qr_code_scans_at_300_dpi_and_holds_no_nik(product: str) -> None:
    what = content(product)
    page = 1 if product in ("ktp-el", "kia") else 0
    codes = zxingcpp.read_barcodes(bitmap_of(render(what), page))
    assert [code.text for code in codes] == [what.qr_text]
    assert is_qr_text(codes[0].text) and FIELDS["nik"] not in codes[0].text


def test_a_ktp_carries_the_lines_that_residents_know() -> None:
    front, back = pages_of(render(content()))
    for line in (
        "PROVINSI NUSA TENGGARA TIMUR", "KOTA KUPANG", "Tempat/Tgl Lahir", "KUPANG, 01-01-1990", "PEREMPUAN",
        "RT/RW", "003/001", "Kel/Desa", "OEBUFU", "Kecamatan", "OEBOBO", "Agama", "Status Perkawinan",
        "Pekerjaan", "Kewarganegaraan", "WNI", "SEUMUR HIDUP",
    ):  # fmt: skip
        assert line in front
    assert "NTT-0012345" in back and "14 November 2024" in back


def test_a_kia_under_five_has_no_photo_and_ends_on_the_fifth_birthday() -> None:
    young, older = (pages_of(render(content("kia", birth_date=day)))[0] for day in ("2022-05-06", "2014-05-06"))
    assert "06-05-2027" in young and "05-05-2031" in older
    pages = [bitmap_of(render(content("kia", birth_date=day)), 0, dpi=100) for day in ("2022-05-06", "2014-05-06")]
    has_frame = [page.getpixel((253, 100)) == (33, 74, 153) for page in pages]
    assert has_frame == [False, True]


def test_a_family_of_twelve_goes_on_over_a_second_page() -> None:
    members = tuple({"name": f"ANAK {number}", "nik": "5371044101909001"} for number in range(1, 13))
    family = content("kk")
    pages = pages_of(
        render(type(family)(**{name: getattr(family, name) for name in family.__slots__} | {"members": members}))
    )
    assert len(pages) == 2
    assert "ANAK 10" in pages[0] and "ANAK 12" in pages[1] and "ANAK 12" not in pages[0]


def test_equal_content_gives_equal_bytes() -> None:
    assert render(content()) == render(content())
    assert render(content()) != render(content(name="MARIA TAEK LAY"))


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ('YOHANES "ANIS" D\'ORNAY', 'YOHANES "ANIS" D\'ORNAY'),
        ("JOSÉ ŠULC", "JOSÉ ŠULC"),
        ("JOSE\u0301 S\u030cULC", "JOSÉ ŠULC"),
        ("ANA 👍🏽 BETO", "ANA \ufffd\ufffd BETO"),
        ("M\u0308ARIA", "M\ufffdARIA"),
        ("MARIA\u200d\u202e TAEK\ufe0f", "MARIA TAEK"),
        ("(BACK\\SLASH)", "(BACK\\SLASH)"),
        ("محمد", "\ufffd\ufffd\ufffd\ufffd"),
        ("MARIA\nTAEK\tLAY", "MARIA TAEK LAY"),
    ],
)
def test_any_name_renders_and_a_missing_glyph_is_a_box(name: str, seen: str) -> None:
    assert seen in pages_of(render(content(name=name)))[0]


@pytest.mark.parametrize("product", PRINTED)
@pytest.mark.parametrize("name", ["A" * 10_000, "A " * 5_000, "\ud7ff\uffff\U0010ffff", "\ud800", "-", ""])
def test_an_absurd_name_still_gives_a_document(product: str, name: str) -> None:
    assert len(pages_of(render(content(product, name=name)))) >= 1


def test_a_long_name_is_whole_on_two_lines() -> None:
    name = "MARIA MAGDALENA SERAFINA YOHANA FERDERIKA NDAPAOLE-LAY TAKANDJANDJI"
    front = pages_of(render(content(name=name)))[0]
    assert " ".join(name.split()) in " ".join(front.split())


def test_what_does_not_fit_two_lines_is_visibly_cut() -> None:
    fitted = fit("KATA " * 90, face=REGULAR, width_mm=38, size=5.9, size_min=4.7)
    assert len(fitted.lines) == 2 and fitted.lines[1].endswith("…")
    whole = fit("KATA " * 9, face=REGULAR, width_mm=38, size=5.9, size_min=4.7)
    assert " ".join(whole.lines) == " ".join(["KATA"] * 9)


def test_the_qr_modules_are_whole_printer_dots() -> None:
    page = bitmap_of(render(content()), 1).convert("L")
    # The topmost dark row holds the upper edge of a finder pattern, seven modules wide.
    row = next(y for y in range(150, 450) if any(page.getpixel((x, y)) < 60 for x in range(48, 340)))
    dark = [x for x in range(48, 340) if page.getpixel((x, row)) < 60]
    run = next(length for length in range(1, 300) if dark[0] + length not in dark)
    assert run % 7 == 0 and run // 7 >= 6
    # A module edge between two dots would leave a grey one; the page is 1,011.02 dots drawn on 1,012.
    assert page.getpixel((dark[0] - 1, row)) > 200 and page.getpixel((dark[0] + run, row)) > 200


@pytest.mark.parametrize("text", ["MARIA TAEK", "M" * 40, "KATA " * 30, "W" * 400, ""])
@pytest.mark.parametrize("lines_max", [1, 2])
def test_fitted_lines_never_exceed_their_width(text: str, lines_max: int) -> None:
    fitted = fit(text, face=REGULAR, width_mm=38, size=5.9, size_min=4.7, lines_max=lines_max)
    room = 38 * POINTS_PER_MM
    assert len(fitted.lines) <= lines_max and 4.7 <= fitted.size <= 5.9 and fitted.stretch >= STRETCH_MIN
    assert all(REGULAR.width(line) * fitted.size * fitted.stretch / 1000 <= room + 0.01 for line in fitted.lines)


def test_the_portrait_stands_where_the_silhouette_would() -> None:
    out = io.BytesIO()
    Image.new("RGB", (600, 800), (10, 200, 30)).save(out, "JPEG")
    card = bitmap_of(render(content(photo=out.getvalue())), 0, dpi=100)
    red, green, blue = card.getpixel((310, 140))
    assert green > 150 and red < 90 and blue < 90


def test_a_product_without_paper_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="nothing to print"):
        render(content("ikd"))


def test_a_qr_text_that_holds_the_nik_is_refused() -> None:
    what = content()
    leaky = type(what)(**{name: getattr(what, name) for name in what.__slots__} | {"qr_text": f"X{FIELDS['nik']}"})
    with pytest.raises(InvalidInputError, match="never holds the NIK"):
        render(leaky)


def test_one_wrong_character_in_a_qr_text_is_noticed() -> None:
    text = qr_text("c7q2m4x9kd", 2)
    assert is_qr_text(text) and text.startswith("SEPE:C7Q2M4X9KD:2:")
    assert not any(is_qr_text(text[:at] + "Z" + text[at + 1 :]) for at in range(5, len(text)) if text[at] != "Z")


def test_the_file_says_nothing_about_the_person_outside_its_pages() -> None:
    with pypdfium2.PdfDocument(render(content())) as document:
        said = document.get_metadata_dict()
    assert said["Title"] == "ktp-el" and "MARIA" not in str(said) and FIELDS["nik"] not in str(said)
