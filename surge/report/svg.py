"""Small pure builders of SVG: elements, scales, ticks, paths. Nothing is read and nothing is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from math import floor, log10

# Charts are drawn this wide and scaled by the page: 12 units are 15 px on a screen and 7 pt on A4.
WIDTH = 900.0
HOUR_S, DAY_S = 3600.0, 86_400.0


def element(name: str, *inside: str, **attributes: object) -> str:
    """One element; ``None`` leaves an attribute out, ``_`` in a name becomes ``-``, a trailing one goes."""
    words = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    body = "".join(inside)
    return f"<{name}{''.join(words)}>{body}</{name}>" if body else f"<{name}{''.join(words)}/>"


def text(x: float, y: float, words: str, *, anchor: str = "start", class_: str | None = None) -> str:
    """One line of text."""
    return element(
        "text", escape(words), x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=class_
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def title(words: str) -> str:
    """What a pointer that rests on the element reads."""
    return element("title", escape(words))


def chart(height: float, label: str, *inside: str) -> str:
    """A whole drawing, as wide as its place."""
    return element(
        "svg", *inside, viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=label,
        xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places, straight."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def path(points: Sequence[tuple[float, float]], class_: str) -> str:
    """A line through points."""
    return (
        element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), class_=class_) if points else ""
    )


def area(points: Sequence[tuple[float, float]], floor_y: float, class_: str) -> str:
    """What lies between points and the floor."""
    if not points:
        return ""
    outline = [(points[0][0], floor_y), *points, (points[-1][0], floor_y)]
    return element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in outline) + "Z", class_=class_)


def thinned(points: Sequence[tuple[float, float]], most: int = 600) -> list[tuple[float, float]]:
    """At most so many points; of each stretch the highest value stays, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    step = len(points) / most
    groups = [points[int(index * step) : int((index + 1) * step)] for index in range(most)]
    return [max(group, key=lambda point: point[1]) for group in groups if group]


def nice_ticks(high: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to at least ``high``."""
    if high <= 0:
        return [0.0, 1.0]
    rough = high / count
    power = 10.0 ** floor(log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough)
    ticks = [0.0]
    while ticks[-1] < high:
        ticks.append(ticks[-1] + step)
    return ticks


def short(value: float) -> str:
    """``1.2k``: a number for an axis."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def time_ticks(start: datetime, end_s: float, day_names: Sequence[str]) -> Iterable[tuple[float, str]]:
    """(seconds after the start, words): whole hours of the clock, days by their name and date."""
    steps_h = (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168, 336)
    step_s = next((step * HOUR_S for step in steps_h if end_s / (step * HOUR_S) <= 11), 336 * HOUR_S)
    midnight = start.replace(hour=0, minute=0, second=0)
    at = midnight
    while at <= start + timedelta(seconds=end_s):
        if at >= start:
            is_day = step_s >= DAY_S or (at.hour == 0 and at.minute == 0)
            words = f"{day_names[at.weekday()]} {at.day}" if is_day else f"{at:%H:%M}"
            yield (at - start).total_seconds(), words
        at += timedelta(seconds=step_s)


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
