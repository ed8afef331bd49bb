"""Printing in a world: a ledger that says what it means to do before it does it, and one printer that breaks.

A job needs a right: the home office has that of its own roll, everybody else asks the hub. The intent (attempt,
serial, fence) is committed before the printer gets the job; the printer's report confirms it. Power that fails in
between leaves a job in doubt, and a person looks into the tray before anything else happens to it.

What the printer made is physical truth and lives in the oracle; no power cut and no backup changes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

from sepe import card
from sepe.errors import PeerProtocolError
from sepe.events import Kind, body_of
from sepe.wire.v1 import event_pb2
from surge.world import bodies
from surge.world.bugs import Bug
from surge.world.disk import Job, OfficeDisk
from surge.world.loop import HOUR_MS, MINUTE_MS, SECOND_MS
from surge.world.oracle import Card

if TYPE_CHECKING:
    from surge.world.office import Office

PRINT_MS = (20 * SECOND_MS, MINUTE_MS)
LOOK_MS = (10 * MINUTE_MS, HOUR_MS)
CLAIM_EVERY_MS = 6 * HOUR_MS
ASK_EVERY_MS = 10 * MINUTE_MS
REFUSALS_MAX = 5
IN_HAND = frozenset({card.SENT, card.IN_DOUBT, card.PRINTED, card.HANDED_OVER})


class Press:
    """The print ledger and the printer of one machine.

    Attributes:
        stack: blanks in the printer, the next one last.
        tray: what became of each attempt that went through the printer: ``out`` or ``ruined``.
    """

    def __init__(self, office: Office, rng: Random) -> None:
        self.stack: list[str] = []
        self.tray: dict[str, str] = {}
        self._office, self._rng = office, rng
        self._in_printer: str | None = None
        self._printer_life = 0
        self._asked_ms: dict[str, int] = {}
        self._refusals: dict[str, int] = {}
        # Nothing to print or to ask for until a wish, a right or another disk comes.
        self._is_idle = False
        self._ask_again_ms = 0

    # Ledger

    def new_job(self, disk: OfficeDisk, nik: int, issue: int, *, override: bool) -> None:
        """A card was asked for; part of the commit that records why."""
        attempt = self._new_name()
        is_home = disk.node == f"{nik // 10**10:06}-1" and (nik, issue) not in disk.given_back
        fence = 0 if is_home or override else None
        self._is_idle, self._ask_again_ms = False, 0
        disk.jobs[attempt] = Job(attempt, nik, issue, card.REQUESTED, fence, override=override)

    def give_back(self, nik: int, issue: int) -> None:
        """Return a right of our own roll that nothing was printed under."""
        office = self._office
        if any((job.nik, job.issue) == (nik, issue) for job in office.disk.jobs.values()):
            return
        self._ask_again_ms = 0
        office.guarded(lambda: office.commit(lambda disk: disk.given_back.add((nik, issue))))

    def pump(self) -> None:
        """Print the next job that may be printed."""
        office = self._office
        if self._is_idle or not office.is_up or self._in_printer is not None or not self.stack:
            return
        for job in office.disk.jobs.values():
            if job.state == card.REQUESTED and job.fence is not None:
                if self._is_taken(job):
                    office.guarded(lambda job=job: self._set(job, state=card.VOID))  # type: ignore[misc]
                else:
                    self._print(job)
                return
        self._is_idle = True

    def line_is_up(self) -> None:
        """Ask the hub for the rights that jobs wait for, and return those that we gave back."""
        office, now_ms = self._office, self._office.world.loop.now_ms
        if now_ms < self._ask_again_ms:
            return
        self._ask_again_ms = now_ms + ASK_EVERY_MS
        for job in office.disk.jobs.values():
            if job.state == card.REQUESTED and job.fence is None:
                if now_ms - self._asked_ms.get(job.attempt, -CLAIM_EVERY_MS) < CLAIM_EVERY_MS:
                    continue
                self._asked_ms[job.attempt] = now_ms
                office.world.ask_right(office, job)
        for nik, issue in sorted(office.disk.given_back):
            if now_ms - self._asked_ms.get(f"{nik}/{issue}", -CLAIM_EVERY_MS) >= CLAIM_EVERY_MS:
                self._asked_ms[f"{nik}/{issue}"] = now_ms
                office.world.return_right(office, nik, issue)

    def answered(self, attempt: str, granted: bool, fence: int, reason: str) -> None:
        """The hub's answer to a claim."""
        office = self._office
        job = office.disk.jobs.get(attempt)
        if not office.is_up or job is None or job.state != card.REQUESTED:
            return
        self._is_idle = False
        if granted:
            office.guarded(lambda: self._set(job, fence=fence))
        else:
            self._refusals[attempt] = self._refusals.get(attempt, 0) + 1
            if reason == "already_printed" or self._refusals[attempt] >= REFUSALS_MAX:
                office.guarded(lambda: self._set(job, state=card.VOID))
        self.pump()

    def learn(self, disk: OfficeDisk, rows: Iterable[tuple[int, int, int, bytes]]) -> None:
        """Take card steps that we had lost, or our clone made, into the ledger; part of a commit."""
        self._is_idle = False
        for nik, _stamp, kind, body in rows:
            if kind != Kind.CARD_MOVED:
                continue
            try:
                step = body_of(kind, body)
            except PeerProtocolError:
                continue
            assert isinstance(step, event_pb2.CardMoved)
            known = disk.jobs.get(step.attempt)
            state = max(step.state, known.state) if known is not None else step.state
            disk.jobs[step.attempt] = Job(
                step.attempt, nik, step.issue, state, step.fence, step.serial, step.override,
                step.attempt.partition("/")[0],
            )  # fmt: skip
        self._office.world.loop.after(SECOND_MS, self.look_after_start)

    def look_after_start(self) -> None:
        """After a restart: what was sent and not confirmed is in doubt, and somebody looks into the tray."""
        office = self._office
        for job in list(office.disk.jobs.values()):
            if job.machine != office.name or job.state not in (card.SENT, card.IN_DOUBT):
                continue
            if job.attempt == self._in_printer:
                continue  # Still printing; its report will come.
            if job.state == card.SENT and not self._step(job, card.IN_DOUBT) and not office.is_up:
                return
            delay_ms = self._rng.randrange(*LOOK_MS)
            office.world.loop.after(delay_ms, self._resolve, office.life, job.attempt)
        self.pump()

    # Printer

    def power_lost(self) -> None:
        """The office's power failed; the printer may share the socket."""
        if self._rng.random() < 0.5:
            self._printer_life += 1
            attempt, self._in_printer = self._in_printer, None
            job = None if attempt is None else self._office.disk.jobs.get(attempt)
            if job is not None and self.stack and self._rng.random() < 0.5:
                self._eject(job, ruined=True)  # It had gripped the blank.

    def disk_went_back(self) -> None:
        """The ledger was restored or copied; what the printer does, it goes on doing."""
        self._is_idle, self._ask_again_ms = False, 0
        self._asked_ms.clear()
        self._refusals.clear()

    def _print(self, job: Job) -> None:
        office = self._office
        if office.world.bug is Bug.PRINT_BEFORE_RESERVE:
            self._feed(job)
            delay_ms = self._rng.randrange(*PRINT_MS)
            office.world.loop.after(delay_ms, self._reserve_late, office.life, job.attempt)
            return
        # Named when it is tried, not when it is asked for: a ledger restored to the time between would give the
        # second card the first one's name, and the hub would see one card.
        fresh = job._replace(attempt=self._new_name(), serial=self.stack[-1], machine=office.name)
        done = self._step(fresh, card.SENT, was=job.attempt)
        if done and office.guarded(lambda: office.step("between intent and print")):
            self._feed(fresh)

    def _reserve_late(self, life: int, attempt: str) -> None:
        office = self._office
        job = office.disk.jobs.get(attempt)
        if life == office.life and office.is_up and job is not None and self.stack:
            self._step(job._replace(serial=self.stack[-1], machine=office.name), card.SENT)
            if attempt in self.tray:
                self._confirm(attempt)

    def _feed(self, job: Job) -> None:
        self._in_printer = job.attempt
        self._office.world.loop.after(self._rng.randrange(*PRINT_MS), self._out, self._printer_life, job)

    def _out(self, printer_life: int, job: Job) -> None:
        if printer_life != self._printer_life:
            return
        self._in_printer = None
        world = self._office.world
        self._eject(job, ruined=world.strikes(world.faults.jam))
        if self._office.is_up:
            self._confirm(job.attempt)
            self.pump()

    def _eject(self, job: Job, *, ruined: bool) -> None:
        serial = self.stack.pop()
        self.tray[job.attempt] = "ruined" if ruined else "out"
        self._office.world.oracle.cards.append(
            Card(job.attempt, job.nik, job.issue, serial, self._office.name, job.override, ruined)
        )

    def _confirm(self, attempt: str) -> None:
        """The printer's report; a full disk is waited out."""
        office = self._office
        job = office.disk.jobs.get(attempt)
        if job is None or job.state not in (card.SENT, card.IN_DOUBT):
            return
        if not self._step(job, card.SPOILED if self.tray[attempt] == "ruined" else card.PRINTED) and office.is_up:
            office.world.loop.after(5 * MINUTE_MS, self._resolve, office.life, attempt)

    def _resolve(self, life: int, attempt: str) -> None:
        """A person looked into the tray."""
        office = self._office
        job = office.disk.jobs.get(attempt)
        if life != office.life or not office.is_up or job is None or job.state not in (card.SENT, card.IN_DOUBT):
            return
        if attempt == self._in_printer:
            return
        if attempt in self.tray:
            self._confirm(attempt)
        elif not self._step(job, card.VOID) and office.is_up:
            office.world.loop.after(5 * MINUTE_MS, self._resolve, life, attempt)
        self.pump()

    # Writing

    def _new_name(self) -> str:
        return f"{self._office.name}/{self._rng.getrandbits(40):010x}"

    def _step(self, job: Job, state: event_pb2.CardState.ValueType, *, was: str = "") -> bool:
        """Commit one step of an attempt, event and ledger in one; ``was`` is the job's name until now."""
        office, oracle = self._office, self._office.world.oracle
        fact = oracle.new_fact()
        body = bodies.card_moved(
            fact, issue=job.issue, attempt=job.attempt, state=state, serial=job.serial, fence=job.fence or 0,
            override=job.override,
        )  # fmt: skip

        def write(disk: OfficeDisk) -> None:
            office.append(disk, int(Kind.CARD_MOVED), job.nik, body, fact)
            disk.jobs.pop(was, None)
            disk.jobs[job.attempt] = job._replace(state=state)
            oracle.intents.add(job.attempt)

        done = office.guarded(lambda: office.commit(write))
        if done:
            office.relay.grew()
        return done

    def _set(self, job: Job, **changes: int) -> None:
        office = self._office
        office.commit(lambda disk: disk.jobs.__setitem__(job.attempt, job._replace(**changes)))  # type: ignore[arg-type]

    def _is_taken(self, job: Job) -> bool:
        return any(
            other.attempt != job.attempt and (other.nik, other.issue) == (job.nik, job.issue)
            and other.state in IN_HAND
            for other in self._office.disk.jobs.values()
        )  # fmt: skip
