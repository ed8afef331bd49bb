"""What the hub's answer to a claim does to the job that waits for it."""

from __future__ import annotations

from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.rights import SUSPENDED, Right, RightAnswer, RightBook
from node.printing.spool import Fact, JobState
from node.storage.store import NodeStore

# The holder was asked just now and may be online: its answer can be here in seconds.
ASKED_RETRY_MS = 15_000
ASKED_FRESH_MS = 10 * 60_000
DENIED_RETRY_MS = 5 * 60_000
# A card is out: only a person who spoils or withdraws it can change that.
PRINTED_RETRY_MS = 6 * 3_600_000
_WAITS = (JobState.QUEUED, JobState.WAITING_RIGHT)


def take_answer(store: NodeStore, job_id: int, answer: RightAnswer, now_ms: int) -> Job:
    """Apply an answer to the job that asked, as it stands now; return it. One transaction.

    A grant is noted even when nobody waits for it any more, so that the hub finds us holding what it says we hold.
    A *reprint* whose issue was made elsewhere before it was asked for here takes the next free issue: both offices
    counted from what they knew.
    """
    ledger, book = Ledger(store), RightBook(store)
    with store.transaction():
        job = ledger.job(job_id)
        right = Right(job.nik, job.product, job.issue)
        if answer.granted:
            fence = book.take_grant(right, answer.fence)
            if job.state in _WAITS and job.fence is None and fence is not None:
                return ledger.grant(job_id, fence, now_ms)
            if job.state in _WAITS and job.fence is None and book.is_suspended:
                return ledger.deny(job_id, SUSPENDED, retry_ms=now_ms + ASKED_RETRY_MS, now_ms=now_ms)
            return job
        if job.state not in _WAITS or job.fence is not None:
            return job
        match answer.reason:
            case "nik_conflict":
                return ledger.settle(job_id, Fact.DISPUTED, now_ms=now_ms, reason=answer.told(store.node))
            case "dead" | "nik_replaced":
                return ledger.settle(job_id, Fact.WITHDRAWN, now_ms=now_ms, reason=answer.told(store.node))
            case "already_printed" | "superseded" if _is_another_reprint(job, answer):
                return ledger.renumber(job.id, answer.next_issue)
            case "already_printed" | "superseded":
                retry_ms = PRINTED_RETRY_MS
            case "held" if not answer.kept and abs(now_ms - answer.asked_ms) < ASKED_FRESH_MS:
                retry_ms = ASKED_RETRY_MS
            case _:
                retry_ms = DENIED_RETRY_MS
        return ledger.deny(job_id, answer.told(store.node), retry_ms=now_ms + retry_ms, now_ms=now_ms)


def _is_another_reprint(job: Job, answer: RightAnswer) -> bool:
    return job.issue > 1 and not job.announced and job.issue < answer.next_issue and (
        0 < answer.printed_ms < job.created_ms
    )  # fmt: skip
