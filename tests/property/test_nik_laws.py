"""Laws of the numbers, texts and identities, over everything that can be typed."""

from __future__ import annotations

import json
from datetime import date, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from sepe.errors import InvalidInputError
from sepe.identity import identity_key
from sepe.nik import Nik, warnings
from sepe.recording import parse_line, parse_recording
from sepe.text import checked_name, normal_capitals, normal_name, normal_text

TODAY = date(2024, 10, 1)
dates = st.dates(date(1900, 1, 1), TODAY)
# Few digits on few places, so that impossible days and serials come up all the time.
digits = st.text(alphabet="0123456789", min_size=16, max_size=16)
near_niks = st.builds(
    lambda region, day, month, year, serial: f"{region}{day:02}{month:02}{year:02}{serial:04}",
    st.sampled_from(["537104", "110101", "000000"]),
    st.integers(0, 75),
    st.integers(0, 14),
    st.integers(0, 99),
    st.sampled_from([0, 1, 9001, 9999]),
)
plain_names = st.text(alphabet="ABYZ", min_size=1, max_size=4)


@given(dates, st.sampled_from("LP"), st.integers(1, 9999))
def test_every_birth_date_since_1900_makes_a_nik_that_tells_it(born: date, sex: str, serial: int) -> None:
    day = born.day + (40 if sex == "P" else 0)
    nik = Nik.parse(f"537104{day:02}{born.month:02}{born.year % 100:02}{serial:04}")
    assert (nik.sex, nik.serial, nik.birth_month_day) == (sex, serial, (born.month, born.day))
    assert born in nik.birth_date_candidates
    assert warnings(nik, born, sex, None) == ()


@given(st.one_of(digits, near_niks))
@example("5371042902009001")
@example("5371042902019001")
def test_sixteen_digits_are_a_nik_exactly_when_some_calendar_has_their_day(text: str) -> None:
    day, month, year = int(text[6:8]), int(text[8:10]), int(text[10:12])
    possible = False
    for century in (1900, 2000):
        try:
            date(century + year, month, day - 40 if day > 40 else day)
            possible = True
        except ValueError:
            pass
    try:
        nik = Nik.parse(text)
    except InvalidInputError:
        assert not possible or text.endswith("0000")
    else:
        assert possible
        assert not text.endswith("0000")
        assert nik.birth_date_candidates
        assert Nik.from_number(nik.number) == nik


@given(st.text(max_size=20))
def test_no_other_text_is_a_nik_and_the_error_never_breaks(text: str) -> None:
    try:
        assert Nik.parse(text).value == text
    except InvalidInputError as error:
        str(error)
    else:
        assert len(text) == 16
        assert set(text) <= set("0123456789")


@given(dates, dates, st.sampled_from("LP"), st.sampled_from("LP"))
def test_a_warning_comes_exactly_for_what_differs(coded: date, told: date, sex: str, other: str) -> None:
    day = coded.day + (40 if sex == "P" else 0)
    nik = Nik.parse(f"537104{day:02}{coded.month:02}{coded.year % 100:02}9001")
    codes = {warning.code for warning in warnings(nik, told, other, None)}
    same_day = (coded.day, coded.month, coded.year % 100) == (told.day, told.month, told.year % 100)
    assert ("nik_birth_date_differs" in codes) == (not same_day)
    assert ("nik_sex_differs" in codes) == (sex != other)


@given(st.text(max_size=30))
@example("\u0390")
@example("ŉ")
@example("ﬁ ß İ")
@example("`´’")
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    for form in (normal_text, normal_capitals, normal_name):
        assert form(form(text)) == form(text)


@given(st.text(max_size=120))
@example("MARIA \ud800")
def test_a_name_is_kept_in_its_normal_form_or_refused_with_a_printable_error(text: str) -> None:
    try:
        name = checked_name(text, "name")
    except InvalidInputError as error:
        str(error).encode("utf-8")
        return
    assert checked_name(name, "name") == name
    assert name.isprintable()
    assert len(name) <= 100


@given(
    st.lists(plain_names, min_size=1, max_size=3),
    st.lists(st.sampled_from([" ", "  ", "-", "'", ". ", "’", "\t"]), min_size=3, max_size=3),
    st.booleans(),
    dates,
)
def test_variants_by_case_space_and_punctuation_have_one_key(
    words: list[str], joints: list[str], low: bool, born: date
) -> None:
    typed = "".join(word + joint for word, joint in zip(words, joints, strict=False))
    key = identity_key(" ".join(words), born.isoformat(), "P")
    assert identity_key(typed.lower() if low else typed, born.isoformat(), "P") == key
    assert len(key) == 8


@given(
    plain_names, plain_names, st.integers(0, 2), st.integers(0, 2), st.sampled_from("LP"), st.sampled_from("LP")
)
def test_different_letters_dates_or_sexes_have_different_keys(
    name: str, other: str, days: int, other_days: int, sex: str, other_sex: str
) -> None:
    born = (TODAY + timedelta(days=days)).isoformat()
    other_born = (TODAY + timedelta(days=other_days)).isoformat()
    same = (name, born, sex) == (other, other_born, other_sex)
    assert (identity_key(name, born, sex) == identity_key(other, other_born, other_sex)) == same


latin = st.text(alphabet=st.characters(max_codepoint=0x24F) | st.sampled_from("AéE\u0301 '’ʼ"), max_size=8)


@given(latin)
@example("D\u02bcŉ")
def test_the_normal_form_of_a_name_keeps_its_key(text: str) -> None:
    # The desk stores the normal form, an importer may not: both must mean the same person. A dotless i, whose
    # capital has another small letter, is left out: no name of the region holds one.
    if not all(char.upper().casefold() == char.casefold() for char in text):
        return
    try:
        name = checked_name(text, "name")
    except InvalidInputError:
        return
    if name:
        assert identity_key(name, "1990-01-01", "P") == identity_key(text, "1990-01-01", "P")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from(["nik", "name", "birth_date", "sex", "kk", "rt", "product", "photo", "phone", "lain"])


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_a_plain_refusal(line: bytes) -> None:
    try:
        document = parse_line(line)
    except InvalidInputError as error:
        assert error.rule
        assert error.hint
    else:
        assert not any(isinstance(value, dict | list) for value in document.values())


@given(st.dictionaries(keys, json_values | st.sampled_from(["5371044101909001", "1990-01-01", "P", "MARIA"])))
def test_any_object_is_recorded_or_refused_by_field(document: dict[str, object]) -> None:
    whole: dict[str, object] = {"nik": "5371044101909001", "name": "MARIA", "birth_date": "1990-01-01", "sex": "P"}
    try:
        recording, _ = parse_recording({**whole, **document}, today=TODAY, regions=None)
    except InvalidInputError as error:
        assert error.field
        str(error).encode("utf-8")
    else:
        for text in (recording.name, recording.photo, recording.phone, *recording.extra.values()):
            text.encode("utf-8")
