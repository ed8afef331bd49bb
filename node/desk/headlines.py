"""What of the centre's words is news to the people at this office, and how it is said. Pure.

A word says how things are, and may be heard again at any time. So news is never the word itself: it is the
difference between what this machine knew before it took the word in and what it knows after. Heard twice, there is
none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from node.link.notes import alarm
from sepe.rpc.v1 import rights_pb2
from sepe.serials import SerialSet
from sepe.wire.v1 import event_pb2


class Kind(StrEnum):
    """What happened; the values are stable."""

    DISPUTED = "disputed"
    DECIDED = "decided"
    RELEASED = "released"
    DIED = "died"
    MOVED_AWAY = "moved_away"
    ALIVE = "alive"
    RECALL = "recall"
    RECALL_ENDED = "recall_ended"
    NIK_REPLACED = "nik_replaced"
    RIGHT_MOVED = "right_moved"
    RIGHT_CAME = "right_came"
    ROLL_MOVED = "roll_moved"
    CARD_CAME = "card_came"
    BLANKS_ON_WAY = "blanks_on_way"
    BLANKS_WANTED = "blanks_wanted"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Headline:
    """One item. What does not belong to its kind is empty or 0.

    Attributes:
        serial: of a card; with `ROLL_MOVED` the kecamatan's code.
        stands: of a decision, whether the identity recorded here is the one that stays; ``""`` when nobody was.
        reason: in the centre's words; with `ALARM` the note (`node.link.notes.alarm`).
        until_ms: until when something is wanted, milliseconds since 1970.
        new_nik: the NIK that counts instead; 0 with `NIK_REPLACED`: this one counts again.
    """

    kind: Kind
    nik: int = 0
    product: str = ""
    issue: int = 0
    serial: str = ""
    node: str = ""
    count: int = 0
    until_ms: int = 0
    new_nik: int = 0
    stands: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Recall:
    """A card that this office has to collect."""

    product: str
    issue: int
    attempt: str
    serial: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resident:
    """What this machine knows of the centre's word on one resident.

    Attributes:
        identity: `identity_key` of the first claim made here, empty when he was not recorded here.
        has_taken_back: products of which a card of his was taken back here.
    """

    on_hold: bool = False
    life: int = 0
    keep: bytes = b""
    reason: str = ""
    recalls: frozenset[Recall] = frozenset()
    replaced_by: int = 0
    identity: bytes = b""
    has_taken_back: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Holding:
    """What this machine knows of one right.

    Attributes:
        is_ours: it was this machine's at some time, by its roll or by a grant.
        may_print: it may print under it now.
        has_job: somebody asked for the card here; ``is_waiting``: and it waits for the right.
        let_go: never printed here under this fence or a lower one.
    """

    is_ours: bool
    may_print: bool
    has_job: bool
    is_waiting: bool
    let_go: int


def of_resident(nik: int, said: rights_pb2.Standing, before: Resident, after: Resident) -> Iterable[Headline]:
    """News of a word on a resident."""
    if after.on_hold and not before.on_hold:
        yield Headline(Kind.DISPUTED, nik)
    if after.reason and not after.on_hold and (after.keep, after.reason) != (before.keep, before.reason):
        is_ours = after.identity in {after.keep, *said.kept}
        stands = "" if not after.identity else "yes" if is_ours else "no"
        yield Headline(Kind.DECIDED, nik, stands=stands, reason=after.reason)
    elif before.on_hold and not after.on_hold:
        yield Headline(Kind.RELEASED, nik)
    yield from _of_life(nik, before.life, after.life)
    if after.replaced_by != before.replaced_by:
        yield Headline(Kind.NIK_REPLACED, nik, new_nik=after.replaced_by)
    for one in sorted(after.recalls - before.recalls, key=_by_issue):
        yield Headline(Kind.RECALL, nik, one.product, one.issue, one.serial, reason=one.reason)
    kept = {(one.product, one.attempt) for one in after.recalls}
    for one in sorted(before.recalls - after.recalls, key=_by_issue):
        # What was taken back here is no news here, and a new reason is not an end.
        if one.product not in after.has_taken_back and (one.product, one.attempt) not in kept:
            yield Headline(Kind.RECALL_ENDED, nik, one.product, one.issue, one.serial)


def of_right(nik: int, right: rights_pb2.Right, node: str, before: Holding, after: Holding) -> Iterable[Headline]:
    """News of a word on who holds a right."""
    if right.holder == node:
        if before.is_waiting and after.may_print and not before.may_print:
            yield Headline(Kind.RIGHT_CAME, nik, right.product, right.issue)
    elif after.let_go > before.let_go and (before.is_ours or before.has_job):
        yield Headline(Kind.RIGHT_MOVED, nik, right.product, right.issue, node=right.holder)


def of_blanks(word: rights_pb2.BlanksOnWay, before: SerialSet, after: SerialSet) -> Iterable[Headline]:
    """News of a word on blanks that are on their way here."""
    if count := len(after - before):
        yield Headline(Kind.BLANKS_ON_WAY, product=word.product, node=word.from_node, count=count)


def _of_life(nik: int, before: int, after: int) -> Iterable[Headline]:
    alive = (event_pb2.LIFE_STATE_UNSPECIFIED, event_pb2.LIFE_STATE_ALIVE)
    if after == before or (before in alive and after in alive):
        return
    known = {event_pb2.LIFE_STATE_DEAD: Kind.DIED, event_pb2.LIFE_STATE_MOVED: Kind.MOVED_AWAY}
    kind = Kind.ALIVE if after in alive else known.get(event_pb2.LifeState.ValueType(after))
    if kind is not None:
        yield Headline(kind, nik)


def _by_issue(one: Recall) -> tuple[str, int, str]:
    return one.product, one.issue, one.attempt


# Why a card is collected, in words.
WHY = {
    "double_print": ("dicetak dua kali", "it was printed twice"),
    "death": ("pemegangnya meninggal", "its owner died"),
    "reissued": ("sudah ada kartu yang lebih baru", "a newer card is out"),
    "identity": ("pusat memutuskan identitas lain", "the centre decided for another identity"),
    "nik_replaced": ("NIK-nya diganti", "its NIK was replaced"),
}

_STANDS = {
    "": ("{whose}: pusat memutuskan identitasnya", "{whose}: the centre decided on the identity"),
    "yes": (
        "{whose}: pusat memutuskan, data yang direkam di sini berlaku",
        "{whose}: the centre decided, what was recorded here stands",
    ),
    "no": (
        "{whose}: pusat memutuskan identitas lain; data yang direkam di sini tidak berlaku",
        "{whose}: the centre decided for another identity; what was recorded here does not stand",
    ),
}

_WORDS = {
    Kind.DISPUTED: (
        "{whose}: identitas berbeda direkam di tempat lain; tidak dicetak sampai pusat memutuskan",
        "{whose}: another identity was recorded elsewhere; no card is printed until the centre decides",
    ),
    Kind.RELEASED: (
        "{whose}: identitasnya tidak dipersoalkan lagi; kartunya dapat dicetak",
        "{whose}: the identity is no longer in question; the card can be printed",
    ),
    Kind.DIED: ("{whose}: tercatat meninggal", "{whose}: recorded as dead"),
    Kind.MOVED_AWAY: ("{whose}: tercatat pindah", "{whose}: recorded as moved away"),
    Kind.ALIVE: (
        "{whose}: tercatat hidup dan tinggal di sini lagi", "{whose}: recorded as alive and living here again"
    ),
    Kind.RECALL: ("{whose}: tarik {product} {serial}", "{whose}: collect {product} {serial}"),
    Kind.RECALL_ENDED: (
        "{whose}: {product} {serial} tidak perlu ditarik lagi", "{whose}: {product} {serial} need not be collected"
    ),
    Kind.RIGHT_MOVED: (
        "{whose}: hak cetak {product} kini di {node}; tidak dicetak di sini",
        "{whose}: the right to print {product} is at {node} now; it is not printed here",
    ),
    Kind.RIGHT_CAME: (
        "{whose}: hak cetak {product} ada di sini; kartunya dapat dicetak",
        "{whose}: the right to print {product} is here; the card can be printed",
    ),
    Kind.ROLL_MOVED: (
        "Hak cetak seluruh daftar kecamatan {serial} kini di {node}",
        "The rights of the whole roll of kecamatan {serial} are at {node} now",
    ),
    Kind.CARD_CAME: (
        "{whose}: {product} dialihkan ke sini dari {node}", "{whose}: {product} was moved here from {node}"
    ),
    Kind.BLANKS_ON_WAY: (
        "{count} blangko {product} dalam perjalanan ke sini dari {node}: sepe node blanks coming DIR",
        "{count} {product} blanks are on their way here from {node}: sepe node blanks coming DIR",
    ),
    Kind.BLANKS_WANTED: (
        "Antar {count} blangko {product} ke {node} sampai {until}",
        "Bring {count} {product} blanks to {node} by {until}",
    ),
}  # fmt: skip
_NOT_WANTED = (
    "Blangko {product} tidak perlu diantar lagi ke {node}",
    "No {product} blanks need go to {node} any more",
)
_HERE = ("{whose}: {product} dicetak di sini", "{whose}: {product} is printed here")
_REPLACED = (
    "{whose}: NIK ini diganti, yang berlaku {new}; jangan dicetak",
    "{whose}: this NIK was replaced, {new} counts; print nothing",
)
_COUNTS_AGAIN = ("{whose}: NIK ini berlaku lagi", "{whose}: this NIK counts again")


def words(one: Headline, *, whose: str, until: str, new: str) -> tuple[str, str]:
    """The item as a sentence, Indonesian and English.

    Args:
        whose: the resident as this office's own screen shows him.
        until: ``until_ms`` as a clock shows it here; ``new``: the other NIK.
    """
    if one.kind is Kind.ALARM:
        trouble = alarm(one.reason)
        return trouble.indonesian, trouble.english
    values = {
        "whose": whose, "product": one.product, "serial": one.serial or "-", "node": one.node or "-",
        "count": one.count, "until": until, "new": new,
    }  # fmt: skip
    indonesian, english = (text.format(**values) for text in _sentence(one))
    if not one.reason:
        return indonesian, english
    why = WHY.get(one.reason, (one.reason, one.reason)) if one.kind is Kind.RECALL else (one.reason, one.reason)
    return f"{indonesian} ({why[0]})", f"{english} ({why[1]})"


def _sentence(one: Headline) -> tuple[str, str]:
    if one.kind is Kind.DECIDED:
        return _STANDS.get(one.stands, _STANDS[""])
    if one.kind is Kind.NIK_REPLACED:
        return _REPLACED if one.new_nik else _COUNTS_AGAIN
    if one.kind is Kind.BLANKS_WANTED and not one.count:
        return _NOT_WANTED
    if one.kind is Kind.CARD_CAME and not one.node:
        return _HERE
    return _WORDS[one.kind]
