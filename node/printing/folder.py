"""The folder driver: PDFs left where a card printer's own software picks them up.

``<job>.pdf`` appears whole or not at all, after its ticket ``<job>.json`` (media and copies, nothing about
the person). What happens next depends on ``confirm``:

* ``write`` (default): the written file counts as printed. Right for a PDF printer, an archive, a demo.
* ``vendor``: the vendor's software, or a person, moves the PDF to ``done/`` once the card came out or to
  ``failed/`` if it never will; until then the job is pending. Our ``cancel`` moves it to ``canceled/``.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
from enum import StrEnum
from pathlib import Path

from node.printing.driver import (
    Document,
    JobOutcome,
    PrinterBusyError,
    PrinterReport,
    PrinterState,
    PrinterUnreachableError,
    check_job_name,
)


class Confirm(StrEnum):
    """Who says that a card came out."""

    WRITE = "write"
    VENDOR = "vendor"


DONE, FAILED, CANCELED = "done", "failed", "canceled"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FolderDriver:
    """``PrintDriver`` that writes files; the folder is its only memory, so it may be opened anew at will."""

    def __init__(self, folder: Path, *, confirm: Confirm = Confirm.WRITE) -> None:
        self._folder = folder
        self._confirm = confirm

    async def submit(self, document: Document) -> None:
        await asyncio.to_thread(self._write, document)

    async def outcome(self, job_name: str) -> JobOutcome:
        check_job_name(job_name)
        return await asyncio.to_thread(self._look, job_name)

    async def news(self, job_name: str, *, poll_s: float, quiet_s: float) -> bool:
        await asyncio.sleep(poll_s)
        return False

    async def cancel(self, job_name: str) -> None:
        check_job_name(job_name)
        if self._confirm is Confirm.VENDOR:
            await asyncio.to_thread(self._withdraw, job_name)

    async def remembered(self) -> list[str]:
        return await asyncio.to_thread(self._list)

    async def report(self) -> PrinterReport:
        return await asyncio.to_thread(self._report)

    async def close(self) -> None:
        """Nothing is held between calls."""

    def _write(self, document: Document) -> None:
        name = document.job_name
        ticket = json.dumps({"job": name, "media": document.media.value, "copies": document.copies})
        try:
            for part in (DONE, FAILED, CANCELED) if self._confirm is Confirm.VENDOR else ("",):
                (self._folder / part).mkdir(parents=True, exist_ok=True)
            # The ticket first: whoever sees the PDF must find its ticket beside it.
            self._put(f"{name}.json", ticket.encode())
            self._put(f"{name}.pdf", document.data)
        except OSError as exc:
            if exc.errno in FULL:
                raise PrinterBusyError("the printer folder's disk is full") from exc
            raise PrinterUnreachableError(f"the printer folder cannot be written: {exc.strerror}") from exc

    def _put(self, name: str, data: bytes) -> None:
        target = self._folder / name
        # Not *.pdf until whole, so that software which watches for PDFs never opens half a file.
        half = self._folder / f".{name}.part"
        try:
            with half.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            half.replace(target)
        except OSError:
            half.unlink(missing_ok=True)
            raise

    def _look(self, job_name: str) -> JobOutcome:
        pdf = f"{job_name}.pdf"
        is_written = JobOutcome.PRINTED if self._confirm is Confirm.WRITE else JobOutcome.PENDING
        # Where it goes before where it comes from would miss a file moved between the two looks.
        places = (
            ("", is_written),
            (DONE, JobOutcome.PRINTED),
            (FAILED, JobOutcome.ABORTED),
            (CANCELED, JobOutcome.CANCELED),
        )
        try:
            if not self._folder.is_dir():
                raise PrinterUnreachableError("the printer folder is missing")
            for part, outcome in places:
                if (self._folder / part / pdf).is_file():
                    return outcome
        except OSError as exc:
            raise PrinterUnreachableError(f"the printer folder cannot be read: {exc.strerror}") from exc
        return JobOutcome.UNKNOWN

    def _list(self) -> list[str]:
        try:
            return [
                one.stem for part in ("", DONE, FAILED, CANCELED) for one in (self._folder / part).glob("*.pdf")
                if not one.name.startswith(".")
            ]  # fmt: skip
        except OSError as exc:
            raise PrinterUnreachableError(f"the printer folder cannot be read: {exc.strerror}") from exc

    def _withdraw(self, job_name: str) -> None:
        pdf = f"{job_name}.pdf"
        try:
            (self._folder / pdf).replace(self._folder / CANCELED / pdf)
        except FileNotFoundError:
            return
        except PermissionError as exc:
            # Windows: the vendor's software holds the file open, so it is too late to withdraw it.
            raise PrinterBusyError("the job is being printed") from exc
        except OSError as exc:
            raise PrinterUnreachableError(f"the printer folder cannot be written: {exc.strerror}") from exc

    def _report(self) -> PrinterReport:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            waiting = sum(1 for one in self._folder.glob("*.pdf") if not one.name.startswith("."))
            is_writable = os.access(self._folder, os.W_OK)
        except OSError as exc:
            raise PrinterUnreachableError(f"the printer folder cannot be read: {exc.strerror}") from exc
        return PrinterReport(
            state=PrinterState.IDLE if is_writable else PrinterState.STOPPED,
            reasons=() if is_writable else ("spool-area-full",),
            up_time_s=None,
            queued=waiting if self._confirm is Confirm.VENDOR else 0,
            accepting=is_writable,
        )
