"""Are two NIK one person? A hint for an officer, never a merge.

A *sketch* is what of a resident can be compared: the identities that stand, the birth place, the mother's name.
Two sketches are alike when name and birth date agree, at most one of the two only nearly, **and** the mother or
the birth place is the same. Mothers who are both given and differ speak against it. Nothing given is no agreement,
so two records of name and date alone are never alike: among five million that is an everyday coincidence.

Every pair cannot be compared, so each sketch has a few *keys*, and only sketches that share one are. A key leaves
out one thing that may be mistyped: the place, the mother, the exact date, or the name. Spelling is folded before
(Djoko and Joko, Sitti and Siti, Moch. and Muhammad); names in another order or with another spacing agree.

All of it is symmetric and depends on nothing but the two records: hints are the same in any order of arrival.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from sepe.case import is_on_hold
from sepe.claims import identities, standing_claim
from sepe.crdt import Register
from sepe.resident import Resident

SAME_PERSON = "same_person"
# A key that more NIK share says nothing: what they have in common is common, or a batch of invented entries.
BLOCK_NIKS_MAX = 20
# A NIK under which everybody enrols would have keys without end; the earliest identities are compared.
IDENTITIES_MAX = 8
# Fits a signed 64-bit column.
KEY_BITS = 63
# Under this a letter changed makes another name (ANA and ANI); nearness asks for longer ones.
NEAR_LETTERS_MIN = 4

_HONORIFICS = frozenset({"h", "hj", "haji", "dr", "drs", "dra", "ir", "prof"})
_MUHAMMAD = re.compile(r"(m[ou](ch|h)(a?m+[ae][dt]?)?d?|mhd|mohd)\Z")
# In this order: the spelling of before 1947 and 1972, then sounds that are written in two ways.
_SPELLINGS = (
    ("oe", "u"), ("tj", "c"), ("dj", "j"), ("nj", "ny"), ("sj", "sy"), ("ph", "f"), ("kh", "k"), ("ch", "k"),
    ("th", "t"), ("dh", "d"), ("ck", "k"), ("ks", "x"), ("v", "f"), ("z", "s"), ("q", "k"), ("c", "k"), ("j", "y"),
    ("y", "i"),
)  # fmt: skip
_TWICE = re.compile(r"(.)\1+")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_PLACE_KINDS = frozenset({"kota", "kab", "kabupaten", "kec", "kecamatan", "desa", "kel", "kelurahan"})
_ORDER = (
    "same_name", "close_name", "same_birth_date", "swapped_birth_date", "mistyped_birth_date", "same_mother",
    "same_birth_place",
)  # fmt: skip

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sketch:
    """What of a resident can be compared.

    Attributes:
        identities: (name, birth date as ``YYYY-MM-DD``, sex) as recorded, sorted; at most `IDENTITIES_MAX`.
        birth_place, mother_name: as recorded; ``""`` when nobody said.
    """

    identities: tuple[tuple[str, str, str], ...]
    birth_place: str = ""
    mother_name: str = ""


def sketch_of(resident: Resident) -> Sketch | None:
    """A record's sketch; ``None`` for one without a claim.

    While offices disagree who it is, each identity counts: under a mistyped NIK that is how its owner is found.
    Once an officer decided, the one that stays does.
    """
    standing = standing_claim(resident)
    if standing is None:
        return None
    claims = identities(resident)[:IDENTITIES_MAX] if is_on_hold(resident) else [standing]
    return Sketch(
        tuple(sorted({(claim.name, claim.birth_date, claim.sex) for claim in claims})),
        _shown(resident.fields.get("birth_place")),
        _shown(resident.fields.get("mother_name")),
    )


def keys_of(sketch: Sketch) -> frozenset[int]:
    """The keys: 0 to 2**63 - 1. Sketches without a common one are not worth comparing."""
    place, mother = _letters(_place(sketch.birth_place)), _letters(words_of(sketch.mother_name))
    found = set()
    for name, birth_date, _ in sketch.identities:
        letters, date = _letters(words_of(name)), _DATE.match(birth_date)
        if not letters or date is None:
            continue
        year, month, day = date.groups()
        # Day and month in the order of size: exchanged ones give the same key.
        when = f"{year}{min(month, day)}{max(month, day)}"
        found.add(_key("name,date", letters, when))
        if place:
            found.add(_key("name,year,place", letters, year, place))
        if mother:
            found |= {_key("mother,date", mother, when), _key("mother,name", mother, letters)}
    return frozenset(found)


def likeness(one: Sketch, other: Sketch) -> tuple[str, ...] | None:
    """Why two NIK may be one person, in the order of `_ORDER`; ``None`` when nothing says so.

    Symmetric. Of several identities the pair with the most, then the strongest reasons counts.
    """
    shared = _shared(one, other)
    if not shared:
        return None
    found = [
        reasons
        for mine in one.identities
        for theirs in other.identities
        if (reasons := _identity_reasons(mine, theirs))
    ]
    if not found:
        return None
    best = min(found, key=lambda reasons: [_ORDER.index(reason) for reason in reasons])
    return tuple(sorted((*best, *shared), key=_ORDER.index))


@lru_cache(maxsize=4096)
def words_of(name: str) -> Words:
    """A name's words without titles, accents, punctuation and ways of spelling; in the order typed."""
    # What follows a comma is a degree.
    flat = unicodedata.normalize("NFKD", name.partition(",")[0].casefold())
    flat = re.sub(r"['`\u2018\u2019\u02bb\u02bc\u00b4]", "", flat)
    kept = "".join(
        char if char.isalnum() else "" if unicodedata.category(char)[0] == "M" else " " for char in flat
    )
    words = kept.split()
    while len(words) > 1 and words[0] in _HONORIFICS:
        words.pop(0)
    return tuple(_respelt(word) for word in words)


def name_likeness(one: Words, other: Words) -> str:
    """``same``, ``close`` or ``""``. Close: one word mistyped, an initial, or missing, and the others the same."""
    if not one or not other:
        return ""
    if Counter(one) == Counter(other) or "".join(one) == "".join(other):
        return "same"
    mine, theirs = (
        sorted((Counter(these) - Counter(those)).elements()) for these, those in ((one, other), (other, one))
    )
    agreeing = len(one) - len(mine)
    if len(mine) > len(theirs):
        mine, theirs = theirs, mine
    if not mine:
        return "close" if len(theirs) == 1 and agreeing else ""
    if len(mine) != 1 or len(theirs) > 2 or not (agreeing or len(one) == len(other) == 1):
        return ""
    # With one word only there is nothing beside it to lean on, so an initial does not do.
    return "close" if any(_is_near(mine[0], word, initials=agreeing > 0) for word in theirs) else ""


def date_likeness(one: str, other: str) -> str:
    """``same``, ``swapped`` (day and month), ``mistyped`` (one digit, or two neighbours exchanged) or ``""``."""
    mine, theirs = _DATE.match(one), _DATE.match(other)
    if mine is None or theirs is None:
        return ""
    if one == other:
        return "same"
    (year, month, day), digits, others = mine.groups(), "".join(mine.groups()), "".join(theirs.groups())
    if theirs.groups() == (year, day, month):
        return "swapped"
    return "mistyped" if _is_one_typo(digits, others) else ""


def _shared(one: Sketch, other: Sketch) -> list[str]:
    """Which of mother and birth place agree; nothing when the mothers differ."""
    found = []
    mine, theirs = words_of(one.mother_name), words_of(other.mother_name)
    if mine and theirs:
        if not name_likeness(mine, theirs):
            return []
        found.append("same_mother")
    here, there = _place(one.birth_place), _place(other.birth_place)
    if here and there and (here == there or _is_near("".join(here), "".join(there))):
        found.append("same_birth_place")
    return found


def _identity_reasons(one: tuple[str, str, str], other: tuple[str, str, str]) -> tuple[str, str] | None:
    name = name_likeness(words_of(one[0]), words_of(other[0]))
    date = date_likeness(one[1], other[1])
    if not name or not date or (name, date).count("same") == 0:
        return None
    # Another sex is a slip of the pen only where all else is to the letter; twins have names that are near.
    if one[2] != other[2] and (name, date) != ("same", "same"):
        return None
    return f"{name}_name", f"{date}_birth_date"


def _is_near(one: str, other: str, *, initials: bool = False) -> bool:
    """One letter is changed, added, missing or exchanged; with ``initials`` also: one abbreviates the other."""
    short, long = sorted((one, other), key=len)
    if initials and len(short) == 1:
        return long.startswith(short)
    if len(short) < NEAR_LETTERS_MIN or len(long) - len(short) > 1:
        return False
    if len(short) == len(long):
        return _is_one_typo(short, long)
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))


def _is_one_typo(one: str, other: str) -> bool:
    """Of two texts of one length: one character differs, or two neighbours are exchanged."""
    differing = [place for place, (mine, theirs) in enumerate(zip(one, other, strict=True)) if mine != theirs]
    if len(differing) == 2:
        first, second = differing
        return second == first + 1 and one[first] == other[second] and one[second] == other[first]
    return len(differing) == 1


def _respelt(word: str) -> str:
    if _MUHAMMAD.match(word):
        return "muhamad"
    for written, sound in _SPELLINGS:
        word = word.replace(written, sound)
    word = _TWICE.sub(r"\1", word)
    return word.removesuffix("h") if len(word) > 2 else word


def _place(place: str) -> Words:
    words = words_of(place)
    return tuple(word for word in words if word not in _PLACE_KINDS) or words


def _letters(words: Words) -> str:
    """The same for words in another order or with another spacing."""
    return "".join(sorted("".join(words)))


def _key(*parts: str) -> int:
    digest = blake2b("|".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") & ((1 << KEY_BITS) - 1)


def _shown(register: Register[str] | None) -> str:
    return "" if register is None or register.top is None else register.top[1]
