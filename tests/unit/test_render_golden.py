"""Every kind of document against the picture of it that a person looked at.

After a wanted change: ``python -m tests.unit.test_render_golden`` draws the pictures anew; look at them before they
are committed. Small differences of a rasteriser's version are let pass, a moved line is not.
"""

from __future__ import annotations

import io
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image, ImageChops, ImageDraw

from node.printing.render import PrintContent, render
from node.printing.render.art import BLEED_MM
from node.printing.render.pdf import POINTS_PER_MM
from tests.support.printing import content

GOLDEN = Path(__file__).parent / "golden"
CARD_DPI, PAPER_DPI = 150, 60
LONG = "MARIA MAGDALENA SERAFINA YOHANA FERDERIKA NDAPAOLE-LAY TAKANDJANDJI"
# Of 255, beyond what two versions of a rasteriser make of one edge; and how many pixels may differ by more.
DIFFERENCE_MAX, PIXELS_SHARE_MAX = 48, 0.002


def portrait() -> bytes:
    picture = Image.linear_gradient("L").resize((480, 640)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((130, 150, 350, 450), fill=(198, 160, 140))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95)
    return out.getvalue()


CASES: dict[str, PrintContent] = {
    "ktp-el": content(photo=portrait()),
    "ktp-el-long": content(name=LONG, address="JL. FRANS SEDA GANG KELIMUTU LORONG 3 NO. 12 BELAKANG PASAR", occupation="WIRASWASTA"),
    "kia": content("kia", photo=portrait(), birth_date="2015-03-02", head_of_family="YOHANES TAEK", birth_certificate="5371-LU-1"),
    "kk": content("kk", head_of_family=LONG),
    "akta-kelahiran": content("akta-kelahiran", child_order="2", father_name="YOHANES TAEK", mother_name="ANA LAY"),
    "skpwni": content("skpwni", move_reason="PEKERJAAN", to_regency="KABUPATEN BELU", to_province="NUSA TENGGARA TIMUR"),
    "suket": content("suket"),
    "biodata": content("biodata", photo=portrait(), name=LONG),
}  # fmt: skip


def picture_of(case: str) -> Image.Image:
    """All pages of a document, one below the other."""
    with pypdfium2.PdfDocument(render(CASES[case])) as document:
        dpi = CARD_DPI if len(document) == 2 else PAPER_DPI
        pages = [page.render(scale=dpi / 72).to_pil().convert("RGB") for page in document]
    whole = Image.new("RGB", (pages[0].width, sum(page.height for page in pages)))
    top = 0
    for page in pages:
        whole.paste(page, (0, top))
        top += page.height
    return whole


@pytest.mark.parametrize("case", CASES)
def test_a_document_looks_as_it_did_when_somebody_looked_at_it(case: str) -> None:
    drawn = picture_of(case)
    with Image.open(GOLDEN / f"{case}.png") as golden:
        assert drawn.size == golden.size
        difference = ImageChops.difference(drawn, golden.convert("RGB")).convert("L")
    histogram = difference.histogram()
    share = sum(histogram[DIFFERENCE_MAX:]) / (drawn.width * drawn.height)
    assert share <= PIXELS_SHARE_MAX, f"{share:.2%} of the pixels of {case} differ"


def test_a_golden_picture_notices_a_line_that_moved_by_half_a_millimetre() -> None:
    drawn = picture_of("suket")
    moved = drawn.copy()
    strip = drawn.crop((0, 120, drawn.width, 160))
    moved.paste(strip, (0, 121))
    histogram = ImageChops.difference(drawn, moved).convert("L").histogram()
    assert sum(histogram[DIFFERENCE_MAX:]) / (drawn.width * drawn.height) > PIXELS_SHARE_MAX


@pytest.mark.parametrize("product", ["ktp-el", "kia"])
def test_a_cards_ground_goes_on_over_every_edge_for_printers_that_print_over_it(product: str) -> None:
    with pypdfium2.PdfDocument(render(content(product))) as document:
        for page in document:
            left, bottom, right, top = page.get_mediabox()
            trim = page.get_trimbox()
            assert page.get_cropbox() == trim and page.get_bleedbox() == page.get_mediabox()
            bleed = BLEED_MM * POINTS_PER_MM
            assert (left, bottom) == pytest.approx((-bleed, -bleed), abs=0.01)
            assert (right, top) == pytest.approx((trim[2] + bleed, trim[3] + bleed), abs=0.01)
            page.set_cropbox(left, bottom, right, top)
            seen = page.render(scale=300 / 72).to_pil().convert("RGB")
            corners = [(1, 1), (seen.width - 2, 1), (1, seen.height - 2), (seen.width - 2, seen.height - 2)]
            assert all(min(seen.getpixel(corner)) < 250 for corner in corners), "no white edge"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in CASES:
        picture_of(name).quantize(128).save(GOLDEN / f"{name}.png", optimize=True)
        print(GOLDEN / f"{name}.png")
