"""The door through which every card goes: reads what decides over a job (`node.printing.gate`) and applies it.

Whatever woke a job, its blank is taken only after `Door.look` let it through.
"""

from __future__ import annotations

from datetime import date

from node.desk.standing import ENDED, standing_of
from node.printing.due import due_today
from node.printing.gate import Facts, Kept, kept_by
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.queue import PolicyFile
from node.printing.spool import Fact, facts_of
from node.storage.store import NodeStore
from sepe import completeness
from sepe.errors import InvalidInputError
from sepe.identity import keys_of
from sepe.ids import kecamatan_of
from sepe.nik import Nik
from sepe.residence import place_of
from sepe.wire.v1 import event_pb2
from sepe_io.regions import region_table


class Door:
    """Looks at the jobs of one node directory."""

    def __init__(self, store: NodeStore, policy: PolicyFile | None = None) -> None:
        self._store = store
        self._ledger = Ledger(store)
        self._policy = policy or PolicyFile(store.folder, store.node)

    def look(self, job_id: int, *, today: date, now_ms: int) -> Job:
        """Let a waiting job through, or move it to where it waits for what keeps it; the job as it is then.

        Part of the caller's transaction, or one of its own.

        Args:
            today: the day that is proven (`sepe.dueday`).
        """
        with self._store.transaction():
            job = self._ledger.job(job_id)
            kept = kept_by(self.facts(job, today))
            if kept is None or kept.fact not in facts_of(job.state):
                return job
            reason = shown(kept) if kept.fact in (Fact.DOUBTED, Fact.LACKING) else kept.why
            return self._ledger.settle(job.id, kept.fact, now_ms=now_ms, reason=reason)

    def look_again(self, nik: int, *, now_ms: int) -> None:
        """More was said of a resident: let his jobs go that waited for it, and look at each."""
        today = due_today(self._store, now_ms)
        for job in self._ledger.of_resident(nik):
            if job.state in ("unconfirmed", "incomplete"):
                self._ledger.settle(job.id, Fact.RELEASED, now_ms=now_ms)
                self.look(job.id, today=today, now_ms=now_ms)

    def facts(self, job: Job, today: date) -> Facts:
        """What decides over a job now."""
        body, is_disputed = said_of(self._store, self._ledger, job)
        standing = standing_of(self._store, job.nik)
        verdict = standing.verdict(keys_of(body.name, body.birth_date, body.sex), is_disputed=is_disputed)
        doubts: tuple[str, ...] = ()
        lacking: tuple[str, ...] = ()
        if self._policy.read().wants_complete and (nik := _nik(job.nik)) is not None:
            lacking = completeness.lacking(job.product, body, has_place=has_place(nik, body, self._store.node))
            doubts = completeness.doubts(job.product, nik, body, today)
        return Facts(
            date.fromisoformat(job.due_day), today, verdict, verdict in ENDED, doubts, lacking,
            frozenset(job.waived.split()), bool(job.override),
        )  # fmt: skip


def said_of(store: NodeStore, ledger: Ledger, job: Job) -> tuple[event_pb2.Recorded, bool]:
    """What a job's card would say, the recording over what was known before; whether claims made here disagree."""
    said = event_pb2.Recorded.FromString(ledger.recording_of(job))
    row = store.connection.execute("SELECT known, is_disputed FROM resident WHERE nik = ?", (job.nik,)).fetchone()
    if row is None or row[1]:
        return said, row is not None
    known = event_pb2.Recorded.FromString(row[0])
    known.MergeFrom(said)
    return known, False


def has_place(nik: Nik, said: event_pb2.Recorded, node: str) -> bool:
    """Whether it is known in which kecamatan the resident lives."""
    return place_of(nik, said, kecamatan_of(node), region_table()) is not None


def shown(kept: Kept) -> str:
    """Why a job waits, for the list of prints: in Indonesian, as the ledger's other reasons are."""
    return f"{_TITLES[kept.fact]}: {', '.join(WORDS.get(code, code) for code in kept.why.split())}"


_TITLES = {Fact.DOUBTED: "perlu dipastikan", Fact.LACKING: "belum lengkap"}
WORDS = {
    completeness.PHOTO: "foto",
    completeness.RESIDENCE: "nomor KK atau alamat",
    completeness.BIRTH_PLACE: "tempat lahir",
    completeness.PLACE: "kecamatan tempat tinggal (nomor KK, atau kecamatan_code)",
    completeness.NIK_DATE: "tanggal lahir berbeda dari NIK",
    completeness.NIK_SEX: "jenis kelamin berbeda dari NIK",
    completeness.YOUNG_MARRIAGE: "kawin di bawah 19 tahun",
}


def _nik(number: int) -> Nik | None:
    try:
        return Nik.from_number(number)
    except InvalidInputError:
        return None
