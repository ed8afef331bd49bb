"""Words of the report in Indonesian or English, and figures as people read them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from surge.run.result import Threshold

DAYS = {
    "id": ("Sen", "Sel", "Rab", "Kam", "Jum", "Sab", "Min"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
# A threshold's title in Indonesian, by its key before the colon; others keep the run's own.
THRESHOLDS = {
    "lost": "data yang dinyatakan aman tetapi hilang",
    "doubled": "data yang terhitung lebih dari sekali",
    "digests": "kantor yang sidik datanya berbeda dari pusat",
    "taken_back": "data yang dinyatakan aman lalu tidak ada lagi di pusat",
    "acked_early": "data yang dinyatakan aman sebelum tersimpan di pusat",
    "unsent": "data yang belum sampai di pusat pada akhir",
    "refused": "warga yang ditolak meja layanan",
    "ack_p95_s": "dari simpan sampai aman di pusat, 95 dari 100",
    "ack_p99_s": "dari simpan sampai aman di pusat, 99 dari 100",
    "catch_up_s": "kantor paling lambat menyusul",
    "oldest_unsent_s": "data yang paling lama menunggu dikirim",
    "catch_up_p95_s": "menyusul setelah jaringan kembali, 95 dari 100",
    "fairness": "keadilan menyusul (1 = sama)",
    "hub_cpu_us": "prosesor pusat per data, µs",
    "cards": "kartu keluar",
    "bytes_per_event": "bita per data di jaringan",
    "valid_cards": "kartu sah per NIK dan penerbitan",
    "cards_per_hour": "kartu per jam",
    "printers_busy": "pencetak bekerja selagi kartu menunggu",
    "hub_memory": "memori pusat",
    "hub_cpu": "prosesor pusat, rata-rata",
    "dropped": "warga yang datang dan belum terlayani",
}

NOTES = (
    (re.compile(r"([\d.e+]+) s of the scenario"), r"\1 detik menurut skenario"),
    (re.compile(r"([\d.e+-]+) s here"), r"\1 detik di sini"),
    (
        re.compile(r"held to ([\d.]+) s, what the programs' own [\w-]+ take"),
        r"dinilai terhadap \1 detik, jeda program sendiri",
    ),
    (re.compile(r"(\d+) offices never came level"), r"\1 kantor tidak pernah menyusul"),
)
# What breaks, in the words of the scenario.
FAULTS = {
    "kill": "dimatikan paksa:",
    "stop": "digantung:",
    "purge": "dikosongkan:",
    "delete": "dihapus:",
    "cut": "diputus:",
    "freeze": "dibekukan:",
    "slow": "diperlambat:",
    "hub": "pusat",
    "broker": "perantara pesan",
    "stream": "antrean pesan",
    "line": "jaringan",
    "lines": "jaringan",
    "node": "mesin kantor",
    "nodes": "mesin kantor",
    "offices": "kantor",
}


@dataclass(frozen=True, slots=True)
class Words:
    """One language: ``id`` or ``en``."""

    language: str

    def __call__(self, indonesian: str, english: str) -> str:
        return indonesian if self.language == "id" else english

    @property
    def days(self) -> tuple[str, ...]:
        return DAYS[self.language]

    def count(self, value: float) -> str:
        """``1.234`` or ``1,234``."""
        text = f"{value:,.0f}"
        return text.replace(",", ".") if self.language == "id" else text

    def decimal(self, text: str) -> str:
        """A number with a decimal point as the language writes it."""
        return text.replace(".", ",") if self.language == "id" else text

    def unit(self, value: float) -> tuple[float, str]:
        """The unit in which an axis up to so many seconds is read: its seconds and its name."""
        for size, name in ((86_400.0, self("hari", "d")), (3600.0, self("jam", "h")), (60.0, self("mnt", "min"))):
            if value >= 3 * size:
                return size, name
        return 1.0, self("dtk", "s")

    def seconds(self, value: float | None) -> str:
        """A time in the unit that fits, three digits."""
        if value is None:
            return "–"
        if value < 1:
            return f"{value * 1000:.0f} ms"
        for size, unit in ((86_400, self("hari", "d")), (3600, self("jam", "h")), (60, self("mnt", "min"))):
            if value >= 2 * size:
                return f"{self.decimal(f'{value / size:.3g}')} {unit}"
        return f"{self.decimal(f'{value:.3g}')} {self('dtk', 's')}"

    def amount(self, value: float | None, unit: str) -> str:
        """A figure with its unit as thresholds have them."""
        if value is None:
            return self("tidak diketahui", "unknown")
        if unit == "s":
            return self.seconds(value)
        if unit == "share":
            return f"{value:.0%}"
        if unit == "bytes":
            return self.bytes(value)
        names = {"events": "data", "cards": "kartu", "bytes/event": "bita/data", "cores": "inti"}
        number = self.count(value) if value == int(value) else self.decimal(f"{value:.4g}")
        return f"{number} {self(names.get(unit, unit), unit)}".strip()

    def bytes(self, value: float) -> str:
        """Bytes in the unit that fits."""
        for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if value >= size:
                return f"{self.decimal(f'{value / size:.3g}')} {unit}"
        return f"{value:.0f} B"

    def fault(self, text: str) -> str:
        """``kill hub`` as the language says it."""
        return text if self.language == "en" else " ".join(FAULTS.get(word, word) for word in text.split())

    def note(self, text: str) -> str:
        """A threshold's note: what a run says of time that passes faster, as the language says it."""
        if self.language == "en":
            return text
        for pattern, words in NOTES:
            text = pattern.sub(words, text)
        return text

    def threshold(self, one: Threshold) -> str:
        """Its title."""
        key, _, of = one.key.partition(":")
        known = THRESHOLDS.get(key)
        if self.language == "en" or known is None:
            return one.title
        return f"{known}, {of}" if of else known


def words_of(language: str | None) -> Words:
    """The language asked for, else of SEPE_LANG, else Indonesian."""
    wanted = (language or os.environ.get("SEPE_LANG", "id")).lower()[:2]
    return Words(wanted if wanted in DAYS else "id")
