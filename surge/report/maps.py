"""Where it waited: the outlines of Nusa Tenggara Timur, or all of Indonesia as one dot for each regency."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, log1p, radians, sqrt

from sepe_io.regions import centroids, ntt_outlines
from surge.report.colours import amount
from surge.report.svg import WIDTH, Scale, chart, element, text, title
from surge.report.words import Words
from surge.run.result import OfficeRow

NTT = "53"
MARGIN = 10.0
LABELS_MAX = 5
LEGEND_STEPS = 24


def map_of(offices: Sequence[OfficeRow], words: Words) -> str:
    """The offices, coloured by the most events that waited there at once; ``""`` without any."""
    known = [one for one in offices if one.code in centroids()]
    if not known:
        return ""
    is_ntt = all(one.code.startswith(NTT) for one in known)
    most = max(one.worst_lag for one in known)
    return _province(known, most, words) if is_ntt else _nation(known, most, words)


def share(lag: float, most: float) -> float:
    """How dark: logarithmic, because a storm leaves ten in one office and ten thousand in another."""
    return log1p(lag) / log1p(most) if most else 0.0


class _Plane:
    """Longitude and latitude on paper, true to shape in the middle."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        west, east = min(p[0] for p in points), max(p[0] for p in points)
        south, north = min(p[1] for p in points), max(p[1] for p in points)
        squeeze = cos(radians((south + north) / 2))
        per_degree = (WIDTH - 2 * MARGIN) / max(0.2, (east - west) * squeeze)
        # One town is not drawn as large as a province.
        per_degree = min(per_degree, 420 / max(0.2, north - south))
        spare = (WIDTH - 2 * MARGIN - (east - west) * squeeze * per_degree) / 2
        self.height = (north - south) * per_degree + 2 * MARGIN + 40
        start = MARGIN + spare
        self._x = Scale(west, east, start, start + (east - west) * squeeze * per_degree)
        self._y = Scale(south, north, self.height - MARGIN - 40, MARGIN)

    def at(self, longitude: float, latitude: float) -> tuple[float, float]:
        return self._x(longitude), self._y(latitude)


def _province(offices: Sequence[OfficeRow], most: int, words: Words) -> str:
    features = ntt_outlines()["features"]
    rings = {
        one["id"]: [ring for polygon in one["geometry"]["coordinates"] for ring in polygon] for one in features
    }
    plane = _Plane([(point[0], point[1]) for found in rings.values() for ring in found for point in ring])
    worst: dict[str, OfficeRow] = {}
    for office in offices:
        code = office.code[:4]
        if code not in worst or office.worst_lag > worst[code].worst_lag:
            worst[code] = office
    shapes = []
    for code, found in rings.items():
        steps = "".join(
            "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (plane.at(*point[:2]) for point in ring)) + "Z"
            for ring in found
        )
        row = worst.get(code)
        fill = "#eeeeee" if row is None else amount(share(row.worst_lag, most))
        name = (
            words("tidak ikut", "not in it")
            if row is None
            else f"{row.regency}: {words.count(row.worst_lag)} ({row.name})"
        )
        shapes.append(element("path", title(name), d=steps, fill=fill, class_="land"))
    dots = [_dot(plane, one, most, 2.4, words) for one in sorted(offices, key=lambda one: one.worst_lag)]
    named = sorted(worst.values(), key=lambda one: -one.worst_lag)[:LABELS_MAX]
    return chart(
        plane.height,
        words("Peta Nusa Tenggara Timur menurut tunggakan terbesar", "Nusa Tenggara Timur by its worst lag"),
        *shapes, *dots, *_labels(plane, named, words), _legend(most, plane.height, words),
    )  # fmt: skip


def _nation(offices: Sequence[OfficeRow], most: int, words: Words) -> str:
    groups: dict[str, list[OfficeRow]] = {}
    for office in offices:
        groups.setdefault(office.code[:4], []).append(office)
    plane = _Plane([(longitude, latitude) for latitude, longitude in centroids().values()])
    coast = [plane.at(longitude, latitude) for latitude, longitude in centroids().values()]
    # Where there is land, as far as the places of 7,285 kecamatan draw it.
    land = element("path", d="".join(f"M{x:.0f} {y:.0f}h0" for x, y in coast), class_="dust")
    dots = []
    for group in sorted(groups.values(), key=lambda rows: max(row.worst_lag for row in rows)):
        worst = max(group, key=lambda row: row.worst_lag)
        dots.append(_dot(plane, worst, most, 2.0 + 0.45 * sqrt(len(group)), words))
    named = sorted(
        (max(group, key=lambda row: row.worst_lag) for group in groups.values()), key=lambda row: -row.worst_lag
    )
    return chart(
        plane.height,
        words("Peta Indonesia menurut tunggakan terbesar", "Indonesia by its worst lag"),
        land, *dots, *_labels(plane, named[:LABELS_MAX], words), _legend(most, plane.height, words),
    )  # fmt: skip


def _dot(plane: _Plane, one: OfficeRow, most: int, radius: float, words: Words) -> str:
    latitude, longitude = centroids()[one.code]
    x, y = plane.at(longitude, latitude)
    words_ = f"{one.name}, {one.regency}: {words.count(one.worst_lag)}"
    return element(
        "circle", title(words_), cx=x, cy=y, r=radius, fill=amount(share(one.worst_lag, most)), class_="office"
    )


def _labels(plane: _Plane, rows: Sequence[OfficeRow], words: Words) -> list[str]:
    """The worst by name, none over another."""
    found: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for row in rows:
        latitude, longitude = centroids()[row.code]
        x, y = plane.at(longitude, latitude)
        label = f"{row.name} {words.count(row.worst_lag)}"
        # Bold letters, and the white around them.
        width = 8.0 * len(label) + 4
        x = min(max(x, width / 2 + 2), WIDTH - width / 2 - 2)
        y = max(14.0, y - 8)
        while any(
            abs(y - other_y) < 15 and abs(x - other_x) < (width + other_width) / 2
            for other_x, other_y, other_width in taken
        ):
            y += 15
        taken.append((x, y, width))
        found.append(text(x, y, label, anchor="middle", class_="halo strong"))
    return found


def _legend(most: int, height: float, words: Words) -> str:
    x, y, width = MARGIN, height - 26, 220.0
    step = width / LEGEND_STEPS
    cells = [
        element(
            "rect", x=x + index * step, y=y, width=step + 0.4, height=10, fill=amount(index / (LEGEND_STEPS - 1))
        )
        for index in range(LEGEND_STEPS)
    ]
    middle = round(sqrt(most + 1) - 1)
    marks = [(0.0, "0"), (0.5, words.count(middle)), (1.0, words.count(most))]
    labels = [text(x + at * width, y + 23, label, anchor="start" if not at else "middle") for at, label in marks]
    head = text(
        x + width + 26, y + 9, words("data menunggu, paling banyak sekaligus", "events waiting, most at once")
    )
    return element("g", *cells, *labels, head)
