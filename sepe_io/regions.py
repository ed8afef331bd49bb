"""Region data that comes with the package, read on first use and kept.

Nothing is read on import, so commands that need no region do not pay for the table (about 10 ms).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from sepe.region import RegionAlias, RegionTable


@dataclass(frozen=True, slots=True)
class Population:
    """Residents of one province (2-digit code) or regency (4-digit code), Dukcapil, December 2024."""

    code: str
    name: str
    male: int
    female: int

    @property
    def total(self) -> int:
        """Residents of both sexes."""
        return self.male + self.female


@cache
def region_table() -> RegionTable:
    """All 7,285 kecamatan with the replaced codes; the same object on every call."""
    aliases = [
        RegionAlias(old_code, new_code, date.fromisoformat(since), decree)
        for old_code, new_code, since, decree in _rows("wilayah_alias.csv")
    ]
    return RegionTable(
        ((code, province, regency, district) for code, province, regency, district in _rows(_KECAMATAN)), aliases
    )


@cache
def centroids() -> dict[str, tuple[float, float]]:
    """Centre of each kecamatan by code: (latitude, longitude) in degrees. Do not change the dict."""
    return {code: (float(latitude), float(longitude)) for code, latitude, longitude in _rows(_CENTROID)}


@cache
def populations() -> dict[str, Population]:
    """Residents by province and regency code. Do not change the dict."""
    return {
        code: Population(code, name, int(male), int(female)) for code, name, male, female, _ in _rows(_POPULATION)
    }


@cache
def ntt_outlines() -> dict[str, Any]:
    """GeoJSON of the 22 regencies of Nusa Tenggara Timur, coordinates as (longitude, latitude)."""
    outlines: dict[str, Any] = json.loads(_text("ntt_kabupaten.geojson"))
    return outlines


@cache
def roll_facts() -> tuple[dict[str, str], ...]:
    """Published sizes of voter rolls, one dict per row with the file's column names and its source."""
    return tuple(csv.DictReader(_text("dpt_facts.csv").splitlines()))


# importlib.resources would cost as much to import as the table costs to read.
_DATA = Path(__file__).parent / "data"
_KECAMATAN = "wilayah_kecamatan.csv"
_CENTROID = "kecamatan_centroid.csv"
_POPULATION = "penduduk_kabupaten_2024.csv"


def _rows(name: str) -> Iterator[list[str]]:
    rows = csv.reader(_text(name).splitlines())
    next(rows)  # header
    return rows


def _text(name: str) -> str:
    return (_DATA / name).read_text(encoding="utf-8")
