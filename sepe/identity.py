"""When do two claims of one NIK speak of the same person?

Two offices rarely type a name alike: ``Maria Ta'ek``, ``MARIA TAEK``, ``MARIA  TA’EK``. A claim's identity is
its name with case, spacing, punctuation and typographic width taken away, its birth date and its sex. Claims
that share a key agree and are duplicates; claims that share none are a ``nik_conflict`` that a person
decides. Letters are never guessed: Yohanes and Johanes, or JOSÉ and JOSE, are different names here.

A claim has two keys: `identity_key` of the name as written, and `person_key` of the name without titles
(`sepe.titles`). Either will do, for the first alone sees that HALIM and H ALIM may be one name, the second alone
that H. YUSUF and YUSUF are. The hub's heads keep the first; equal ones need no look at the claims.

The keys are stored, so their bytes must never change: ``tests/unit/test_identity_key.py`` pins some.
"""

from __future__ import annotations

import unicodedata
from hashlib import blake2b

from sepe.titles import without_titles

IDENTITY_KEY_BYTES = 8

# One pass over the bytes lowers A-Z and drops whatever is not a letter or digit.
_LOWER = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))
_DROPPED = bytes(code for code in range(128) if not chr(code).isalnum())

# Unicode counts these apostrophes as letters.
_LETTER_APOSTROPHES = frozenset("\u02bb\u02bc")

# Copying an empty hash costs half of making one (0.46 against 0.75 µs), and the hub makes one per claim.
_new_hash = blake2b(digest_size=IDENTITY_KEY_BYTES).copy


def person_key(name: str, birth_date_iso: str, sex: str) -> bytes:
    """`identity_key` of the name without its titles."""
    return identity_key(without_titles(name), birth_date_iso, sex)


def keys_of(name: str, birth_date_iso: str, sex: str, identity: bytes = b"") -> frozenset[bytes]:
    """Both keys of a claim; one where the name has no title. ``identity``: its `identity_key`, if it is known."""
    bare = without_titles(name)
    key = identity or identity_key(name, birth_date_iso, sex)
    return frozenset((key,)) if bare == name else frozenset((key, identity_key(bare, birth_date_iso, sex)))


def identity_key(name: str, birth_date_iso: str, sex: str) -> bytes:
    """Eight bytes that are equal exactly when name as written, birth date and sex are (but for a 64-bit
    collision).

    Args:
        name: as written; any case, spacing, punctuation.
        birth_date_iso: ``YYYY-MM-DD``.
        sex: ``"L"`` or ``"P"``.

    A collision would take a chosen pair of names for *one* NIK: among the few claims of one NIK the chance by
    accident is under 2**-60.
    """
    letters = name.encode().translate(_LOWER, _DROPPED) if name.isascii() else _folded(name)
    if not letters:
        # A name of signs only: nothing may be taken away, or all such names would agree.
        letters = b"\x00" + name.encode("utf-8", "surrogatepass")
    key = _new_hash()
    key.update(letters + f"|{birth_date_iso}{sex}".encode())
    return key.digest()


def _folded(name: str) -> bytes:
    """Letters, digits and the marks on them, after compatibility and case folding."""
    # An acute accent typed as an apostrophe would become a mark on the letter before it.
    name = unicodedata.normalize("NFC", name).replace("\u00b4", "")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    kept = "".join(
        char
        for char in folded
        if (char.isalnum() or unicodedata.category(char)[0] == "M") and char not in _LETTER_APOSTROPHES
    )
    return kept.encode("utf-8")
