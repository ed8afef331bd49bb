"""The page: verdict and thresholds first, then drawings, then every office. One file that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from html import escape
from pathlib import Path

from surge.report.charts import latency, over_time, printers_day, started
from surge.report.maps import map_of
from surge.report.table import office_data, office_table
from surge.report.words import Words
from surge.run.compare import Change, compare, unlike
from surge.run.result import Result, Threshold

_HERE = Path(__file__).parent
WIB = timezone(timedelta(hours=7), "WIB")
# Nothing may be loaded from anywhere, whatever a result holds.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(result: Result, words: Words, before: Result | None = None) -> str:
    """The whole document."""
    return "\n".join(_lines(result, words, before)) + "\n"


def _lines(result: Result, words: Words, before: Result | None) -> Iterator[str]:
    name = result.scenario.name
    yield f'<!doctype html>\n<html lang="{words.language}">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Sepe: {escape(name)}</title>"
    yield f"<style>\n{_read('page.css')}</style>\n</head>\n<body>\n<main>"
    yield _header(result, words)
    yield _thresholds(result.thresholds, words)
    yield _tiles(result, words)
    if before is not None:
        yield _compared(before, result, words)
    yield _section(
        words("Beban dan tunggakan", "Load and lag"), over_time(result, words), _fault_list(result, words)
    )
    drawn = map_of(result.offices, words)
    if drawn:
        yield _section(words("Di mana data menunggu", "Where it waited"), drawn)
    if result.latency:
        lead = words(
            "Dari tersimpan di kantor sampai pusat menyatakan aman; sumbu mendatar logaritmis.",
            "From the office's commit to the hub's durable ack; the horizontal axis is logarithmic.",
        )
        yield _section(
            words("Waktu sampai aman di pusat", "Time until it is safe at the hub"),
            f'<p class="soft">{lead}</p>', latency(result.latency, words),
        )  # fmt: skip
    if result.printers is not None and result.printers.printers:
        yield _section(
            words("Hari para pencetak", "The printers' day"),
            _printers_lead(result, words), printers_day(result, result.printers, words),
        )  # fmt: skip
    yield office_table(result.offices, words)
    yield _how(result, words)
    yield "</main>"
    yield f'<script type="application/json" id="office-data">{office_data(result.offices, words)}</script>'
    yield f"<script>\n{_read('page.js')}</script>\n</body>\n</html>"


def _header(result: Result, words: Words) -> str:
    scenario, run = result.scenario, result.run
    missed = sum(not one.passed for one in result.thresholds)
    verdict = words("LULUS", "PASSED") if result.passed else words("TIDAK LULUS", "MISSED")
    held = words(
        f"{len(result.thresholds) - missed} dari {len(result.thresholds)} ambang terpenuhi",
        f"{len(result.thresholds) - missed} of {len(result.thresholds)} thresholds held",
    )
    start = started(result)
    end = start + timedelta(seconds=scenario.lasts_s)
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{words.days[end.weekday()]} {end:%d-%m-%Y %H:%M}"
    when = f"{words.days[start.weekday()]} {start:%d-%m-%Y %H:%M} – {until} {scenario.zone}"
    size = words(
        f"{words.count(scenario.offices)} mesin kantor, {words.count(scenario.events)} perekaman",
        f"{words.count(scenario.offices)} office machines, {words.count(scenario.events)} recordings",
    )
    played = datetime.fromtimestamp(run.started_ms / 1000, WIB)
    speed = words(
        f"dimainkan {words.count(run.faster)} kali lebih cepat, {played:%d-%m-%Y %H:%M} WIB",
        f"played {words.count(run.faster)} times faster, {played:%d-%m-%Y %H:%M} WIB",
    )
    title = words(scenario.title_id or scenario.title, scenario.title)
    lead = f"<p>{escape(title)}</p>" if title else ""
    early = words("Dihentikan lebih awal; angka sampai saat itu.", "Ended early; figures are up to then.")
    early = f'<p class="missed">{early}</p>' if run.was_interrupted else ""
    kind = "passed" if result.passed else "missed"
    sign = "✓" if result.passed else "✗"
    return (
        f"<header><div><h1>{escape(scenario.name)}</h1>{lead}"
        f'<p class="soft">{escape(when)} · {size}<br>{speed}</p>{early}</div>'
        f'<div class="verdict {kind}">{sign} {verdict}<small>{held}</small></div></header>'
    )


def _thresholds(thresholds: Sequence[Threshold], words: Words) -> str:
    rows = []
    # Those that were missed first: that is what a reader came for.
    for one in sorted(thresholds, key=lambda one: one.passed):
        kind, sign = ("passed", "✓") if one.passed else ("missed", "✗")
        note = f'<br><span class="soft">{escape(words.note(one.note))}</span>' if one.note else ""
        sign_of = {"<=": "≤", ">=": "≥", "==": "="}.get(one.comparison, one.comparison)
        rows.append(
            f'<tr><td class="mark {kind}">{sign}</td><td>{escape(words.threshold(one))}{note}</td>'
            f'<td class="n"><b>{escape(words.amount(one.value, one.unit))}</b></td>'
            f'<td class="n soft">{sign_of} {escape(words.amount(one.limit, one.unit))}</td></tr>'
        )
    heads = (words("ambang", "threshold"), words("hasil", "found"), words("batas", "limit"))
    return _section(words("Ambang", "Thresholds"), _table(("", heads[0]), heads[1:], rows), kind="long")


def _tiles(result: Result, words: Words) -> str:
    totals, catch = result.totals, result.catch_up
    tiles = [
        (words.count(totals.offered), words("warga datang", "people came")),
        (words.count(totals.acked), words("data aman di pusat", "events safe at the hub")),
        (words.count(totals.unsent), words("belum terkirim di akhir", "unsent at the end")),
        (words.count(totals.lost), words("hilang", "lost")),
        (words.count(totals.doubled), words("terhitung ganda", "doubled")),
        (words.count(totals.cards), words("kartu keluar", "cards came out")),
        (words.seconds(catch.max_s), words("kantor terlama menyusul", "slowest to catch up")),
        (words.decimal(f"{totals.bytes_per_event:.4g}"), words("bita per data di jaringan", "bytes per event")),
        (words.bytes(result.hub.memory_max_bytes), words("memori pusat, terbanyak", "hub's memory, most")),
        (words.decimal(f"{result.hub.cores_mean:.2f}"), words("inti prosesor pusat", "cores of the hub")),
    ]
    if result.hub.memory_max_bytes == 0:
        tiles = tiles[:-2]
    if catch.fairness is not None:
        tiles.append(
            (words.decimal(f"{catch.fairness:.2f}"), words("keadilan menyusul (1 = sama)", "fairness (1 is even)"))
        )
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in tiles
    )
    return f'<section><h2>{words("Angka pokok", "Key figures")}</h2><div class="tiles">{cells}</div></section>'


def _compared(before: Result, after: Result, words: Words) -> str:
    rows = [_change(one, words) for one in compare(before, after)]
    numbers = (words("dulu", "before"), words("sekarang", "now"))
    played = datetime.fromtimestamp(before.run.started_ms / 1000, WIB)
    lead = words(f"Terhadap {played:%d-%m-%Y %H:%M} WIB.", f"Against {played:%d-%m-%Y %H:%M} WIB.")
    doubts = "".join(f'<p class="missed">{escape(one)}</p>' for one in unlike(before, after))
    return _section(
        words("Dibanding sebelumnya", "Compared"),
        f'<p class="soft">{lead}</p>{doubts}',
        _table((words("angka", "figure"),), numbers, rows, after=("",)),
        kind="long",
    )


def _change(one: Change, words: Words) -> str:
    texts = {
        1: ("better", "▲ " + words("lebih baik", "better")),
        -1: ("worse", "▼ " + words("lebih buruk", "worse")),
        0: ("soft", "= " + words("sama", "same")),
    }
    kind, told = texts[one.direction]
    shown = Threshold(one.key, one.title, None, "<=", 0, "", True)
    before, after = (escape(words.amount(value, one.unit)) for value in (one.before, one.after))
    return (
        f'<tr><td>{escape(words.threshold(shown))}</td><td class="n">{before}</td><td class="n">{after}</td>'
        f'<td class="{kind} told">{told}{escape(one.ratio_text)}</td></tr>'
    )


def _fault_list(result: Result, words: Words) -> str:
    if not result.faults:
        return ""
    items = []
    for fault in result.faults:
        at = started(result) + timedelta(seconds=fault.at_s)
        lasts = (
            words(f", selama {words.seconds(fault.for_s)}", f", for {words.seconds(fault.for_s)}")
            if fault.for_s
            else ""
        )
        missed = "" if fault.landed else words(" (tidak mengenai apa pun)", " (hit nothing)")
        what = f"{fault.what} {fault.target}".strip()
        items.append(
            f"<li>{words.days[at.weekday()]} {at:%d-%m %H:%M}: {escape(words.fault(what))}{lasts}{missed}</li>"
        )
    return f'<ol class="faults">{"".join(items)}</ol>'


def _printers_lead(result: Result, words: Words) -> str:
    day = result.printers
    assert day is not None
    parts = [words(f"{words.count(day.printers)} pencetak, {words.count(sum(day.cards))} kartu",
                   f"{words.count(day.printers)} printers, {words.count(sum(day.cards))} cards")]  # fmt: skip
    if day.busy_share is not None:
        parts.append(
            words(
                f"bekerja {day.busy_share:.0%} dari waktu ada kartu menunggu",
                f"at work {day.busy_share:.0%} of the time with cards to make",
            )
        )
    waiting = sum(day.waiting.values())
    if waiting:
        parts.append(
            words(
                f"{words.count(waiting)} kartu masih menunggu di akhir",
                f"{words.count(waiting)} cards still waiting at the end",
            )
        )
    if day.in_doubt:
        parts.append(
            words(f"{words.count(day.in_doubt)} kartu diragukan", f"{words.count(day.in_doubt)} in doubt")
        )
    return f'<p class="soft">{escape("; ".join(parts))}.</p>'


def _how(result: Result, words: Words) -> str:
    run, machine = result.run, result.machine
    program = f"sepe {run.version} {run.commit}, Python {machine.python}, SQLite {machine.sqlite}"
    cores, memory = f"{machine.cores} {words('inti', 'cores')}", words.bytes(machine.memory_bytes)
    computer = f"{machine.processor}, {cores}, {memory}, {machine.system}"
    rows = [
        (words("perintah", "command"), f"<code>{escape(run.command)}</code>"),
        (words("benih", "seed"), str(run.seed)),
        (words("program", "program"), escape(program)),
        (words("komputer", "machine"), escape(computer)),
        (words("pusat", "hub"), escape(f"{run.hub}, {run.storage}".rstrip(", "))),
        (words("lama", "took"), words.seconds(run.wall_s)),
        (words("ikut dipercepat", "scaled"), escape("; ".join(run.scaled)) or "–"),
        (words("tidak dipercepat", "not scaled"), escape("; ".join(run.unscaled)) or "–"),
        (words("sumber angka", "figures from"), escape(result.scenario.source) or "–"),
        *((words("catatan", "note"), escape(note)) for note in result.notes),
    ]  # fmt: skip
    cells = "".join(f'<tr><td class="soft">{name}</td><td>{value}</td></tr>' for name, value in rows)
    title = words("Bagaimana diukur", "How it was measured")
    return _section(title, f"<table><tbody>{cells}</tbody></table>", kind="long")


def _section(title: str, *inside: str, kind: str = "whole") -> str:
    """``whole`` stays on one sheet of paper, ``long`` may run over several."""
    return f'<section class="{kind}"><h2>{escape(title)}</h2>{"".join(inside)}</section>'


def _table(texts: Sequence[str], numbers: Sequence[str], rows: Sequence[str], after: Sequence[str] = ()) -> str:
    heads = [f"<th>{escape(one)}</th>" for one in texts]
    heads += [f'<th class="n">{escape(one)}</th>' for one in numbers] + [
        f"<th>{escape(one)}</th>" for one in after
    ]
    return f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
