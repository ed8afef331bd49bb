"""The real table, its time zones and the codes that were replaced."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta

import pytest

from sepe.errors import InvalidInputError
from sepe.region import RegionAlias, RegionTable, zone
from sepe_io import aliases
from sepe_io.regions import _rows as rows_of
from sepe_io.regions import centroids, ntt_outlines, populations, region_table, roll_facts


def plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.upper()))


def wilayah_aliases() -> list[str]:
    return [row[0] for row in rows_of("wilayah_alias.csv")]


def test_the_real_table_holds_every_kecamatan_and_finds_oebobo() -> None:
    table = region_table()
    assert len(table) == 7_285
    oebobo = table.kecamatan("537104")
    assert oebobo is not None
    assert (oebobo.district, oebobo.regency) == ("Oebobo", "Kota Kupang")
    assert table.regency("5371") == "Kota Kupang"
    assert table.province("53") == "Nusa Tenggara Timur"
    assert sum(code.startswith("53") for code in table.codes()) == 315


def test_names_with_apostrophes_arrive_whole() -> None:
    district = region_table().kecamatan("121421")
    assert district is not None
    assert district.district == "O'o'u"


@pytest.mark.parametrize("code", ["537199", "000000", "", "53710", "5371040", "ABCDEF"])
def test_an_unknown_code_is_none_and_not_known(code: str) -> None:
    assert region_table().kecamatan(code) is None
    assert not region_table().is_known(code)


def test_every_kecamatan_of_the_table_has_a_time_zone_and_a_centre() -> None:
    for code in region_table().codes():
        assert zone(code).name in ("WIB", "WITA", "WIT")
    assert set(centroids()) == set(region_table().codes())


@pytest.mark.parametrize(
    ("code", "name", "hours"),
    [
        ("11", "WIB", 7), ("367101", "WIB", 7), ("61", "WIB", 7), ("62", "WIB", 7),
        ("51", "WITA", 8), ("537104-1", "WITA", 8), ("63", "WITA", 8), ("65", "WITA", 8), ("71", "WITA", 8),
        ("76", "WITA", 8), ("81", "WIT", 9), ("82", "WIT", 9), ("91", "WIT", 9), ("96", "WIT", 9),
    ],
)  # fmt: skip
def test_zones_follow_the_province(code: str, name: str, hours: int) -> None:
    found = zone(code)
    assert (found.name, found.utc_offset_hours) == (name, hours)
    assert datetime(2024, 11, 27, tzinfo=found.tzinfo).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("code", ["10", "37", "50", "66", "77", "97", "", "5", "ab"])
def test_digits_of_no_province_have_no_zone(code: str) -> None:
    with pytest.raises(InvalidInputError):
        zone(code)


def test_a_nik_of_old_papua_finds_its_kecamatan_by_name_or_none() -> None:
    table = region_table()
    assert (table.province("910101"), table.regency("910101")) == ("Papua Selatan", "Kabupaten Merauke")
    # 910212 was Hubikosi; 950112, the same digits under the new regency, is Trikora. 146 of 523 went wrong so.
    assert table.kecamatan("950112").district == "Trikora"  # type: ignore[union-attr]
    assert table.kecamatan("910212").district == "Hubikosi"  # type: ignore[union-attr]
    old = {code for code in wilayah_aliases() if len(code) == 4}
    names = {code: plain(name) for code, name in rows_of("wilayah_kecamatan_2018.csv")}
    codes = [f"{code}{number:02}" for code in old for number in range(100)]
    found = {code: place.district for code in codes if (place := table.kecamatan(code))}
    assert {code for code, district in found.items() if plain(district) != names.get(code)} == set()
    assert (len(names), len(found)) == (523, 517)
    assert table.kecamatan("912101") is None and table.is_known(
        "912101"
    )  # Kobagma stands in today's list as Kobakma


def test_the_146_old_codes_whose_digits_name_another_kecamatan_today_find_their_own() -> None:
    table = region_table()
    regency_of = {row[0]: row[1] for row in rows_of("wilayah_alias.csv") if len(row[0]) == 4}
    misled = 0
    for code, name in rows_of("wilayah_kecamatan_2018.csv"):
        place, carried = table.kecamatan(code), table.kecamatan(regency_of[code[:4]] + code[4:])
        if place is not None and carried is not None and place != carried:
            assert plain(place.district) == plain(name) and place.code[:4] == regency_of[code[:4]]
            misled += 1
    assert misled == 146


def test_the_alias_file_is_what_the_two_lists_give() -> None:
    assert aliases.ALIASES.read_text(encoding="utf-8") == aliases.built()


def test_a_name_that_comes_twice_or_elsewhere_makes_no_alias() -> None:
    moved = [("1001", "2001", "2020-01-01", "UU")]
    old = [("100101", "A"), ("100102", "B"), ("100103", "B"), ("100104", "C"), ("100105", "D"), ("100201", "E")]
    new = [("200109", "A"), ("200102", "B"), ("200104", "C"), ("200105", "C"), ("200205", "D"), ("200101", "E")]
    assert aliases.successors(old, new, moved) == [("100101", "200109", "2020-01-01", "UU")]


def test_kalimantan_utara_is_known_by_the_codes_of_kalimantan_timur() -> None:
    table = region_table()
    assert table.regency("647301") == "Kota Tarakan" and table.province("640401") == "Kalimantan Utara"
    assert table.zone("910101").name == "WIT"
    assert table.current_code("910101", date(2021, 1, 1)) == "910101"
    assert table.current_code("910101", date(2023, 1, 1)) == "930101"


def test_every_alias_starts_where_nothing_is_left_and_ends_in_the_table() -> None:
    table = region_table()
    now = {code[:4] for code in table.codes()}
    gone = {f"{province}{number:02}" for province in ("91", "92") for number in range(1, 100)} - now
    moved = {code for code in gone if table.current_code(code) != code}
    assert len(moved) == 26
    assert all(table.current_code(code) in now for code in moved)


def test_aliases_chain_by_date_and_a_circle_ends() -> None:
    rows = [("300101", "C", "C", "C")]
    first, second = date(2000, 1, 1), date(2010, 1, 1)
    chain = [RegionAlias("1001", "2001", first, "a"), RegionAlias("2001", "3001", second, "b")]
    table = RegionTable(rows, chain)
    assert table.current_code("100101") == "300101"
    assert table.current_code("100101", date(2005, 1, 1)) == "200101"
    circle = RegionTable(rows, [RegionAlias("1001", "2001", first, "a"), RegionAlias("2001", "1001", first, "b")])
    assert not circle.is_known("100101")


@pytest.mark.parametrize("code", ["53710", "5371045", "53710A", "53710٤"])
def test_a_row_with_a_wrong_code_is_refused(code: str) -> None:
    with pytest.raises(InvalidInputError):
        RegionTable([(code, "", "", "")])


def test_a_code_that_comes_twice_and_an_alias_of_two_lengths_are_refused() -> None:
    row = ("537104", "p", "r", "d")
    with pytest.raises(InvalidInputError):
        RegionTable([row, row])
    with pytest.raises(InvalidInputError):
        RegionTable([row], [RegionAlias("9101", "930101", date(2022, 7, 25), "")])


def test_the_other_data_files_read_whole() -> None:
    assert populations()["5371"].total == populations()["5371"].male + populations()["5371"].female > 400_000
    assert len(populations()) == 552
    assert len(ntt_outlines()["features"]) == 22
    assert len(roll_facts()) == 16
    assert all(row["source"].startswith("http") for row in roll_facts())


def test_importing_the_loader_reads_no_table() -> None:
    program = "import sepe_io.regions as r; assert r.region_table.cache_info().currsize == 0"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
