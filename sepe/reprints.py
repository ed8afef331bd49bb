"""What must be shown for a card that is made once more, and why cards are taken back.

A reprint gives a person a second card, so somebody must have seen why the first one is gone or wrong: a police
letter for a lost one, the old card itself for a damaged one and for changed data, the proof of the change, the
moving letter (SKPWNI) on arrival. Whoever moved in, or whose data changed, and who has no old card any more brings
a police letter. Papers need none of this: they are on plain sheets.
"""

from __future__ import annotations

from collections.abc import Mapping

from sepe.products import PRODUCTS

POLICE_LETTER, OLD_CARD, PROOF, MOVING_LETTER = "police_letter", "old_card", "proof", "skpwni"
EVIDENCE_KEYS = (POLICE_LETTER, OLD_CARD, PROOF, MOVING_LETTER)
EVIDENCE_CHARS_MAX = 100

# For each reason what is needed; of a group any one will do.
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "lost": ((POLICE_LETTER,),),
    "damaged": ((OLD_CARD,),),
    "data-change": ((OLD_CARD, POLICE_LETTER), (PROOF,)),
    "move-in": ((MOVING_LETTER,), (OLD_CARD, POLICE_LETTER)),
}
TITLES = {
    POLICE_LETTER: "surat kehilangan dari polisi",
    OLD_CARD: "kartu lama",
    PROOF: "bukti perubahan data",
    MOVING_LETTER: "SKPWNI",
}
# Why a card is taken back, with the words of the minutes (`sepe.stock.SPOIL_REASONS` has those of blanks).
WITHDRAWAL_REASONS = {
    "recall": "penarikan kartu ganda",
    "damaged": "rusak fisik",
    "data-change": "perubahan data",
    "move-in": "kedatangan",
    "death": "kematian",
    "found": "ditemukan setelah diganti",
}
# Why something is a card or paper no longer though it does not lie here: its owner lost it, or it was swapped for
# the card that it stood in for.
LOST, SWAPPED = "lost", "swapped"


def missing(product: str, reason: str, given: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """What has still to be shown before a card is given out: groups of which one each will do; empty: nothing."""
    if not PRODUCTS[product].needs_blank:
        return ()
    return tuple(group for group in NEEDED.get(reason, ()) if not any(given.get(key, "").strip() for key in group))


def is_proven(given: Mapping[str, str]) -> bool:
    """Whether everything that the law asks for a change of data was shown."""
    return all(any(given.get(key, "").strip() for key in group) for group in NEEDED["data-change"])


def shown(groups: tuple[tuple[str, ...], ...]) -> str:
    """Missing evidence as the operator reads it."""
    return "; ".join(" atau ".join(f"{TITLES[key]} ({key})" for key in group) for group in groups)
