"""One office machine in a test: made, fed with lines, and a printer that does exactly what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.desk.lines import InputLine
from node.desk.record import Desk, LineResult
from node.printing.driver import (
    Document,
    JobOutcome,
    Media,
    PrinterReport,
    PrinterState,
)
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import JobState
from node.settings import KEY_NAME, NodeSettings, save_settings
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe_io import keys
from surge.lab.policy import print_incomplete

# 23 November 2024, 09.00 in Kupang: a Saturday service before the vote.
NOW_MS = 1_732_323_600_000
HOME_NIK = "5371044101909001"
OTHER_NIK = "5371054101909001"


def make_office(folder: Path, node: str = "537104-1", *, blanks: int = 0, waits: bool = False) -> NodeStore:
    """A new node directory, opened; close the store yourself. ``waits``: incomplete and doubtful cards do."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = NodeSettings(node, "127.0.0.1:1")
    keys.save(keys.Signer.generate(), folder / KEY_NAME)
    store = NodeStore.create(folder, settings, now_ms=NOW_MS)
    if not waits:
        print_incomplete(folder)
    save_settings(folder, settings)
    if blanks:
        Stock(store).receive(SerialRange("ktp-el", "A000001", f"A{blanks:06d}"), now_ms=NOW_MS)
    return store


def line(nik: str = HOME_NIK, **fields: Any) -> dict[str, Any]:
    """One recording line; fields that are given replace the defaults, ``None`` leaves one out."""
    document = {"nik": nik, "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P", **fields}
    return {key: value for key, value in document.items() if value is not None}


def record(store: NodeStore, *documents: Mapping[str, Any], now_ms: int = NOW_MS) -> list[LineResult]:
    """Record documents as one batch, without region warnings."""
    lines = [InputLine(number, json.dumps(one).encode()) for number, one in enumerate(documents, start=1)]
    return Desk(store, regions=None, photo_base=store.folder).record(lines, now_ms)


def jobs(store: NodeStore, nik: str = HOME_NIK) -> list[Job]:
    """Every print job of one resident, in the ledger's order."""
    return Ledger(store).of_resident(int(nik))


def states(store: NodeStore, nik: str = HOME_NIK) -> list[JobState]:
    """Where each of them stands."""
    return [job.state for job in jobs(store, nik)]


class PlainMaker:
    """Draws nothing: a document of a few bytes."""

    def document(self, job: Job, now_ms: int) -> Document:
        return Document(job.name, Media.CARD, b"%PDF " + job.serial.encode())

    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        return lambda: self.document(job, now_ms)


class PowerCutError(Exception):
    """The process dies here; nobody catches this."""


@dataclass
class ScriptedPrinter:
    """A printer that keeps every job it was handed and says what its test tells it to.

    Attributes:
        cards: names of the jobs whose card came out, in order.
        says: what it answers about a job by name; a job that is not listed is `JobOutcome.UNKNOWN`.
        on_submit: raised by the next submit *before* the printer has the job.
        after_submit: raised by the next submit *after* the card came out.
    """

    cards: list[str] = field(default_factory=list)
    says: dict[str, JobOutcome] = field(default_factory=dict)
    on_submit: Exception | None = None
    after_submit: Exception | None = None
    is_forgetful: bool = False

    async def submit(self, document: Document) -> None:
        if self.on_submit is not None:
            error, self.on_submit = self.on_submit, None
            raise error
        self.cards.append(document.job_name)
        if not self.is_forgetful:
            self.says[document.job_name] = JobOutcome.PRINTED
        if self.after_submit is not None:
            error, self.after_submit = self.after_submit, None
            raise error

    async def outcome(self, job_name: str) -> JobOutcome:
        return self.says.get(job_name, JobOutcome.UNKNOWN)

    async def news(self, job_name: str, *, poll_s: float, quiet_s: float) -> bool:
        await asyncio.sleep(poll_s)
        return False

    async def cancel(self, job_name: str) -> None:
        """Too late: the card is out."""

    async def remembered(self) -> list[str]:
        return list(self.says)

    async def report(self) -> PrinterReport:
        return PrinterReport(PrinterState.IDLE, (), None, 0, accepting=True)

    async def close(self) -> None:
        """Nothing is held."""
