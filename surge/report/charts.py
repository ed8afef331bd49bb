"""The drawings of a report: load and lag over time, latency by link, the printers' day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from math import log10

from surge.report.colours import SERIES
from surge.report.svg import (
    HOUR_S,
    WIDTH,
    Scale,
    area,
    chart,
    element,
    line,
    nice_ticks,
    path,
    short,
    text,
    thinned,
    time_ticks,
    title,
)
from surge.report.words import Words
from surge.run.result import FaultRow, LinkLatency, PrintersDay, Result

LEFT, RIGHT = 66.0, WIDTH - 12
LABEL_MIN = 24.0
# A percentile and its time, with a gap.
LABEL_WIDTH = 84.0
Points = list[tuple[float, float]]


def started(result: Result) -> datetime:
    """Local wall time of the scenario's beginning."""
    return datetime.fromisoformat(result.scenario.starts)


def over_time(result: Result, words: Words) -> str:
    """Three panels over one clock: what came, what waited, and for how long; faults through all of them."""
    series = result.series
    end_s = max([result.scenario.lasts_s, *series.at_s[-1:]]) or 1.0
    x = Scale(0.0, end_s, LEFT, RIGHT)
    size, unit = words.unit(max(series.oldest_s, default=0.0))
    panels = (
        (
            words("Data per jam", "Events per hour"),
            118.0,
            [
                (_rates(series.at_s, series.accepted), "area s1", words("direkam", "recorded")),
                (_rates(series.at_s, series.acked), "line s2", words("aman di pusat", "safe at the hub")),
                (_rates(series.at_s, series.cards), "line s3", words("kartu", "cards")),
            ],
            short,
        ),
        (
            words("Belum di pusat", "Not yet at the hub"),
            118.0,
            [(_series(series.at_s, series.lag), "area s4", words("data menunggu", "events waiting"))],
            short,
        ),
        (
            f"{words('Data tertua', 'Oldest of them')}, {unit}",
            80.0,
            [
                (
                    _series(series.at_s, [one / size for one in series.oldest_s]),
                    "line s5",
                    words("menurut jam komputer ini", "by this machine's clock"),
                )
            ],
            short,
        ),
    )
    parts, y = [], 26.0
    for name, height, curves, form in panels:
        parts.append(_struck(result.faults, x, y, y + height))
        parts.append(_panel(name, y, height, x, curves, form=form))
        y += height + 44
    bottom = y - 44
    parts.append(_numbers(result.faults, x, bottom, words))
    return chart(
        bottom + 52,
        words("Beban dan tunggakan sepanjang waktu", "Load and lag over time"),
        *parts,
        _clock(result, end_s, x, bottom, words, depth=46.0 if _are_close(result.faults, x) else 32.0),
    )


def _are_close(faults: Sequence[FaultRow], x: Scale) -> bool:
    """Whether the faults' numbers need a second row."""
    places = sorted(x(min(fault.at_s, x.high)) for fault in faults)
    return any(after - before < LABEL_MIN for before, after in pairwise(places))


def latency(links: Sequence[LinkLatency], words: Words) -> str:
    """One histogram for each link class over one logarithmic axis, with the 50th, 95th and 99th percentile."""
    edges = [
        edge for one in links for edge, count in zip(one.bucket_s, one.counts, strict=True) if count and edge > 0
    ]
    low, high = log10(max(1e-3, min(edges, default=0.001) / 1.3)), log10(max(edges, default=1.0) * 1.3)
    x = Scale(low, max(high, low + 1), 118.0, RIGHT)
    parts, y = [], 14.0
    height, gap = 46.0, 34.0
    for number, one in enumerate(links):
        floor_y, most = y + height, max(one.counts, default=0) or 1
        bars = []
        before = one.bucket_s[0] / 1.12 if one.bucket_s else 0.001
        for edge, count in zip(one.bucket_s, one.counts, strict=True):
            if count and edge > 0:
                start, end = x(log10(max(before, 1e-3))), x(log10(edge))
                tall = max(1.0, height * count / most)
                bars.append(
                    element("rect", x=start, y=floor_y - tall, width=max(0.8, end - start - 0.4), height=tall)
                )
            before = edge or before
        parts.append(element("g", *bars, fill=SERIES[number % len(SERIES)]))
        parts.append(text(0, y + 16, one.link, class_="strong"))
        parts.append(
            text(0, y + 31, words(f"{words.count(one.offices)} kantor", f"{words.count(one.offices)} machines"))
        )
        parts.append(text(0, y + 45, words(f"{short(one.events)} data", f"{short(one.events)} events")))
        parts.append(line(118.0, floor_y, RIGHT, floor_y, "axis"))
        parts += _percentiles(one, x, y, floor_y, words)
        y += height + gap
    bottom = y - gap + 34
    top = max(high, low + 1)
    # Whole decades; within one or two also their 2 and 5.
    times = (1, 2, 5) if top - low < 2 else (1,)
    values = [10.0**power * step for power in range(-3, 7) for step in times]
    ticks = [(log10(value), value) for value in values if low <= log10(value) <= top]
    for power, value in ticks:
        parts.insert(0, line(x(power), 8, x(power), bottom - 8, "grid"))
        parts.append(text(x(power), bottom + 6, words.seconds(value), anchor="middle"))
    return chart(bottom + 12, words("Waktu sampai aman di pusat menurut jaringan", "Latency by link"), *parts)


def _percentiles(one: LinkLatency, x: Scale, y: float, floor_y: float, words: Words) -> list[str]:
    """Marks in the bars, and their labels under them: in order, none over another, none cut."""
    named = (("p50", one.p50_s), ("p95", one.p95_s), ("p99", one.p99_s))
    known = [(name, value) for name, value in named if value is not None and value > 0]
    at = [min(RIGHT, max(118.0, x(log10(max(value, 1e-3))))) for _, value in known]
    places = list(at)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + LABEL_WIDTH)
    room = RIGHT - LABEL_WIDTH / 2
    for index in reversed(range(len(places))):
        places[index] = min(places[index], room)
        room = places[index] - LABEL_WIDTH
    marks = [line(mark, y + 2, mark, floor_y + 4, "mark") for mark in at]
    labels = [
        text(place, floor_y + 16, f"{name} {words.seconds(value)}", anchor="middle")
        for place, (name, value) in zip(places, known, strict=True)
    ]
    return marks + labels


def printers_day(result: Result, day: PrintersDay, words: Words) -> str:
    """Cards of each hour as bars, and how much of it printers were at work as a line."""
    end_s = max([result.scenario.lasts_s, *(at + HOUR_S for at in day.hour_at_s[-1:])])
    x = Scale(0.0, end_s, LEFT, RIGHT - 40)
    top, bottom = 26.0, 176.0
    ticks = nice_ticks(max(day.cards, default=0))
    y = Scale(0.0, ticks[-1], bottom, top)
    share_y = Scale(0.0, 1.0, bottom, top)
    width = max(0.8, x(HOUR_S) - x(0.0) - (1.0 if len(day.hour_at_s) < 200 else 0.0))
    bars = [
        element(
            "rect",
            title(words(f"{count} kartu", f"{count} cards")),
            x=x(at),
            y=y(count),
            width=width,
            height=bottom - y(count),
        )
        for at, count in zip(day.hour_at_s, day.cards, strict=True)
        if count
    ]
    busy = [
        (x(at + HOUR_S / 2), share_y(min(1.0, share))) for at, share in zip(day.hour_at_s, day.busy, strict=True)
    ]
    legend = [
        ("fill s3", words("kartu per jam", "cards an hour")),
        ("line s1", words("pencetak bekerja (kanan)", "printers at work (right)")),
    ]
    grid = [line(LEFT, y(tick), RIGHT - 40, y(tick), "grid") for tick in ticks]
    grid += [text(LEFT - 6, y(tick) + 4, short(tick), anchor="end") for tick in ticks]
    grid += [text(RIGHT - 34, share_y(share) + 4, f"{share:.0%}") for share in (0.0, 0.5, 1.0)]
    return chart(
        bottom + 34,
        words("Hari para pencetak", "The printers' day"),
        *grid,
        element("g", *bars, class_="fill s3"),
        path(busy, "line s1"),
        _legend(LEFT, 12.0, legend),
        _clock(result, end_s, x, bottom, words),
    )


def _panel(
    name: str,
    top: float,
    height: float,
    x: Scale,
    curves: Sequence[tuple[Points, str, str]],
    *,
    form: Callable[[float], str],
) -> str:
    """One drawing over the clock: its name and legend, its axis, its curves."""
    bottom = top + height
    ticks = nice_ticks(max((value for points, _, _ in curves for _, value in points), default=0.0), 3)
    y = Scale(0.0, ticks[-1], bottom, top)
    parts = [line(LEFT, y(tick), RIGHT, y(tick), "axis" if not tick else "grid") for tick in ticks]
    parts += [text(LEFT - 6, y(tick) + 4, form(tick) if tick else "0", anchor="end") for tick in ticks]
    for points, class_, _ in curves:
        placed = [(x(at), y(value)) for at, value in thinned(points)]
        kind, colour = class_.split()
        if kind == "area":
            parts.append(area(placed, bottom, f"area {colour}"))
        parts.append(path(placed, f"line {colour}"))
    parts.append(text(LEFT, top - 10, name, class_="strong"))
    at = LEFT + 12 + 7.4 * len(name)
    parts.append(_legend(at, top - 14, [(class_, label) for _, class_, label in curves]))
    return "".join(parts)


def _legend(x: float, y: float, entries: Sequence[tuple[str, str]]) -> str:
    parts = []
    for class_, label in entries:
        colour = class_.split()[1]
        if class_.startswith("line"):
            parts.append(line(x, y, x + 16, y, f"line {colour}"))
        else:
            parts.append(element("rect", x=x, y=y - 5, width=16, height=10, class_=f"fill {colour}"))
        parts.append(text(x + 21, y + 4, label))
        x += 38 + 6.8 * len(label)
    return "".join(parts)


def _struck(faults: Sequence[FaultRow], x: Scale, top: float, bottom: float) -> str:
    """A line where each fault began, and a band for as long as it lasted."""
    parts = []
    for fault in faults:
        at, until = x(min(fault.at_s, x.high)), x(min(fault.at_s + fault.for_s, x.high))
        if until - at >= 2:
            parts.append(element("rect", x=at, y=top, width=until - at, height=bottom - top, class_="band"))
        parts.append(line(at, top, at, bottom, "fault"))
    return "".join(parts)


def _numbers(faults: Sequence[FaultRow], x: Scale, bottom: float, words: Words) -> str:
    """The faults' numbers, as in the list below the drawing; those that would touch go into a second row."""
    parts, ends = [], [-1e9, -1e9]
    for number, fault in enumerate(faults, 1):
        at = x(min(fault.at_s, x.high))
        row = 0 if at - ends[0] >= LABEL_MIN else 1
        ends[row] = at
        parts.append(
            element(
                "g",
                title(f"{number}. {words.fault(f'{fault.what} {fault.target}'.strip())}"),
                element("circle", cx=at, cy=bottom + 9 + 15 * row, r=7.0, class_="dot"),
                text(at, bottom + 12.5 + 15 * row, str(number), anchor="middle", class_="number"),
            )
        )
    return "".join(parts)


def _clock(result: Result, end_s: float, x: Scale, bottom: float, words: Words, *, depth: float = 19.0) -> str:
    parts, last = [], -1e9
    for at_s, label in time_ticks(started(result), end_s, words.days):
        parts.append(line(x(at_s), bottom, x(at_s), bottom + 4, "axis"))
        if x(at_s) - last >= 8 * len(label):
            parts.append(text(min(x(at_s), RIGHT - 16), bottom + depth, label, anchor="middle"))
            last = x(at_s)
    return "".join(parts)


def _series(at_s: Sequence[float], values: Sequence[float]) -> Points:
    return list(zip(at_s, (float(value) for value in values), strict=False))


def _rates(at_s: Sequence[float], so_far: Sequence[float]) -> Points:
    """Cumulative counts as counts per scenario hour."""
    pairs = list(zip((0.0, *at_s), (0.0, *so_far), strict=False))
    return [
        (after[0], max(0.0, after[1] - before[1]) / max(1.0, after[0] - before[0]) * HOUR_S)
        for before, after in pairwise(pairs)
    ]
