"""The numbers of a resident: NIK and family card (KK).

A NIK is 16 digits: province 2, regency 2, kecamatan 2, birth date DDMMYY with DD+40 for women, serial
0001-9999. It has no check digit, and it keeps its first region and birth code for life: after a move, a
corrected birth date or a region split the number stays. So the digits only *hint* at the person. What cannot
be a NIK at all is refused; what merely differs from the biodata is a warning (Perpres 96/2018, UU 24/2013).

A NIK is personal data, so ``str``, ``repr`` and f-strings give the masked form; the digits are ``.value``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from sepe.errors import InvalidInputError

if TYPE_CHECKING:
    from sepe.region import RegionTable

NIK_DIGITS = 16
FEMALE_DAY_OFFSET = 40
CENTURIES = (1900, 2000)

_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# DDMM as text, the day as in a man's code; 29 February is listed and the year is looked at apart.
_DAY_MONTHS = frozenset(
    f"{day:02}{month:02}" for month, days in enumerate(_MONTH_DAYS, start=1) for day in range(1, days + 1)
)
_NIK_DAY_MONTHS = _DAY_MONTHS | {f"{int(code[:2]) + FEMALE_DAY_OFFSET}{code[2:]}" for code in _DAY_MONTHS}
_LEAP_DAYS = frozenset(("2902", "6902"))


@dataclass(frozen=True, slots=True)
class NikWarning:
    """A NIK that is possible but does not fit the biodata; the operator decides.

    Attributes:
        code: stable, for machines: ``nik_region_unknown``, ``nik_region_differs``,
            ``nik_birth_date_differs`` or ``nik_sex_differs``.
        text: one Indonesian sentence for the operator, without the number itself.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True, order=True, repr=False)
class Nik:
    """One resident's number; an instance is always a possible NIK.

    Raises:
        InvalidInputError: on construction, for anything but 16 ASCII digits with a possible day and month
            and a serial above 0000.
    """

    value: str

    def __post_init__(self) -> None:
        _check_number(self.value, field="nik", what="NIK", day_months=_NIK_DAY_MONTHS)

    @classmethod
    def parse(cls, text: object) -> Nik:
        """The NIK that ``text`` spells, digit for digit: nothing is stripped or converted.

        Raises:
            InvalidInputError: not a ``str``, or not a possible NIK.
        """
        if not isinstance(text, str):
            raise InvalidInputError(
                "NIK harus berupa teks 16 angka",
                field="nik",
                value=text,
                hint="Tulis NIK di antara tanda kutip",
            )
        return cls(text)

    @classmethod
    def from_number(cls, number: int) -> Nik:
        """The NIK with this numeric value, padded with zeros to 16 digits.

        Raises:
            InvalidInputError: negative, over 16 digits, or not a possible NIK.
        """
        return cls(str(number).zfill(NIK_DIGITS))

    @property
    def number(self) -> int:
        """The NIK as an integer, 0 to 10**16 - 1: the storage key."""
        return int(self.value)

    @property
    def masked(self) -> str:
        """The form that logs and lists may show: region code, then asterisks."""
        return self.value[:6] + "*" * (NIK_DIGITS - 6)

    @property
    def kecamatan_code(self) -> str:
        """Six digits: the kecamatan of the *first* registration, not of today's home."""
        return self.value[:6]

    @property
    def sex(self) -> str:
        """``"L"`` (male) or ``"P"`` (female) as the day code says."""
        return "P" if self.value[6] >= "4" else "L"

    @property
    def birth_month_day(self) -> tuple[int, int]:
        """(month 1-12, day 1-31) as the birth code says."""
        day = int(self.value[6:8])
        return int(self.value[8:10]), day - FEMALE_DAY_OFFSET if day > FEMALE_DAY_OFFSET else day

    @property
    def birth_date_candidates(self) -> tuple[date, ...]:
        """The one or two dates that the two-digit year can mean, 19yy before 20yy."""
        month, day = self.birth_month_day
        year = int(self.value[10:12])
        # 1900 had no 29 February, 2000 had one; every other yy has both or neither.
        return tuple(
            date(century + year, month, day)
            for century in CENTURIES
            if not (month == 2 and day == 29 and century + year == 1900)
        )

    @property
    def serial(self) -> int:
        """1-9999; 9xxx is reserved for synthetic people."""
        return int(self.value[12:])

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"Nik({self.masked})"


@dataclass(frozen=True, slots=True, order=True, repr=False)
class KkNumber:
    """Number of a family card: region 6, date of issue DDMMYY, serial 4.

    Raises:
        InvalidInputError: on construction, for anything but 16 ASCII digits with a possible date and a
            serial above 0000.
    """

    value: str

    def __post_init__(self) -> None:
        _check_number(self.value, field="kk", what="Nomor KK", day_months=_DAY_MONTHS)

    @classmethod
    def parse(cls, text: object) -> KkNumber:
        """The KK number that ``text`` spells, digit for digit.

        Raises:
            InvalidInputError: not a ``str``, or not a possible KK number.
        """
        if not isinstance(text, str):
            raise InvalidInputError(
                "Nomor KK harus berupa teks 16 angka",
                field="kk",
                value=text,
                hint="Tulis nomor KK di antara tanda kutip",
            )
        return cls(text)

    @property
    def masked(self) -> str:
        """Region code, then asterisks."""
        return self.value[:6] + "*" * (NIK_DIGITS - 6)

    @property
    def kecamatan_code(self) -> str:
        """Six digits: the kecamatan that issued the family card."""
        return self.value[:6]

    @property
    def serial(self) -> int:
        """1-9999 within the day."""
        return int(self.value[12:])

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"KkNumber({self.masked})"


def warnings(
    nik: Nik,
    birth_date: date,
    sex: str,
    regions: RegionTable | None,
    *,
    kecamatan_code: str | None = None,
) -> tuple[NikWarning, ...]:
    """Where the digits of ``nik`` do not fit the biodata; empty when all agree.

    Args:
        birth_date: the biodata's date of birth.
        sex: the biodata's ``"L"`` or ``"P"``.
        regions: the region table; ``None`` leaves the region code unjudged.
        kecamatan_code: today's kecamatan by the biodata, six digits; ``None`` when it is not known.
    """
    found = []
    code = nik.kecamatan_code
    if regions is not None and not regions.is_known(code):
        found.append(
            NikWarning("nik_region_unknown", f"Kode wilayah {code} pada NIK tidak ada dalam daftar kecamatan")
        )
    if kecamatan_code is not None and not _same_region(code, kecamatan_code, regions):
        found.append(
            NikWarning(
                "nik_region_differs",
                f"Kode wilayah {code} pada NIK berbeda dari {kecamatan_code} pada KK; wajar bila pernah pindah",
            )
        )
    month, day = nik.birth_month_day
    if (month, day, int(nik.value[10:12])) != (birth_date.month, birth_date.day, birth_date.year % 100):
        found.append(NikWarning("nik_birth_date_differs", "Tanggal lahir pada NIK berbeda dari biodata"))
    if nik.sex != sex:
        found.append(NikWarning("nik_sex_differs", "Jenis kelamin pada NIK berbeda dari biodata"))
    return tuple(found)


def _same_region(code: str, other: str, regions: RegionTable | None) -> bool:
    if code == other:
        return True
    return regions is not None and regions.current_code(code) == regions.current_code(other)


def _check_number(text: str, *, field: str, what: str, day_months: frozenset[str]) -> None:
    # ``str.isdigit`` and ``\d`` take Arabic and superscript digits and ``$`` takes a trailing newline, so the
    # length is compared exactly and ``isascii`` asked first.
    if len(text) != NIK_DIGITS or not (text.isascii() and text.isdigit()):
        rule, hint = _shape_fault(text, what)
        raise InvalidInputError(rule, field=field, value=text, hint=hint)
    day_month = text[6:10]
    if day_month not in day_months or (day_month in _LEAP_DAYS and int(text[10:12]) % 4):
        raise InvalidInputError(
            f"{what} memuat tanggal yang tidak ada (angka ke-7 sampai ke-12)",
            field=field,
            value=text,
            hint="Cocokkan lagi dengan kartu keluarga",
        )
    if text.endswith("0000"):
        raise InvalidInputError(
            f"{what} memuat nomor urut 0000",
            field=field,
            value=text,
            hint="Cocokkan empat angka terakhir dengan kartu keluarga",
        )


def _shape_fault(text: str, what: str) -> tuple[str, str]:
    if text != text.strip():
        return (
            f"{what} tidak boleh diawali atau diakhiri spasi atau baris baru",
            "Hapus spasi atau baris baru itu",
        )
    if text.isdigit() and text.isascii():
        return (
            f"{what} harus tepat 16 angka, ini {len(text)} angka",
            "Hitung lagi angkanya pada kartu keluarga",
        )
    if text.isascii() or len(text) != NIK_DIGITS:
        return f"{what} harus tepat 16 angka 0-9", "Ketik angkanya saja, tanpa huruf, titik, atau spasi"
    return (
        f"{what} harus memakai angka 0-9 biasa",
        "Ketik ulang dengan papan ketik biasa, jangan salin-tempel",
    )
