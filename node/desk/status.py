"""How this machine stands: what the centre lacks of it, what waits at the printer, what needs a person's eye."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from node.attach.shelf import MISSING_KEY, Shelf
from node.desk.news import unread
from node.desk.proof import damage_counts, last_proof
from node.link.notes import (
    ALARM_KEY,
    ENROL_REFUSAL_KEY,
    REFUSAL_KEY,
    TROUBLE_KEY,
    Trouble,
    alarm,
    refusal,
    token_refusal,
)
from node.printing.batches import Batches
from node.printing.due import due_today, is_behind
from node.printing.ledger import Ledger
from node.printing.troubles import troubles, words
from node.printing.withdrawal import Withdrawals
from node.printing.witness import Witness
from node.stock.shelf import Shelf as BlankShelf
from node.stock.supplies import as_json, supplies
from node.storage.store import NodeStore
from sepe import hlc

# An office PC's clock without a time server; beyond it the hub caps our stamps (`hlc.AHEAD_MS_MAX`).
SKEW_MS_MAX = 600_000
CLOCK_BACK_MS_MAX = 60_000
DISK_FREE_BYTES_MIN = 500 * 1024**2
LINK_OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Caution:
    """One thing that an operator should know; ``code`` is stable."""

    code: str
    indonesian: str
    english: str


def status(store: NodeStore, now_ms: int) -> dict[str, object]:
    """The document of ``node status --json``, without its warnings."""
    position = store.position()
    clock = store.clock()
    waiting = Shelf(store).waiting()
    damaged = damage_counts(store)
    proof = last_proof(store)
    oldest = next(store.events_after(position.durable_seq), None)
    waited_ms = 0 if oldest is None else now_ms - hlc.wall_ms_of(oldest.stamp)
    return {
        "node": store.node,
        "epoch": position.epoch.hex(),
        "last_seq": position.last_seq,
        "durable_seq": position.durable_seq,
        "pending": position.last_seq - position.durable_seq,
        "oldest_pending_seconds": max(waited_ms, 0) // 1000,
        "attachments_pending": waiting.count,
        "attachments_pending_bytes": waiting.waiting_bytes,
        "attachments_refused": waiting.refused,
        "link": store.link(now_ms),
        "proof": None if proof is None else asdict(proof),
        "events_damaged": damaged.open,
        "events_lost": damaged.lost,
        "prints": Ledger(store).counts(),
        "blanks": {product: states.get("at_hand", 0) for product, states in BlankShelf(store).counts().items()},
        "supplies": [as_json(one, now_ms) for one in supplies(store, now_ms).printers],
        "clock_skew_ms": clock.skew_ms,
        "disk_free_bytes": shutil.disk_usage(store.folder).free,
        "hub": store.settings.hub,
        "news_unread": unread(store),
    }


def warnings(store: NodeStore, now_ms: int) -> Iterable[Caution]:
    """What needs a person's eye, most urgent first."""
    clock = store.clock()
    prints = Ledger(store).counts()
    free = shutil.disk_usage(store.folder).free
    if free < DISK_FREE_BYTES_MIN:
        megabytes = free // 1024**2
        yield Caution(
            "disk_low",
            f"Sisa ruang disk {megabytes} MB; perekaman berhenti bila penuh. Pindahkan berkas lain",
            f"{megabytes} MB of disk left; recording stops when it is full. Move other files away",
        )
    yield from _of_the_events(store)
    for word in _of_the_line(store):
        yield Caution(word.code, word.indonesian, word.english)
    back_ms = hlc.wall_ms_of(clock.last_stamp) - now_ms
    if clock.last_stamp and back_ms > CLOCK_BACK_MS_MAX:
        yield Caution(
            "clock_back",
            f"Jam mundur {back_ms // 1000} detik dari rekaman terakhir; perekaman jalan terus. Setel jamnya",
            f"The clock is {back_ms // 1000} s behind the last recording; recording goes on. Set the clock",
        )
    for trouble in troubles(store):
        indonesian, english = words(trouble.why)
        yield Caution(
            "printer_trouble",
            f"Pencetak {trouble.printer} tidak bekerja: {indonesian}",
            f"Printer {trouble.printer} does not work: {english}",
        )
    if is_behind(store, now_ms):
        day = due_today(store, now_ms).isoformat()
        yield Caution(
            "date_unproven",
            f"Tanggal belum dipastikan: yang terbukti {day}; kartu yang genap umurnya sesudah itu menunggu."
            " Sambungkan ke pusat, atau supervisor: sepe node confirm-date DIR --date … --reason …",
            f"The date is not proven beyond {day}; cards that become due after it wait."
            " Get a line, or as a supervisor: sepe node confirm-date DIR --date … --reason …",
        )
    if abs(clock.skew_ms) > SKEW_MS_MAX:
        yield Caution(
            "clock_skew",
            f"Jam komputer berbeda {clock.skew_ms // 1000} detik dari jam pusat. Setel jamnya",
            f"The clock differs from the centre's by {clock.skew_ms // 1000} s. Set the clock",
        )
    yield from _of_an_older_ledger(store)
    if count := prints.get("in_doubt"):
        yield Caution(
            "in_doubt",
            f"{count} cetakan diragukan: lihat baki pencetak, lalu sepe node resolve DIR JOB --came-out yes|no",
            f"{count} prints in doubt: look into the tray, then sepe node resolve DIR JOB --came-out yes|no",
        )
    if ghosts := Withdrawals(store).ghosts():
        named = ", ".join(map(str, ghosts))
        yield Caution(
            "ghost_card",
            f"Pencetak mencetak kartu yang dinyatakan tidak keluar (pekerjaan {named}): cari dan musnahkan, "
            "lalu sepe node resolve DIR JOB --destroyed",
            f"A printer made cards that were said not to have come out (job {named}): find and destroy them, "
            "then sepe node resolve DIR JOB --destroyed",
        )
    if count := prints.get("waiting_blank"):
        yield Caution(
            "blanks_out",
            f"{count} kartu menunggu blangko: sepe node blanks receive DIR --product … --first … --last …",
            f"{count} cards wait for blanks: sepe node blanks receive DIR --product … --first … --last …",
        )
    if held := Batches(store).waiting_for_release():
        names = ", ".join(held)
        yield Caution(
            "batch_collected",
            f"Kelompok {names} belum dilepas, kartunya tidak dicetak: sepe node batch DIR NAMA --release",
            f"Batch {names} is not released, its cards are not printed: sepe node batch DIR NAME --release",
        )
    if count := Ledger(store).spoiled_count():
        yield Caution(
            "to_make_again",
            f"{count} kartu rusak belum dibuat lagi (sepe node prints DIR --state spoiled): sepe node print …",
            f"{count} spoiled cards are not made again (sepe node prints DIR --state spoiled): sepe node print …",
        )
    yield from _of_the_supplies(store, now_ms)
    if count := prints.get("waiting_right"):
        yield Caution(
            "waiting_right",
            f"{count} kartu warga kecamatan lain menunggu hak cetak dari pusat",
            f"{count} cards of other offices' residents wait for the right from the centre",
        )
    if count := prints.get("failed"):
        yield Caution("failed", f"{count} dokumen tidak dapat dicetak: sepe node prints DIR --state failed",
                       f"{count} documents cannot be printed: sepe node prints DIR --state failed")  # fmt: skip
    lost = Shelf(store).waiting().refused + int(store.get(MISSING_KEY) or 0)
    if lost:
        yield Caution(
            "attachments_lost",
            f"{lost} lampiran tidak dapat dikirim ke pusat: sepe node doctor DIR, lalu ambil ulang fotonya",
            f"{lost} attachments cannot be sent to the centre: sepe node doctor DIR, then take the photos again",
        )


def _of_the_supplies(store: NodeStore, now_ms: int) -> Iterable[Caution]:
    """What runs out, before it has run out."""
    found = supplies(store, now_ms)
    for product in found.low:
        count = found.at_hand[product]
        yield Caution(
            "blanks_low",
            f"Blangko {product} tinggal {count} (batas {found.blanks_min}): minta ke pusat",
            f"{count} {product} blanks are left (threshold {found.blanks_min}): ask the centre for more",
        )
    for one in found.low_ribbons:
        yield Caution(
            "ribbon_low",
            f"Pita {one.printer} tinggal {one.ribbon_left} kartu: siapkan yang baru, lalu sepe node ribbon DIR",
            f"The ribbon of {one.printer} has {one.ribbon_left} cards left: then sepe node ribbon DIR",
        )
    for one in found.hot:
        yield Caution(
            "printer_hot",
            f"{one.printer} sudah mencetak {one.cards_today} kartu hari ini, batas panasnya: pindahkan antreannya",
            f"{one.printer} made {one.cards_today} cards today, all that heat allows: move its queue",
        )


def _of_an_older_ledger(store: NodeStore) -> Iterable[Caution]:
    witness = Witness(store)
    if witness.suspended() is None:
        return
    indonesian = (
        "Mesin ini dipulihkan dari cadangan atau dipindah; kartu menunggu kabar pusat (sepe node sync). "
        "Yang tak dapat menunggu: sepe node print DIR NIK --override --reason …"
    )
    english = (
        "This machine was put back from a backup or moved; cards wait to hear the centre (sepe node sync). "
        "What cannot wait: sepe node print DIR NIK --override --reason …"
    )
    if strange := len(witness.strange()):
        indonesian += f". Pencetak mengingat {strange} kartu yang tidak ada di buku ini"
        english += f". Printers remember {strange} cards that this ledger does not"
    yield Caution("restored", indonesian, english)


def _of_the_events(store: NodeStore) -> Iterable[Caution]:
    """What was altered on this machine's disk, or on the hub's."""
    damaged = damage_counts(store)
    if damaged.lost:
        whom = ", ".join(damaged.lost_niks) or "?"
        yield Caution(
            "events_lost",
            f"{damaged.lost} peristiwa rusak sebelum sampai di pusat: rekam ulang ({whom})",
            f"{damaged.lost} events were damaged before the centre had them: record them again ({whom})",
        )
    if damaged.open:
        yield Caution(
            "events_damaged",
            f"{damaged.open} peristiwa rusak di disk ini, diminta dari pusat; perekaman jalan terus. Periksa disk",
            f"{damaged.open} events are damaged on this disk and asked for; recording goes on. Check the disk",
        )
    proof = last_proof(store)
    if proof is not None and proof.agrees is False:
        yield Caution(
            "proof_differs",
            "Sidik pusat berbeda dari catatan di sini: hubungi petugas pusat",
            "The centre's digest differs from ours: tell the centre",
        )


def _of_the_line(store: NodeStore) -> Iterable[Trouble]:
    """Why the hub cannot be had, or does not take what we send."""
    if (trouble := Trouble.from_text(store.get(TROUBLE_KEY))) is not None:
        yield trouble
    if noted := store.get(ALARM_KEY):
        yield alarm(noted)
    if reason := store.get(REFUSAL_KEY):
        yield refusal(reason)
    if reason := store.get(ENROL_REFUSAL_KEY):
        yield token_refusal(reason)
