"""Two claims agree exactly when a clerk would say that they name the same person."""

from __future__ import annotations

import pytest

from sepe.identity import identity_key

BORN = "1990-01-01"


@pytest.mark.parametrize(
    "variant",
    [
        "maria ta'ek",
        "Maria  Ta’ek",
        " MARIA TAEK\t",
        "MARIA-TAEK",
        "Maria. Ta`ek",
        "ＭＡＲＩＡ ＴＡＥＫ",
        "MARIATAEK",
        "MARIA TAʼEK",
        "MARIA TA´EK",
    ],
)
def test_case_space_punctuation_and_width_do_not_matter(variant: str) -> None:
    assert identity_key(variant, BORN, "P") == identity_key("MARIA TAEK", BORN, "P")


def test_composed_and_decomposed_accents_agree_but_an_accent_counts() -> None:
    assert identity_key("JOSÉ LAY", BORN, "L") == identity_key("JOSE\u0301 LAY", BORN, "L")
    assert identity_key("JOSÉ LAY", BORN, "L") != identity_key("JOSE LAY", BORN, "L")


def test_name_birth_date_and_sex_all_count() -> None:
    keys = {
        identity_key("MARIA TAEK", BORN, "P"),
        identity_key("MARIA TAEK LAY", BORN, "P"),
        identity_key("MARIA TAEC", BORN, "P"),
        identity_key("MARIA TAEK", "1990-01-02", "P"),
        identity_key("MARIA TAEK", BORN, "L"),
        identity_key("YOHANES LAY", BORN, "L"),
        identity_key("JOHANES LAY", BORN, "L"),
    }
    assert len(keys) == 7


def test_names_of_signs_only_do_not_all_agree() -> None:
    assert identity_key("---", BORN, "P") != identity_key("...", BORN, "P")
    assert identity_key("\ud800", BORN, "P") != identity_key("", BORN, "P")


def test_the_bytes_never_change_because_the_hub_stores_them() -> None:
    assert identity_key("MARIA TAEK", BORN, "P").hex() == "0b74f8134b57dc53"
    assert identity_key("JOSÉ D'ORNAY", "2007-02-28", "L").hex() == "9cdcd7c019510685"
