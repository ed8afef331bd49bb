"""A pen that writes PDF, and the file around its pages. Lengths are millimetres from the top left corner.

ReportLab builds a page in 9-12 ms, most of it spent on subsetting the same fonts again; a replayed week
prints a hundred thousand pages. Here the fonts and the artwork are packed once and copied, a page is a list
of operators, and the same input gives the same bytes: no clock, no random id.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from node.printing.render.fonts import BOLD, REGULAR, Face, printable

POINTS_PER_MM = 72 / 25.4
# Control-point distance of the quarter circle's best cubic approximation.
KAPPA = 0.5522847498
FACES = (REGULAR, BOLD)
FIRST_FONT = 3
OBJECTS_PER_FONT = 5
FIRST_FREE = FIRST_FONT + OBJECTS_PER_FONT * len(FACES)

Color = tuple[float, float, float]
BLACK: Color = (0.0, 0.0, 0.0)
WHITE: Color = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A baseline RGB JPEG, ready to be embedded as it is."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Artwork:
    """Drawing that never changes, packed once. ``opacities`` are those that it uses."""

    stream: bytes
    width_mm: float
    height_mm: float
    opacities: frozenset[float]
    bleed_mm: float = 0.0


class Pen:
    """Draws one page. Every method leaves colour and line width as it set them."""

    def __init__(self, width_mm: float, height_mm: float, *, bleed_mm: float = 0.0) -> None:
        self.width_mm = width_mm
        self.height_mm = height_mm
        # What is drawn so far beyond the edges is there for printers that print over them.
        self.bleed_mm = bleed_mm
        self.images: dict[str, Jpeg] = {}
        self.artworks: list[Artwork] = []
        self.opacities: set[float] = set()
        self._ops: list[str] = []

    def artwork(self) -> Artwork:
        """What was drawn so far, as artwork for ``place``."""
        return Artwork(self.stream(), self.width_mm, self.height_mm, frozenset(self.opacities), self.bleed_mm)

    def stream(self) -> bytes:
        return zlib.compress("\n".join(self._ops).encode("ascii"), 6)

    def place(self, artwork: Artwork) -> None:
        """Draw artwork of this page's size over the whole page."""
        self._ops.append(f"/A{len(self.artworks)} Do")
        self.artworks.append(artwork)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        face: Face = REGULAR,
        color: Color = BLACK,
        stretch: float = 1.0,
        align: str = "left",
    ) -> None:
        """One line with its baseline at ``y``; ``size`` in points; ``align`` left, center or right of ``x``."""
        line = printable(text)
        if align != "left":
            width = face.width(line) * size * stretch / 1000 / POINTS_PER_MM
            x -= width if align == "right" else width / 2
        self._ops.append(
            f"{_rgb(color)} rg BT /{face.key} {size:.3g} Tf {stretch * 100:.4g} Tz "
            f"{self._x(x)} {self._y(y)} Td <{face.hex(line)}> Tj ET"
        )

    def rotated_text(
        self, x: float, y: float, text: str, *, size: float, degrees: float, color: Color, opacity: float
    ) -> None:
        """Bold text centred on the point, turned counter-clockwise."""
        angle = math.radians(degrees)
        cos, sin = math.cos(angle), math.sin(angle)
        half = BOLD.width(text) * size / 2000
        # 0.36 em is half the height of Vera's capitals: the line's middle, not its foot, meets the point.
        left, down = half * cos - 0.36 * size * sin, half * sin + 0.36 * size * cos
        at_x, at_y = x * POINTS_PER_MM - left, (self.height_mm - y) * POINTS_PER_MM - down
        self._ops.append(
            f"q {self._opacity(opacity)} {_rgb(color)} rg BT /{BOLD.key} {size:.3g} Tf 100 Tz "
            f"{cos:.4f} {sin:.4f} {-sin:.4f} {cos:.4f} {at_x:.2f} {at_y:.2f} Tm <{BOLD.hex(text)}> Tj ET Q"
        )

    def rect(self, x: float, y: float, width: float, height: float, *, fill: Color) -> None:
        self._ops.append(f"{_rgb(fill)} rg {self._box(x, y, width, height)} re f")

    def frame(self, x: float, y: float, width: float, height: float, *, color: Color, line_mm: float) -> None:
        self._ops.append(f"{_rgb(color)} RG {line_mm * POINTS_PER_MM:.3g} w {self._box(x, y, width, height)} re S")

    def line(self, points: Sequence[tuple[float, float]], *, color: Color, line_mm: float) -> None:
        """An open line through the points."""
        path = " ".join(
            f"{self._x(x)} {self._y(y)} {'l' if index else 'm'}" for index, (x, y) in enumerate(points)
        )
        self._ops.append(f"{_rgb(color)} RG {line_mm * POINTS_PER_MM:.3g} w {path} S")

    def curve(
        self, segments: Sequence[Sequence[tuple[float, float]]], *, fill: Color, opacity: float = 1.0
    ) -> None:
        """A filled shape: ``[[start], [c1, c2, end], …]`` of cubic segments."""
        (start,), *rest = segments
        path = [f"{self._x(start[0])} {self._y(start[1])} m"]
        for segment in rest:
            path.append(" ".join(f"{self._x(x)} {self._y(y)}" for x, y in segment) + " c")
        self._ops.append(f"q {self._opacity(opacity)} {_rgb(fill)} rg {' '.join(path)} f Q")

    def ellipse(
        self, x: float, y: float, across: float, down: float, *, fill: Color, opacity: float = 1.0
    ) -> None:
        """A filled ellipse around the point; ``across`` and ``down`` are its half-axes."""
        kx, ky = across * KAPPA, down * KAPPA
        self.curve(
            [
                [(x - across, y)],
                [(x - across, y - ky), (x - kx, y - down), (x, y - down)],
                [(x + kx, y - down), (x + across, y - ky), (x + across, y)],
                [(x + across, y + ky), (x + kx, y + down), (x, y + down)],
                [(x - kx, y + down), (x - across, y + ky), (x - across, y)],
            ],
            fill=fill,
            opacity=opacity,
        )

    def image(self, x: float, y: float, width: float, height: float, picture: Jpeg) -> None:
        name = f"I{len(self.images)}"
        self.images[name] = picture
        across, along = width * POINTS_PER_MM, height * POINTS_PER_MM
        self._ops.append(f"q {across:.3f} 0 0 {along:.3f} {self._x(x)} {self._y(y + height)} cm /{name} Do Q")

    def modules(self, x: float, y: float, module_mm: float, rows: Iterable[Iterable[int]]) -> None:
        """The dark modules of a matrix code; runs in a row are one rectangle, so that no seams show."""
        rects = []
        for line, row in enumerate(rows):
            bits = "".join("1" if bit else "0" for bit in row)
            end = 0
            while (start := bits.find("1", end)) >= 0:
                end = bits.find("0", start)
                end = len(bits) if end < 0 else end
                rects.append(f"{start} {-line - 1} {end - start} 1 re")
        scale = module_mm * POINTS_PER_MM
        self._ops.append(
            f"q {_rgb(BLACK)} rg {scale:.5f} 0 0 {scale:.5f} {x * POINTS_PER_MM:.4f} "
            f"{(self.height_mm - y) * POINTS_PER_MM:.4f} cm {' '.join(rects)} f Q"
        )

    def _opacity(self, opacity: float) -> str:
        if opacity == 1.0:
            return ""
        self.opacities.add(opacity)
        return f"/{_opacity_name(opacity)} gs"

    def _box(self, x: float, y: float, width: float, height: float) -> str:
        across, along = width * POINTS_PER_MM, height * POINTS_PER_MM
        return f"{self._x(x)} {self._y(y + height)} {across:.3f} {along:.3f}"

    def _x(self, x: float) -> str:
        return f"{x * POINTS_PER_MM:.2f}"

    def _y(self, y: float) -> str:
        return f"{(self.height_mm - y) * POINTS_PER_MM:.2f}"


def pdf_of(pens: Sequence[Pen], *, title: str) -> bytes:
    """One PDF with a page per pen. Equal pens give equal bytes."""
    out = _File()
    pages: list[int] = []
    for pen in pens:
        resources = _resources(out, pen)
        content = out.stream("", pen.stream())
        trim, media = _box(pen.width_mm, pen.height_mm), _box(pen.width_mm, pen.height_mm, pen.bleed_mm)
        # Whoever looks or prints sees the trimmed page (CropBox); whoever prints over the edge takes the bleed.
        boxes = f"/CropBox{trim}/TrimBox{trim}/BleedBox{media}" if pen.bleed_mm else ""
        pages.append(
            out.add(
                f"<</Type/Page/Parent 2 0 R/MediaBox{media}{boxes}/Resources<<{resources}>>"
                f"/Contents {content} 0 R>>"
            )
        )
    info = out.add(f"<</Title({title})/Producer(Sepe)>>")
    return out.finished(pages, info)


class _File:
    """Objects from ``FIRST_FREE`` on behind the packed prefix; 1 and 2 are written last."""

    def __init__(self) -> None:
        self._prefix, self._offsets = _prefix()
        self._tail: list[bytes] = []
        self._at = len(self._prefix)
        self._added: list[int] = []
        self._placed: dict[Artwork, int] = {}

    def add(self, body: str | bytes) -> int:
        number = FIRST_FREE + len(self._added)
        data = body.encode("ascii") if isinstance(body, str) else body
        self._added.append(self._at)
        self._append(f"{number} 0 obj\n".encode() + data + b"\nendobj\n")
        return number

    def stream(self, entries: str, data: bytes, *, packing: str = "FlateDecode") -> int:
        head = f"<<{entries}/Filter/{packing}/Length {len(data)}>>stream\n".encode()
        return self.add(head + data + b"\nendstream")

    def artwork(self, artwork: Artwork) -> int:
        """The form of that artwork, written once a file."""
        if artwork not in self._placed:
            box = _box(artwork.width_mm, artwork.height_mm, artwork.bleed_mm)
            entries = f"/Type/XObject/Subtype/Form/BBox{box}/Resources<<{_fixed(artwork.opacities)}>>"
            self._placed[artwork] = self.stream(entries, artwork.stream)
        return self._placed[artwork]

    def finished(self, pages: list[int], info: int) -> bytes:
        catalog_at = self._at
        self._append(b"1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n")
        pages_at = self._at
        kids = " ".join(f"{number} 0 R" for number in pages)
        self._append(f"2 0 obj\n<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>\nendobj\n".encode())
        offsets = [catalog_at, pages_at, *self._offsets, *self._added]
        table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
        size = len(offsets) + 1
        mark = hashlib.sha256(b"".join(self._tail)).hexdigest()[:32]
        self._tail.append(
            f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<</Size {size}/Root 1 0 R/Info {info} 0 R"
            f"/ID[<{mark}><{mark}>]>>\nstartxref\n{self._at}\n%%EOF\n".encode()
        )
        return b"".join([self._prefix, *self._tail])

    def _append(self, data: bytes) -> None:
        self._tail.append(data)
        self._at += len(data)


@cache
def _prefix() -> tuple[bytes, tuple[int, ...]]:
    """The header and the fonts, the same in every file, and where each object begins."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets: list[int] = []
    for index, face in enumerate(FACES):
        for body in face.objects(FIRST_FONT + index * OBJECTS_PER_FONT):
            offsets.append(len(out))
            out += f"{FIRST_FONT + len(offsets) - 1} 0 obj\n".encode() + body + b"\nendobj\n"
    return bytes(out), tuple(offsets)


def _resources(out: _File, pen: Pen) -> str:
    objects = [f"/A{index} {out.artwork(one)} 0 R" for index, one in enumerate(pen.artworks)]
    for name, picture in pen.images.items():
        entries = (
            f"/Type/XObject/Subtype/Image/Width {picture.width}/Height {picture.height}"
            "/ColorSpace/DeviceRGB/BitsPerComponent 8"
        )
        objects.append(f"/{name} {out.stream(entries, picture.data, packing='DCTDecode')} 0 R")
    return f"{_fixed(frozenset(pen.opacities))}/XObject<<{''.join(objects)}>>"


def _fixed(opacities: frozenset[float]) -> str:
    fonts = "".join(f"/{face.key} {FIRST_FONT + index * OBJECTS_PER_FONT} 0 R" for index, face in enumerate(FACES))
    states = "".join(f"/{_opacity_name(one)}<</ca {one:g}>>" for one in sorted(opacities))
    return f"/Font<<{fonts}>>/ExtGState<<{states}>>"


def _opacity_name(opacity: float) -> str:
    return f"G{round(opacity * 1000)}"


def _box(width_mm: float, height_mm: float, bleed_mm: float = 0.0) -> str:
    over = bleed_mm * POINTS_PER_MM
    right, top = width_mm * POINTS_PER_MM + over, height_mm * POINTS_PER_MM + over
    return f"[{-over:.3f} {-over:.3f} {right:.3f} {top:.3f}]" if bleed_mm else f"[0 0 {right:.3f} {top:.3f}]"


def _rgb(color: Color) -> str:
    return f"{color[0]:.3g} {color[1]:.3g} {color[2]:.3g}"
