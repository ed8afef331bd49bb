"""Grounds and ornaments. They are Sepe's own: no state emblem and no security feature is imitated, and
SPECIMEN lies across everything, because what this program prints in tests must never pass for the real thing.
"""

from __future__ import annotations

import math
from functools import cache

from node.printing.render.fonts import BOLD
from node.printing.render.pdf import POINTS_PER_MM, Artwork, Color, Pen

CARD_MM = (85.60, 53.98)
# Cards lie a little askew in the machine; the ground goes on this far, so that no white edge shows.
BLEED_MM = 1.5
A4_MM = (210.0, 297.0)
KTP_GROUND: tuple[Color, Color] = ((0.80, 0.90, 0.97), (0.62, 0.79, 0.92))
KIA_GROUND: tuple[Color, Color] = ((1.0, 0.93, 0.90), (0.98, 0.79, 0.76))
FLAMBOYANT: Color = (0.86, 0.24, 0.14)
SPECIMEN_RED: Color = (0.80, 0.05, 0.10)
SKIN: Color = (0.78, 0.80, 0.83)
SHIRT: Color = (0.55, 0.59, 0.65)
PHOTO_GROUND: dict[str, Color] = {"red": (0.72, 0.12, 0.14), "blue": (0.13, 0.29, 0.60)}
STRIPS = 54


@cache
def card_ground(colors: tuple[Color, Color], *, is_back: bool) -> Artwork:
    """A light ground with waves and the flamboyant flower as a watermark."""
    pen = Pen(*CARD_MM, bleed_mm=BLEED_MM)
    width, height = CARD_MM
    light, deep = colors
    # Above and below the strips the first and the last colour go on over the edge.
    pen.rect(-BLEED_MM, -BLEED_MM, width + 2 * BLEED_MM, height / 2 + BLEED_MM, fill=light)
    pen.rect(-BLEED_MM, height / 2, width + 2 * BLEED_MM, height / 2 + BLEED_MM, fill=deep)
    # Strips instead of a shading: some card printer drivers rasterise shadings at 75 dpi.
    for index in range(STRIPS):
        share = index / (STRIPS - 1)
        color = _mix(light, deep, share)
        pen.rect(-BLEED_MM, height * index / STRIPS, width + 2 * BLEED_MM, height / STRIPS + 0.1, fill=color)
    line = _mix(deep, (0.35, 0.45, 0.60), 0.22)
    for wave in range(13):
        pen.line(_wave(width, height, wave), color=_mix(light, line, 0.8), line_mm=0.08)
    if is_back:
        flower(pen, width * 0.66, height * 0.52, 15.0, opacity=0.30)
    else:
        flower(pen, 43.0, 31.0, 14.0, opacity=0.13)
    return pen.artwork()


@cache
def specimen(width_mm: float, height_mm: float) -> Artwork:
    """SPECIMEN from corner to corner, transparent enough to read through."""
    pen = Pen(width_mm, height_mm)
    diagonal = math.hypot(width_mm, height_mm)
    size = diagonal * 0.78 * POINTS_PER_MM * 1000 / BOLD.width("SPECIMEN")
    pen.rotated_text(
        width_mm / 2,
        height_mm / 2,
        "SPECIMEN",
        size=size,
        degrees=math.degrees(math.atan2(height_mm, width_mm)),
        color=SPECIMEN_RED,
        opacity=0.16,
    )
    return pen.artwork()


def flower(pen: Pen, x: float, y: float, radius: float, *, opacity: float = 1.0) -> None:
    """The sepe, five petals of a flamboyant around a yellow heart."""
    for petal in range(5):
        turn = math.radians(72 * petal - 90)

        def at(along: float, aside: float, turn: float = turn) -> tuple[float, float]:
            cos, sin = math.cos(turn), math.sin(turn)
            return x + radius * (along * cos - aside * sin), y + radius * (along * sin + aside * cos)

        shape = [
            [at(0.12, 0.0)],
            [at(0.30, -0.10), at(0.45, -0.42), at(0.78, -0.36)],
            [at(0.92, -0.32), at(0.98, -0.12), at(1.0, 0.0)],
            [at(0.98, 0.12), at(0.92, 0.32), at(0.78, 0.36)],
            [at(0.45, 0.42), at(0.30, 0.10), at(0.12, 0.0)],
        ]
        pen.curve(shape, fill=FLAMBOYANT, opacity=opacity)
    pen.ellipse(x, y, radius * 0.11, radius * 0.11, fill=(0.98, 0.78, 0.20), opacity=opacity)


def silhouette(pen: Pen, x: float, y: float, *, width: float, height: float, ground: Color) -> None:
    """Head and shoulders where a photo is missing."""
    pen.rect(x, y, width, height, fill=ground)
    middle, foot = x + width / 2, y + height
    pen.curve(
        [
            [(x + width * 0.08, foot)],
            [
                (x + width * 0.08, y + height * 0.76),
                (x + width * 0.24, y + height * 0.69),
                (middle, y + height * 0.69),
            ],
            [
                (x + width * 0.76, y + height * 0.69),
                (x + width * 0.92, y + height * 0.76),
                (x + width * 0.92, foot),
            ],
        ],
        fill=SHIRT,
    )
    pen.ellipse(middle, y + height * 0.68, width * 0.13, height * 0.09, fill=SKIN)
    pen.ellipse(middle, y + height * 0.43, width * 0.235, height * 0.225, fill=SKIN)


def _wave(width: float, height: float, wave: int) -> list[tuple[float, float]]:
    base = height * (0.10 + 0.068 * wave)
    return [
        (
            width * step / 60,
            base
            + 2.6 * math.sin(step / 60 * 2 * math.pi * 1.5 + wave * 0.42)
            + 1.1 * math.sin(step / 60 * 19 + wave),
        )
        for step in range(61)
    ]


def _mix(one: Color, other: Color, share: float) -> Color:
    mixed = [(1 - share) * a + share * b for a, b in zip(one, other, strict=True)]
    return (mixed[0], mixed[1], mixed[2])
