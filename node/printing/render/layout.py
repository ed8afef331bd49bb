"""Fitting a text into a given width: first smaller and narrower, then two lines, then cut with an ellipsis."""

from __future__ import annotations

from dataclasses import dataclass

from node.printing.render.fonts import Face, printable
from node.printing.render.pdf import POINTS_PER_MM

# Below 85 % Vera's round letters look crushed.
STRETCH_MIN = 0.85
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Lines that fit at this size (points) and horizontal stretch."""

    lines: tuple[str, ...]
    size: float
    stretch: float


def fit(
    text: str,
    *,
    face: Face,
    width_mm: float,
    size: float,
    size_min: float,
    lines_max: int = 2,
    stretch: float = 1.0,
) -> Fitted:
    """The largest setting of ``text`` that fits ``width_mm``.

    It is shrunk down to ``size_min`` on one line, then broken between words (inside one if need be) onto
    ``lines_max`` lines, and only then cut.
    """
    clean = printable(text)
    room = width_mm * POINTS_PER_MM * 1000
    natural = face.width(clean)
    if natural * size * stretch <= room:
        return Fitted((clean,), size, stretch)
    narrow = min(stretch, STRETCH_MIN)
    if natural * size * narrow <= room:
        return Fitted((clean,), size, room / (natural * size))
    if natural * size_min * narrow <= room:
        return Fitted((clean,), room / (natural * narrow), narrow)
    reach = room / (size_min * narrow)
    lines: list[str] = []
    rest = clean
    while rest and len(lines) < lines_max:
        head, rest = _broken(rest, face, reach)
        lines.append(head)
    if rest:
        lines[-1] = _cut(f"{lines[-1]} {rest}", face, reach)
    # Two lines may be set larger than the one that did not fit.
    widest = max(face.width(line) for line in lines)
    grown = min(size, size_min * 1.15, room / (widest * narrow))
    return Fitted(tuple(lines), max(size_min, grown), narrow)


def _broken(text: str, face: Face, reach: float) -> tuple[str, str]:
    """The longest head of whole words that fits, and the rest."""
    end = _fitting(text, face, reach)
    if end == len(text):
        return text, ""
    at = text.rfind(" ", 0, end + 1)
    if at > 0:
        return text[:at], text[at + 1 :]
    return text[:end], text[end:]


def _cut(text: str, face: Face, reach: float) -> str:
    if face.width(text) <= reach:
        return text
    return text[: _fitting(text, face, reach - face.width(ELLIPSIS))].rstrip() + ELLIPSIS


def _fitting(text: str, face: Face, reach: float) -> int:
    """How many characters fit, at least one."""
    used = 0.0
    for index, char in enumerate(text):
        used += face.width(char)
        if used > reach:
            return max(1, index)
    return len(text)
