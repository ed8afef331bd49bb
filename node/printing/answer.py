"""The hub's answer to a claim, and how an operator reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.desk.day import zone_of

IN_HAND, QUEUED = "in_hand", "queued"
_KEPT_WORDS = {
    IN_HAND: "kartunya sedang atau sudah dibuat di sana",
    QUEUED: "akan dicetak di sana",
    "rerouted": "dialihkan ke sana oleh petugas pusat",
}
_CARD_WORDS = {"printed": "sudah dicetak", "handed_over": "sudah diserahkan"}


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """The hub's answer to a claim.

    Attributes:
        granted: this node may print; ``fence`` then goes into every step of the attempt.
        reason: why not: ``held``, ``in_hand``, ``already_printed``, ``nik_conflict`` …; ``""`` when granted.
        holder: the node that holds the right, or that made the card.
        asked_ms, kept: since when the holder is asked to let go, and why it keeps the right, if it said so.
        printed_ms, card_state, serial: of the card that is out.
        next_issue: the first issue of which no card was made, where that is known.
    """

    granted: bool
    fence: int = 0
    reason: str = ""
    holder: str = ""
    asked_ms: int = 0
    kept: str = ""
    holder_seen_ms: int = 0
    printed_ms: int = 0
    card_state: str = ""
    serial: str = ""
    next_issue: int = 0

    def told(self, node: str) -> str:
        """Why there is no right, as the operator of ``node`` reads it."""
        match self.reason:
            case "held" if self.kept:
                why = _KEPT_WORDS.get(self.kept, self.kept)
                return f"hak cetak dipegang {self.holder}: {why}"
            case "held" if self.asked_ms:
                seen = f", terakhir terhubung {_when(self.holder_seen_ms, node)}" if self.holder_seen_ms else ""
                return f"hak cetak dipegang {self.holder}; sudah diminta, menunggu jawabannya{seen}"
            case "held":
                return f"hak cetak dipegang {self.holder}"
            case "in_hand":
                return f"sedang dibuat di {self.holder}; menunggu hasilnya"
            case "already_printed" | "superseded":
                done = _CARD_WORDS.get(self.card_state, "sudah dicetak")
                at = f" pada {_when(self.printed_ms, node)}" if self.printed_ms else ""
                blank = f", blangko {self.serial}" if self.serial else ""
                newer = " (terbitan yang lebih baru)" if self.reason == "superseded" else ""
                return f"{done} di {self.holder}{at}{blank}{newer}"
            case "nik_conflict":
                return "identitas berbeda, menunggu keputusan pusat"
            case "dead":
                return "pemegang NIK tercatat meninggal"
            case "nik_replaced":
                return "NIK ini sudah diganti; rekam dengan NIK yang berlaku"
            case "revoked" | "unknown_node":
                return "mesin ini tidak terdaftar di pusat"
            case _:
                return self.reason


def _when(wall_ms: int, node: str) -> str:
    """Day and time as the office's wall clock shows them."""
    return datetime.fromtimestamp(wall_ms / 1000, zone_of(node).tzinfo).strftime("%d-%m-%Y %H.%M")
