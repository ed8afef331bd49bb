"""What the line to the hub leaves in the store, for `node status` and for the next start. Cheap to import."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

# The hub's code for refusing this machine, and for refusing its token.
REFUSAL_KEY = "relay_refusal"
ENROL_REFUSAL_KEY = "enrol_refusal"
# What is wrong with our history at the hub, until it is mended or a person has looked.
ALARM_KEY = "relay_alarm"
# Why the hub cannot be had although something answers there: a `Trouble`.
TROUBLE_KEY = "hub_trouble"
# Public keys, hex, under which frames of this node were ever signed, beside the one it has.
EARLIER_KEYS_KEY = "earlier_keys"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason; ``code`` is stable."""

    code: str
    indonesian: str
    english: str

    def to_text(self) -> str:
        """As it is noted."""
        return json.dumps([self.code, self.indonesian, self.english])

    @classmethod
    def from_text(cls, text: str | None) -> Trouble | None:
        """The inverse; ``None`` for whatever is no note of ours."""
        with suppress(ValueError, TypeError):
            return cls(*json.loads(text or ""))
        return None


_ENROL = "Minta token ke pusat, lalu sepe node enrol DIR --token T"
_ENROL_ENGLISH = "Ask the centre for a token, then sepe node enrol DIR --token T"
_REFUSALS = {
    "revoked": (
        "Pusat mencabut mesin ini: kirimannya ditahan di karantina, tidak ada yang hilang. Hubungi pusat",
        "The centre has shut this machine out: what it sends goes to quarantine, nothing is lost. Call the centre",
    ),
    "unknown_node": (f"Pusat belum mengenal mesin ini. {_ENROL}",
                     f"The centre does not know this machine. {_ENROL_ENGLISH}"),
    "unknown_key": (f"Pusat tidak mengenal kunci mesin ini. {_ENROL}",
                    f"The centre does not know this machine's key. {_ENROL_ENGLISH}"),
    "retired_key": (f"Kunci mesin ini sudah diganti dan habis masanya. {_ENROL}",
                    f"This machine's key was replaced and has run out. {_ENROL_ENGLISH}"),
}  # fmt: skip


def refusal(reason: str) -> Trouble:
    """The hub's refusal of this machine, in words; ``reason`` is its code."""
    indonesian, english = _REFUSALS.get(
        reason,
        (f"Pusat menolak kiriman mesin ini ({reason}). Hubungi pusat",
         f"The centre refuses what this machine sends ({reason}). Call the centre"),
    )  # fmt: skip
    return Trouble(reason, indonesian, english)


def alarm(text: str) -> Trouble:
    """What is wrong with our history at the hub, in words; ``text`` is the note under `ALARM_KEY`."""
    code, _, detail = text.partition(":")
    if code == "rows_gone":
        return Trouble(
            code,
            "Pusat dipulihkan dari cadangan lama dan meminta peristiwa yang sudah dihapus di sini: hubungi "
            "petugas pusat, lalu sepe node doctor DIR --seen",
            "The centre was restored from an old backup and lacks events that were pruned here: call the centre, "
            "then sepe node doctor DIR --seen",
        )
    return Trouble(
        code,
        f"Riwayat mesin ini di pusat tidak cocok ({detail.strip()}): hubungi petugas pusat",
        f"The centre's copy of this machine's history does not fit ({detail.strip()}): call the centre",
    )


def token_refusal(reason: str) -> Trouble:
    """The hub's refusal of the token, in words."""
    return Trouble(
        "token_refused",
        f"Pusat menolak token ({reason}). {_ENROL}",
        f"The centre refused the token ({reason}). {_ENROL_ENGLISH}",
    )


def join_keys(noted: str, *public_keys: bytes) -> str:
    """The note under `EARLIER_KEYS_KEY` with these keys too, each once."""
    return " ".join(dict.fromkeys([*noted.split(), *(key.hex() for key in public_keys)]))
