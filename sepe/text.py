"""Normal forms of what operators type, and what no field may hold.

Official papers are in capitals and single-spaced, so text is kept in that form: two offices that type one
address agree byte for byte. Refused are characters that no form holds or shows (control, invisible, bidirectional,
unassigned, half a surrogate pair, pictures); they would hide in a list, break a card or poison a codec.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

from sepe.errors import InvalidInputError

NAME_CHARS_MAX = 100
KEY_CHARS_SHOWN_MAX = 64

NAME_RULE = "nama hanya memuat huruf Latin, spasi, apostrof, tanda hubung, titik, koma, dan garis miring"

# Normalised names that need no look at their single characters: almost all.
_PLAIN_NAME = re.compile(r"[A-Z][A-Z '\-.,/]*")
_NAME_SIGNS = frozenset(" '-.,/")
_APOSTROPHES = {ord(char): "'" for char in "\u2019\u2018\u02bc\u02bb\u2032`\u00b4"}
_SPACES = frozenset(" \t\r\n")
# An emoji is a "So" or, as a skin tone, an "Sk"; C* are control, format, surrogate, private and unassigned.
_REFUSED_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk", "Zl", "Zp"))


def normal_text(text: str) -> str:
    """``text`` in NFC, stripped and single-spaced; letters keep their case."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def normal_capitals(text: str) -> str:
    """``text`` in NFC, stripped, single-spaced and in capitals; applying it twice changes nothing."""
    if text.isascii():
        return " ".join(text.upper().split())
    # Capitals can decompose (U+0390), so the normal form is taken again.
    return normal_text(unicodedata.normalize("NFC", text).upper())


def normal_name(text: str) -> str:
    """A name as official papers write it: capitals, single spaces, ``'`` for every kind of apostrophe."""
    # After the capitals, since those of U+0149 contain one.
    return normal_capitals(text).translate(_APOSTROPHES)


def checked_text(value: str, field: str, *, chars_max: int, capitals: bool = True) -> str:
    """The normal form of a field's text; ``""`` stays ``""``.

    Raises:
        InvalidInputError: over ``chars_max`` characters, or a character that no field may hold.
    """
    if value.isascii() and value.isprintable():  # Nearly all: nothing to refuse, one normal form.
        text = " ".join((value.upper() if capitals else value).split())
    else:
        check_characters(value, field)
        text = normal_capitals(value) if capitals else normal_text(value)
    if len(text) > chars_max:
        raise InvalidInputError(
            f"paling banyak {chars_max} karakter", field=field, value=value, hint="Singkatkan seperti pada KK"
        )
    return text


def checked_name(value: str, field: str) -> str:
    """The normal form of a person's name; ``""`` stays ``""``.

    Raises:
        InvalidInputError: over 100 characters, no letter, or anything but Latin letters and ``' - . , /``.
    """
    if len(value) > 4 * NAME_CHARS_MAX:  # before the costly steps
        _refuse_name(f"nama paling banyak {NAME_CHARS_MAX} karakter", field, value)
    name = normal_name(value)
    if _PLAIN_NAME.fullmatch(name) is None or not value.isprintable():
        _check_name(name, value, field)
    if len(name) > NAME_CHARS_MAX:
        _refuse_name(f"nama paling banyak {NAME_CHARS_MAX} karakter", field, value)
    return name


def check_characters(value: str, field: str) -> None:
    """Refuse the characters that no field may hold; tabs and line ends count as spaces.

    Raises:
        InvalidInputError: names the first such character by its code point.
    """
    if value.isprintable() and value.isascii():
        return
    for char in value:
        if char not in _SPACES and unicodedata.category(char) in _REFUSED_CATEGORIES and char not in "`\u00b4":
            raise InvalidInputError(
                f"memuat karakter yang tidak boleh (U+{ord(char):04X})",
                field=field,
                value=_without_halves(value),
                hint="Hapus karakter itu dan ketik ulang",
            )


def shown_key(key: str) -> str:
    """A key of the input as an error may name it: cut and escaped."""
    short = key if len(key) <= KEY_CHARS_SHOWN_MAX else f"{key[:KEY_CHARS_SHOWN_MAX]}…"
    return short if short.isprintable() else ascii(short)[1:-1]


def _check_name(name: str, value: str, field: str) -> None:
    check_characters(value, field)
    if not name:
        _refuse_name("nama tidak boleh hanya spasi", field, value)
    for char in name:
        if not (char in _NAME_SIGNS or unicodedata.name(char, "").startswith("LATIN ")):
            _refuse_name(f"{NAME_RULE}; bukan U+{ord(char):04X}", field, value)
    if not any(char.isalpha() for char in name):
        _refuse_name("nama harus memuat huruf", field, value)


def _refuse_name(rule: str, field: str, value: str) -> NoReturn:
    raise InvalidInputError(rule, field=field, value=_without_halves(value), hint="Ketik nama seperti pada KK")


def _without_halves(value: str) -> str:
    """``value`` that every output can encode: half surrogate pairs become their escapes."""
    return value.encode("utf-8", "backslashreplace").decode()
