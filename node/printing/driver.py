"""What the print ledger asks of any printer, and the answers it must be ready for.

A printer is not a ledger. It forgets its jobs when it restarts and then counts job ids from 1 again; a
job that it reports as cancelled may still come out; one whose submission failed half-way may have been
taken. So a job is known by *our* ``job_name`` alone, never by the printer's id, and a driver says
exactly as much as it knows:

* ``submit`` returns: the printer has the job.
* ``PrinterBusyError``, ``PrinterRefusedError``: the printer does not have it.
* ``PrinterUnreachableError``: it does not have it, unless ``maybe_accepted``; then only the printer's
  memory (``outcome``) or a look at its tray can tell, and a blind retry may print a second card.

``submit`` does not look for an earlier job of the same name; the ledger submits a name once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from sepe.errors import InvalidInputError, TransientError

# It becomes a file name on Windows and an IPP name of at most 255 bytes.
JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
IPP_PORT = 631
COPIES_MAX = 99


class Media(StrEnum):
    """What to print on, by its PWG 5101.1 self-describing name (short edge first).

    ID-1 has no registered name of its own: ``om_card_54x86mm`` is 54 x 86 mm, ISO/IEC 7810 ID-1 is
    53.98 x 85.60 mm. The standard's ``custom_`` class is made for that; the IPP driver sends the size
    itself in ``media-col``, which every printer matches by dimensions.
    """

    CARD = "custom_id-1_53.98x85.6mm"
    A4 = "iso_a4_210x297mm"


@dataclass(frozen=True, slots=True)
class Document:
    """One job: a PDF and the name that the ledger knows it by.

    ``job_name`` is opaque (never a NIK or a name): it is shown on printers and in their logs.

    Raises:
        InvalidInputError: a job name that is not 1-64 letters, digits, ``-`` and ``_``, an empty PDF,
            copies outside 1-99.
    """

    job_name: str
    media: Media
    data: bytes
    copies: int = 1

    def __post_init__(self) -> None:
        check_job_name(self.job_name)
        if not self.data:
            raise InvalidInputError("a document has at least one byte", field="data")
        if not 1 <= self.copies <= COPIES_MAX:
            raise InvalidInputError(f"copies lie between 1 and {COPIES_MAX}", field="copies", value=self.copies)


class JobOutcome(StrEnum):
    """How far a job came. ``UNKNOWN``: the printer has no memory of that job name."""

    PENDING = "pending"
    PRINTING = "printing"
    PRINTED = "printed"
    CANCELED = "canceled"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class PrinterState(StrEnum):
    IDLE = "idle"
    PRINTING = "printing"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PrinterReport:
    """The printer about itself.

    ``reasons`` are IPP ``printer-state-reasons`` keywords without ``none`` (``media-empty-error`` …).
    ``up_time_s`` falls when the printer restarted, and with it went its memory of jobs; None where the
    driver has no such clock. ``queued`` counts jobs not yet finished.
    """

    state: PrinterState
    reasons: tuple[str, ...]
    up_time_s: int | None
    queued: int
    accepting: bool


class PrinterBusyError(TransientError):
    """The printer has another job or is paused; it did not take this one."""


class PrinterUnreachableError(TransientError):
    """No answer, or none that can be read.

    Attributes:
        maybe_accepted: bytes of the job had been sent, so the printer may print it. Do not retry
            before ``outcome`` or a person has settled it. Always False for the other calls.
    """

    def __init__(self, detail: str, *, maybe_accepted: bool = False) -> None:
        self.maybe_accepted = maybe_accepted
        super().__init__(f"{detail}; the job may have been accepted" if maybe_accepted else detail)


class PrinterRefusedError(InvalidInputError):
    """The printer takes nothing as it is asked: wrong path, not allowed. No job is to pay for that."""


class DocumentRefusedError(PrinterRefusedError):
    """The printer will never take this document: wrong format, wrong medium, too large. Retrying is useless."""


class PrintDriver(Protocol):
    """One printer. Every call has a deadline of its own and may be cancelled."""

    async def submit(self, document: Document) -> None:
        """Hand the job to the printer; see the module text for what each error says about it."""

    async def outcome(self, job_name: str) -> JobOutcome:
        """How far the job came, as the printer remembers.

        Raises:
            PrinterUnreachableError: nothing is known.
        """

    async def news(self, job_name: str, *, poll_s: float, quiet_s: float) -> bool:
        """Wait until it is worth asking after a job that was submitted; whether the printer tells of changes.

        One that tells is asked when it said so, and after ``quiet_s`` all the same; another after ``poll_s``.
        """

    async def cancel(self, job_name: str) -> None:
        """Ask the printer to drop the job. No promise: it may come out all the same, or be finished.

        Unknown and finished jobs are left as they are, without an error.
        """

    async def remembered(self) -> list[str]:
        """Names of the jobs that the printer remembers, ours and others', finished or not.

        Raises:
            PrinterUnreachableError: nothing is known.
        """

    async def report(self) -> PrinterReport:
        """The printer's own state.

        Raises:
            PrinterUnreachableError: the printer does not answer.
        """

    async def close(self) -> None:
        """Release what the driver holds; jobs go on."""


def check_job_name(job_name: str) -> None:
    """Raise ``InvalidInputError`` unless the name fits printers and file systems."""
    if not JOB_NAME.fullmatch(job_name) or WINDOWS_DEVICE.fullmatch(job_name):
        raise InvalidInputError(
            "a job name is 1-64 letters, digits, '-' and '_', and no device name",
            field="job_name",
            value=job_name,
        )


def open_driver(url: str) -> PrintDriver:
    """The driver for ``folder:PATH[?confirm=write|vendor]``, ``ipp(s)://HOST[:PORT]/PATH`` or ``lp:QUEUE[@HOST]``.

    Nothing is contacted yet. ``ipps`` checks the printer's certificate against the system's roots;
    ``?fingerprint=SHA256`` pins a self-signed one instead.

    Raises:
        InvalidInputError: the address is none of these.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "folder":
        return _open_folder(rest, url)
    if scheme in ("ipp", "ipps"):
        return _open_ipp(url)
    if scheme == "lp":
        from node.printing.lp import open_lp

        return open_lp(rest, url)
    raise InvalidInputError(
        "a printer address begins with folder:, ipp://, ipps:// or lp:",
        field="printer",
        value=url,
        hint="For example folder:/srv/cards or ipp://192.168.1.9/ipp/print",
    )


def _open_folder(rest: str, url: str) -> PrintDriver:
    from node.printing.folder import Confirm, FolderDriver

    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    confirm = options.pop("confirm", Confirm.WRITE)
    if not path or options or confirm not in list(Confirm):
        raise InvalidInputError(
            "a folder printer is folder:PATH or folder:PATH?confirm=write|vendor", field="printer", value=url
        )
    return FolderDriver(Path(path), confirm=Confirm(confirm))


def _open_ipp(url: str) -> PrintDriver:
    from node.printing.ipp.client import IppDriver, PrinterAddress

    wrong = InvalidInputError(
        "an IPP printer is ipp://HOST[:PORT]/PATH or ipps://HOST[:PORT]/PATH[?fingerprint=SHA256]",
        field="printer",
        value=re.sub(r"//[^/]*@", "//…@", url),
    )
    try:
        parts = urlsplit(url)
        port = parts.port or IPP_PORT
    except ValueError as exc:
        raise wrong from exc
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    fingerprint = options.pop("fingerprint", "").replace(":", "").lower()
    is_pinned = re.fullmatch(r"[0-9a-f]{64}", fingerprint) is not None and parts.scheme == "ipps"
    if not parts.hostname or parts.username or options or (fingerprint and not is_pinned):
        raise wrong
    path = parts.path if parts.path not in ("", "/") else "/ipp/print"
    if not re.fullmatch(r"/[!-~]*", path) or "\r" in unquote(path) or "\n" in unquote(path):
        raise wrong
    address = PrinterAddress(
        host=parts.hostname,
        port=port,
        path=path,
        is_tls=parts.scheme == "ipps",
        fingerprint=fingerprint or None,
    )
    return IppDriver(address)
