"""Find a resident of this office by whatever is at hand: words of a name, part of a NIK, a card's serial, a KK.

Every resident is looked at: of 20,000 that takes a tenth of a second, and an index would have to be kept up by
each recording.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from node.printing.job import Job
from node.printing.ledger import Ledger
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.nik import NIK_DIGITS
from sepe.wire.v1 import event_pb2

TEXT_CHARS_MAX = 100
# Fewer digits are part of nearly every number.
DIGITS_MIN = 3

_LOWER = {code: chr(code).lower() for code in range(128)} | {
    code: None if chr(code) in "'`" else " " for code in range(128) if not chr(code).isalnum()
}


@dataclass(frozen=True, slots=True)
class Found:
    """One resident; ``by`` says what fitted: ``nik``, ``serial``, ``kk`` or ``name``."""

    nik: int
    name: str
    birth_date: str
    sex: str
    kk: str
    address: str
    kelurahan: str
    recorded_ms: int
    by: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for. ``digits`` is ``""`` unless the text is one number; so is ``serial``."""

    words: tuple[str, ...]
    digits: str
    serial: str


def wanted(text: str) -> Wanted:
    """What a text looks for.

    Raises:
        InvalidInputError: there is nothing in it to look for, or too little, or too much.
    """
    words = tuple(words_of(text))
    number = "".join(text.split())
    digits = number if number.isascii() and number.isdigit() else ""
    if not words or len(text) > TEXT_CHARS_MAX or (digits and len(digits) < DIGITS_MIN):
        raise InvalidInputError(
            f"nama, atau paling sedikit {DIGITS_MIN} angka dari NIK, nomor kartu atau KK", field="TEXT",
            value="*" * len(digits) or text, hint='Contoh: sepe node find DIR "mar taek"',
        )  # fmt: skip
    serial = number.upper() if number.isascii() and any(char.isdigit() for char in number) else ""
    return Wanted(words, digits, serial)


def words_of(text: str) -> list[str]:
    """The words of a name without case, accents and apostrophes: ``JOSÉ TA'EK`` gives jose, taek."""
    if not text.isascii():
        # Typographic apostrophes join as the plain one does; marks fall away with their letters kept.
        plain = unicodedata.normalize("NFKD", text.replace("’", "'").replace("‘", "'").replace("ʼ", "'"))
        text = "".join(char for char in plain if unicodedata.category(char) != "Mn").casefold()
        text = "".join(char if char.isalnum() or char == "'" else " " for char in text)
    return text.translate(_LOWER).split()


def fits(words: Iterable[str], name: str) -> bool:
    """Whether each word begins a word of the name; a word of the name may be begun by one of them only."""
    left = words_of(name)
    # The longest first: "mar maria" is MARIA MARLINA, whichever stands first.
    for word in sorted(words, key=len, reverse=True):
        place = next((index for index, one in enumerate(left) if one.startswith(word)), None)
        if place is None:
            return False
        del left[place]
    return True


def find(store: NodeStore, text: str, limit: int) -> tuple[list[Found], int]:
    """The residents that fit, the surest first, at most ``limit``; and how many fit in all.

    Raises:
        InvalidInputError: see `wanted`.
    """
    one = wanted(text)
    by_serial = _with_serial(store, one.serial) if one.serial else set()
    hits: list[tuple[int, str, int, int, event_pb2.Recorded]] = []
    with store.reading():
        rows = store.connection.execute("SELECT nik, last_ms, known FROM resident")
        for nik, last_ms, known in rows:
            body = event_pb2.Recorded.FromString(known)
            rank = _rank(one, nik, body, by_serial)
            if rank is not None:
                hits.append((rank, body.name, nik, last_ms, body))
        hits.sort(key=lambda hit: hit[:3])
        ledger = Ledger(store)
        found = [
            Found(
                nik, name, body.birth_date, body.sex, body.kk, body.address, body.kelurahan, last_ms, _BY[rank],
                tuple(ledger.of_resident(nik)),
            )
            for rank, name, nik, last_ms, body in hits[:limit]
        ]  # fmt: skip
    return found, len(hits)


_BY = ("nik", "serial", "nik", "kk", "name")


def _rank(one: Wanted, nik: int, body: event_pb2.Recorded, by_serial: set[int]) -> int | None:
    """How sure it is, 0 the surest; ``None``: it does not fit."""
    if one.digits:
        number = f"{nik:0{NIK_DIGITS}d}"
        if one.digits in number:
            return 0 if number == one.digits else 2
        if one.digits in body.kk:
            return 3
    if nik in by_serial:
        return 1
    return 4 if not one.digits and fits(one.words, body.name) else None


def _with_serial(store: NodeStore, serial: str) -> set[int]:
    """Whose card begins or ends with this number, in the ledger or among the old cards."""
    found: set[int] = set()
    for table in ("job", "old_card"):
        rows = store.connection.execute(
            f"SELECT DISTINCT nik FROM {table} WHERE serial <> '' "
            "AND (substr(upper(serial), 1, length(?1)) = ?1 OR substr(upper(serial), -length(?1)) = ?1)",
            (serial,),
        )
        found.update(nik for (nik,) in rows)
    return found
