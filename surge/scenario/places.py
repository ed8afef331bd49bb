"""Which offices a scenario means: codes and names checked against the region table, near misses named."""

from __future__ import annotations

from difflib import get_close_matches
from random import Random

from sepe.region import RegionTable
from sepe_io.regions import region_table
from surge.scenario.model import Where
from surge.scenario.reader import Table

_DIGITS = {"kecamatan": 6, "regencies": 4, "provinces": 2}


def read_where(table: Table) -> Where:
    """The table ``[offices]``."""
    regions = region_table()
    chosen: set[str] = set()
    is_nation = table.flag("nation", False)
    for key, digits in _DIGITS.items():
        for prefix in _codes(table, key, (digits,)):
            chosen |= {code for code in regions.codes() if code.startswith(prefix)}
    if is_nation:
        chosen = set(regions.codes())
    if table and not chosen and not any(key in table for key in _DIGITS):
        table.wrong_here(
            "names no office",
            'Write kecamatan = ["530201"], provinces = ["53"] or nation = true',
        )
    per = table.text("per", "kecamatan", of=("kecamatan", "regency"))
    codes = [code for code in regions.codes() if code in chosen]
    if per == "regency":
        first_of: dict[str, str] = {}
        for code in codes:
            first_of.setdefault(code[:4], code)
        codes = list(first_of.values())
    count = table.whole("count", len(codes) or 1, 1, 10_000, "offices")
    if codes and count > len(codes):
        table.wrong("count", f"there are only {len(codes):,} of them", count)
    where = Where(
        _spread(codes, count),
        per,
        table.whole("machines", 1, 1, 50, "machines in each office"),
        table.text("split", "population", of=("population", "equal")),
    )
    table.finish()
    return where


def region_prefixes(table: Table, key: str) -> tuple[str, ...]:
    """Codes of provinces, regencies or kecamatan, mixed."""
    return _codes(table, key, (2, 4, 6))


def _codes(table: Table, key: str, digits: tuple[int, ...]) -> tuple[str, ...]:
    regions = region_table()
    good = []
    for index, code in enumerate(table.texts(key)):
        if not (code.isascii() and code.isdigit() and len(code) in digits):
            rule = f"must be a code of {' or '.join(str(one) for one in digits)} digits"
            table.wrong_at(key, index, rule, code, _by_name(regions, code))
        elif not any(known.startswith(code) for known in regions.codes()):
            table.wrong_at(key, index, "no such region", code, _near(regions, code))
        else:
            good.append(code)
    return tuple(good)


def _near(regions: RegionTable, code: str) -> str:
    """What stands near a code that does not exist: what replaced it, or those that look like it."""
    current = regions.current_code(code)
    if current != code:
        return f"It was renumbered: write {current}"
    known = sorted({one[: len(code)] for one in regions.codes()})
    # Those of the same regency first: a slip is mostly in the last digits.
    pools = [[one for one in known if one[:length] == code[:length]] for length in (4, 2, 0)]
    near = get_close_matches(code, next(pool for pool in pools if pool), n=2, cutoff=0.6)
    return f"Near it: {', '.join(f'{one} {_name(regions, one)}' for one in near)}" if near else ""


def _by_name(regions: RegionTable, text: str) -> str:
    """The code of a kecamatan whose name somebody wrote."""
    for code in regions.codes():
        found = regions.kecamatan(code)
        if found is not None and found.district.casefold() == text.strip().casefold():
            return f"{found.district} in {found.regency} is {code}"
    return ""


def _name(regions: RegionTable, code: str) -> str:
    found = regions.kecamatan(code) if len(code) == 6 else None
    return found.district if found else (regions.regency(code) if len(code) == 4 else regions.province(code)) or ""


def _spread(codes: list[str], count: int) -> tuple[str, ...]:
    """``count`` of the codes, spread evenly over the table, which goes by region."""
    if count >= len(codes):
        return tuple(codes)
    rng = Random(count)
    step = len(codes) / count
    return tuple(codes[int(step * (index + rng.random()))] for index in range(count))
