"""A scenario's offices one by one: residents, people who come, what the office has, and its line.

Residents of a regency are published, those of a kecamatan are not: they are the regency's, divided as the
published rolls divide them (Kota Kupang) or evenly. People who come are shared out by residents so that the parts
add up to the scenario's figure exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from sepe.region import WIB, WIT, WITA, zone
from sepe_io.regions import centroids, populations, region_table, roll_facts
from surge.scenario.model import LinkClass, Override, PrinterModel, Scenario

ZONES = {one.name: one for one in (WIB, WITA, WIT)}


@dataclass(frozen=True, slots=True)
class Office:
    """One office of a scenario.

    Attributes:
        code: of its kecamatan; for an office of a whole regency, of the first one.
        utc_offset_min: of its wall clock.
        at: latitude and longitude in degrees.
        first_cards, other_visits: people who come in all days.
        first_first, first_other: how many of either the offices before it have; products are dealt on from there.
    """

    code: str
    name: str
    regency: str
    province: str
    utc_offset_min: int
    at: tuple[float, float]
    residents: int
    first_cards: int
    other_visits: int
    first_first: int
    first_other: int
    machines: int
    desks: int
    printers: tuple[PrinterModel, ...]
    blanks: Mapping[str, int]
    ribbons: int
    link: LinkClass

    @property
    def visits(self) -> int:
        """Everybody who comes."""
        return self.first_cards + self.other_visits

    @property
    def nodes(self) -> tuple[str, ...]:
        """Its machines, ``530201-1`` and so on."""
        return tuple(f"{self.code}-{number}" for number in range(1, self.machines + 1))


def offices_of(scenario: Scenario) -> tuple[Office, ...]:
    """Every office, in the order of the region table."""
    regions, where = region_table(), scenario.where
    found = [_override(scenario.overrides, code) for code in where.codes]
    residents = [residents_of(code, whole_regency=where.per == "regency") for code in where.codes]
    weights = [
        one.weight * (count if where.split == "population" else 1)
        for one, count in zip(found, residents, strict=True)
    ]
    firsts = shared_out(scenario.demand.first_cards, weights)
    others = shared_out(scenario.demand.other_visits, weights)
    links = _links(scenario)
    offices: list[Office] = []
    first_first = first_other = 0
    for index, code in enumerate(where.codes):
        place, own = regions.kecamatan(code), found[index]
        assert place is not None
        clock = zone(code) if scenario.calendar.zone == "local" else ZONES[scenario.calendar.zone]
        printers = scenario.printers if own.printers is None else own.printers
        offices.append(
            Office(
                code,
                place.regency if where.per == "regency" else place.district,
                place.regency,
                place.province,
                clock.utc_offset_hours * 60,
                centroids()[code],
                residents[index],
                firsts[index],
                others[index],
                first_first,
                first_other,
                where.machines if own.machines is None else own.machines,
                scenario.desks.count if own.desks is None else own.desks,
                tuple(model for model, count in printers for _ in range(count)),
                {**scenario.stock.blanks, **(own.blanks or {})},
                scenario.stock.ribbons if own.ribbons is None else own.ribbons,
                links[index],
            )
        )
        first_first += firsts[index]
        first_other += others[index]
    return tuple(offices)


def shared_out(total: int, weights: Sequence[float]) -> list[int]:
    """``total`` in whole parts as the weights say, by largest remainder; the parts add up to it."""
    whole = sum(weights)
    if not whole:
        weights, whole = [1.0] * len(weights), float(len(weights))
    exact = [total * weight / whole for weight in weights]
    parts = [int(one) for one in exact]
    by_rest = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in by_rest[: total - sum(parts)]:
        parts[index] += 1
    return parts


@cache
def residents_of(code: str, *, whole_regency: bool = False) -> int:
    """Residents of a kecamatan (see the module), or of its regency."""
    regency = populations()[code[:4]].total
    if whole_regency:
        return regency
    inside, rolls = _regencies()[code[:4]], _rolls()
    if all(one in rolls for one in inside):
        return shared_out(regency, [rolls[one] for one in inside])[inside.index(code)]
    return shared_out(regency, [1.0] * len(inside))[inside.index(code)]


@cache
def _regencies() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in region_table().codes():
        found.setdefault(code[:4], []).append(code)
    return found


@cache
def _rolls() -> dict[str, int]:
    return {row["code"]: int(row["total"]) for row in roll_facts() if row["level"] == "district"}


def _override(overrides: Sequence[Override], code: str) -> Override:
    """The one that says most exactly which office it means; without one, nothing differs."""
    near = [(len(prefix), one) for one in overrides for prefix in one.at if code.startswith(prefix)]
    return max(near, key=lambda pair: pair[0])[1] if near else Override(())


def _links(scenario: Scenario) -> list[LinkClass]:
    """A line for each office: those that are named first, the others by their shares, drawn by the seed."""
    codes = scenario.where.codes
    named = {}
    for code in codes:
        near = [(len(at), link.name) for link in scenario.links for at in link.at if code.startswith(at)]
        if near:
            named[code] = max(near)[1]
    free = [code for code in codes if code not in named]
    rng = Random(scenario.seed)
    # Not Random.shuffle: its draws may differ between Python versions.
    free = [code for _, code in sorted((rng.random(), code) for code in free)]
    shares = [link.share for link in scenario.links]
    counts = shared_out(len(free), shares if sum(shares) else [1.0] * len(shares))
    dealt = [link.name for link, count in zip(scenario.links, counts, strict=True) for _ in range(count)]
    named.update(zip(free, dealt, strict=True))
    by_name = {link.name: link for link in scenario.links}
    return [by_name[named[code]] for code in codes]


def offices_by_link(offices: Sequence[Office]) -> dict[str, int]:
    """How many offices have each kind of line."""
    return dict(Counter(office.link.name for office in offices))
