"""Seeded people of NTT: who comes to a desk, and with what.

One :class:`Populace` is one kecamatan. The same ``random.Random`` state gives the same people, whatever the
machine. Every NIK has a serial of 9xxx, which no resident has; it fits the person's birth date, sex and region,
and a :class:`NikSpace` hands each one out once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar
from zlib import crc32

from sepe.errors import InvalidInputError
from sepe.identity import identity_key
from sepe.nik import FEMALE_DAY_OFFSET, Nik
from sepe.reprints import missing
from sepe_io.regions import region_table
from surge import names

T = TypeVar("T")

SERIAL_MIN = 9001
SERIAL_MAX = 9999

# "Sepe Manise", Kota Kupang, the month of August 2024. The source's total is 9,062 but its parts add to 6,334;
# the family card is the one product of the service that it does not count, so the rest is taken as that.
SEPE_MANISE_TOTAL = 9_062
SEPE_MANISE_NAMED: dict[str, int] = {
    "ktp-el": 944,
    "skpwni": 314,
    "kia": 911,
    "akta-kelahiran": 773,
    "akta-kematian": 108,
    "akta-perkawinan": 114,
    "akta-perceraian": 12,
    "ikd": 3_158,
}
SEPE_MANISE_MIX: dict[str, int] = {
    **SEPE_MANISE_NAMED,
    "kk": SEPE_MANISE_TOTAL - sum(SEPE_MANISE_NAMED.values()),
}

# Ages in years, first and last, of those who come for a product.
AGES: dict[str, tuple[int, int]] = {
    "ktp-el": (17, 75),
    "kia": (0, 16),
    "kk": (20, 70),
    "skpwni": (18, 60),
    "akta-kelahiran": (0, 5),
    "akta-kematian": (30, 90),
    "akta-perkawinan": (20, 45),
    "akta-perceraian": (25, 60),
    "ikd": (17, 60),
}
# At most a quarter of the cards are first issues (Spektrum NTT); the other weights are guesses.
REASON_WEIGHTS: dict[str, tuple[tuple[str, float], ...]] = {
    "ktp-el": (("new", 0.25), ("lost", 0.3), ("damaged", 0.2), ("data-change", 0.17), ("move-in", 0.08)),
    "kia": (("new", 0.85), ("lost", 0.1), ("damaged", 0.05)),
    "kk": (("data-change", 0.6), ("new", 0.2), ("lost", 0.1), ("move-in", 0.1)),
}
SINGLE_NAME_SHARE = 0.03
SECOND_GIVEN_SHARE = 0.45
HOUSEHOLD_STAY_SHARE = 0.6  # so a household sends 2.5 people on average
TURNING_17_SHARE = 0.5  # of first KTP-el: pupils, most of the first Saturday


class Weighted(Generic[T]):
    """Values with weights, drawn by one number; quicker than ``Random.choices`` for single draws."""

    __slots__ = ("_bounds", "_total", "_values")

    def __init__(self, pairs: Sequence[tuple[T, float]]) -> None:
        self._values = [value for value, _ in pairs]
        bounds = list(accumulate(weight for _, weight in pairs))
        self._total = bounds[-1]
        self._bounds = bounds[:-1]

    def draw(self, rng: Random) -> T:
        """One value; uses up one ``rng.random()``."""
        return self._values[bisect_right(self._bounds, rng.random() * self._total)]


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic resident and what they came for; all texts in official capitals."""

    nik: Nik
    name: str
    birth_date: date
    sex: str
    birth_place: str
    kk: str
    address: str
    rt: str
    rw: str
    kelurahan: str
    religion: str
    marital_status: str
    occupation: str
    mother_name: str
    father_name: str
    product: str
    reason: str

    @property
    def identity(self) -> bytes:
        """The key by which the hub decides whether two claims of this NIK agree."""
        return identity_key(self.name, self.birth_date.isoformat(), self.sex)

    def to_line(self, *, operator: str = "op-1", photo: str = "") -> dict[str, str]:
        """The recording line of this visit, ready for ``json.dumps``."""
        line = {
            "nik": self.nik.value,
            "name": self.name,
            "birth_place": self.birth_place,
            "birth_date": self.birth_date.isoformat(),
            "sex": self.sex,
            "kk": self.kk,
            "address": self.address,
            "rt": self.rt,
            "rw": self.rw,
            "kelurahan": self.kelurahan,
            "religion": self.religion,
            "marital_status": self.marital_status,
            "occupation": self.occupation,
            "mother_name": self.mother_name,
            "father_name": self.father_name,
            "product": self.product,
            "reason": self.reason,
            "operator": operator,
        }
        for group in missing(self.product, self.reason, {}):
            # A number that is this visit's own and says nothing of the person.
            line[group[0]] = f"S{crc32(self.nik.value.encode()):010d}"
        if photo:
            line["photo"] = photo
        return line


class NikSpace:
    """Hands out synthetic NIK, none twice.

    Generators in one process share one space, or use different kecamatan. Generators in several processes that
    serve one kecamatan each take a ``share``, which deals the 999 serials of a day out like cards.

    Args:
        share: which share this is, from 0.
        shares: how many there are, 1 to 999.
    """

    __slots__ = ("_next", "_share", "_shares")

    def __init__(self, share: int = 0, shares: int = 1) -> None:
        if not 0 <= share < shares <= SERIAL_MAX - SERIAL_MIN + 1:
            raise InvalidInputError(
                "share must be from 0 to below shares, shares at most 999",
                field="share",
                value=f"{share}/{shares}",
            )
        self._share = share
        self._shares = shares
        self._next: dict[str, int] = {}

    def allot(self, kecamatan: str, birth_date: date, sex: str) -> Nik | None:
        """The next free NIK of this region, day and sex; ``None`` when the serials are used up."""
        day = birth_date.day + (FEMALE_DAY_OFFSET if sex == "P" else 0)
        stem = f"{kecamatan}{day:02}{birth_date.month:02}{birth_date.year % 100:02}"
        serial = self._next.get(stem, SERIAL_MIN + self._share)
        if serial > SERIAL_MAX:
            return None
        self._next[stem] = serial + self._shares
        return Nik(f"{stem}{serial}")


@dataclass(frozen=True, slots=True)
class _Household:
    kk: str
    clan: str
    people: names.People
    religion: str
    father: str
    mother: str
    address: str
    rt: str
    rw: str
    kelurahan: str


class Populace:
    """The people of one kecamatan, one after another.

    Args:
        rng: the only source of chance; hand each populace its own for streams that do not disturb each other.
        kecamatan: six digits; Kota Kupang's have their real kelurahan.
        today: ages count from here.
        space: shared so that no NIK comes twice; a fresh one by default.
        mix: product weights.

    Raises:
        InvalidInputError: no such kecamatan.
    """

    def __init__(
        self,
        rng: Random,
        *,
        kecamatan: str,
        today: date,
        space: NikSpace | None = None,
        mix: dict[str, int] | None = None,
    ) -> None:
        self.kecamatan = kecamatan
        self.today = today
        self._rng = rng
        self._space = space or NikSpace()
        self._products = Weighted(tuple((mix or SEPE_MANISE_MIX).items()))
        mixes = names.MIXES.get(kecamatan[:4], names.MIX_NTT)
        self._peoples = Weighted([(_PEOPLES[name], weight) for name, weight in mixes])
        self._kelurahan = names.KELURAHAN.get(kecamatan) or _kelurahan(kecamatan)
        self._household: _Household | None = None
        self._households = 0
        day = today.toordinal()
        # 365.25 days a year and two to spare on the young side keep everybody inside the law's ages.
        self._ranges = {
            product: (day - oldest * 1461 // 4, day - youngest * 1461 // 4 - 2 * (youngest > 0))
            for product, (youngest, oldest) in AGES.items()
        }
        # From those who were 17 up to a year ago to those recorded ahead, at 16.
        self._turning_17 = (day - 18 * 1461 // 4, day - 16 * 1461 // 4 - 2)

    def people(self, count: int, product: str | None = None) -> Iterator[Person]:
        """``count`` different people; all come for ``product`` when it is given."""
        for _ in range(count):
            yield self.person(product)

    def person(self, product: str | None = None, *, born: tuple[date, date] | None = None) -> Person:
        """One new person.

        Args:
            product: what they come for; by the mix when ``None``.
            born: first and last possible birth date, in place of the product's usual ages.

        Raises:
            InvalidInputError: no NIK is left for these birth dates.
        """
        rng = self._rng
        wanted = product or self._products.draw(rng)
        weights = REASON_DRAWS.get(wanted)
        reason = "new" if weights is None else weights.draw(rng)
        first, last = (
            self._birth_range(wanted, reason) if born is None else (born[0].toordinal(), born[1].toordinal())
        )
        nik, birth_date, sex = self._number(first, last, "P" if rng.random() < 0.5 else "L")
        home = self._home()
        return Person(
            nik=nik,
            name=full_name(rng, home.clan, sex, home.religion),
            birth_date=birth_date,
            sex=sex,
            birth_place=pick(rng, home.people.birth_places),
            kk=home.kk,
            address=home.address,
            rt=home.rt,
            rw=home.rw,
            kelurahan=home.kelurahan,
            religion=home.religion,
            marital_status=_marital_status(rng, wanted, self.today.year - birth_date.year),
            occupation=_occupation(rng, self.today.year - birth_date.year, sex),
            mother_name=home.mother,
            father_name=home.father,
            product=wanted,
            reason=reason,
        )

    def second_nik(self, person: Person) -> Person:
        """The same person under another NIK: re-registered after a move, still the same birth date.

        Raises:
            InvalidInputError: no NIK is left for that birth date.
        """
        nik = self._space.allot(self.kecamatan, person.birth_date, person.sex)
        if nik is None:
            raise InvalidInputError("no NIK is left for this birth date", field="birth_date")
        return replace(person, nik=nik)

    def _birth_range(self, product: str, reason: str) -> tuple[int, int]:
        """First and last birth date for a product, as day numbers."""
        if product == "ktp-el" and reason == "new" and self._rng.random() < TURNING_17_SHARE:
            return self._turning_17
        return self._ranges[product]

    def _number(self, first: int, last: int, sex: str) -> tuple[Nik, date, str]:
        days = last - first + 1
        start = int(self._rng.random() * days)
        # A full day passes its people on to the next one, round the range, and a full range to the other sex.
        for tried in (sex, "L" if sex == "P" else "P"):
            for step in range(days):
                birth_date = date.fromordinal(first + (start + step) % days)
                nik = self._space.allot(self.kecamatan, birth_date, tried)
                if nik is not None:
                    return nik, birth_date, tried
        raise InvalidInputError(
            "no NIK is left for these birth dates",
            field="born",
            value=f"{date.fromordinal(first)} to {date.fromordinal(last)}",
            hint="Allow more birth dates or fewer people",
        )

    def _home(self) -> _Household:
        rng = self._rng
        if self._household is not None and rng.random() < HOUSEHOLD_STAY_SHARE:
            return self._household
        people, religions = self._peoples.draw(rng)
        religion = religions.draw(rng)
        clan = pick(rng, people.clans)
        issued = date(2005, 1, 1) + timedelta(days=int(rng.random() * 7_000))
        self._households += 1
        serial = SERIAL_MIN + self._households % (SERIAL_MAX - SERIAL_MIN + 1)
        self._household = _Household(
            kk=f"{self.kecamatan}{issued.day:02}{issued.month:02}{issued.year % 100:02}{serial}",
            clan=clan,
            people=people,
            religion=religion,
            father=full_name(rng, clan, "L", religion),
            mother=full_name(rng, pick(rng, people.clans), "P", religion),
            address=f"{pick(rng, names.STREETS)} NO. {1 + int(rng.random() * 180)}",
            rt=f"{1 + int(rng.random() * 40):03}",
            rw=f"{1 + int(rng.random() * 14):03}",
            kelurahan=pick(rng, self._kelurahan),
        )
        return self._household


def pick(rng: Random, values: Sequence[T]) -> T:
    """One of ``values``; uses up one ``rng.random()``."""
    # Half the cost of rng.choice; the bias over under 2**10 values is below 2**-43.
    return values[int(rng.random() * len(values))]


def full_name(rng: Random, clan: str, sex: str, religion: str) -> str:
    """A name as registers hold it: one or two given names and the clan, at times one word only."""
    given = _GIVEN[(sex, religion == "ISLAM")]
    first = pick(rng, given)
    chance = rng.random()
    if chance < SINGLE_NAME_SHARE:
        return first
    if chance < SINGLE_NAME_SHARE + SECOND_GIVEN_SHARE:
        second = pick(rng, given)
        if second != first:
            return f"{first} {second} {clan}"
    return f"{first} {clan}"


def _kelurahan(kecamatan: str) -> tuple[str, ...]:
    """Made-up kelurahan, named after the district, for a kecamatan whose own are not in ``names``."""
    district = region_table().kecamatan(kecamatan)
    if district is None:
        raise InvalidInputError("no such kecamatan", field="kecamatan", value=kecamatan)
    name = district.district.upper()
    return name, f"{name} BARAT", f"{name} TENGAH", f"{name} TIMUR"


def _marital_status(rng: Random, product: str, age_years: int) -> str:
    if product == "akta-perceraian":
        return "CERAI HIDUP"
    if age_years < 19:
        return "BELUM KAWIN"
    if product == "akta-perkawinan":
        return "KAWIN"
    chance = rng.random()
    if age_years > 60 and chance < 0.3:
        return "CERAI MATI"
    return "KAWIN" if chance < min(0.92, (age_years - 17) * 0.05) else "BELUM KAWIN"


def _occupation(rng: Random, age_years: int, sex: str) -> str:
    if age_years < 6:
        return "BELUM/TIDAK BEKERJA"
    if age_years < 23:
        return "PELAJAR/MAHASISWA"
    job = _OCCUPATIONS.draw(rng)
    return "WIRASWASTA" if sex == "L" and job == "MENGURUS RUMAH TANGGA" else job


_GIVEN = {
    ("L", False): names.GIVEN_MALE,
    ("P", False): names.GIVEN_FEMALE,
    ("L", True): names.GIVEN_MALE_MUSLIM,
    ("P", True): names.GIVEN_FEMALE_MUSLIM,
}
REASON_DRAWS = {product: Weighted(weights) for product, weights in REASON_WEIGHTS.items()}
_PEOPLES = {name: (people, Weighted(people.religions)) for name, people in names.PEOPLES.items()}
_OCCUPATIONS = Weighted(names.OCCUPATIONS)
