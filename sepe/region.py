"""Regions by code: province 2 digits, regency 4, kecamatan 6, and their time zones.

Codes are the key, because names repeat and are respelled. Codes change too, by law: four provinces were
carved out of Papua and Papua Barat in 2022 and whole regencies were renumbered, while every NIK kept its old
digits. An alias says which code took over and from when; it names a whole regency or one kecamatan.

An alias of a regency says nothing of its kecamatan: the last two digits were given anew, and 910212, Hubikosi, is
not 950112, Trikora. Which kecamatan an old code means is known only where an alias of six digits says so;
elsewhere the place is asked for (`sepe.residence`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta, timezone

from sepe.errors import InvalidInputError

ALIAS_STEPS_MAX = 8


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone of Indonesia; none has daylight saving.

    Attributes:
        name: ``WIB``, ``WITA`` or ``WIT``.
        utc_offset_hours: 7, 8 or 9.
        iana_name: for libraries that take zone names.
    """

    name: str
    utc_offset_hours: int
    iana_name: str

    @property
    def tzinfo(self) -> timezone:
        """For aware datetimes without a zone database."""
        return timezone(timedelta(hours=self.utc_offset_hours), self.name)


WIB = Zone("WIB", 7, "Asia/Jakarta")
WITA = Zone("WITA", 8, "Asia/Makassar")
WIT = Zone("WIT", 9, "Asia/Jayapura")

_ZONE_BY_PROVINCE: dict[str, Zone] = {
    **{str(code): WIB for code in (*range(11, 37), 61, 62)},
    **{str(code): WITA for code in (51, 52, 53, 63, 64, 65, *range(71, 77))},
    **{str(code): WIT for code in (81, 82, *range(91, 97))},
}


@dataclass(frozen=True, slots=True)
class Kecamatan:
    """One district with the names around it, as the table spells them."""

    code: str
    province: str
    regency: str
    district: str


@dataclass(frozen=True, slots=True)
class RegionAlias:
    """A code that another one replaced.

    Attributes:
        old_code: 4 digits for a whole regency, 6 for one kecamatan.
        new_code: of the same length.
        since: first day on which the new code holds.
        decree: the law that changed it.
    """

    old_code: str
    new_code: str
    since: date
    decree: str


class RegionTable:
    """Every kecamatan by code, with the codes that were replaced. Immutable after construction.

    Args:
        rows: (code, province, regency, district), codes of six digits.
        aliases: replaced codes, in any order.

    Raises:
        InvalidInputError: a code that is not six ASCII digits or comes twice, or an alias of two lengths.
    """

    __slots__ = ("_aliases", "_provinces", "_regencies", "_rows")

    def __init__(self, rows: Iterable[tuple[str, str, str, str]], aliases: Iterable[RegionAlias] = ()) -> None:
        self._rows: dict[str, tuple[str, str, str, str]] = {}
        self._regencies: dict[str, str] = {}
        self._provinces: dict[str, str] = {}
        for row in rows:
            code = row[0]
            if len(code) != 6 or not (code.isascii() and code.isdigit()):
                raise InvalidInputError("kecamatan code must be six digits", field="code", value=code)
            if code in self._rows:
                raise InvalidInputError("kecamatan code occurs twice", field="code", value=code)
            self._rows[code] = row
            self._regencies[code[:4]] = row[2]
            self._provinces[code[:2]] = row[1]
        self._aliases: dict[str, RegionAlias] = {}
        for alias in aliases:
            if len(alias.old_code) != len(alias.new_code) or len(alias.old_code) not in (4, 6):
                raise InvalidInputError(
                    "alias codes must both have 4 or both 6 digits", field="alias", value=alias.old_code
                )
            self._aliases[alias.old_code] = alias

    def __len__(self) -> int:
        return len(self._rows)

    def codes(self) -> tuple[str, ...]:
        """All current kecamatan codes, in the order of the rows."""
        return tuple(self._rows)

    def kecamatan(self, code: str) -> Kecamatan | None:
        """The kecamatan with this current or replaced code; ``None`` when no successor is certain."""
        row = self._rows.get(code)
        for _ in range(ALIAS_STEPS_MAX):
            if row is not None or (alias := self._aliases.get(code)) is None:
                break
            code = alias.new_code
            row = self._rows.get(code)
        return None if row is None else Kecamatan(*row)

    def regency(self, code: str) -> str | None:
        """Name of the regency that the first four digits of ``code`` mean, replaced codes included."""
        return self._regencies.get(code[:4]) or self._regencies.get(self.current_code(code)[:4])

    def province(self, code: str) -> str | None:
        """Name of the province that the first two digits of ``code`` mean today."""
        return self._provinces.get(self.current_code(code)[:2])

    def is_known(self, code: str) -> bool:
        """Whether a six-digit code is in the table, or of a regency that was replaced."""
        return code in self._rows or (self.current_code(code)[:4] in self._regencies and code[:4] in self._aliases)

    def current_code(self, code: str, on: date | None = None) -> str:
        """The code that holds instead of ``code`` on that day (``None``: after all known changes).

        Its first four digits are certain; of a kecamatan's the last two only where an alias names it whole. A code
        without an alias, or with one that is not yet in force, comes back unchanged.
        """
        for _ in range(ALIAS_STEPS_MAX):
            alias = self._aliases.get(code) or self._aliases.get(code[:4])
            if alias is None or (on is not None and on < alias.since):
                break
            code = alias.new_code + code[len(alias.old_code) :]
        return code

    def zone(self, code: str) -> Zone:
        """Time zone of the province of ``code``; see :func:`zone`."""
        return zone(self.current_code(code))


def zone(code: str) -> Zone:
    """Time zone by the first two digits of a province, regency or kecamatan code or a node id.

    Raises:
        InvalidInputError: no province has these digits.
    """
    found = _ZONE_BY_PROVINCE.get(code[:2])
    if found is None:
        raise InvalidInputError(
            "kode wilayah tidak termasuk provinsi mana pun",
            field="code",
            value=code,
            hint="Kode diawali 11-36, 51-53, 61-65, 71-76, 81-82, atau 91-96",
        )
    return found
