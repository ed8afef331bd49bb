"""Giving the card to its owner, against what has to be shown for it and for the card that it replaces."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from node.desk.old_cards import OldCards
from node.desk.standing import DEAD, standing_of
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import Fact, JobState
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from sepe.reprints import EVIDENCE_CHARS_MAX, EVIDENCE_KEYS, OLD_CARD, missing, shown
from sepe.wire.v1 import event_pb2

NOTHING: Mapping[str, str] = MappingProxyType({})


def hand_over(
    store: NodeStore,
    nik: int,
    *,
    product: str | None,
    operator: str,
    now_ms: int,
    evidence: Mapping[str, str] = NOTHING,
) -> list[Job]:
    """Mark the resident's printed cards as handed over; return them.

    An old card that is shown is taken back with it, in the same transaction.

    Args:
        evidence: what is shown now, by `sepe.reprints.EVIDENCE_KEYS`; what the recording named counts as well.

    Raises:
        InvalidInputError: nothing of this resident lies printed here, the card is to be collected, or evidence for
            a reprint is missing; nothing is changed.
    """
    ledger = Ledger(store)
    for key, value in evidence.items():
        if key not in EVIDENCE_KEYS or len(value) > EVIDENCE_CHARS_MAX:
            raise InvalidInputError(
                f"bukti paling banyak {EVIDENCE_CHARS_MAX} karakter", field=key, value=value,
                hint=", ".join(EVIDENCE_KEYS),
            )  # fmt: skip
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
        return [_give(store, job, evidence, operator=operator, now_ms=now_ms) for job in ready]


def _give(store: NodeStore, job: Job, evidence: Mapping[str, str], *, operator: str, now_ms: int) -> Job:
    masked = Nik(f"{job.nik:016d}").masked
    if store.connection.execute("SELECT 1 FROM recall WHERE attempt = ?", (job.name,)).fetchone():
        raise InvalidInputError(
            "kartu ini harus ditarik, jangan diserahkan: kartu lain yang berlaku", field="nik", value=masked,
            hint=f"sepe node take-back DIR NIK --serial {job.serial} --reason recall",
        )  # fmt: skip
    if standing_of(store, job.nik).is_dead:
        raise InvalidInputError(DEAD, field="nik", value=masked, hint="Kartunya dimusnahkan, tidak diserahkan.")
    recording = event_pb2.Recorded.FromString(Ledger(store).recording_of(job))
    given = {key: value for key in EVIDENCE_KEYS if (value := evidence.get(key) or recording.extra.get(key, ""))}
    lacking = missing(job.product, recording.reason, given) if job.issue > 1 else ()
    if lacking:
        raise InvalidInputError(
            f"untuk cetak ulang masih perlu: {shown(lacking)}", field="nik", value=masked,
            hint="sepe node hand-over DIR NIK --police-letter NOMOR --old-card SERI --proof NOMOR --skpwni NOMOR",
        )  # fmt: skip
    if given.get(OLD_CARD) and job.needs_blank:
        reason = recording.reason if recording.reason in ("damaged", "data-change", "move-in") else "found"
        OldCards(store).take_back(job.nik, job.product, given[OLD_CARD], reason, operator=operator, now_ms=now_ms)
    told = ", ".join(f"{key}={value}" for key, value in given.items()) if job.issue > 1 else ""
    return Ledger(store).settle(job.id, Fact.HANDED_OVER, now_ms=now_ms, operator=operator, reason=told)
