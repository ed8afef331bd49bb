"""Every office of a run: a table that a script sorts, and the rows that paper and scriptless readers see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from surge.report.words import Words
from surge.run.result import OfficeRow

# What stands in the file itself, for paper and for those who switch scripts off; the script shows the same ones.
ROWS_STATIC = 40
# The column by which it opens: how long the oldest event waited.
SORTED_BY = 8


def _columns(words: Words) -> list[tuple[str, str]]:
    """Heads of the office table and how each column is written."""
    return [
        (words("mesin", "machine"), "text"), (words("kecamatan", "kecamatan"), "text"),
        (words("kabupaten/kota", "regency"), "text"), (words("jaringan", "link"), "text"),
        (words("direkam", "recorded"), "count"), (words("aman", "safe"), "count"),
        (words("belum", "unsent"), "count"), (words("tunggakan terbesar", "worst lag"), "count"),
        (words("tertua", "oldest"), "seconds"), ("p95", "seconds"),
        (words("menyusul", "catch-up"), "seconds"), (words("kartu", "cards"), "count"),
        (words("pencetak", "printers"), "share"),
    ]  # fmt: skip


def _values(one: OfficeRow) -> list[object]:
    return [
        one.node, one.name, one.regency.replace("Kabupaten ", "Kab. "), one.link, one.accepted, one.acked,
        one.unsent, one.worst_lag, round(one.oldest_unsent_s, 2), one.ack_p95_s, one.catch_up_s, one.cards,
        one.printers_busy,
    ]  # fmt: skip


def office_table(offices: Sequence[OfficeRow], words: Words) -> str:
    """The section with the table; the script of the page takes it over."""
    columns = _columns(words)
    heads = [
        f'<th scope="col"{_kind(form)}><button type="button">{escape(head)}<i></i></button></th>'
        for head, form in columns
    ]
    worst = sorted(offices, key=lambda one: (-one.oldest_unsent_s, one.node))[:ROWS_STATIC]
    rows = []
    for one in worst:
        pairs = zip(_values(one), columns, strict=True)
        cells = [f"<td{_kind(form)}>{escape(_written(value, form, words))}</td>" for value, (_, form) in pairs]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    lead = words(
        f"Yang datanya paling lama menunggu lebih dulu, {len(worst)} dari {words.count(len(offices))}.",
        f"Whose events waited longest first, {len(worst)} of {words.count(len(offices))}.",
    )
    find = words("Cari kantor, kabupaten, jaringan", "Find an office, regency, link")
    more = words("Tampilkan lebih banyak", "Show more")
    return "".join(
        (
            f'<section class="long"><h2>{words("Semua kantor", "Every office")}</h2><div class="tools">',
            f'<input id="find" type="search" placeholder="{find}" aria-label="{find}">',
            f'<span class="soft" id="told">{lead}</span></div><div class="wide"><table id="offices">',
            f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>",
            f'<button class="more" id="more" type="button">{more}</button></section>',
        )
    )


def _kind(form: str) -> str:
    return "" if form == "text" else ' class="n"'


def _written(value: object, form: str, words: Words) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    assert isinstance(value, int | float)
    return words.seconds(value) if form == "seconds" else f"{value:.0%}" if form == "share" else words.count(value)


def office_data(offices: Sequence[OfficeRow], words: Words) -> str:
    """What the script reads; no text in it can end the element that it stands in."""
    document = {
        "language": words.language,
        "sorted": SORTED_BY,
        "forms": [form for _, form in _columns(words)],
        "units": [(86_400, words("hari", "d")), (3600, words("jam", "h")), (60, words("mnt", "min"))],
        "second": words("dtk", "s"),
        "told": words(
            "{shown} dari {all} kantor; klik judul kolom untuk mengurutkan",
            "{shown} of {all} offices; click a heading to sort",
        ),
        "rows": [_values(one) for one in offices],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
