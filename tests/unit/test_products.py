"""Which product prints on what, and from which age."""

from __future__ import annotations

from datetime import date

import pytest

from sepe.products import PRODUCTS, birthday, due_date, eligibility, is_ever_married, kia_has_photo

TODAY = date(2024, 10, 1)


def test_cards_need_blanks_papers_do_not_and_the_digital_identity_prints_nothing() -> None:
    assert {code for code, product in PRODUCTS.items() if product.needs_blank} == {"ktp-el", "kia"}
    assert {code for code, product in PRODUCTS.items() if not product.prints} == {"ikd"}
    assert {code for code, product in PRODUCTS.items() if product.media == "card"} == {"ktp-el", "kia"}
    assert len(PRODUCTS) == 11


@pytest.mark.parametrize(
    ("born", "status", "expected"),
    [
        (date(2007, 10, 1), "BELUM KAWIN", "due"),  # 17 today
        (date(2007, 10, 2), "BELUM KAWIN", "not_yet_due"),  # 17 tomorrow
        (date(2009, 10, 1), "BELUM KAWIN", "not_yet_due"),  # 15 today
        (date(2009, 10, 2), "BELUM KAWIN", "refused"),  # 15 tomorrow
        (date(2009, 10, 2), "KAWIN", "due"),
        (date(2008, 1, 1), "CERAI HIDUP", "due"),
        (date(2008, 1, 1), "", "not_yet_due"),
    ],
)
def test_a_ktp_is_recorded_from_15_and_due_at_17_or_by_marriage(born: date, status: str, expected: str) -> None:
    assert eligibility("ktp-el", born, status, today=TODAY).status == expected


def test_a_kia_ends_at_17_or_by_marriage() -> None:
    assert eligibility("kia", date(2007, 10, 2), "", today=TODAY).status == "due"
    assert eligibility("kia", date(2007, 10, 1), "", today=TODAY).status == "refused"
    assert eligibility("kia", date(2009, 1, 1), "KAWIN", today=TODAY).status == "refused"


def test_other_products_know_no_age() -> None:
    for product in PRODUCTS.keys() - {"ktp-el", "kia"}:
        assert eligibility(product, TODAY, "", today=TODAY).status == "due"


def test_a_refusal_names_the_rule_and_the_other_product() -> None:
    verdict = eligibility("ktp-el", date(2020, 1, 1), "", today=TODAY)
    assert "15" in verdict.rule
    assert "kia" in verdict.hint


def test_a_leap_day_child_is_17_on_the_first_of_march() -> None:
    assert due_date(date(2008, 2, 29), "BELUM KAWIN") == date(2025, 3, 1)
    assert birthday(date(2008, 2, 29), 16) == date(2024, 2, 29)


def test_a_kia_has_a_photo_from_the_fifth_birthday() -> None:
    assert not kia_has_photo(date(2019, 10, 2), TODAY)
    assert kia_has_photo(date(2019, 10, 1), TODAY)


@pytest.mark.parametrize("status", ["KAWIN", "kawin tercatat", "CERAI MATI", " CERAI HIDUP TERCATAT"])
def test_whoever_married_once_was_ever_married(status: str) -> None:
    assert is_ever_married(status)
    assert not is_ever_married("BELUM KAWIN")
