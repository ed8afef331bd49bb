"""Printing in a world: a ledger that says what it means to do before it does it, and one printer that breaks.

A job needs a right: the home office has those of its own roll, everybody else asks the hub, and whoever holds one
gives it back on demand unless a card is being made under it (`sepe.rights`). The intent (attempt, serial, fence)
is committed before the printer gets the job; the printer's report confirms it. Power that fails in between leaves
a job in doubt, and a person looks into the tray before anything else happens to it. A card that was spoiled or
never came out is wished for again, in the commit that says so.

Whatever wakes a job, one place says what still keeps it (`Press.keeps`): its day, how the resident stands, the
right.

What the printer made is physical truth and lives in the oracle; no power cut and no backup changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

from sepe import card
from sepe.errors import PeerProtocolError
from sepe.events import Kind, body_of
from sepe.ids import EventId
from sepe.wire.v1 import event_pb2
from surge.world import bodies
from surge.world.bugs import Bug
from surge.world.disk import Job, OfficeDisk
from surge.world.loop import HOUR_MS, MINUTE_MS, SECOND_MS
from surge.world.oracle import Card, Wish
from surge.world.standing import LOST

if TYPE_CHECKING:
    from surge.world.office import Office

PRINT_MS = (20 * SECOND_MS, MINUTE_MS)
LOOK_MS = (10 * MINUTE_MS, HOUR_MS)
# What keeps a job, besides the standing.
DUE, DOUBT, NO_RIGHT = "due", "doubt", "no_right"
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
        # Nothing to print or to ask for until a wish, a right or another disk comes.
        self._is_idle = False

    # Ledger

    def new_job(
        self, disk: OfficeDisk, nik: int, issue: int, name: str = "", claim: EventId | None = None,
        *, override: bool = False, due_ms: int = 0,
    ) -> None:  # fmt: skip
        """A card was asked for, by this claim or the last one made here; part of the commit that records why."""
        if not name and disk.claimed.get(nik):
            name, claim = disk.claimed[nik][-1]
        self._wish(
            disk, Job("", nik, issue, card.REQUESTED, override=override, name=name, claim=claim, due_ms=due_ms)
        )
        self._office.world.oracle.wishes.append(Wish(self._office.name, nik, issue, name, due_ms))
        if due_ms:
            self.wake_at(due_ms)

    def fill(self, serials: Sequence[str]) -> None:
        """Blanks, lowest serial first, for the printer to take when those it has are used."""
        self.stack[:0] = reversed(serials)
        received = self._office.world.oracle.blanks_received
        received[self._office.name] = received.get(self._office.name, 0) + len(serials)
        self._is_idle = False
        self._office.talk.has_news()

    def pump(self) -> None:
        """Print the next job that may be printed."""
        office = self._office
        if self._is_idle or not office.is_up or self._in_printer is not None or not self.stack:
            return
        for job in list(office.disk.jobs.values()):
            if job.state != card.REQUESTED:
                continue
            why = self.keeps(office.disk, job)
            if not why and not self._is_taken(job):
                self._print(job)
                return
            if not why and not office.guarded(lambda job=job: self.set_state(job, card.VOID)):  # type: ignore[misc]
                return
        self._is_idle = True

    def keeps(self, disk: OfficeDisk, job: Job) -> str:
        """What keeps a job from being printed now: `DUE`, `DOUBT`, `HELD`, `LOST`, `NO_RIGHT`, or ``""``.

        A lost one stays: the officer may decide anew.
        """
        office, bug = self._office, self._office.world.bug
        if job.due_ms > (office.now_ms() if bug is Bug.DUE_BY_OWN_CLOCK else office.law_ms()):
            return DUE
        if job.is_doubtful:
            return DOUBT
        if job.override:
            return ""
        why = disk.standing(job.nik).verdict(job.name, is_disputed=disk.is_disputed(job.nik))
        if why and not (bug is Bug.WOKEN_WITHOUT_LOOKING and (job.is_again or job.due_ms)):
            return why
        return NO_RIGHT if disk.grip(job.nik, job.issue).fence is None else ""

    def wake_at(self, due_ms: int) -> None:
        """Somebody's day comes; the clock that counts may be a little behind."""
        loop = self._office.world.loop
        loop.after(max(due_ms - loop.now_ms, 0) + MINUTE_MS, self.woken)

    def woken(self) -> None:
        """Look at every job anew."""
        self._is_idle = False
        self.pump()

    def learn(self, disk: OfficeDisk, rows: Iterable[tuple[int, int, int, bytes]]) -> None:
        """Take card steps that we had lost, or our clone made, into the ledger; part of a commit."""
        self._is_idle = False
        asked: list[tuple[int, event_pb2.Recorded]] = []
        for nik, _stamp, kind, body in rows:
            try:
                step = body_of(kind, body)
            except PeerProtocolError:
                continue
            if isinstance(step, event_pb2.Recorded):
                disk.claim(nik, step.name, None)
                asked += [(nik, step)] if step.issue else []
            if isinstance(step, event_pb2.CardWithdrawn) and step.attempt in disk.jobs:
                disk.jobs[step.attempt] = disk.jobs[step.attempt]._replace(state=card.VOID)
            if not isinstance(step, event_pb2.CardMoved):
                continue
            if step.state in (card.SPOILED, card.VOID) and step.attempt not in disk.jobs:
                continue  # Over and done; whoever wanted the card asked again.
            known = disk.jobs.get(step.attempt)
            state = max(step.state, known.state) if known is not None else step.state
            claim = EventId(step.claim.node, step.claim.epoch, step.claim.seq) if step.HasField("claim") else None
            names = disk.claimed.get(nik, ())
            name = next((name for name, event in names if event == claim), names[-1][0] if names else "")
            disk.jobs[step.attempt] = Job(
                step.attempt, nik, step.issue, state, step.fence, step.serial, step.override,
                step.attempt.partition("/")[0], name if known is None else known.name, claim,
            )  # fmt: skip
        for nik, wanted in asked:
            self._wish_back(disk, nik, wanted)
        self._office.world.loop.after(SECOND_MS, self.look_after_start)

    def _wish_back(self, disk: OfficeDisk, nik: int, body: event_pb2.Recorded) -> None:
        """What was asked for and is not known as sent is what it was; a person sees whether it was made since."""
        if any((job.nik, job.issue) == (nik, body.issue) for job in disk.jobs.values()):
            return
        wish = Job(
            "", nik, body.issue, card.REQUESTED, name=body.name, due_ms=bodies.due_of(body), is_doubtful=True
        )
        self._wish(disk, wish)

    def look_after_start(self) -> None:
        """After a restart: what was sent and not confirmed is in doubt, and somebody looks into the tray."""
        office = self._office
        # The commit that the power cut may have taken, and with it a right.
        self._is_idle = False
        for job in list(office.disk.jobs.values()):
            if job.state == card.REQUESTED and job.due_ms:
                self.wake_at(job.due_ms)
            if job.is_doubtful:
                office.world.loop.after(self._rng.randrange(*LOOK_MS), self._look_for, office.life, job.attempt)
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
        self._is_idle = False
        self._office.talk.forget()

    def _print(self, job: Job) -> None:
        office = self._office
        if office.world.bug is Bug.PRINT_BEFORE_RESERVE:
            self._feed(job)
            delay_ms = self._rng.randrange(*PRINT_MS)
            office.world.loop.after(delay_ms, self._reserve_late, office.life, job.attempt)
            return
        # Named when it is tried, not when it is asked for: a ledger restored to the time between would give the
        # second card the first one's name, and the hub would see one card.
        fence = office.disk.grip(job.nik, job.issue).fence or 0
        fresh = job._replace(attempt=self._new_name(), serial=self.stack[-1], machine=office.name, fence=fence)
        self._office.world.oracle.intended(fresh, self._office)
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
            Card(
                job.attempt,
                job.nik,
                job.issue,
                serial,
                self._office.name,
                job.fence,
                job.override,
                ruined,
                job.name,
            )
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

    def _look_for(self, life: int, attempt: str) -> None:
        """A person looks whether a card lies there that nobody remembers."""
        office = self._office
        job = office.disk.jobs.get(attempt)
        if life != office.life or not office.is_up or job is None or not job.is_doubtful:
            return
        lying = office.world.oracle.forgotten(office.name, job, office.disk.jobs)
        if lying is None:
            cleared = job._replace(is_doubtful=False, is_again=True)
            done = office.guarded(lambda: self.set_state(cleared, cleared.state))
        else:
            found = job._replace(
                attempt=lying.attempt,
                serial=lying.serial,
                fence=lying.fence,
                machine=office.name,
                is_doubtful=False,
            )
            done = self._step(found, card.PRINTED, was=attempt)
        if not done and office.is_up:
            office.world.loop.after(5 * MINUTE_MS, self._look_for, life, attempt)
        self.woken()

    # Writing

    def _new_name(self) -> str:
        return f"{self._office.name}/{self._rng.getrandbits(40):010x}"

    def _step(self, job: Job, state: event_pb2.CardState.ValueType, *, was: str = "") -> bool:
        """Commit one step of an attempt, event and ledger in one; ``was`` is the job's name until now."""
        office, oracle = self._office, self._office.world.oracle
        fact = oracle.new_fact()
        body = bodies.card_moved(
            fact, issue=job.issue, attempt=job.attempt, state=state, serial=job.serial, fence=job.fence,
            override=job.override, claim=job.claim if state == card.SENT else None,
        )  # fmt: skip

        def write(disk: OfficeDisk) -> None:
            office.append(disk, int(Kind.CARD_MOVED), job.nik, body, fact)
            disk.jobs.pop(was, None)
            disk.jobs[job.attempt] = job._replace(state=state)
            oracle.intents.add(job.attempt)
            if state in (card.SPOILED, card.VOID):
                self._wish(disk, job._replace(state=card.REQUESTED, fence=0, serial="", machine="", is_again=True))

        done = office.guarded(lambda: office.commit(write))
        if done:
            office.relay.grew()
        return done

    def set_state(self, job: Job, state: int) -> None:
        """A step that nobody needs to hear of."""
        self._office.commit(lambda disk: disk.jobs.__setitem__(job.attempt, job._replace(state=state)))

    def _wish(self, disk: OfficeDisk, wish: Job) -> None:
        attempt = self._new_name()
        self._is_idle = False
        self._office.talk.has_news()
        disk.jobs[attempt] = wish._replace(attempt=attempt)

    def _is_taken(self, job: Job) -> bool:
        """Whether there is, or may be, a card of this issue; one that bears a lost name is none."""
        disk = self._office.disk
        return any(
            other.attempt != job.attempt and (other.nik, other.issue) == (job.nik, job.issue)
            and other.state in IN_HAND
            and disk.standing(job.nik).verdict(other.name, is_disputed=False) != LOST
            for other in disk.jobs.values()
        )  # fmt: skip
