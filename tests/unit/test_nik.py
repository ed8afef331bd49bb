"""What is a NIK, what only looks like one, and what is worth a word to the operator."""

from __future__ import annotations

from datetime import date

import pytest

from sepe.errors import InvalidInputError
from sepe.nik import KkNumber, Nik, warnings
from sepe.region import RegionAlias, RegionTable

MARIA = "5371044101909001"
TABLE = RegionTable(
    [
        ("537104", "Nusa Tenggara Timur", "Kota Kupang", "Oebobo"),
        ("537105", "Nusa Tenggara Timur", "Kota Kupang", "Kota Raja"),
        ("930101", "Papua Selatan", "Kabupaten Merauke", "Merauke"),
    ],
    [RegionAlias("9101", "9301", date(2022, 7, 25), "UU 14/2022")],
)


def test_a_womans_nik_tells_region_birthday_sex_and_serial() -> None:
    nik = Nik.parse(MARIA)
    assert (nik.kecamatan_code, nik.sex, nik.birth_month_day, nik.serial) == ("537104", "P", (1, 1), 9001)
    assert nik.birth_date_candidates == (date(1990, 1, 1), date(2090, 1, 1))


def test_a_mans_nik_carries_the_plain_day() -> None:
    nik = Nik.parse("5371043112059002")
    assert (nik.sex, nik.birth_month_day) == ("L", (12, 31))
    assert date(2005, 12, 31) in nik.birth_date_candidates


@pytest.mark.parametrize(
    "text",
    [
        "537104410190900",  # 15 digits
        "53710441019090011",  # 17 digits
        "",
        "٥٣٧١٠٤٤١٠١٩٠٩٠٠١",  # Arabic digits, which str.isdigit and \d take
        "537104410190900١",
        "537104410190900²",  # superscript, which str.isdigit takes
        "537104410190900１",  # full width
        MARIA + "\n",  # which $ takes
        MARIA[:15] + "\n",  # sixteen characters with the newline
        " " + MARIA[:15],
        MARIA[:15] + " ",
        "5371 0441 019090",
        "+371044101909001",
        "5_71044101909001",
        "537104410190900O",
        "5371043102909001",  # 31 February
        "5371047102909001",  # 31 February, a woman
        "5371043104909001",  # 31 April
        "5371042902029001",  # an even year that is no leap year
        "5371042902039001",  # 29 February 1903 and 2003: no such day in either
        "5371040001909001",  # day 0
        "5371044001909001",  # day 40: a woman's day 0
        "5371043201909001",  # day 32
        "5371047201909001",  # day 72
        "5371041500909001",  # month 0
        "5371041513909001",  # month 13
        "5371044101900000",  # serial 0000
    ],
)
def test_what_cannot_be_a_nik_is_refused_with_rule_and_next_step(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Nik.parse(text)
    assert caught.value.field == "nik"
    assert caught.value.rule
    assert caught.value.hint


@pytest.mark.parametrize("value", [5371044101909001, None, b"5371044101909001", ["5371044101909001"], True])
def test_a_nik_that_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError, match="teks"):
        Nik.parse(value)


@pytest.mark.parametrize("text", ["5371042902009001", "5371046902049001", "5371042902969001", "9999990101009999"])
def test_a_leap_day_of_either_century_and_an_unknown_region_are_possible(text: str) -> None:
    assert Nik.parse(text).value == text


def test_a_leap_day_with_year_00_can_only_mean_2000() -> None:
    assert Nik.parse("5371042902009001").birth_date_candidates == (date(2000, 2, 29),)


def test_neither_str_nor_repr_nor_an_error_shows_the_digits() -> None:
    nik = Nik.parse(MARIA)
    assert str(nik) == nik.masked == "537104**********"
    assert MARIA[6:] not in repr(nik) + f"{nik} {(nik,)}" + str(KkNumber.parse("5371042501100012"))
    with pytest.raises(InvalidInputError) as caught:
        Nik.parse("5371043102909001")
    assert "3102909001" not in str(caught.value)


def test_a_number_and_a_nik_convert_both_ways_and_zeros_stay() -> None:
    assert Nik.from_number(Nik.parse(MARIA).number) == Nik.parse(MARIA)
    assert Nik.from_number(101010001).value == "0000000101010001"
    for number in (-1, 10**16, 0):
        with pytest.raises(InvalidInputError):
            Nik.from_number(number)


def test_a_nik_that_fits_the_biodata_has_no_warning() -> None:
    assert warnings(Nik.parse(MARIA), date(1990, 1, 1), "P", TABLE, kecamatan_code="537104") == ()


def test_every_difference_has_its_own_warning() -> None:
    found = warnings(Nik.parse("9988774101909001"), date(1990, 1, 2), "L", TABLE, kecamatan_code="537104")
    assert [warning.code for warning in found] == [
        "nik_region_unknown",
        "nik_region_differs",
        "nik_birth_date_differs",
        "nik_sex_differs",
    ]
    assert all(warning.text and "4101909001" not in warning.text for warning in found)


def test_a_birth_date_of_the_other_century_fits_the_two_digits() -> None:
    assert warnings(Nik.parse("5371044101109001"), date(1910, 1, 1), "P", TABLE) == ()
    assert warnings(Nik.parse("5371044101109001"), date(2010, 1, 1), "P", TABLE) == ()


def test_a_renumbered_region_is_known_and_the_same_as_its_new_code() -> None:
    nik = Nik.parse("9101014101909001")
    assert warnings(nik, date(1990, 1, 1), "P", TABLE, kecamatan_code="930101") == ()
    assert warnings(nik, date(1990, 1, 1), "P", None, kecamatan_code="930101")[0].code == "nik_region_differs"


def test_without_a_table_no_region_is_called_unknown() -> None:
    assert warnings(Nik.parse("9988774101909001"), date(1990, 1, 1), "P", None) == ()


@pytest.mark.parametrize("text", ["537104250110001", "5371046501100012", "5371042501100000", "5371042501100012\n"])
def test_a_kk_number_is_checked_like_a_nik_but_has_no_womans_day(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        KkNumber.parse(text)
    assert caught.value.field == "kk"


def test_a_kk_number_tells_its_region() -> None:
    assert KkNumber.parse("5371042501100012").kecamatan_code == "537104"
    assert KkNumber.parse("5371042501100012").serial == 12
