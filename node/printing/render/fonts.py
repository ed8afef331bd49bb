"""The two faces on every document: Bitstream Vera, which ReportLab ships and whose licence lets it travel.

Both are embedded whole and unchanged (the licence wants a changed font renamed) and addressed by glyph
number, so that any character which has a glyph prints and any other prints as the font's empty box: a name
is never silently altered.
"""

from __future__ import annotations

import unicodedata
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import reportlab
from reportlab.pdfbase.ttfonts import TTFontFace

FOLDER = Path(reportlab.__file__).parent / "fonts"
BOX = 0
BOX_WIDTH = 600
# Joiners, direction marks and variation selectors draw nothing by themselves.
INVISIBLE = frozenset({"Cf", "Cc"})


@dataclass(frozen=True)
class Face:
    """A font as the PDF needs it. Widths are thousandths of the font size."""

    key: str
    file: str
    postscript_name: str

    @cached_property
    def _parsed(self) -> TTFontFace:
        return TTFontFace(str(FOLDER / self.file))

    @cached_property
    def glyphs(self) -> dict[int, int]:
        """Glyph number by character code."""
        return dict(sorted(self._parsed.charToGlyph.items()))

    @cached_property
    def _advance(self) -> dict[str, float]:
        widths = self._parsed.charWidths
        return {chr(code): float(widths[code]) for code in self.glyphs if code in widths}

    @cached_property
    def _hex(self) -> dict[str, str]:
        return {chr(code): f"{glyph:04X}" for code, glyph in self.glyphs.items()}

    def width(self, text: str) -> float:
        """Advance of ``text`` at size 1000."""
        advance = self._advance
        return sum([advance.get(char, BOX_WIDTH) for char in text])

    def hex(self, text: str) -> str:
        """``text`` as the hexadecimal glyph string of a ``Tj``."""
        glyph = self._hex
        return "".join([glyph.get(char, "0000") for char in text])

    def objects(self, first: int) -> list[bytes]:
        """The five PDF objects of this font; the first, numbered ``first``, is the one to refer to."""
        face = self._parsed
        box = " ".join(f"{value:.0f}" for value in face.bbox)
        packed = zlib.compress((FOLDER / self.file).read_bytes(), 9)
        cmap = zlib.compress(self._to_unicode().encode(), 9)
        length = (FOLDER / self.file).stat().st_size
        return [
            f"<</Type/Font/Subtype/Type0/BaseFont/{self.postscript_name}/Encoding/Identity-H"
            f"/DescendantFonts[{first + 1} 0 R]/ToUnicode {first + 4} 0 R>>".encode(),
            f"<</Type/Font/Subtype/CIDFontType2/BaseFont/{self.postscript_name}/CIDToGIDMap/Identity"
            f"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/DW {BOX_WIDTH}"
            f"/W[{self._widths()}]/FontDescriptor {first + 2} 0 R>>".encode(),
            f"<</Type/FontDescriptor/FontName/{self.postscript_name}/Flags 4/FontBBox[{box}]/ItalicAngle 0"
            f"/Ascent {face.ascent:.0f}/Descent {face.descent:.0f}/CapHeight {face.capHeight:.0f}"
            f"/StemV {face.stemV:.0f}/FontFile2 {first + 3} 0 R>>".encode(),
            f"<</Filter/FlateDecode/Length {len(packed)}/Length1 {length}>>stream\n".encode()
            + packed
            + b"\nendstream",
            f"<</Filter/FlateDecode/Length {len(cmap)}>>stream\n".encode() + cmap + b"\nendstream",
        ]

    def _widths(self) -> str:
        advance = {self.glyphs[ord(char)]: width for char, width in self._advance.items()}
        return " ".join(f"{glyph}[{width:.0f}]" for glyph, width in sorted(advance.items()))

    def _to_unicode(self) -> str:
        # Glyph to character, so that text can be copied, searched and tested; the box is U+FFFD.
        pairs = {BOX: 0xFFFD} | {glyph: code for code, glyph in reversed(self.glyphs.items()) if glyph}
        lines = [f"<{glyph:04X}><{code:04X}>" for glyph, code in sorted(pairs.items())]
        # A bfchar section takes at most 100 entries (PDF 32000-1, 9.10.3).
        blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
        sections = "\n".join(f"{len(one)} beginbfchar\n" + "\n".join(one) + "\nendbfchar" for one in blocks)
        return (
            "/CIDInit/ProcSet findresource begin 12 dict begin begincmap/CMapName/Sepe def/CMapType 2 def\n"
            f"1 begincodespacerange<0000><FFFF>endcodespacerange\n{sections}\n"
            "endcmap CMapName currentdict/CMap defineresource pop end end"
        )


REGULAR = Face("F1", "Vera.ttf", "BitstreamVeraSans-Roman")
BOLD = Face("F2", "VeraBd.ttf", "BitstreamVeraSans-Bold")


def printable(text: str) -> str:
    """``text`` composed, on one line, without characters that draw nothing."""
    composed = " ".join(unicodedata.normalize("NFC", text).split())
    if composed.isascii() and composed.isprintable():
        return composed
    return "".join([char for char in composed if not _is_invisible(char)])


def _is_invisible(char: str) -> bool:
    is_selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return is_selector or unicodedata.category(char) in INVISIBLE
