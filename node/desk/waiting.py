"""What people at the desk say of a card that waits: the data are right, print it all the same, do not print it."""

from __future__ import annotations

from collections.abc import Sequence

from node.printing.door import Door
from node.printing.due import due_today
from node.printing.gate import CONFIRMED, INCOMPLETE
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import Fact, JobState, facts_of
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.nik import NIK_DIGITS, Nik

REASON_CHARS_MAX = 200


def confirm_data(store: NodeStore, nik: Nik, *, operator: str, now_ms: int) -> list[Job]:
    """Somebody looked at the doubtful data of a resident and says that they are right; the jobs as they are then.

    Raises:
        InvalidInputError: no card of this resident waits for that; nothing is changed.
    """
    with store.transaction():
        waiting = _in_state(store, nik, JobState.UNCONFIRMED)
        if not waiting:
            raise InvalidInputError(
                "tidak ada kartu NIK ini yang menunggu kepastian data", field="nik", value=nik.masked,
                hint="Lihat dengan: sepe node prints DIR --nik NIK",
            )  # fmt: skip
        return _let_go(store, waiting, CONFIRMED, reason="", operator=operator, now_ms=now_ms)


def force_incomplete(store: NodeStore, nik: Nik, *, reason: str, operator: str, now_ms: int) -> list[Job]:
    """A supervisor has an incomplete card made; the centre hears why. The jobs as they are then.

    Raises:
        InvalidInputError: no card of this resident is incomplete, or no reason is given; nothing is changed.
    """
    _check_reason(reason)
    with store.transaction():
        waiting = _in_state(store, nik, JobState.INCOMPLETE)
        if not waiting:
            raise InvalidInputError(
                "tidak ada kartu NIK ini yang menunggu kelengkapan", field="nik", value=nik.masked,
                hint="Lihat dengan: sepe node prints DIR --nik NIK",
            )  # fmt: skip
        return _let_go(store, waiting, INCOMPLETE, reason=reason, operator=operator, now_ms=now_ms)


def cancel(store: NodeStore, which: str, *, reason: str, operator: str, now_ms: int) -> list[Job]:
    """Do not print: every card of a resident that waits, or one job. The right stays, a blank goes back.

    Args:
        which: a NIK, or the number of a job.

    Raises:
        InvalidInputError: nothing of it waits, or a printer has it already; nothing is changed.
    """
    _check_reason(reason)
    ledger = Ledger(store)
    with store.transaction():
        if len(which) == NIK_DIGITS:
            jobs = ledger.of_resident(Nik.parse(which).number)
            value: object = Nik.parse(which).masked
        elif which.isascii() and which.isdigit():
            jobs, value = [ledger.job(int(which))], which
        else:
            raise InvalidInputError("sebutkan NIK atau nomor cetakan", field="NIK|JOB", value=which)
        waiting = [job for job in jobs if Fact.WITHDRAWN in facts_of(job.state)]
        if not waiting:
            sent = any(job.state in (JobState.RESERVED, JobState.SUBMITTED, JobState.IN_DOUBT) for job in jobs)
            raise InvalidInputError(
                "pencetak sudah memegangnya" if sent else "tidak ada cetakan yang masih menunggu", field="NIK|JOB",
                value=value,
                hint="Tunggu hasilnya; kartu yang keluar: sepe node resolve DIR JOB --came-out yes --blank-spoiled"
                if sent else "Lihat dengan: sepe node prints DIR",
            )  # fmt: skip
        return [
            ledger.settle(job.id, Fact.WITHDRAWN, now_ms=now_ms, reason=reason.strip(), operator=operator)
            for job in waiting
        ]


def _let_go(
    store: NodeStore, jobs: Sequence[Job], word: str, *, reason: str, operator: str, now_ms: int
) -> list[Job]:
    ledger, door, today = Ledger(store), Door(store), due_today(store, now_ms)
    found = []
    for job in jobs:
        ledger.waive(job.id, word, reason=reason)
        ledger.settle(job.id, Fact.RELEASED, now_ms=now_ms, operator=operator)
        found.append(door.look(job.id, today=today, now_ms=now_ms))
    return found


def _in_state(store: NodeStore, nik: Nik, state: JobState) -> list[Job]:
    return [job for job in Ledger(store).of_resident(nik.number) if job.state is state]


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise InvalidInputError(
            f"tulis alasannya, paling banyak {REASON_CHARS_MAX} karakter", field="--reason", value=reason
        )
