"""What only a person can tell of a card: it lies in the tray, it does not, it is no good.

A scan is the strongest proof there is: the code on the card names the attempt, the number of the blank names the
card itself. It settles a job in doubt, and one that its printer has not reported yet.
"""

from __future__ import annotations

from node.printing.door import Door
from node.printing.driver import open_driver
from node.printing.due import due_today
from node.printing.job import Job
from node.printing.ledger import PRINT_FAILURE, Ledger
from node.printing.spool import SENT, Fact, JobState
from node.printing.withdrawal import Withdrawals, ask_to_drop, check_word
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError

SEEN = "dilihat petugas"
SCANNED = "dipindai petugas"
_LOOK = "Lihat dengan: sepe node prints DIR --state in_doubt"


def resolve(
    store: NodeStore, job_id: int, *, came_out: bool, is_spoiled: bool, operator: str, now_ms: int,
    spoiled_by: str = PRINT_FAILURE,
) -> tuple[Job, Job | None]:  # fmt: skip
    """A person looked into the tray: the job as it is now, and its successor when the card must be made again.

    `settle_doubt` asks the printer first; it stays watched for the attempt (`node.printing.withdrawal`).

    Args:
        is_spoiled: the blank is unusable: with ``came_out`` a card that is no good, without it a blank that the
            printer ate. Its number is then counted as spoiled, otherwise it goes back to stock.
        spoiled_by: why, a code of `sepe.stock.SPOIL_REASONS`; the minutes of its destruction say so.

    Raises:
        InvalidInputError: the job is not in doubt; nothing was changed.
    """
    ledger = Ledger(store)
    with store.transaction():
        job = ledger.job(job_id)
        was_sent = job.state in SENT
        if job.state is JobState.SUBMITTED:
            ledger.settle(job_id, Fact.FORGOTTEN, now_ms=now_ms, operator=operator)
        fact = Fact.CAME_OUT if came_out else Fact.DID_NOT_COME_OUT
        job = ledger.settle(
            job_id,
            Fact.CAME_OUT_SPOILED if is_spoiled else fact,
            now_ms=now_ms,
            reason=SEEN,
            operator=operator,
            spoiled_by=spoiled_by,
        )
        needs_another = job.state is not JobState.PRINTED
        if was_sent and needs_another:
            Withdrawals(store).note(job, now_ms)
        if not needs_another:
            return job, None
        again = ledger.retry(job_id, now_ms)
        return job, Door(store).look(again.id, today=due_today(store, now_ms), now_ms=now_ms)


async def settle_doubt(
    store: NodeStore, job_id: int, *, came_out: bool, is_spoiled: bool, operator: str, now_ms: int,
    spoiled_by: str = PRINT_FAILURE, is_printer_gone: bool = False,
) -> tuple[Job, Job | None]:  # fmt: skip
    """`resolve`, once the printer was asked: what it still holds is cancelled there and never made a second time.

    Args:
        is_printer_gone: it will never answer again, and a person says so.

    Raises:
        InvalidInputError: the printer's word speaks against it, or the job is not in doubt; no job was changed,
            but the printer may have been told to cancel what it held.
    """
    job = Ledger(store).job(job_id)
    if job.state in SENT and job.printer:
        driver = open_driver(job.printer)
        try:
            word = await ask_to_drop(driver, job.name)
        finally:
            await driver.close()
        if is_spoiled or not came_out:
            check_word(word, job=job_id, is_spoiled=is_spoiled, is_printer_gone=is_printer_gone)
    return resolve(
        store, job_id, came_out=came_out, is_spoiled=is_spoiled, operator=operator, now_ms=now_ms,
        spoiled_by=spoiled_by,
    )  # fmt: skip


def confirm(store: NodeStore, code: str, *, job_id: int | None = None, operator: str, now_ms: int) -> Job:
    """A person scanned a card that came out: its code, or the number of its blank. Returns the job, printed.

    A blank other than the ledger expected (the feeder holds them in its own order) becomes the job's, and the
    expected one goes back to stock. Scanning a card again changes nothing.

    Args:
        job_id: whose card it is, when the number alone does not say.

    Raises:
        InvalidInputError: no job here that it can be, or several; nothing was changed.
    """
    ledger = Ledger(store)
    with store.transaction():
        job = _job_of(ledger, code.strip(), job_id)
        if job.state in (JobState.PRINTED, JobState.HANDED_OVER):
            return job
        if job.state not in SENT:
            raise InvalidInputError(
                f"cetakan ini dalam keadaan '{job.state}': belum dikirim ke pencetak, atau sudah dibatalkan",
                field="SERIAL", value=code, hint="Sisihkan kartunya, lalu: sepe node prints DIR",
            )  # fmt: skip
        if not _is_code(code) and job.needs_blank and code != job.serial:
            ledger.exchange_blank(job.id, code, now_ms)
        return ledger.settle(job.id, Fact.PRINTED, now_ms=now_ms, reason=SCANNED, operator=operator)


def _job_of(ledger: Ledger, code: str, job_id: int | None) -> Job:
    if job_id is not None:
        return ledger.job(job_id)
    if _is_code(code):
        found = ledger.named(code.split(":")[1].lower())
        if found is None:
            raise InvalidInputError("kartu ini tidak dicetak di sini", field="SERIAL", value=code, hint=_LOOK)
        return found
    holders = ledger.on_blank(code)
    if holders:
        return holders[-1]
    # No job has it: then it can only be the card of the one job that waits for such proof.
    waiting = [job for job in ledger.in_state(*SENT) if job.needs_blank]
    if len(waiting) != 1:
        raise InvalidInputError(
            "tidak ada cetakan dengan nomor blangko ini" if not waiting
            else f"{len(waiting)} cetakan menunggu kepastian; sebutkan yang mana",
            field="SERIAL",
            value=code,
            hint=_LOOK if not waiting else "sepe node confirm DIR SERIAL --job JOB",
        )  # fmt: skip
    return waiting[0]


def _is_code(text: str) -> bool:
    """Whether it is the code that we print on cards, read without an error."""
    from node.printing.render import is_qr_text

    return is_qr_text(text.strip())
