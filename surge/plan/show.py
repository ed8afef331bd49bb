"""A plan as a head of office reads it: the answer first, then the days, then what is lacking where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from node.cli.words import say
from surge.plan.answer import Answer, Case, DayLine, Figure, Printers
from surge.plan.check import Checked
from surge.plan.whatif import WhatIf
from surge.scenario.model import Scenario

PLACES_MAX = 8
DAY_NAMES = (
    ("Sen", "Mon"), ("Sel", "Tue"), ("Rab", "Wed"), ("Kam", "Thu"), ("Jum", "Fri"), ("Sab", "Sat"), ("Min", "Sun"),
)  # fmt: skip
LIMITS = {
    "line": ("jaringan", "line"),
    "check": ("cek pusat", "check"),
    "blanks": ("blangko", "blanks"),
    "ribbon": ("pita", "ribbon"),
    "heat": ("panas", "heat"),
    "people": ("meja", "desks"),
    "printers": ("pencetak", "printers"),
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the comparison."""

    title: str
    figure: Callable[[Case], Figure]
    form: Callable[[float], str]


def show(scenario: Scenario, answer: Answer, console: Console | None = None) -> None:
    """Print a plan."""
    out = console or Console(highlight=False)
    out.print(Text(scenario.name, style="bold"), end="")
    out.print(f"  {_place(scenario, answer)}")
    for line in headline(scenario, answer):
        out.print(f"  {line}", soft_wrap=True)
    out.print()
    out.print(_figures(answer))
    for title, case in _cases(answer):
        out.print()
        out.print(_days(case, title))
        if case.search and case is answer.base:
            out.print()
            out.print(_search(scenario, case))
        elif not case.search and any(place.left_first >= 1 for place in case.places):
            out.print()
            out.print(_places(case, title))


def show_check(seen: Checked, console: Console | None = None) -> None:
    """Print how far the model is from the real tool."""
    out = console or Console(highlight=False)
    names = {
        "cards": say("kartu", "cards"),
        "first_cards": say("kartu pertama", "first cards"),
        "last_first_card_hour": say("kartu pertama terakhir keluar", "last first card out"),
        "middle_card_hour": say("separuh kartu keluar", "half of the cards out"),
    }
    table = _table(say("Model di samping alat yang sebenarnya", "The model beside the real tool"))
    table.add_column("")
    for head in (say("model", "model"), say("alat", "tool"), say("selisih", "difference")):
        table.add_column(head, justify="right")
    for one in seen.figures:
        form = _clock if one.name.endswith("_hour") else _count
        scale = 60 if one.name.endswith("_hour") else 1
        table.add_row(names[one.name], form(one.model * scale), form(one.tool * scale), f"{one.difference:+.1%}")
    out.print()
    out.print(table)


def headline(scenario: Scenario, answer: Answer) -> Iterator[str]:
    """The answer in sentences."""
    for title, case in _cases(answer):
        lead = f"{title}: " if answer.what_if else ""
        first = case.first_cards
        asked = first.mean + case.left_first.mean
        if asked >= 1:
            yield lead + say(
                f"{_count(first.mean)} dari {_count(asked)} kartu pertama selesai"
                + (f", {_count(case.left_first.mean)} belum." if case.left_first.mean >= 0.5 else "."),
                f"{_count(first.mean)} of {_count(asked)} first cards are made"
                + (f", {_count(case.left_first.mean)} are not." if case.left_first.mean >= 0.5 else "."),
            )
        if case.held.mean >= 0.5:
            yield say(
                f"{_count(case.held.mean)} tertahan pada pemeriksaan pusat.",
                f"{_count(case.held.mean)} are held by the centre's check.",
            )
        enough = next((row for row in case.search if row.cleared_share >= 0.95), None)
        close = _clock(scenario.calendar.printing[1])
        if enough and asked >= 1 and not answer.what_if:
            yield say(
                f"{enough.count} pencetak menyelesaikan semua kartu pertama; yang terakhir keluar pukul "
                f"{_clock(enough.last_first_min.mean)} (pencetak dijaga sampai {close}).",
                f"{enough.count} printers clear all first cards; the last is out at "
                f"{_clock(enough.last_first_min.mean)} (printers are attended until {close}).",
            )
        if not case.search and (case.more_printers or case.unhelped_offices):
            yield lead + say(
                f"{_count(case.more_printers)} pencetak lagi akan cukup untuk yang kekurangan pencetak; di "
                f"{_count(case.unhelped_offices)} kantor pencetak saja tidak menolong.",
                f"{_count(case.more_printers)} more printers would do where printers are lacking; in "
                f"{_count(case.unhelped_offices)} offices printers alone do not help.",
            )


def _cases(answer: Answer) -> Iterator[tuple[str, Case]]:
    yield say("Sekarang", "As it is"), answer.base
    if answer.what_if is not None and answer.change is not None:
        yield say("Andaikata", "What if") + f" ({change_text(answer.change)})", answer.what_if


def change_text(change: WhatIf) -> str:
    """``pencetak +2, blangko 500``."""
    parts = [
        (say("pencetak", "printers"), change.printers),
        (say("blangko", "blanks"), change.blanks),
        (say("pita", "ribbons"), change.ribbons),
        (say("meja", "desks"), change.desks),
    ]
    words = [f"{name} {value}" for name, value in parts if value is not None]
    if change.printing_until_min is not None:
        words.append(say("pencetak sampai ", "printers until ") + _clock(change.printing_until_min))
    if change.good_lines:
        words.append(say("jaringan baik", "good lines"))
    return ", ".join(words)


def _place(scenario: Scenario, answer: Answer) -> str:
    calendar = scenario.calendar
    days = f"{calendar.first}" if calendar.first == calendar.last else f"{calendar.first} - {calendar.last}"
    offices = say(f"{answer.base.offices:,} kantor", f"{answer.base.offices:,} offices").replace(",", ".")
    plays = say(f"{answer.replications} ulangan", f"{answer.replications} replications")
    return f"{days}, {offices}, {plays}"


def _figures(answer: Answer) -> Table:
    rows = (
        _Row(say("kartu dibuat", "cards made"), lambda case: case.cards, _count),
        _Row(say("kartu pertama", "first cards"), lambda case: case.first_cards, _count),
        _Row(say("kartu pertama belum selesai", "first cards not made"), lambda case: case.left_first, _count),
        _Row(say("semua kartu belum selesai", "all cards not made"), lambda case: case.left, _count),
        _Row(say("antre ke meja, tengah", "to the desk, median"), lambda case: case.desk_median_min, _span),
        _Row(say("antre ke meja, 9 dari 10", "to the desk, 9 of 10"), lambda case: case.desk_p90_min, _span),
        _Row(say("dari pintu ke kartu, tengah", "door to card, median"), lambda case: case.card_median_min, _span),
        _Row(
            say("dari pintu ke kartu, 9 dari 10", "door to card, 9 of 10"), lambda case: case.card_p90_min, _span
        ),
        _Row(say("pencetak bekerja", "printers at work"), lambda case: case.printer_busy, lambda x: f"{x:.0%}"),
        _Row(say("jam tanpa blangko", "hours without blanks"), lambda case: case.dry_hours, _count),
    )
    table = _table("")
    table.add_column("", no_wrap=True)
    cases = list(_cases(answer))
    for title, _ in cases:
        table.add_column(title.partition(" (")[0], justify="right", no_wrap=True)
        table.add_column("± 95 %", justify="right", style="dim", no_wrap=True)
    for row in rows:
        cells = []
        for _, case in cases:
            one = row.figure(case)
            low, high = row.form(one.low), row.form(one.high)
            cells += [row.form(one.mean), "" if low == high else row.form(one.high - one.mean)]
        table.add_row(row.title, *cells)
    return table


def _table(title: str) -> Table:
    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _days(case: Case, title: str) -> Table:
    table = _table(title + say(": hari demi hari", ": day by day"))
    is_one = case.offices == 1
    heads = [
        say("hari", "day"), say("dilayani", "served"), say("kartu", "cards"),
        say("sisa\nmalam", "left at\nnight"), say("antrean\nterbesar", "longest\nqueue"),
        # Of many offices the latest says little.
        *([say("meja\nsampai", "desks\nuntil")] if is_one else []),
        say("blangko\nhabis", "out of\nblanks"), say("pembatas", "what binds"),
    ]  # fmt: skip
    for number, head in enumerate(heads):
        is_text = number in (0, len(heads) - 1)
        table.add_column(head, justify="left" if is_text else "right", no_wrap=True)
    for line in case.days:
        until = _clock(line.served_until_min.mean) if line.visits.mean else ""
        table.add_row(
            _day(line.day), _count(line.visits.mean), _count(line.cards.mean), _count(line.waiting.mean),
            _count(line.queue_max.mean), *([until] if is_one else []),
            _count(line.stock_outs.mean) if line.stock_outs.mean else "", _binds(line, case.offices),
        )  # fmt: skip
    return table


def _binds(line: DayLine, offices: int) -> str:
    words = []
    for limit, count in list(line.binds.items())[:3]:
        name = say(*LIMITS[limit])
        words.append(name if offices == 1 else f"{name} {_count(count)}")
    return "\n".join(words)


def _search(scenario: Scenario, case: Case) -> Table:
    table = _table(say("Berapa pencetak?", "How many printers?"))
    for head in (say("pencetak", "printers"), say("kartu pertama", "first cards"), say("belum", "not made"),
                 say("terakhir keluar", "last one out"), say("semua selesai", "all cleared")):  # fmt: skip
        table.add_column(head, justify="right")
    for row in case.search:
        table.add_row(
            str(row.count),
            _count(row.first_cards.mean),
            _count(row.left_first.mean),
            _last(row),
            f"{row.cleared_share:.0%}",
        )
    return table


def _last(row: Printers) -> str:
    return _clock(row.last_first_min.mean) if row.first_cards.mean else ""


def _places(case: Case, title: str) -> Table:
    table = _table(title + say(": di mana kurang", ": where it is lacking"))
    table.add_column(say("kabupaten/kota", "regency"))
    heads = (
        say("kantor", "offices"), say("kunjungan", "visits"), say("kartu pertama belum", "first cards not made"),
        say("pencetak lagi", "more printers"),
    )  # fmt: skip
    for head in heads:
        table.add_column(head, justify="right")
    for place in case.places[:PLACES_MAX]:
        if place.left_first >= 0.5:
            table.add_row(
                f"{place.code} {place.name}", _count(place.offices), _count(place.visits),
                _count(place.left_first),
                _count(place.more_printers) if place.more_printers else "-",
            )  # fmt: skip
    return table


def _day(day: date) -> str:
    return f"{say(*DAY_NAMES[day.weekday()])} {day:%d-%m}"


def _count(value: float) -> str:
    text = f"{value:,.0f}"
    return say(text.replace(",", "."), text)


def _span(minutes: float) -> str:
    if minutes >= 2 * 1440:
        return say(f"{minutes / 1440:.1f} hari".replace(".", ","), f"{minutes / 1440:.1f} d")
    if minutes >= 100:
        return say(f"{minutes / 60:.1f} jam".replace(".", ","), f"{minutes / 60:.1f} h")
    return say(f"{minutes:.1f} mnt".replace(".", ","), f"{minutes:.1f} min")


def _clock(minutes: float) -> str:
    whole = round(minutes)
    days, of_day = divmod(whole, 1440)
    if whole and not of_day:
        days, of_day = days - 1, 1440
    text = f"{of_day // 60:02}:{of_day % 60:02}"
    return f"{text} (+{days})" if days else text
