"""A print job as the desk asks for it and as the ledger holds it."""

from __future__ import annotations

from dataclasses import dataclass

from node.printing.spool import JobState
from sepe.products import PRODUCTS

BLANK_PRODUCTS = tuple(product.code for product in PRODUCTS.values() if product.needs_blank)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A wish to print. ``due_day``: ISO date, first day on which it may be printed."""

    nik: int
    product: str
    issue: int
    state: JobState
    due_day: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger.

    Attributes:
        id: short, for people at this machine; ``name`` is what printers and the centre know.
        fence: of the right to print; ``None`` while there is no right.
        announced: the last ``CardState`` that was written to the outbox for this attempt, 0 before.
        override: why a supervisor printed without the right; ``""`` when nobody did.
        reason: why the job is where it is, as shown to the operator.
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

    @property
    def needs_blank(self) -> bool:
        return self.product in BLANK_PRODUCTS
