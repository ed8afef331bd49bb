"""The print ledger: every job, its state, its blank, and the events that tell the centre.

The printer is no ledger; this is. Each change of state follows `spool`, spends or frees the blank and writes the
event that the centre must hear, all in one transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.desk.day import day_of
from node.printing import spool
from node.printing.attempt import attempt_name, is_attempt_of
from node.printing.condition import Conditions
from node.printing.due import confirmation
from node.printing.gate import DUE_DAY, TOLD
from node.printing.job import COLUMNS, Job, NewJob
from node.printing.rights import Right, RightBook
from node.printing.spool import Blank, Fact, JobState
from node.stock.shelf import BlankState, Shelf
from node.storage.schema import JOB_IS_OPEN
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.stock import BLANK_PRODUCTS
from sepe.wire.v1 import event_pb2

if TYPE_CHECKING:  # A recording needs the ledger, not the rules of handing over.
    from sepe.handing import Receiver

JOB_NAME_BYTES = 12
PRINT_FAILURE = "print-failure"
# In meta: how many intents were ever committed here.
SENT_KEY = "prints_sent"
PROVEN = (JobState.PRINTED, JobState.HANDED_OVER)
PRINTER_FACTS = frozenset({Fact.ACCEPTED, Fact.LOST, Fact.FORGOTTEN, Fact.CANCELED, Fact.ABORTED, Fact.PRINTED})
_BLANK_STATE = {
    Blank.BACK: BlankState.AT_HAND, Blank.PRINTED: BlankState.PRINTED, Blank.SPOILED: BlankState.SPOILED,
}  # fmt: skip


class Ledger:
    """The print ledger in a node's database; every method that writes is one transaction."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._shelf = Shelf(store)

    # What the desk does

    def add(self, jobs: Sequence[tuple[NewJob, int]], now_ms: int, asked_day: str) -> None:
        """Enter new jobs, each with the seq of its recording; call it in the transaction that writes these."""
        book = RightBook(self._store)
        rows = [
            (
                secrets.token_hex(JOB_NAME_BYTES), job.nik, job.product, job.issue, str(job.state),
                book.fence(job.nik, job.product, job.issue),
                seq, now_ms, now_ms, job.due_day, asked_day, job.reason, job.body, job.claim,
            )
            for job, seq in jobs
        ]  # fmt: skip
        with self._store.transaction():
            self._store.connection.executemany(
                "INSERT INTO job (name, nik, product, issue, state, fence, epoch, seq, created_ms, changed_ms, "
                "due_day, asked_day, reason, body, claim) "
                "VALUES (?, ?, ?, ?, ?, ?, (SELECT max(number) FROM epoch), ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def retry(self, job_id: int, now_ms: int) -> Job:
        """A new attempt at the issue of a job that ended without a card; its right and its batch go with it.

        Raises:
            InvalidInputError: that job may still have a card, or another attempt is under way.
        """
        with self._store.transaction():
            old = self.job(job_id)
            rivals = [
                one for one in self.of_resident(old.nik) if (one.product, one.issue) == (old.product, old.issue)
            ]
            alive = next((one for one in rivals if one.state not in spool.NO_CARD), None)
            if alive is not None:
                raise InvalidInputError(
                    "masih ada pekerjaan cetak lain untuk dokumen ini", field="job", value=alive.id
                )
            cursor = self._store.connection.execute(
                "INSERT INTO job (name, nik, product, issue, state, fence, epoch, seq, created_ms, changed_ms, "
                "due_day, override, operator, body, claim, waived, waived_why) "
                "SELECT ?, nik, product, issue, 'queued', fence, epoch, seq, ?, ?, due_day, "
                "override, operator, body, claim, waived, waived_why FROM job WHERE id = ?",
                (secrets.token_hex(JOB_NAME_BYTES), now_ms, now_ms, job_id),
            )
            self._store.connection.execute(
                "UPDATE job_place SET job = ? WHERE job = ? AND batch <> ''", (cursor.lastrowid, job_id)
            )
            # Under the fence that counts now: what was promised away meanwhile has to be asked for again.
            RightBook(self._store).fit_jobs(Right(old.nik, old.product, old.issue))
            return self.job(int(cursor.lastrowid))

    def want(self, job_id: int) -> None:
        """Put a waiting job before all others, and ask again for what it lacks."""
        with self._store.transaction():
            self._store.connection.execute("UPDATE job SET wanted = 1, retry_ms = 0 WHERE id = ?", (job_id,))

    def override(self, job_id: int, *, reason: str, operator: str, now_ms: int) -> Job:
        """A supervisor prints without the right; every step of the attempt will say so.

        A job that has its right and waits for a printer alone is no override: it only goes before the others.

        Raises:
            InvalidInputError: no reason, or a job that nothing holds back.
        """
        if not reason.strip():
            raise InvalidInputError("tulis alasannya", field="reason", hint='--override --reason "alasan"')
        with self._store.transaction():
            job = self.job(job_id)
            if job.state not in (JobState.WAITING_RIGHT, JobState.HELD, JobState.QUEUED):
                raise InvalidInputError(
                    "hanya cetakan yang menunggu hak atau ditahan yang dapat dipaksa", field="job", value=job.id
                )
            if job.state is JobState.QUEUED and job.fence is not None:
                self.want(job_id)
                return self.job(job_id)
            if job.state is JobState.HELD:
                self.settle(job_id, Fact.RELEASED, now_ms=now_ms)
            self._store.connection.execute(
                "UPDATE job SET override = ?, fence = coalesce(fence, 0), wanted = 1, operator = ?, reason = '', "
                "state = 'queued' WHERE id = ?",
                (reason.strip(), operator, job_id),
            )
            return self.job(job_id)

    # Changes of state

    def settle(
        self, job_id: int, fact: Fact, *, now_ms: int, reason: str = "", operator: str = "",
        spoiled_by: str = PRINT_FAILURE, receiver: Receiver | None = None,
    ) -> Job:  # fmt: skip
        """Apply one fact: state, blank and the centre's event in one transaction. Returns the job after it.

        What a printer says of a card that is proven to be out changes nothing.

        Args:
            spoiled_by: a code of `sepe.stock.SPOIL_REASONS`, for a fact that spoils the blank.
            receiver: who took the card away, when it is handed over.

        Raises:
            InvalidInputError: no such job, or the table does not know this fact in its state.
        """
        with self._store.transaction():
            job = self.job(job_id)
            if job.state in PROVEN and fact in PRINTER_FACTS:
                # A scan came first: what the printer says after it adds nothing, and takes nothing away.
                return job
            step = spool.move(job.state, fact)
            if step.announce and not (step.announce == job.announced and step.state is JobState.RESERVED):
                self._store.append([self._card_moved(job, step.announce, reason, operator, receiver)], now_ms)
            if job.serial and step.blank is not Blank.KEPT:
                self._book_blank(job, step.blank, spoiled_by, now_ms)
            self._store.connection.execute(
                "UPDATE job SET state = ?, announced = max(announced, ?), changed_ms = ?, reason = ?, serial = ?, "
                "retry_ms = CASE WHEN ? THEN 0 ELSE retry_ms END, "
                "operator = CASE WHEN ? = '' THEN operator ELSE ? END WHERE id = ?",
                (
                    str(step.state), step.announce, now_ms, reason,
                    "" if step.blank is Blank.BACK else job.serial,
                    # What is let go asks for its right at once: the answer of before it was held is an old one.
                    step.state is JobState.QUEUED, operator, operator, job_id,
                ),
            )  # fmt: skip
            return self.job(job_id)

    def intend(self, job_id: int, *, printer: str, now_ms: int) -> Job:
        """Commit the intent to print: from here on a card may exist. Call it right before the printer is called.

        The blank was taken by `allot`; both may be in one outer transaction.
        """
        with self._store.transaction():
            self._store.connection.execute("UPDATE job SET printer = ? WHERE id = ?", (printer, job_id))
            if self.job(job_id).state is not JobState.READY:
                self.settle(job_id, Fact.CLEARED, now_ms=now_ms)
            self._store.put(SENT_KEY, str(self.sent_count() + 1))
            return self.settle(job_id, Fact.INTENT, now_ms=now_ms)

    def allot(self, job_id: int, now_ms: int) -> Job | None:
        """Take the next numbered blank for a job that needs one and has none; ``None`` when none is left.

        The attempt gets its name here, and a new one each time until a printer may know it. A name drawn with the
        wish would come back with a backup that was made before the printing, and then two cards would share it.
        """
        with self._store.transaction():
            job = self.job(job_id)
            if job.fence is None:
                return None  # The right went elsewhere meanwhile.
            if job.needs_blank and not job.serial:
                serial = self._shelf.next_at_hand(job.product)
                if serial is None:
                    self.settle(job_id, Fact.BLANK_MISSING, now_ms=now_ms, reason="blangko habis")
                    return None
                self._shelf.put(job.product, serial, BlankState.RESERVED, now_ms=now_ms, job=job_id)
                self._store.connection.execute("UPDATE job SET serial = ? WHERE id = ?", (serial, job_id))
            if not job.announced:
                name = attempt_name(self._secret())
                self._store.connection.execute("UPDATE job SET name = ? WHERE id = ?", (name, job_id))
            return self.job(job_id)

    def exchange_blank(self, job_id: int, serial: str, now_ms: int) -> Job:
        """The card was made on another blank than the ledger gave it: that one is the job's, the other goes back.

        Raises:
            InvalidInputError: the other blank is not at hand here; nothing is changed.
        """
        with self._store.transaction():
            job = self.job(job_id)
            self._shelf.find_state(job.product, serial, BlankState.AT_HAND)
            if job.serial:
                self._shelf.put(job.product, job.serial, BlankState.AT_HAND, now_ms=now_ms)
            self._shelf.put(job.product, serial, BlankState.RESERVED, now_ms=now_ms, job=job_id)
            self._store.connection.execute("UPDATE job SET serial = ? WHERE id = ?", (serial, job_id))
            return self.job(job_id)

    def grant(self, job_id: int, fence: int, now_ms: int) -> Job:
        """The hub moved the right to us."""
        with self._store.transaction():
            self._store.connection.execute("UPDATE job SET fence = ? WHERE id = ?", (fence, job_id))
            return self.settle(job_id, Fact.CLEARED, now_ms=now_ms)

    def await_right(self, reason: str, *, retry_ms: int, now_ms: int) -> int:
        """There is no line: everything without a right waits for one until ``retry_ms``. Returns how many."""
        with self._store.transaction():
            cursor = self._store.connection.execute(
                "UPDATE job SET state = 'waiting_right', reason = ?, retry_ms = ?, changed_ms = ? "
                f"WHERE state IN ('queued', 'waiting_right') AND {JOB_IS_OPEN} "
                "AND fence IS NULL AND retry_ms <= ?",
                (reason, retry_ms, now_ms, now_ms),
            )
        return int(cursor.rowcount)

    def deny(self, job_id: int, reason: str, *, retry_ms: int, now_ms: int) -> Job:
        """No right yet; ask again at ``retry_ms``."""
        with self._store.transaction():
            self._store.connection.execute("UPDATE job SET retry_ms = ? WHERE id = ?", (retry_ms, job_id))
            return self.settle(job_id, Fact.RIGHT_MISSING, now_ms=now_ms, reason=reason)

    def wake(self, *, today: str, now_ms: int) -> int:
        """Let go what waited for a day or for blanks that are there now, and hold what lacks a blank.

        What lacks its right as well waits for the blank first: a right that nothing can be printed under is better
        where there are blanks.

        Set-based: with a thousand cards waiting this is a handful of statements. Returns how many jobs moved.
        """
        moved: int = 0
        with self._store.transaction():
            execute = self._store.connection.execute
            moved += execute(
                "UPDATE job SET state = 'queued', changed_ms = ? "
                f"WHERE state = 'waiting_due' AND {JOB_IS_OPEN} AND due_day <= ?",
                (now_ms, today),
            ).rowcount
            for product in BLANK_PRODUCTS:
                at_hand = execute(
                    "SELECT 1 FROM blank WHERE product = ? AND state = 'at_hand' LIMIT 1", (product,)
                ).fetchone()
                if at_hand:
                    # All of them: who gets the blanks is for the queue's policy (`sepe.dispatch.policy`).
                    moved += execute(
                        "UPDATE job SET state = 'queued', reason = '', changed_ms = ? "
                        f"WHERE state = 'waiting_blank' AND {JOB_IS_OPEN} AND product = ?",
                        (now_ms, product),
                    ).rowcount
                else:
                    moved += execute(
                        "UPDATE job SET state = 'waiting_blank', reason = 'blangko habis', changed_ms = ? "
                        f"WHERE state IN ('queued', 'ready') AND {JOB_IS_OPEN} AND product = ? AND serial = ''",
                        (now_ms, product),
                    ).rowcount
        return moved

    # Questions

    def job(self, job_id: int) -> Job:
        """One job.

        Raises:
            InvalidInputError: there is none with this number.
        """
        found = self._jobs("id = ?", job_id)
        if not found:
            raise InvalidInputError(
                "tidak ada pekerjaan cetak dengan nomor ini",
                field="job",
                value=job_id,
                hint="Lihat nomornya dengan: sepe node prints DIR",
            )
        return found[0]

    def sent_count(self) -> int:
        """How many intents this ledger ever committed, repeats counted."""
        return int(self._store.get(SENT_KEY) or 0)

    def is_our_name(self, name: str) -> bool:
        """Whether this ledger drew the name, or a copy of it did."""
        return is_attempt_of(name, self._secret())

    def named(self, name: str) -> Job | None:
        """The attempt with this name, as printers and the code on the card have it."""
        found = self._jobs("name = ? LIMIT 1", name)
        return found[0] if found else None

    def on_blank(self, serial: str) -> list[Job]:
        """The attempts that have this blank now, oldest first; one for each product at most."""
        return self._jobs(
            "id IN (SELECT job FROM blank WHERE serial = ? AND job IS NOT NULL) AND serial = ? ORDER BY id",
            serial, serial,
        )  # fmt: skip

    def of_resident(self, nik: int) -> list[Job]:
        """Every job of one resident, oldest first."""
        return self._jobs("nik = ? ORDER BY id", nik)

    def in_state(self, *states: JobState, limit: int = 1_000_000) -> list[Job]:
        """Jobs in any of these states, oldest first."""
        marks = ", ".join("?" * len(states))
        is_open = f"AND {JOB_IS_OPEN}" if not set(states) & set(spool.DONE) else ""
        return self._jobs(f"state IN ({marks}) {is_open} ORDER BY id LIMIT {limit}", *map(str, states))

    def all(self, limit: int) -> list[Job]:
        """The latest jobs, newest first."""
        return self._jobs("1 ORDER BY id DESC LIMIT ?", limit)

    def wanting_right(self, now_ms: int, limit: int) -> list[Job]:
        """Jobs for which the hub is to be asked now; never one that no blank is left for.

        Unless an officer had the card moved elsewhere: then the answer says where it is made, and gives no right.
        """
        marks = ", ".join("?" * len(BLANK_PRODUCTS))
        return self._jobs(
            f"state IN ('queued', 'waiting_right') AND {JOB_IS_OPEN} AND fence IS NULL AND retry_ms <= ? "
            f"AND (product NOT IN ({marks}) OR serial <> '' OR EXISTS "
            "(SELECT 1 FROM blank WHERE blank.product = job.product AND blank.state = 'at_hand') OR EXISTS "
            "(SELECT 1 FROM print_right r WHERE r.nik = job.nik AND r.product = job.product "
            "AND r.issue = job.issue AND r.decided_ms > ?)) "
            "ORDER BY wanted DESC, issue > 1, id LIMIT ?",
            now_ms, *BLANK_PRODUCTS, now_ms, limit,
        )  # fmt: skip

    def next_ready(self, limit: int, *, wanted_only: bool = False) -> list[Job]:
        """Jobs that lack nothing but a printer: wanted ones first, first issues before reprints, then by age."""
        wanted = "AND wanted = 1" if wanted_only else ""
        return self._jobs(
            f"state IN ('queued', 'ready') AND {JOB_IS_OPEN} AND fence IS NOT NULL {wanted} "
            "ORDER BY wanted DESC, issue > 1, id LIMIT ?",
            limit,
        )

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = self._store.connection.execute("SELECT state, count(*) FROM job GROUP BY state ORDER BY state")
        return {str(state): int(count) for state, count in rows}

    def spoiled_count(self) -> int:
        """How many issues ended with a spoiled card, and nobody has asked for another."""
        row = self._store.connection.execute(
            "SELECT count(*) FROM job WHERE state = 'spoiled' AND NOT EXISTS (SELECT 1 FROM job later "
            "WHERE (later.nik, later.product, later.issue) = (job.nik, job.product, job.issue) "
            "AND later.id > job.id)"
        ).fetchone()
        return int(row[0])

    def recording_of(self, job: Job) -> bytes:
        """The body of the recording that asked for the job: a serialised ``Recorded``; ``b""`` if it is lost."""
        row = self._store.connection.execute(
            "SELECT coalesce((SELECT body FROM job WHERE id = ?), "
            "(SELECT body FROM outbox WHERE epoch = ? AND seq = ?), x'')",
            (job.id, job.epoch, job.seq),
        ).fetchone()
        return bytes(row[0])

    def waive(self, job_id: int, word: str, *, reason: str = "") -> None:
        """A person lets a card go without something (`node.printing.gate`); the job stays where it is."""
        with self._store.transaction():
            job = self.job(job_id)
            words = " ".join(sorted({*job.waived.split(), word}))
            self._store.connection.execute(
                "UPDATE job SET waived = ?, waived_why = coalesce(nullif(?, ''), waived_why) WHERE id = ?",
                (words, reason.strip(), job_id),
            )

    def _waivers(self, job: Job) -> tuple[str, str]:
        """What of a job's waivers the centre hears, and why."""
        words, why = TOLD & set(job.waived.split()), ""
        if words:
            (why,) = self._store.connection.execute(
                "SELECT waived_why FROM job WHERE id = ?", (job.id,)
            ).fetchone()
        confirmed = confirmation(self._store, job.due_day)
        if confirmed is not None:
            words, why = words | {DUE_DAY}, why or confirmed.reason
        return " ".join(sorted(words)), why

    def renumber(self, job_id: int, issue: int) -> Job:
        """Another issue of the same document, for a job that no printer knows; its right is asked for anew."""
        with self._store.transaction():
            job = self.job(job_id)
            self._store.connection.execute("UPDATE job SET issue = ?, retry_ms = 0 WHERE id = ?", (issue, job_id))
            RightBook(self._store).fit_jobs(Right(job.nik, job.product, issue))
            return self.job(job_id)

    def say(self, job_id: int, body: event_pb2.Recorded, claim: event_pb2.EventRef) -> None:
        """The card of a job that no printer has says this from now on, and bears the identity of that claim."""
        with self._store.transaction():
            self._store.connection.execute(
                "UPDATE job SET body = ?, claim = ?, name = ? WHERE id = ?",
                (
                    body.SerializeToString(deterministic=True),
                    claim.SerializeToString(deterministic=True),
                    # What was drawn under the old name is not printed any more.
                    attempt_name(self._secret()),
                    job_id,
                ),
            )

    def claim_of(self, job: Job) -> event_pb2.EventRef | None:
        """The claim whose identity the card bears; ``None`` where only another machine's recording is known."""
        claim, epoch = self._store.connection.execute(
            "SELECT claim, (SELECT epoch FROM epoch WHERE number = job.epoch) FROM job WHERE id = ?", (job.id,)
        ).fetchone()
        if claim:
            return event_pb2.EventRef.FromString(claim)
        return None if epoch is None else event_pb2.EventRef(node=self._store.node, epoch=epoch, seq=job.seq)

    def _secret(self) -> bytes:
        """The first epoch: every copy of this ledger has it, and nobody else but the centre."""
        return bytes(
            self._store.connection.execute("SELECT epoch FROM epoch ORDER BY number LIMIT 1").fetchone()[0]
        )

    def _jobs(self, condition: str, *arguments: object) -> list[Job]:
        rows = self._store.connection.execute(f"SELECT {COLUMNS} FROM job WHERE {condition}", arguments)
        return [Job.of(row) for row in rows.fetchall()]

    def _book_blank(self, job: Job, step: Blank, spoiled_by: str, now_ms: int) -> None:
        state = _BLANK_STATE[step]
        self._shelf.put(
            job.product, job.serial, state, now_ms=now_ms, job=None if step is Blank.BACK else job.id,
            reason=spoiled_by if step is Blank.SPOILED else "",
        )  # fmt: skip
        if job.printer and job.state in spool.SENT and step is not Blank.BACK:
            today = day_of(now_ms, self._store.node).isoformat()
            Conditions(self._store).count_card(job.printer, today, now_ms)

    def _card_moved(
        self, job: Job, state: int, reason: str, operator: str, receiver: Receiver | None = None
    ) -> Draft:
        waived, why = self._waivers(job)
        body = event_pb2.CardMoved(
            product=job.product,
            issue=job.issue,
            attempt=job.name,
            state=event_pb2.CardState.ValueType(state),
            serial=job.serial,
            fence=job.fence or 0,
            reason=reason or job.override or why,
            operator=operator or job.operator,
            override=bool(job.override),
            claim=self.claim_of(job) if state == event_pb2.CARD_STATE_SENT else None,
            waived=waived,
        )
        if receiver is not None:
            body.received_by = receiver.received_by
            body.receiver_name, body.receiver_document = receiver.name, receiver.document
        return draft(Kind.CARD_MOVED, job.nik, body)
