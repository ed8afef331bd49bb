"""The roll: who shall have a card before the vote, as the regency's list says. It gives no rights by itself.

Whose NIK begins with this office's code has his right here beforehand. Whoever moved here has it where he came
from: loading the list asks for those rights while there is a line, so that they are here when it is cut.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from node.printing.rights import Right, RightBook
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from sepe.products import DEFAULT_PRODUCT, KTP_AGE_YEARS, birthday

LINES_MAX = 200_000
_YES = frozenset({"1", "YA", "Y", "YES", "TRUE", "TRUE()"})
_NO = frozenset({"", "0", "TIDAK", "T", "NO", "FALSE", "N"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the roll. ``birth_date`` is ``None`` where the list does not say."""

    nik: int
    name: str
    birth_date: date | None
    is_voter: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a list did. ``asked``: rights that are others' and are now claimed; ``refused``: line, why."""

    entries: int
    new: int
    asked: int
    refused: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The roll beside what was done here. Everything counts persons of the roll.

    Attributes:
        under_age: of those without a card, who turns 17 only after ``on``.
        elsewhere: whose right is another office's.
    """

    listed: int
    recorded: int
    printed: int
    handed_over: int
    under_age: int
    elsewhere: int

    @property
    def without_card(self) -> int:
        return self.listed - self.printed - self.handed_over


def load(store: NodeStore, text: str, *, now_ms: int) -> Loaded:
    """Take in a list, JSON lines or CSV with a header; a NIK that is on it already is replaced.

    Columns: ``nik``, and where known ``name``, ``birth_date``, ``voter``. A line that cannot be read is refused by
    itself. One transaction.
    """
    entries: dict[int, Entry] = {}
    refused: list[tuple[int, str]] = []
    for number, row in _rows(text):
        try:
            entry = _entry(row)
        except InvalidInputError as exc:
            refused.append((number, str(exc)))
            continue
        entries[entry.nik] = entry
    with store.transaction():
        execute = store.connection.execute
        before = execute("SELECT count(*) FROM roll").fetchone()[0]
        store.connection.executemany(
            "INSERT OR REPLACE INTO roll (nik, name, birth_date, is_voter, loaded_ms) VALUES (?, ?, ?, ?, ?)",
            [
                (
                    one.nik,
                    one.name,
                    one.birth_date.isoformat() if one.birth_date else "",
                    int(one.is_voter),
                    now_ms,
                )
                for one in entries.values()
            ],
        )
        new = execute("SELECT count(*) FROM roll").fetchone()[0] - before
        asked = RightBook(store).want(Right(nik, DEFAULT_PRODUCT, 1) for nik in entries)
    return Loaded(len(entries), int(new), asked, tuple(refused))


def coverage(store: NodeStore, *, on: date) -> Coverage:
    """How far the roll is covered; ``on``: the day of the vote, or today."""
    rows = store.connection.execute(
        "SELECT r.nik, r.birth_date, "
        "EXISTS (SELECT 1 FROM resident p WHERE p.nik = r.nik), "
        "EXISTS (SELECT 1 FROM job j WHERE j.nik = r.nik AND j.product = ?1 AND j.state = 'printed'), "
        "EXISTS (SELECT 1 FROM job j WHERE j.nik = r.nik AND j.product = ?1 AND j.state = 'handed_over') "
        "FROM roll r",
        (DEFAULT_PRODUCT,),
    ).fetchall()
    book = RightBook(store)
    recorded = printed = handed = under_age = elsewhere = 0
    for nik, born, is_recorded, is_printed, is_handed in rows:
        recorded += is_recorded
        handed += is_handed
        printed += is_printed and not is_handed
        if not (is_printed or is_handed):
            under_age += bool(born) and birthday(date.fromisoformat(born), KTP_AGE_YEARS) > on
            elsewhere += book.grip(Right(nik, DEFAULT_PRODUCT, 1)).fence is None
    return Coverage(len(rows), recorded, printed, handed, under_age, elsewhere)


def without_card(store: NodeStore) -> list[Entry]:
    """Who is on the roll and has no card from here, voters first, then by birth."""
    rows = store.connection.execute(
        "SELECT nik, name, birth_date, is_voter FROM roll r WHERE NOT EXISTS (SELECT 1 FROM job j "
        "WHERE j.nik = r.nik AND j.product = ? AND j.state IN ('printed', 'handed_over')) "
        "ORDER BY is_voter DESC, birth_date, nik",
        (DEFAULT_PRODUCT,),
    )
    return [
        Entry(nik, name, date.fromisoformat(born) if born else None, bool(voter))
        for nik, name, born, voter in rows.fetchall()
    ]


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = text.lstrip("\ufeff").splitlines()
    if len(lines) > LINES_MAX:
        raise InvalidInputError(f"paling banyak {LINES_MAX} baris", field="FILE", value=len(lines))
    if next((line for line in lines if line.strip()), "").lstrip().startswith("{"):
        yield from _json_rows(lines)
        return
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=";" if ";" in (lines or [""])[0] else ",")
    heads: list[str] = []
    for number, cells in enumerate(reader, start=1):
        if not any(cell.strip() for cell in cells):
            continue
        if not heads:
            heads = [cell.strip().lower() for cell in cells]
            if "nik" not in heads:
                raise InvalidInputError(
                    "baris pertama harus nama kolom, di antaranya nik", field="FILE", value=",".join(heads)[:60],
                    hint="nik,name,birth_date,voter",
                )  # fmt: skip
            continue
        yield number, dict(zip(heads, cells, strict=False))


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = {}
        yield number, row if isinstance(row, dict) else {}


def _entry(row: Mapping[str, Any]) -> Entry:
    nik = Nik.parse(str(row.get("nik") or "").strip())
    born = str(row.get("birth_date") or "").strip()
    voter = str(row.get("voter") if row.get("voter") is not None else "1").strip().upper()
    if voter not in _YES | _NO:
        raise InvalidInputError("tulis ya atau tidak", field="voter", value=voter)
    try:
        birth_date = date.fromisoformat(born) if born else None
    except ValueError:
        raise InvalidInputError("tanggal lahir harus TTTT-BB-HH", field="birth_date", value=born) from None
    return Entry(nik.number, str(row.get("name") or "").strip().upper()[:100], birth_date, voter in _YES)
