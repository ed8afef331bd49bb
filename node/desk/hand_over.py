"""Giving the card to its owner, and settling what nobody but a person can know."""

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


def resolve(
    store: NodeStore, job_id: int, *, came_out: bool, is_spoiled: bool, operator: str, now_ms: int
) -> tuple[Job, Job | None]:
    """A person looked into the tray: the job as it is now, and its successor when the card must be made again.

    Args:
        is_spoiled: the blank is unusable: with ``came_out`` a card that is no good, without it a blank that the
            printer ate. Its number is then counted as spoiled, otherwise it goes back to stock.

    Raises:
        InvalidInputError: the job is not in doubt; nothing was changed.
    """
    ledger = Ledger(store)
    with store.transaction():
        job = ledger.job(job_id)
        if job.state is JobState.SUBMITTED:
            ledger.settle(job_id, Fact.FORGOTTEN, now_ms=now_ms, operator=operator)
        fact = Fact.CAME_OUT if came_out else Fact.DID_NOT_COME_OUT
        job = ledger.settle(
            job_id,
            Fact.CAME_OUT_SPOILED if is_spoiled else fact,
            now_ms=now_ms,
            reason="dilihat petugas",
            operator=operator,
        )
        needs_another = job.state is not JobState.PRINTED
        return job, ledger.retry(job_id, now_ms) if needs_another else None
