"""Academic, religious and mourning titles around a name: not part of what claims are compared by.

``H. ABDUL RAHMAN, S.PD`` and ``ABDUL RAHMAN`` are one name. A title is taken away only where it stands as one:
before the name, as a word of the list below; behind it, after a comma, or without one as an abbreviation with a
dot inside. What would leave no name is a name.

The lists hold what Indonesian papers carry today. A degree that they lack stays part of the name, so two claims
that differ by it are a case for a person, which is the safe side.
"""

from __future__ import annotations

import re

_BEFORE = frozenset(
    "H HJ HAJI HAJJAH KH TGH TGKH DR DRA DRS DRG DRH IR PROF PDT ALM ALMH ALMARHUM ALMARHUMAH".split()  # noqa: SIM905
)
_BEHIND = frozenset(
    """
    H HJ DRS BA BE BSC PHD NERS NS APT AK CA ALM ALMH ALMARHUM ALMARHUMAH
    AMA AMD AMDKEB AMDKEP AMK AMKEB AMKG AMPD
    SAB SAG SAK SAP SARS SE SEI SFARM SFIL SGZ SH SHI SHUT SI SIKOM SIP SKEB SKED SKEP SKG SKH SKM SKOM SMN SP SPAK
    SPAR SPD SPDAUD SPDH SPDI SPDK SPDSD SPI SPSI SPT SS SSI SSN SSOS SST SSTP SSY ST STH STP STR STRKEB STRKEP
    STRKES STRT
    MA MAB MAG MAK MAP MARS MBA ME MEI MFARM MH MHUM MIKOM MIP MKEP MKES MKN MKOM MM MMPD MP MPD MPDI MPDK MPH MPSI
    MSAK MSC MSI MSN MSOS MT MTH
    SPA SPAN SPB SPJP SPKJ SPM SPOG SPPD SPRAD SPTHT
    """.split()  # noqa: SIM905
)
_MOURNED = re.compile(r"\(\s*(?:ALM|ALMH|ALMARHUM|ALMARHUMAH)\s*\.?\s*\)")
_WORD_END = re.compile(r"[\s.]+")
_NO_LETTERS = re.compile(r"[^A-Z]+")


def without_titles(name: str) -> str:
    """The name alone, in capitals where a title was taken away; as given where it carries none."""
    if "." not in name and "," not in name and "(" not in name and name.partition(" ")[0].upper() not in _BEFORE:
        return name  # Nearly all.
    text = _MOURNED.sub(" ", name.upper()).strip()
    bare = _without_titles_before(_without_degrees(text)).strip(" ,.")
    return bare if bare and any(char.isalpha() for char in bare) else name


def _without_titles_before(text: str) -> str:
    """Words of the list at the beginning, each followed by a blank or a dot, are gone."""
    while True:
        text = text.lstrip(" .,")
        found = _WORD_END.search(text)
        if found is None or text[: found.start()] not in _BEFORE:
            return text
        text = text[found.end() :]


def _without_degrees(text: str) -> str:
    while True:
        head, comma, tail = text.rpartition(",")
        if comma and _are_degrees(tail):
            text = head
            continue
        text = text.rstrip(" .,")
        head, blank, word = text.rpartition(" ")
        # Without a comma a degree shows by the dot inside: SITI S.PD, but not the name SITI SE.
        if not blank or "." not in word or _letters(word) not in _BEHIND:
            return text
        text = head


def _are_degrees(tail: str) -> bool:
    """Of what stands behind a comma: ``S. PD`` is one degree, ``S.PD M.SI`` are two."""
    return _letters(tail) in _BEHIND or all(
        not letters or letters in _BEHIND for letters in map(_letters, tail.split())
    )


def _letters(text: str) -> str:
    return _NO_LETTERS.sub("", text)
