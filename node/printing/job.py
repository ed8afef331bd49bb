"""A print job as the desk asks for it and as the ledger holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.printing.spool import JobState
from sepe.stock import BLANK_PRODUCTS

# The columns of the ledger's table in the order of `Job`'s fields.
COLUMNS = (
    "id, name, nik, product, issue, state, fence, epoch, seq, created_ms, changed_ms, due_day, wanted, announced, "
    "override, serial, printer, reason, operator, waived"
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A wish to print.

    Attributes:
        due_day: ISO date, first day on which it may be printed.
        body, claim: what the card says and whose identity it bears (serialised ``Recorded`` and ``EventRef``),
            where that is not the event by which it is entered.
    """

    nik: int
    product: str
    issue: int
    state: JobState
    due_day: str
    reason: str = ""
    body: bytes | None = None
    claim: bytes = b""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger.

    Attributes:
        id: short, for people at this machine; ``name`` is what printers and the centre know.
        fence: of the right to print; ``None`` while there is no right.
        announced: the last ``CardState`` that was written to the outbox for this attempt, 0 before.
        override: why a supervisor printed without the right; ``""`` when nobody did.
        reason: why the job is where it is, as shown to the operator.
        waived: what a person waived (`node.printing.gate`), words with blanks between; ``waived_why``: his reason.
    """

    id: int
    name: str
    nik: int
    product: str
    issue: int
    state: JobState
    fence: int | None
    epoch: int
    seq: int
    created_ms: int
    changed_ms: int
    due_day: str
    is_wanted: bool
    announced: int
    override: str
    serial: str
    printer: str
    reason: str
    operator: str
    waived: str = ""

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Job:
        """From a row of `COLUMNS`."""
        (id_, name, nik, product, issue, state, fence, epoch, seq, created_ms, changed_ms, due_day, wanted,
         announced, override, serial, printer, reason, operator, waived) = row  # fmt: skip
        return cls(
            id_, name, nik, product, issue, JobState(state), fence, epoch, seq, created_ms, changed_ms, due_day,
            bool(wanted), announced, override, serial, printer, reason, operator, waived,
        )  # fmt: skip

    @property
    def needs_blank(self) -> bool:
        return self.product in BLANK_PRODUCTS
