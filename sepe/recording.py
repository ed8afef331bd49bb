"""One line of ``node record``: from a JSON object to a checked, normalised recording.

Whatever is refused would be wrong on paper or poison further on; whatever is merely unusual is recorded with
a warning, because people queue in front of the operator and the centre can ask later. Unknown keys are kept.
Messages are Indonesian and name the field, the value (cut, a NIK masked), the rule and the next step.

Names follow Permendagri 73/2022: Latin letters, and for *first* recordings since April 2022 at least two
words and at most 60 characters. Older names stay valid for life, so a single word or a longer name is only a
warning, up to what a card can hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

from sepe.errors import InvalidInputError
from sepe.jsonline import LINE_BYTES_MAX, parse_line
from sepe.nik import KkNumber, Nik, warnings
from sepe.products import DEFAULT_PRODUCT, DEFAULT_REASON, PRODUCTS, REASONS, eligibility
from sepe.region import RegionTable
from sepe.reprints import EVIDENCE_KEYS, missing, shown
from sepe.residence import KECAMATAN_CODE
from sepe.text import check_characters, checked_name, checked_text, shown_key

__all__ = ["BATCH", "LINE_BYTES_MAX", "Recording", "checked_batch", "parse_line", "parse_recording"]

NAME_CHARS_NEW_MAX = 60  # Permendagri 73/2022 art. 4
TEXT_CHARS_MAX = 100
ADDRESS_CHARS_MAX = 200
PATH_CHARS_MAX = 1024
EXTRA_KEYS_MAX = 32
EXTRA_KEY_CHARS_MAX = 64
EXTRA_CHARS_MAX = 1000
# The key of the batch in which the card is to be printed; it travels among the extra keys.
BATCH = "batch"
BATCH_CHARS_MAX = 40
BIRTH_YEAR_MIN = 1900

# The official lists; another value is kept with a warning, since the lists change and the office must not stop.
LISTED: dict[str, frozenset[str]] = {
    "religion": frozenset(
        (
            "ISLAM", "KRISTEN", "KATHOLIK", "KATOLIK", "HINDU", "BUDDHA", "KHONGHUCU",
            "KEPERCAYAAN TERHADAP TUHAN YME", "KEPERCAYAAN TERHADAP TUHAN YANG MAHA ESA",
        )
    ),
    "marital_status": frozenset(
        (
            "BELUM KAWIN", "KAWIN", "KAWIN TERCATAT", "KAWIN BELUM TERCATAT", "CERAI HIDUP",
            "CERAI HIDUP TERCATAT", "CERAI HIDUP BELUM TERCATAT", "CERAI MATI",
        )
    ),
    "blood_type": frozenset(
        ("A", "B", "AB", "O", "A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-", "-", "TIDAK TAHU")
    ),
    "citizenship": frozenset(("WNI", "WNA")),
}  # fmt: skip

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NEIGHBOURHOOD = re.compile(r"\d{1,3}", re.ASCII)
_PHONE = re.compile(r"\+?[0-9][0-9 -]{4,19}")
_NO_EXTRA: Mapping[str, str] = MappingProxyType({})


class Recording(NamedTuple):  # Of so many fields a frozen dataclass takes four times as long to make.
    """What one visit asserts about one resident, and which product it asks for.

    Texts are NFC, in capitals, single-spaced; an absent optional field is ``""`` (``kk``: ``None``).

    Attributes:
        sex: ``"L"`` or ``"P"``.
        rt: three digits or ``""``; so is ``rw``.
        product: a key of ``PRODUCTS``.
        reason: one of ``REASONS``.
        photo: path as given; whether it is a picture is the desk's question. So are ``signature``, ``biometric``.
        operator: who recorded, as given.
        due_date: first day on which the product may be printed; after today for those recorded ahead.
        extra: unknown keys of the line, so that nothing is lost, and evidence (`sepe.reprints.EVIDENCE_KEYS`).
    """

    nik: Nik
    name: str
    birth_date: date
    sex: str
    birth_place: str = ""
    kk: KkNumber | None = None
    address: str = ""
    rt: str = ""
    rw: str = ""
    kelurahan: str = ""
    religion: str = ""
    marital_status: str = ""
    occupation: str = ""
    product: str = DEFAULT_PRODUCT
    reason: str = DEFAULT_REASON
    photo: str = ""
    signature: str = ""
    biometric: str = ""
    operator: str = ""
    blood_type: str = ""
    citizenship: str = ""
    education: str = ""
    mother_name: str = ""
    father_name: str = ""
    phone: str = ""
    due_date: date = date.min
    extra: Mapping[str, str] = _NO_EXTRA


REQUIRED = ("nik", "name", "birth_date", "sex")
KNOWN_KEYS = frozenset(Recording._fields) - {"due_date", "extra"}


def parse_recording(
    document: Mapping[str, object], *, today: date, regions: RegionTable | None
) -> tuple[Recording, tuple[str, ...]]:
    """The recording that ``document`` describes, with warnings for the operator (Indonesian sentences).

    Args:
        document: keys of the recording line; ``None`` values count as absent.
        today: the office's date. With a clock that fell back, pass the latest date the office has seen, or
            births since then are refused as lying in the future.
        regions: for the region part of NIK and KK; ``None`` skips those warnings.

    Raises:
        InvalidInputError: the first field that cannot be accepted; nothing of the line may be kept then.
    """
    for key in REQUIRED:
        if document.get(key) in (None, ""):
            raise InvalidInputError("kolom wajib diisi", field=key, hint=f'Tambahkan "{key}" pada baris ini')

    def text(key: str, chars_max: int = TEXT_CHARS_MAX, *, capitals: bool = True) -> str:
        value = _string(document, key)
        return checked_text(value, key, chars_max=chars_max, capitals=capitals) if value else ""

    nik = Nik.parse(document["nik"])
    name = checked_name(_string(document, "name"), "name")
    birth_date = _birth_date(document["birth_date"], today)
    sex = _choice(document, "sex", ("L", "P"), default="")
    kk = None if document.get("kk") in (None, "") else KkNumber.parse(document["kk"])
    product = _choice(document, "product", PRODUCTS, default=DEFAULT_PRODUCT)
    marital_status = text("marital_status")
    verdict = eligibility(product, birth_date, marital_status, today=today)
    if verdict.status == "refused":
        raise InvalidInputError(verdict.rule, field="product", value=product, hint=verdict.hint)
    recording = Recording(
        nik=nik,
        name=name,
        birth_date=birth_date,
        sex=sex,
        birth_place=text("birth_place"),
        kk=kk,
        address=text("address", ADDRESS_CHARS_MAX),
        rt=_neighbourhood(document, "rt"),
        rw=_neighbourhood(document, "rw"),
        kelurahan=text("kelurahan"),
        religion=text("religion"),
        marital_status=marital_status,
        occupation=text("occupation"),
        product=product,
        reason=_choice(document, "reason", REASONS, default=DEFAULT_REASON),
        photo=_path(document, "photo"),
        signature=_path(document, "signature"),
        biometric=_path(document, "biometric"),
        operator=text("operator", capitals=False),
        blood_type=text("blood_type"),
        citizenship=text("citizenship"),
        education=text("education"),
        mother_name=_optional_name(document, "mother_name"),
        father_name=_optional_name(document, "father_name"),
        phone=_phone(document),
        due_date=verdict.due_date,
        extra=_extra(document),
    )
    return recording, _warnings(recording, verdict.status, regions)


def checked_batch(text: str) -> str:
    """The name of a batch, single-spaced.

    Raises:
        InvalidInputError: too long, not printable, or what a command would take for an option or a NIK.
    """
    name = " ".join(text.split())
    is_number = name.isascii() and name.isdigit() and len(name) >= 12
    if not 0 < len(name) <= BATCH_CHARS_MAX or not name.isprintable() or name.startswith("-") or is_number:
        raise InvalidInputError(
            f"nama kelompok 1 sampai {BATCH_CHARS_MAX} karakter, bukan nomor", field=BATCH, value=text,
            hint="Contoh: sman-3",
        )  # fmt: skip
    return name


def _string(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInputError(
            "harus berupa teks", field=key, value=value, hint="Tulis nilainya di antara tanda kutip"
        )
    return value


def _optional_name(document: Mapping[str, object], key: str) -> str:
    value = _string(document, key)
    return checked_name(value, key) if value.strip() else ""


def _birth_date(value: object, today: date) -> date:
    fault: tuple[str, str] | None = None
    birth_date = date.min
    # date.fromisoformat alone also takes 19900131 and 1990-W05-3.
    if not isinstance(value, str) or _ISO_DATE.fullmatch(value) is None:
        fault = "tanggal lahir harus teks TTTT-BB-HH", "Contoh: 1990-01-31"
    else:
        try:
            birth_date = date.fromisoformat(value)
        except ValueError:
            fault = "tanggal lahir tidak ada dalam kalender", "Periksa bulan dan hari"
        else:
            if birth_date.year < BIRTH_YEAR_MIN:
                fault = f"tanggal lahir sebelum tahun {BIRTH_YEAR_MIN}", "Periksa tahunnya"
            elif birth_date > today:
                fault = "tanggal lahir setelah hari ini", "Periksa tahunnya, dan tanggal komputer ini"
    if fault is not None:
        raise InvalidInputError(fault[0], field="birth_date", value=value, hint=fault[1])
    return birth_date


def _choice(document: Mapping[str, object], key: str, choices: Collection[str], *, default: str) -> str:
    value = _string(document, key) or default
    if value not in choices:
        raise InvalidInputError(
            "nilai tidak dikenal", field=key, value=value, hint=f"Pilih salah satu: {', '.join(choices)}"
        )
    return value


def _neighbourhood(document: Mapping[str, object], key: str) -> str:
    value = _string(document, key).strip(" ")
    if value in ("", "-"):
        return ""
    if _NEIGHBOURHOOD.fullmatch(value) is None:
        raise InvalidInputError("harus 1 sampai 3 angka", field=key, value=value, hint="Contoh: 003")
    return value.zfill(3)


def _phone(document: Mapping[str, object]) -> str:
    value = _string(document, "phone").strip(" ")
    if value and _PHONE.fullmatch(value) is None:
        raise InvalidInputError(
            "nomor telepon harus 5 sampai 20 angka", field="phone", value=value, hint="Contoh: 0812-3456-7890"
        )
    return value


def _path(document: Mapping[str, object], key: str) -> str:
    """The path untouched: a file name may hold two spaces, capitals and most other characters."""
    value = _string(document, key)
    if len(value) > PATH_CHARS_MAX or not value.isprintable():
        raise InvalidInputError(
            f"nama berkas paling banyak {PATH_CHARS_MAX} karakter yang tampak",
            field=key,
            value=value.encode("utf-8", "backslashreplace").decode(),
            hint="Ganti nama berkas itu",
        )
    return value


def _extra(document: Mapping[str, object]) -> Mapping[str, str]:
    unknown = [key for key in document if key not in KNOWN_KEYS and document[key] is not None]
    if not unknown:
        return _NO_EXTRA
    if len(unknown) > EXTRA_KEYS_MAX:
        raise InvalidInputError(
            f"lebih dari {EXTRA_KEYS_MAX} kolom yang tidak dikenal",
            field=shown_key(unknown[0]),
            hint="Hapus kolom yang tidak perlu",
        )
    extra: dict[str, str] = {}
    for key in unknown:
        value = document[key]
        if key == BATCH:
            if name := _string(document, BATCH).strip():
                extra[BATCH] = checked_batch(name)
            continue
        if not 0 < len(key) <= EXTRA_KEY_CHARS_MAX or not key.isprintable():
            raise InvalidInputError("nama kolom tidak dapat dipakai", field=shown_key(key), hint="Hapus kolom itu")
        text = value if isinstance(value, str) else json.dumps(value)
        check_characters(text, key)
        if len(text) > EXTRA_CHARS_MAX:
            raise InvalidInputError(
                f"paling banyak {EXTRA_CHARS_MAX} karakter", field=key, value=text, hint="Hapus atau singkatkan"
            )
        extra[key] = text
    return MappingProxyType(extra)


def _warnings(recording: Recording, status: str, regions: RegionTable | None) -> tuple[str, ...]:
    kk_code = None if recording.kk is None else recording.kk.kecamatan_code
    found = [
        warning.text
        for warning in warnings(
            recording.nik, recording.birth_date, recording.sex, regions, kecamatan_code=kk_code
        )
    ]
    if kk_code is not None and regions is not None and not regions.is_known(kk_code):
        found.append(f"Kode wilayah {kk_code} pada nomor KK tidak ada dalam daftar kecamatan")
    if " " not in recording.name:
        found.append("Nama hanya satu kata; sejak 2022 nama yang baru dicatat paling sedikit dua kata")
    if len(recording.name) > NAME_CHARS_NEW_MAX:
        found.append(f"Nama lebih dari {NAME_CHARS_NEW_MAX} karakter; pada kartu mungkin dicetak lebih kecil")
    if status == "not_yet_due":
        found.append(f"Direkam, belum waktunya cetak: dapat dicetak mulai {recording.due_date.isoformat()}")
    for key, known in LISTED.items():
        value = getattr(recording, key)
        if value and value not in known:
            found.append(f"{key}: nilai tidak ada dalam daftar baku; tetap disimpan")
    lacking = missing(recording.product, recording.reason, recording.extra)
    if lacking:
        found.append(f"Sebelum kartu diserahkan masih perlu: {shown(lacking)}")
    found.extend(
        f"Kolom tidak dikenal disimpan apa adanya: {key}"
        for key in recording.extra
        if key not in (*EVIDENCE_KEYS, BATCH, KECAMATAN_CODE)
    )
    return tuple(found)
