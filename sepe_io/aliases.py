"""Builds ``data/wilayah_alias.csv``, what took over which old code. ``python -m sepe_io.aliases`` writes it.

Two public lists say so: today's (``wilayah_kecamatan.csv``) and one of 2018 with the codes from before Papua's
renumbering (``wilayah_kecamatan_2018.csv``). An old code has a successor only where the regency that took over
has exactly one kecamatan of that name and the old regency had exactly one. Otherwise it has none, and the place
is asked for: a wrong kecamatan on a card is worse than a question.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ALIASES = Path(__file__).parent / "data" / "wilayah_alias.csv"
_OLD = ALIASES.with_name("wilayah_kecamatan_2018.csv")
_NEW = ALIASES.with_name("wilayah_kecamatan.csv")
_HEADER = ("old_code", "new_code", "since", "decree")

Row = tuple[str, str, str, str]


def successors(
    old: Iterable[tuple[str, str]], new: Iterable[tuple[str, str]], regencies: Iterable[Row]
) -> list[Row]:
    """The aliases of six digits that names and parents make certain.

    Args:
        old: (code, name) of kecamatan as they were.
        new: the same of today.
        regencies: the aliases of four digits.
    """
    was, now = [(code, _plain(name)) for code, name in old], [(code, _plain(name)) for code, name in new]
    olds = Counter((code[:4], name) for code, name in was)
    news = Counter((code[:4], name) for code, name in now)
    code_of = {(code[:4], name): code for code, name in now}
    moved = {row[0]: row for row in regencies}
    found: list[Row] = []
    for code, name in sorted(was):
        if code[:4] not in moved:
            continue
        _, regency, since, decree = moved[code[:4]]
        if olds[code[:4], name] == news[regency, name] == 1:
            found.append((code, code_of[regency, name], since, decree))
    return found


def built() -> str:
    """The whole file: its regencies as they stand there, and the kecamatan anew."""
    regencies = [(a, b, c, d) for a, b, c, d in _read(ALIASES) if len(a) == 4]
    old = [(code, name) for code, name in _read(_OLD)]
    new = [(row[0], row[3]) for row in _read(_NEW)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_HEADER, *regencies, *successors(old, new, regencies)])
    return text.getvalue()


def _plain(name: str) -> str:
    return "".join(letter for letter in name.upper() if letter.isalnum())


def _read(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))[1:]


if __name__ == "__main__":
    ALIASES.write_text(built(), encoding="utf-8", newline="\n")
