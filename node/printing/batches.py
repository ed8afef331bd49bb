"""Batches: cards that are printed together, a school's or a night's, in their order and not before their time.

A batch comes about in two ways. A list of residents whose cards wait here is printed as soon as it is its turn. A
batch that people are *recorded* into (``"batch": "sman-3"`` in their line) is still being collected: nothing of it
is printed until somebody releases it, so that a class's cards come out when all of it has been recorded. Once
released it stays so, and who is recorded into it then is printed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import SENT, WAITING, JobState
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from sepe.recording import BATCH, checked_batch
from sepe.wire.v1 import event_pb2

# What can be given a place: nothing of it has been sent to a printer.
PLACEABLE = (*WAITING, JobState.WAITING_DUE, JobState.HELD)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list, and the line on which it stands."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A resident of a list, and those of his jobs that wait here."""

    line: int
    nik: int
    jobs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that cannot be taken, and why, in Indonesian and English. ``nik`` is 0 where it is none."""

    line: int
    nik: int
    indonesian: str
    english: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Where and when a batch is printed: a printer's address (``""``: any), not before this time."""

    printer: str = ""
    from_ms: int = 0


class Why(NamedTuple):
    """Why something is not done, for the operator."""

    indonesian: str
    english: str


def sort_out(
    entries: Iterable[Entry], judge: Callable[[int], tuple[int, ...] | Why]
) -> tuple[list[Taken], list[Refused]]:
    """Which entries of a list are taken, and which are not; each resident once.

    Args:
        judge: of a NIK, the jobs that are meant, or why there are none.
    """
    taken: dict[int, Taken] = {}
    refused = []
    for entry in entries:
        try:
            nik = Nik.parse(entry.text).number
        except InvalidInputError as exc:
            refused.append(Refused(entry.line, 0, str(exc), str(exc)))
            continue
        if nik in taken:
            line = taken[nik].line
            found: tuple[int, ...] | Why = Why(f"sudah ada di baris {line}", f"is on line {line} already")
        else:
            found = judge(nik)
        if isinstance(found, Why):
            refused.append(Refused(entry.line, nik, *found))
        else:
            taken[nik] = Taken(entry.line, nik, found)
    return list(taken.values()), refused


def joining(name: str, jobs: Sequence[Job], batch_of: Mapping[int, str]) -> tuple[int, ...] | Why:
    """Which of a resident's jobs, oldest first, go into a batch: those that wait, unless another batch has one."""
    waiting = [job for job in jobs if job.state in PLACEABLE]
    if not waiting:
        return _why_none(jobs)
    others = sorted({batch_of[job.id] for job in waiting} - {name, ""})
    if others:
        other = others[0]
        return Why(
            f"sudah dalam kelompok {other}; keluarkan dahulu: sepe node batch DIR {other} NIK --out",
            f"is in the batch {other} already; take it out first: sepe node batch DIR {other} NIK --out",
        )
    return tuple(job.id for job in waiting)


def leaving(name: str, jobs: Sequence[Job], batch_of: Mapping[int, str]) -> tuple[int, ...] | Why:
    """Which of a resident's jobs leave a batch: those that wait in it."""
    found = tuple(job.id for job in jobs if job.state in PLACEABLE and batch_of[job.id] == name)
    return found or Why(f"tidak menunggu dalam kelompok {name}", f"does not wait in the batch {name}")


def _why_none(jobs: Sequence[Job]) -> Why:
    if not jobs:
        return Why(
            "tidak ada permintaan cetak untuk NIK ini di sini; rekam dahulu: sepe node record DIR -",
            "nothing was asked for under this NIK here; record it first: sepe node record DIR -",
        )
    last = jobs[-1]
    what = f"{last.product} {last.state}"
    if last.state in (JobState.PRINTED, JobState.HANDED_OVER):
        return Why(f"sudah dicetak ({what})", f"is printed already ({what})")
    if last.state in SENT:
        return Why(f"sedang di pencetak ({what})", f"is at a printer ({what})")
    return Why(
        f"tidak ada cetakan yang menunggu ({what}): sepe node prints DIR --nik NIK",
        f"nothing of it waits ({what}): sepe node prints DIR --nik NIK",
    )


class Batches:
    """The batches of one machine. Every method that writes is one transaction, or a part of the caller's."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def held(self) -> frozenset[str]:
        """The batches that are still collected: nothing of them is printed."""
        rows = self._store.connection.execute("SELECT name FROM print_batch WHERE released_ms = 0")
        return frozenset(str(name) for (name,) in rows.fetchall())

    def waiting_for_release(self) -> list[str]:
        """Those of them that have cards which somebody may wait for."""
        marks = ", ".join("?" * len(PLACEABLE))
        some = f"SELECT 1 FROM job_place JOIN job ON job.id = job WHERE batch = ? AND state IN ({marks}) LIMIT 1"
        execute = self._store.connection.execute
        return [name for name in sorted(self.held()) if execute(some, (name, *PLACEABLE)).fetchone()]

    def batch_of(self, jobs: Iterable[int]) -> dict[int, str]:
        """In which batch each of these jobs is; ``""``: in none."""
        one = "SELECT coalesce((SELECT batch FROM job_place WHERE job = ?), '')"
        return {job: str(self._store.connection.execute(one, (job,)).fetchone()[0]) for job in jobs}

    def held_jobs(self, jobs: Iterable[int]) -> dict[int, str]:
        """Those of these jobs that wait for their batch to be released, and which it is."""
        held = self.held()
        return {job: name for job, name in self.batch_of(jobs).items() if name in held} if held else {}

    def collect(self, wishes: Sequence[tuple[str, int, str, int]], now_ms: int) -> None:
        """New jobs of people who were recorded into a batch; in the transaction that enters them.

        Args:
            wishes: batch, NIK, product, issue.
        """
        with self._store.transaction():
            for position, (name, nik, product, issue) in enumerate(wishes):
                self._open(name, now_ms, released_ms=0)
                self._store.connection.execute(
                    "INSERT OR REPLACE INTO job_place (job, batch, position, since_ms) "
                    "SELECT id, ?, ?, ? FROM job WHERE nik = ? AND product = ? AND issue = ? "
                    "ORDER BY id DESC LIMIT 1",
                    (name, position, now_ms, nik, product, issue),
                )

    def collect_again(self, nik: int, issue: int, body: event_pb2.Recorded, now_ms: int) -> None:
        """A job that came back with its recording, from the centre: into the batch that the recording names.

        Whether that was released before need not be known here; then somebody says so once more.
        """
        with suppress(InvalidInputError):  # A line of before batches were kept may have anything there.
            if name := body.extra.get(BATCH, ""):
                self.collect([(checked_batch(name), nik, body.product, issue)], now_ms)

    def put(self, name: str, entries: Iterable[Entry], terms: Terms, now_ms: int) -> tuple[int, list[Refused]]:
        """Give the cards of a list their places, in its order; how many were given one, and who could not be.

        A batch that is collected goes on being so; a new one is printed when it is its turn.
        """
        with self._store.transaction():
            taken, refused = sort_out(entries, lambda nik: joining(name, *self._of_resident(nik)))
            if taken:
                self._open(name, now_ms, released_ms=now_ms)
            rows = [
                (job, terms.printer, name, position, now_ms, terms.from_ms)
                for position, one in enumerate(taken) for job in one.jobs
            ]  # fmt: skip
            self._store.connection.executemany(
                "INSERT OR REPLACE INTO job_place (job, printer, batch, position, since_ms, from_ms) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        return len(rows), refused

    def take_out(self, name: str, entries: Iterable[Entry]) -> tuple[int, list[Refused]]:
        """These cards are printed by themselves instead; how many, and who had none in the batch."""
        with self._store.transaction():
            taken, refused = sort_out(entries, lambda nik: leaving(name, *self._of_resident(nik)))
            jobs = [(job,) for one in taken for job in one.jobs]
            self._store.connection.executemany("DELETE FROM job_place WHERE job = ?", jobs)
        return len(jobs), refused

    def release(self, name: str, terms: Terms, now_ms: int) -> int:
        """Let a batch be printed, in its order; how many of its cards wait. Done twice it changes nothing.

        Raises:
            InvalidInputError: there is no such batch here.
        """
        with self._store.transaction():
            execute = self._store.connection.execute
            row = execute("SELECT released_ms FROM print_batch WHERE name = ?", (name,)).fetchone()
            if row is None and not execute("SELECT 1 FROM job_place WHERE batch = ?", (name,)).fetchone():
                raise InvalidInputError(
                    "tidak ada kelompok ini", field="NAME", value=name, hint="Lihat: sepe node batch DIR"
                )
            marks = ", ".join("?" * len(PLACEABLE))
            jobs = execute(
                f"SELECT job FROM job_place JOIN job ON job.id = job WHERE batch = ? AND state IN ({marks}) "
                "ORDER BY since_ms, position, job",
                (name, *PLACEABLE),
            ).fetchall()
            if row is not None and not row[0]:
                execute("UPDATE print_batch SET released_ms = ? WHERE name = ?", (max(now_ms, 1), name))
                # It stands in the queue as if all of it had been asked for now.
                self._store.connection.executemany(
                    "UPDATE job_place SET position = ?, since_ms = ? WHERE job = ?",
                    [(position, now_ms, job) for position, (job,) in enumerate(jobs)],
                )
            for column, value in (("printer", terms.printer), ("from_ms", terms.from_ms)):
                if value:
                    self._store.connection.executemany(
                        f"UPDATE job_place SET {column} = ? WHERE job = ?", [(value, job) for (job,) in jobs]
                    )
            return len(jobs)

    def _of_resident(self, nik: int) -> tuple[list[Job], dict[int, str]]:
        jobs = Ledger(self._store).of_resident(nik)
        return jobs, self.batch_of(job.id for job in jobs)

    def _open(self, name: str, now_ms: int, *, released_ms: int) -> None:
        # A list of an older program's has no row here; it was never held.
        self._store.connection.execute(
            "INSERT INTO print_batch (name, opened_ms, released_ms) SELECT ?1, ?2, "
            "CASE WHEN EXISTS (SELECT 1 FROM job_place WHERE batch = ?1) THEN max(?2, 1) ELSE ?3 END "
            "WHERE true ON CONFLICT DO NOTHING",
            (name, now_ms, released_ms),
        )
