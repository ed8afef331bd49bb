"""One input line, from bytes to a flat JSON object, or a plain word on what is wrong with the line.

The standard decoder is lenient where a register must not be: it takes the last of two equal keys, NaN, numbers
beyond every bound, and any depth. Here a line is one object of plain values.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from sepe.errors import InvalidInputError
from sepe.text import shown_key

LINE_BYTES_MAX = 64 * 1024
_NESTED = (dict, list)


def parse_line(line: bytes | str) -> dict[str, object]:
    """The flat JSON object of one input line; a byte order mark and the line's end are ignored.

    Raises:
        InvalidInputError: over 64 KiB, not UTF-8, not JSON, cut off, not an object, a key twice, a number
            that JSON does not know, or an object or list inside.
    """
    raw = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
    if len(raw) > LINE_BYTES_MAX:
        raise InvalidInputError(
            f"baris lebih panjang dari {LINE_BYTES_MAX // 1024} KiB",
            value=f"{len(raw)} bita",
            hint="Satu baris untuk satu orang; foto ditulis sebagai nama berkas",
        )
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff").strip(" \t\r\n")
    except UnicodeDecodeError as exc:
        # The decoder's error holds the whole line, so it is not chained.
        raise InvalidInputError(
            f"baris bukan teks UTF-8 (bita ke-{exc.start + 1})", hint="Simpan berkas sebagai UTF-8"
        ) from None
    if not text:
        raise InvalidInputError("baris kosong", hint="Hapus baris kosong itu")
    document = _loads(text)
    if not isinstance(document, dict):
        raise InvalidInputError("baris harus berupa satu objek JSON", hint='Bentuknya {"nik": "...", ...}')
    for key, value in document.items():
        if isinstance(value, _NESTED):
            raise InvalidInputError(
                "isi kolom harus satu nilai, bukan objek atau daftar",
                field=shown_key(key),
                hint="Tulis nilainya sebagai teks",
            )
    return document


def _loads(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        if exc.pos >= len(text) or exc.msg.startswith("Unterminated string"):
            rule = "baris JSON terpotong sebelum selesai"
            hint = "Berkas mungkin belum lengkap; ambil ulang dari sumbernya"
        else:
            rule = f"baris bukan JSON yang benar (karakter ke-{exc.pos + 1})"
            hint = "Periksa tanda kutip dan koma di sekitar karakter itu"
        # The decoder's error holds the whole line, names and numbers included, so it is not chained.
        raise InvalidInputError(rule, hint=hint) from None
    except RecursionError:
        raise InvalidInputError(
            "JSON bersarang terlalu dalam", hint="Satu objek tanpa objek lain di dalamnya"
        ) from None
    except ValueError:
        # Python refuses integers of over 4,300 digits.
        raise InvalidInputError("angka JSON terlalu panjang", hint="Tulis nomor di antara tanda kutip") from None


def _unique_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise InvalidInputError("kolom ditulis dua kali", field=shown_key(twice), hint="Hapus salah satunya")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise InvalidInputError("nilai ini tidak ada dalam JSON", value=word, hint="Hapus nilai itu")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidInputError("angka di luar batas", value=digits, hint="Tulis nilainya sebagai teks")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant, parse_float=_finite_float
)
