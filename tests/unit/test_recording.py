"""One line of ``node record``: what is accepted, in which form, and what is refused with which words."""

from __future__ import annotations

import json
from datetime import date

import pytest

from sepe.errors import InvalidInputError
from sepe.recording import Recording, parse_line, parse_recording
from sepe_io.regions import region_table

TODAY = date(2024, 10, 1)
LINE: dict[str, object] = {
    "nik": "5371044101909001", "name": "MARIA TAEK", "birth_place": "KUPANG", "birth_date": "1990-01-01",
    "sex": "P", "kk": "5371042501100012", "address": "JL. EL TARI II", "rt": "003", "rw": "001",
    "kelurahan": "OEBUFU", "religion": "KATHOLIK", "marital_status": "BELUM KAWIN", "occupation": "PELAJAR",
    "product": "ktp-el", "reason": "new", "photo": "path/to.jpg", "operator": "op-1",
}  # fmt: skip


def record(**changes: object) -> tuple[Recording, tuple[str, ...]]:
    return parse_recording({**LINE, **changes}, today=TODAY, regions=region_table())


def refusal(**changes: object) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        record(**changes)
    assert caught.value.rule
    assert caught.value.hint
    return caught.value


def test_the_contracts_own_line_is_recorded_without_a_warning() -> None:
    recording, warned = parse_recording(parse_line(json.dumps(LINE)), today=TODAY, regions=region_table())
    assert warned == ()
    assert recording.nik.value == LINE["nik"]
    assert recording.birth_date == date(1990, 1, 1)
    assert recording.kk is not None
    assert recording.kk.value == LINE["kk"]
    for key in LINE.keys() - {"nik", "kk", "birth_date"}:
        assert getattr(recording, key) == LINE[key], key


def test_four_fields_are_enough() -> None:
    wanted = {key: LINE[key] for key in ("nik", "name", "birth_date", "sex")}
    recording, warned = parse_recording(wanted, today=TODAY, regions=None)
    assert (recording.product, recording.reason, recording.kk, recording.rt) == ("ktp-el", "new", None, "")
    assert warned == ()


@pytest.mark.parametrize("key", ["nik", "name", "birth_date", "sex"])
@pytest.mark.parametrize("value", [None, "", "absent"])
def test_a_required_field_that_is_missing_is_named(key: str, value: str | None) -> None:
    document = {**LINE, key: value}
    if value == "absent":
        del document[key]
    with pytest.raises(InvalidInputError, match="wajib") as caught:
        parse_recording(document, today=TODAY, regions=None)
    assert caught.value.field == key


@pytest.mark.parametrize("key", sorted(set(LINE) | {"mother_name", "phone", "blood_type"}))
@pytest.mark.parametrize("value", [5, 1.5, True, False])
def test_a_value_that_is_not_text_is_refused(key: str, value: object) -> None:
    assert refusal(**{key: value}).field == key


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("maria  taek ", "MARIA TAEK"),
        ("Yosef Ma’u", "YOSEF MA'U"),
        ("Yosef Ma`u", "YOSEF MA'U"),
        ("Jose\u0301 d´Ornay", "JOSÉ D'ORNAY"),
        ("\tMARIA\u00a0TAEK\n", "MARIA TAEK"),
        ("Dr. A. Taek-Lay, S.Pd", "DR. A. TAEK-LAY, S.PD"),
        ("straße lay", "STRASSE LAY"),
        ("A", "A"),
    ],
)
def test_names_are_kept_in_official_form(typed: str, kept: str) -> None:
    assert record(name=typed)[0].name == kept


@pytest.mark.parametrize(
    "name",
    [
        'MARIA "MERI" TAEK',
        "MARIA “MERI” TAEK",
        "MARIA 😀",
        "MARIA TAEK 2",
        "МАRIA TAEK",  # Cyrillic capitals that look Latin
        "माया",
        "MARIA\x00TAEK",
        "MARIA\u202eTAEK",  # turns the text round
        "MARIA\u200bTAEK",  # invisible
        "MARIA\x1b[31mTAEK",
        "MARIA \ud800",  # half a character, which UTF-8 cannot hold
        "M\u0335\u0335A\u0335 TAEK",
        "<b>MARIA</b>",
        "MARIA_TAEK",
        "----",
        "'",
        "   ",
        "X" * 101,
        "X" * 10_000,
        "ﷺ" * 300,
    ],
)
def test_a_name_that_no_card_can_show_is_refused_with_a_short_error(name: str) -> None:
    error = refusal(name=name)
    assert error.field == "name"
    assert len(str(error)) < 500
    str(error).encode("utf-8")


def test_an_old_single_or_long_name_is_recorded_with_a_warning() -> None:
    assert any("satu kata" in text for text in record(name="MARIA")[1])
    long_name = "MARIA " * 11 + "TAEK"
    recording, warned = record(name=long_name)
    assert recording.name == long_name
    assert any("60" in text for text in warned)


@pytest.mark.parametrize(
    "value",
    ["19900101", "1990-W01-1", "01-01-1990", "1990-1-1", "1990-01-01T00:00", "1990-01-01\n", " 1990-01-01",
     "1990-02-30", "1990-13-01", "0000-01-01", "1899-12-31", "2024-10-02", "١٩٩٠-٠١-٠١", "kemarin"],
)  # fmt: skip
def test_a_birth_date_that_is_no_plain_possible_date_is_refused(value: str) -> None:
    assert refusal(birth_date=value).field == "birth_date"


def test_a_child_born_today_can_be_recorded() -> None:
    recording, _ = record(birth_date="2024-10-01", product="akta-kelahiran")
    assert recording.birth_date == TODAY


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sex", "l"), ("sex", "M"), ("sex", "LP"), ("sex", "P "),
        ("product", "ktp"), ("product", "KTP-EL"), ("reason", "baru"),
        ("rt", "0003"), ("rt", "³"), ("rw", "٣"), ("rt", "a"), ("rw", "-1"), ("rt", "1\n"),
        ("kk", "537104250110001"), ("kk", "5371043201100012"), ("nik", "5371044101909001\n"),
        ("phone", "halo"), ("phone", "08123456789\n"), ("phone", "1" * 21),
        ("address", "JL. \x07"), ("address", "JL. \ud800"), ("address", "JL. \u202eIRAT LE"), ("address", "X" * 201), ("occupation", "X" * 101), ("birth_place", "KUPANG 🌺"),
        ("photo", "a\nb.jpg"), ("photo", "x" * 1025), ("photo", "\ud800.jpg"), ("operator", "op\x00"),
        ("mother_name", "ANNA 5"), ("religion", "\u2028"),
    ],
)  # fmt: skip
def test_values_outside_the_rule_are_refused_by_field(key: str, value: str) -> None:
    assert refusal(**{key: value}).field == key


@pytest.mark.parametrize(("typed", "kept"), [("3", "003"), ("12", "012"), ("000", "000"), ("-", ""), ("", "")])
def test_neighbourhood_numbers_have_three_digits(typed: str, kept: str) -> None:
    recording, _ = record(rt=typed, rw=typed)
    assert (recording.rt, recording.rw) == (kept, kept)


def test_a_photo_path_is_kept_as_it_is() -> None:
    assert record(photo="Foto  Maria/ä b.JPG")[0].photo == "Foto  Maria/ä b.JPG"


def test_a_null_optional_field_counts_as_absent() -> None:
    recording, warned = record(kk=None, photo=None, mother_name=None, note=None)
    assert (recording.kk, recording.photo, recording.mother_name, dict(recording.extra)) == (None, "", "", {})
    assert warned == ()


def test_unknown_keys_are_kept_and_named() -> None:
    recording, warned = record(shoe_size="42", height_cm=170, left_handed=True)
    assert dict(recording.extra) == {"shoe_size": "42", "height_cm": "170", "left_handed": "true"}
    assert sum("tidak dikenal" in text for text in warned) == 3
    assert any("shoe_size" in text for text in warned)


def test_the_recordings_own_field_names_are_no_way_in() -> None:
    recording, _ = record(due_date="2000-01-01", extra="x")
    assert recording.due_date == date(2007, 1, 1)
    assert set(recording.extra) == {"due_date", "extra"}


def test_unknown_keys_have_bounds() -> None:
    refusal(**{f"k{number}": "x" for number in range(33)})
    refusal(note="x" * 1_001)
    refusal(note="\x00")
    refusal(**{"x" * 65: "y"})
    refusal(**{"\x1b": "y"})


def test_values_outside_the_official_lists_are_kept_with_a_warning() -> None:
    recording, warned = record(religion="marapu", blood_type="Z", citizenship="WNI")
    assert (recording.religion, recording.blood_type) == ("MARAPU", "Z")
    assert [text.split(":")[0] for text in warned] == ["religion", "blood_type"]


def test_a_nik_that_differs_from_the_biodata_is_recorded_with_warnings() -> None:
    _, warned = record(sex="L", birth_date="1991-01-01", nik="5312014101909001", kk="9988772501100012")
    assert len(warned) == 5


def test_a_pupil_of_16_is_recorded_ahead_with_the_date_on_which_the_card_is_due() -> None:
    recording, warned = record(birth_date="2008-01-01", nik="5371044101089001")
    assert recording.due_date == date(2025, 1, 1)
    assert any("2025-01-01" in text for text in warned)


def test_a_child_cannot_ask_for_a_ktp_nor_an_adult_for_a_kia() -> None:
    assert refusal(birth_date="2020-01-01").field == "product"
    assert refusal(product="kia").field == "product"


def test_errors_never_show_a_whole_nik_or_kk() -> None:
    for error in (refusal(nik="5371047102909001"), refusal(kk="5371043201100012"), refusal(nik=5371044101909001)):
        assert not any(
            word[6:] in str(error) for word in ("5371047102909001", "5371043201100012", "5371044101909001")
        )


def test_recordings_are_values() -> None:
    assert record()[0] == record()[0]
    with pytest.raises(AttributeError):
        record()[0].name = "X"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"", "kosong"),
        (b"  \r\n", "kosong"),
        (b'{"nik": "5371', "terpotong"),
        (b'{"nik": "5371044101909001", ', "terpotong"),
        (b'{"nik": "5371044101909001"', "terpotong"),
        (b"{'nik': '5371'}", "karakter ke-2"),
        (b"nik,name", "karakter ke-1"),
        (b'{"a": 1} {"b": 2}', "karakter ke-10"),
        (b'["nik"]', "objek"),
        (b'"nik"', "objek"),
        (b"null", "objek"),
        (b'{"name": "\xff\xfe"}', "UTF-8"),
        ('{"name": "A"}'.encode("utf-16"), "UTF-8"),
        (b'{"name": "A", "name": "B"}', "dua kali"),
        (b'{"x": NaN}', "JSON"),
        (b'{"x": -Infinity}', "JSON"),
        (b'{"x": 1e999}', "batas"),
        (b'{"x": ' + b"9" * 5_000 + b"}", "panjang"),
        (b'{"x": {"y": 1}}', "satu nilai"),
        (b'{"x": []}', "satu nilai"),
        (b'{"x": ' + b"[" * 30_000 + b"}", "bersarang"),
        (b'{"name": "A\nB"}', "karakter"),
        (b'{"name": "' + b"x" * 65_536 + b'"}', "64 KiB"),
    ],
)
def test_a_line_that_is_no_plain_object_is_refused_with_its_reason(line: bytes, word: str) -> None:
    with pytest.raises(InvalidInputError, match=word) as caught:
        parse_line(line)
    assert caught.value.hint
    assert caught.value.__cause__ is None  # a decoder's error would carry the whole line into a traceback


def test_a_byte_order_mark_and_the_lines_end_do_not_matter() -> None:
    assert parse_line(b'\xef\xbb\xbf{"name": "A"}\r\n') == parse_line('{"name": "A"}') == {"name": "A"}


def test_a_half_surrogate_in_an_escape_is_refused_at_its_field() -> None:
    document = parse_line(
        b'{"nik": "5371044101909001", "name": "A \\ud83d", "birth_date": "1990-01-01", "sex": "P"}'
    )
    with pytest.raises(InvalidInputError) as caught:
        parse_recording(document, today=TODAY, regions=None)
    assert caught.value.field == "name"
