"""Giving the card to its owner."""

from __future__ import annotations

from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import Fact, JobState
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError


def hand_over(store: NodeStore, nik: int, *, product: str | None, operator: str, now_ms: int) -> list[Job]:
    """Mark the resident's printed cards as handed over; return them.

    Raises:
        InvalidInputError: nothing of this resident lies printed here.
    """
    ledger = Ledger(store)
    with store.transaction():
        ready = [
            job
            for job in ledger.of_resident(nik)
            if job.state is JobState.PRINTED and product in (None, job.product)
        ]
        if not ready:
            raise InvalidInputError(
                "tidak ada cetakan yang siap diserahkan untuk NIK ini",
                field="nik",
                value=f"{nik:016d}",
                hint="Lihat dengan: sepe node prints DIR --nik NIK",
            )
        return [ledger.settle(job.id, Fact.HANDED_OVER, now_ms=now_ms, operator=operator) for job in ready]
