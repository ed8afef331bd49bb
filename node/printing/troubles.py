"""What keeps a printer from working, for people: kept where every command sees it, in the operator's language."""

from __future__ import annotations

import json
from dataclasses import dataclass

from node.storage.store import NodeStore

KEY = "printer_trouble "


@dataclass(frozen=True, slots=True)
class Trouble:
    """One printer's. ``why``: IPP keywords with blanks between (RFC 8011 5.4.12), or a driver's words."""

    printer: str
    why: str
    since_ms: int


def note_trouble(store: NodeStore, printer: str, why: str, now_ms: int) -> None:
    """Write down what keeps a printer; ``""``: nothing any more."""
    with store.transaction():
        store.put(KEY + printer, json.dumps([why[:500], now_ms]) if why else None)


def troubles(store: NodeStore) -> list[Trouble]:
    """Every printer that is kept, by address."""
    rows = store.connection.execute(
        "SELECT key, value FROM meta WHERE key GLOB ? ORDER BY key", (KEY + "*",)
    ).fetchall()
    return [Trouble(key.removeprefix(KEY), *json.loads(value)) for key, value in rows]


def words(why: str) -> tuple[str, str]:
    """(Indonesian, English) of what a printer said."""
    found = [_WORDS.get(_stem(one)) for one in why.split()]
    if why and all(found):
        known = [one for one in found if one]
        return ", ".join(one[0] for one in known), ", ".join(one[1] for one in known)
    return f"pencetak melaporkan: {why}", f"the printer reports: {why}"


def _stem(keyword: str) -> str:
    for end in ("-error", "-warning", "-report"):
        keyword = keyword.removesuffix(end)
    return keyword


_WORDS = {
    "media-jam": ("kartu atau kertas macet", "card or paper jam"),
    "media-empty": ("kartu atau kertas habis", "out of cards or paper"),
    "media-needed": ("perlu kartu atau kertas", "cards or paper needed"),
    "media-low": ("kartu atau kertas hampir habis", "cards or paper run low"),
    "marker-supply-empty": ("pita atau tinta habis", "ribbon or ink is empty"),
    "marker-supply-low": ("pita atau tinta hampir habis", "ribbon or ink runs low"),
    "toner-empty": ("toner habis", "toner is empty"),
    "toner-low": ("toner hampir habis", "toner runs low"),
    "marker-waste-full": ("penampung limbah penuh", "the waste box is full"),
    "cover-open": ("tutup pencetak terbuka", "a cover is open"),
    "door-open": ("pintu pencetak terbuka", "a door is open"),
    "interlock-open": ("pengaman pencetak terbuka", "an interlock is open"),
    "input-tray-missing": ("baki masuk tidak terpasang", "the input tray is missing"),
    "output-tray-missing": ("baki keluar tidak terpasang", "the output tray is missing"),
    "output-area-full": ("baki keluar penuh", "the output tray is full"),
    "paused": ("pencetak dijeda", "the printer is paused"),
    "moving-to-paused": ("pencetak akan dijeda", "the printer is about to pause"),
    "stopped": ("pencetak berhenti", "the printer stopped"),
    "stopping": ("pencetak sedang berhenti", "the printer is stopping"),
    "stopped-partly": ("sebagian pencetak berhenti", "a part of the printer stopped"),
    "not-accepting": ("pencetak tidak menerima pekerjaan", "the printer takes no jobs"),
    "shutdown": ("pencetak mati", "the printer is off"),
    "timed-out": ("pencetak tidak menjawab", "the printer does not answer"),
    "connecting-to-device": ("sedang menghubungi pencetak", "connecting to the printer"),
    "fuser-over-temp": ("pencetak terlalu panas", "the printer is too hot"),
    "fuser-under-temp": ("pencetak belum cukup panas", "the printer is too cold"),
    "opc-life-over": ("drum habis umurnya", "the drum is worn out"),
    "spool-area-full": ("memori pencetak penuh", "the printer's memory is full"),
}
