"""Printing in a world: a ledger that says what it means to do before it does it, and one printer that breaks.

A job needs a right: the home office has those of its own roll, everybody else asks the hub, and whoever holds one
gives it back on demand unless a card is being made under it (`sepe.rights`). The intent (attempt, serial, fence)
is committed before the printer gets the job; the printer's report confirms it. Power that fails in between leaves
a job in doubt, and a person looks into the tray before anything else happens to it. A card that was spoiled or
never came out is wished for again, in the commit that says so.

What the printer made is physical truth and lives in the oracle; no power cut and no backup changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

from sepe import card
from sepe.errors import PeerProtocolError
from sepe.events import Kind, body_of
from sepe.rights import Reply, asked
from sepe.wire.v1 import event_pb2
from surge.world import bodies
from surge.world.bugs import Bug
from surge.world.disk import Job, OfficeDisk
from surge.world.loop import HOUR_MS, MINUTE_MS, SECOND_MS
from surge.world.oracle import Card, Wish
from surge.world.rights import FINAL, LET_GO, Answer, Key, Word

if TYPE_CHECKING:
    from surge.world.office import Office

PRINT_MS = (20 * SECOND_MS, MINUTE_MS)
LOOK_MS = (10 * MINUTE_MS, HOUR_MS)
CLAIM_EVERY_MS = HOUR_MS
ASK_EVERY_MS = 10 * MINUTE_MS
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
        self._asked_ms: dict[Key, int] = {}
        # Nothing to print or to ask for until a wish, a right or another disk comes.
        self._is_idle = False
        self._ask_again_ms = 0
        self._read_in = -1

    # Ledger

    def new_job(self, disk: OfficeDisk, nik: int, issue: int, *, override: bool) -> None:
        """A card was asked for; part of the commit that records why."""
        self._wish(disk, nik, issue, override=override)
        self._office.world.oracle.wishes.append(Wish(self._office.name, nik, issue))

    def fill(self, serials: Sequence[str]) -> None:
        """Blanks, lowest serial first, for the printer to take when those it has are used."""
        self.stack[:0] = reversed(serials)
        received = self._office.world.oracle.blanks_received
        received[self._office.name] = received.get(self._office.name, 0) + len(serials)
        self._is_idle, self._ask_again_ms = False, 0

    def give_back(self, nik: int, issue: int) -> None:
        """Return a right that nothing was printed under, without being asked."""
        office, key = self._office, (nik, issue)
        grip = office.disk.grip(nik, issue)
        fence = grip.fence
        if fence is None or self._is_bound(office.disk, key):
            return
        if office.guarded(lambda: office.commit(lambda disk: disk.grips.__setitem__(key, grip.promised(fence)))):
            office.world.return_right(office, key, fence)

    def pump(self) -> None:
        """Print the next job that may be printed."""
        office = self._office
        if self._is_idle or not office.is_up or self._in_printer is not None or not self.stack:
            return
        for job in list(office.disk.jobs.values()):
            if job.state == card.REQUESTED and (
                job.override or office.disk.grip(job.nik, job.issue).fence is not None
            ):
                if not self._is_taken(job):
                    self._print(job)
                    return
                if not office.guarded(lambda job=job: self._set(job, state=card.VOID)):  # type: ignore[misc]
                    return
        self._is_idle = True

    def line_is_up(self) -> None:
        """Ask the hub for the rights that jobs wait for, and read, once a connection, what it has to say."""
        office, now_ms = self._office, self._office.world.loop.now_ms
        if now_ms < self._ask_again_ms:
            return
        self._ask_again_ms = now_ms + ASK_EVERY_MS
        if self._read_in != office.relay.session:
            self._read_in = office.relay.session
            self.poked()
        for job in office.disk.jobs.values():
            if job.state == card.REQUESTED:
                self._claim((job.nik, job.issue))

    def answered(self, key: Key, answer: Answer) -> None:
        """The hub's answer to a claim, perhaps an old one or one that came before."""
        office = self._office
        if not office.is_up:
            return
        if answer.granted:
            grip = office.disk.grip(*key).granted(answer.fence)
            office.guarded(lambda: office.commit(lambda disk: disk.grips.__setitem__(key, grip)))
        elif answer.reason in FINAL:
            for job in [one for one in office.disk.jobs.values() if (one.nik, one.issue) == key]:
                if job.state == card.REQUESTED and not job.override:
                    office.guarded(lambda job=job: self._set(job, state=card.VOID))  # type: ignore[misc]
        self._is_idle = False
        self.pump()

    def poked(self) -> None:
        """The hub has something to tell."""
        office = self._office
        if office.is_up:
            office.world.read_words(office, office.disk.feed_id, office.disk.feed_seen)

    def heard_words(self, feed_id: int, last: int, words: list[Word]) -> None:
        """What the hub tells of rights, perhaps long ago: promises are on the disk before they are sent."""
        office = self._office
        if not office.is_up:
            return
        promised: list[tuple[Key, int]] = []

        def write(disk: OfficeDisk) -> None:
            for word in words:
                grip = disk.grip(*word.key)
                if word.kind == LET_GO:
                    grip, reply = asked(grip, word.fence, is_bound=self._is_bound(disk, word.key))
                    if reply is Reply.GIVE_BACK:
                        promised.append((word.key, word.fence))
                elif word.holder == disk.node:
                    grip = grip.granted(word.fence)
                disk.grips[word.key] = grip
            disk.feed_seen = max(last, disk.feed_seen) if feed_id == disk.feed_id else last
            disk.feed_id = feed_id

        if office.guarded(lambda: office.commit(write)):
            for key, fence in promised:
                office.world.return_right(office, key, fence)
            for word in words:
                if word.kind != LET_GO and not word.holder:
                    self._asked_ms.pop(word.key, None)
            self._is_idle, self._ask_again_ms = False, 0
            self.line_is_up()
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
            if step.state in (card.SPOILED, card.VOID) and step.attempt not in disk.jobs:
                continue  # Over and done; whoever wanted the card asked again.
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
        # The commit that the power cut may have taken, and with it a right.
        self._is_idle = False
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
            Card(job.attempt, job.nik, job.issue, serial, self._office.name, job.fence, job.override, ruined)
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
            fact, issue=job.issue, attempt=job.attempt, state=state, serial=job.serial, fence=job.fence,
            override=job.override,
        )  # fmt: skip

        def write(disk: OfficeDisk) -> None:
            office.append(disk, int(Kind.CARD_MOVED), job.nik, body, fact)
            disk.jobs.pop(was, None)
            disk.jobs[job.attempt] = job._replace(state=state)
            oracle.intents.add(job.attempt)
            if state in (card.SPOILED, card.VOID):
                self._wish(disk, job.nik, job.issue, override=job.override)

        done = office.guarded(lambda: office.commit(write))
        if done:
            office.relay.grew()
        return done

    def _set(self, job: Job, **changes: int) -> None:
        office = self._office
        office.commit(lambda disk: disk.jobs.__setitem__(job.attempt, job._replace(**changes)))  # type: ignore[arg-type]

    def _wish(self, disk: OfficeDisk, nik: int, issue: int, *, override: bool) -> None:
        attempt = self._new_name()
        self._is_idle, self._ask_again_ms = False, 0
        disk.jobs[attempt] = Job(attempt, nik, issue, card.REQUESTED, override=override)

    def _claim(self, key: Key) -> None:
        """Ask for a right, unless we hold it, could not use it, or asked a while ago."""
        office, now_ms = self._office, self._office.world.loop.now_ms
        grip = office.disk.grip(*key)
        if (
            self.stack
            and grip.fence is None
            and now_ms - self._asked_ms.get(key, -CLAIM_EVERY_MS) >= CLAIM_EVERY_MS
        ):
            self._asked_ms[key] = now_ms
            office.world.ask_right(office, key, grip.above)

    def _is_bound(self, disk: OfficeDisk, key: Key) -> bool:
        """Whether a card of that issue was begun here, or is about to be; without blanks none is."""
        return any(
            (job.nik, job.issue) == key
            and (job.state in IN_HAND or (job.state == card.REQUESTED and bool(self.stack)))
            for job in disk.jobs.values()
        )

    def _is_taken(self, job: Job) -> bool:
        return any(
            other.attempt != job.attempt and (other.nik, other.issue) == (job.nik, job.issue)
            and other.state in IN_HAND
            for other in self._office.disk.jobs.values()
        )  # fmt: skip
