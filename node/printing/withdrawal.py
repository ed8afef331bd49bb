"""Attempts that a person called ended while their printer might still make the card.

A person says "it did not come out" and the card is made again. If the printer still has the old job, there will be
two cards. So the printer is asked first: what it still holds is cancelled there and the person looks once more;
what it calls printed is not made again; when it does not answer, only a person who knows that it never will
(broken, carried away) may go on.

A printer that was off, or a spooler that comes back from its disk after a reboot, may remember the job later. So
the attempt stays on a list: its printer is asked about it for a while and told to cancel it, and a card that came
out all the same is shown until somebody has destroyed it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from node.printing.driver import JobOutcome, PrintDriver, PrinterBusyError, PrinterUnreachableError
from node.printing.job import Job
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError

HOLDING = frozenset({JobOutcome.PENDING, JobOutcome.PRINTING})
OVER = frozenset({JobOutcome.CANCELED, JobOutcome.ABORTED})
# How long a printer may take to drop a job that it was told to cancel.
DROP_S_MAX = 8.0
DROP_POLL_S = 0.2
# A printer that remembers nothing of a job after so long has lost it for good.
WATCH_MS = 3 * 86_400_000


@dataclass(frozen=True, slots=True)
class PrinterWord:
    """What a printer said of a job that a person wants to call ended.

    Attributes:
        outcome: the last word; ``None``: it did not answer.
        was_held: it still had the job when it was asked first, and was told to cancel it.
    """

    outcome: JobOutcome | None
    was_held: bool = False


async def ask_to_drop(driver: PrintDriver, job_name: str, *, seconds: float = DROP_S_MAX) -> PrinterWord:
    """Ask what became of a job; one that the printer still holds is cancelled, and asked for until it is over."""
    was_held = False
    try:
        async with asyncio.timeout(seconds):
            outcome = await driver.outcome(job_name)
            if outcome in HOLDING:
                was_held = True
                await driver.cancel(job_name)
            while outcome in HOLDING:
                outcome = await driver.outcome(job_name)
                await asyncio.sleep(DROP_POLL_S if outcome in HOLDING else 0)
    except PrinterUnreachableError:
        return PrinterWord(None, was_held)
    except (TimeoutError, PrinterBusyError):
        return PrinterWord(JobOutcome.PRINTING, was_held=True)
    return PrinterWord(outcome, was_held)


def check_word(word: PrinterWord, *, job: int, is_spoiled: bool, is_printer_gone: bool) -> None:
    """Whether the card may be made again after this word.

    Raises:
        InvalidInputError: a second card could come of it; the message says what to do.
    """
    if word.outcome is None and not is_printer_gone:
        raise InvalidInputError(
            "pencetak tidak menjawab dan mungkin masih menyimpan cetakan ini",
            field="job", value=job,
            hint="Nyalakan pencetak lalu ulangi. Bila pencetak rusak atau dibawa pergi: tambahkan --printer-gone",
        )  # fmt: skip
    if word.outcome in HOLDING:
        raise InvalidInputError(
            "pencetak masih mengerjakan cetakan ini walau sudah diminta batal",
            field="job", value=job,
            hint="Batalkan di pencetaknya atau tunggu sampai selesai, lihat bakinya, lalu ulangi",
        )  # fmt: skip
    if word.was_held and word.outcome is not JobOutcome.PRINTED:
        raise InvalidInputError(
            "pencetak ternyata masih menyimpan cetakan ini; sekarang sudah dibatalkan di sana",
            field="job", value=job,
            hint="Kartunya masih bisa keluar: lihat bakinya sekali lagi, lalu ulangi perintah ini",
        )  # fmt: skip
    if word.outcome is JobOutcome.PRINTED and not is_spoiled:
        raise InvalidInputError(
            "pencetak menyatakan kartu ini sudah keluar",
            field="job", value=job,
            hint="Cari kartunya. Bila kartunya tidak layak atau hilang di mesin: --came-out no --blank-spoiled",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """One attempt on the list."""

    job: int
    name: str
    printer: str
    since_ms: int


class Withdrawals:
    """The list in a node's database; every method that writes is one transaction."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def note(self, job: Job, now_ms: int) -> None:
        """From now on its printer is watched for this attempt."""
        if job.printer:
            with self._store.transaction():
                self._store.connection.execute(
                    "INSERT OR IGNORE INTO withdrawn (job, name, printer, since_ms) VALUES (?, ?, ?, ?)",
                    (job.id, job.name, job.printer, now_ms),
                )

    def watched(self, printer: str, now_ms: int) -> list[Withdrawn]:
        """Attempts that this printer may still make a card of."""
        rows = self._store.connection.execute(
            "SELECT job, name, printer, since_ms FROM withdrawn WHERE printer = ? AND ended = '' "
            "AND ? - since_ms BETWEEN 0 AND ?",
            (printer, now_ms, WATCH_MS),
        )
        return [Withdrawn(*row) for row in rows.fetchall()]

    def ended(self, job: int, outcome: JobOutcome) -> None:
        """The printer's last word on it. A card that came out is shown by `ghosts` until `destroyed`.

        Of an attempt that ended with a spoiled card it is no news that a card came out.
        """
        execute = self._store.connection.execute
        with self._store.transaction():
            execute("UPDATE withdrawn SET ended = ? WHERE job = ?", (str(outcome), job))
            if outcome is JobOutcome.PRINTED:
                execute("UPDATE job SET reason = ? WHERE id = ? AND state = 'void'", (GHOST, job))

    def ghosts(self) -> list[int]:
        """Jobs that were called ended and whose card came out nevertheless."""
        rows = self._store.connection.execute(
            "SELECT job FROM withdrawn JOIN job ON job.id = job WHERE ended = 'printed' AND state = 'void' "
            "ORDER BY job"
        )
        return [int(job) for (job,) in rows.fetchall()]

    def destroyed(self, job: int) -> None:
        """A person found the card and put it with those to be destroyed.

        Raises:
            InvalidInputError: no such card is looked for.
        """
        if job not in self.ghosts():
            raise InvalidInputError(
                "tidak ada kartu dari pekerjaan ini yang dicari", field="job", value=job,
                hint="Lihat dengan: sepe node status DIR",
            )  # fmt: skip
        with self._store.transaction():
            self._store.connection.execute("UPDATE withdrawn SET ended = 'destroyed' WHERE job = ?", (job,))


GHOST = "dinyatakan tidak keluar, tetapi pencetak kemudian mencetaknya: cari dan musnahkan kartunya"
