"""What an office and the hub say to each other about rights, residents and cards; see `surge.world.rights`.

A promise is on the disk before it is sent, and what the hub says is on the disk before anybody acts by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sepe import card
from sepe.rights import Reply, asked
from surge.world.loop import HOUR_MS, MINUTE_MS
from surge.world.press import DUE, IN_HAND, NO_RIGHT
from surge.world.rights import FINAL, LET_GO, MOVED, ORDER, STANDING, Answer, Key, Word
from surge.world.standing import LOST

if TYPE_CHECKING:
    from surge.world.disk import Job, OfficeDisk
    from surge.world.office import Office

CLAIM_EVERY_MS = HOUR_MS
ASK_EVERY_MS = 10 * MINUTE_MS


class Talk:
    """One machine's side."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._asked_ms: dict[Key, int] = {}
        self._ask_again_ms = 0

    def has_news(self) -> None:
        """There is something to ask for that was not there before."""
        self._ask_again_ms = 0

    def forget(self) -> None:
        """The disk is another one."""
        self._ask_again_ms = 0
        self._asked_ms.clear()

    def line_is_up(self) -> None:
        """Ask the hub for the rights that jobs wait for, and read what it has to say."""
        office, now_ms = self._office, self._office.world.loop.now_ms
        if now_ms < self._ask_again_ms:
            return
        self._ask_again_ms = now_ms + ASK_EVERY_MS
        # Also when nothing was poked: a poke may be lost.
        self.poked()
        for job in office.disk.jobs.values():
            if job.state == card.REQUESTED and self._office.press.keeps(office.disk, job) == NO_RIGHT:
                self._claim((job.nik, job.issue))
        # A word of the hub's tells the time.
        office.press.woken()

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
                    office.guarded(lambda job=job: office.press.set_state(job, card.VOID))  # type: ignore[misc]
        office.press.woken()

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
        if feed_id == office.disk.feed_id and last <= office.disk.feed_seen:
            return  # A later answer came before it, and told the same or newer things.
        promised: list[tuple[Key, int]] = []

        def write(disk: OfficeDisk) -> None:
            if feed_id != disk.feed_id:
                disk.standings.clear()  # Another list says all that there is to say.
            for word in words:
                if word.kind == STANDING:
                    disk.standings[word.key[0]] = word.standing
                    continue
                if word.kind == ORDER:
                    self._take_order(disk, word)
                    continue
                grip = disk.grip(*word.key)
                if word.kind == LET_GO:
                    grip, reply = asked(grip, word.fence, is_bound=self.is_bound(disk, word.key))
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
                if word.kind == MOVED and not word.holder:
                    self._asked_ms.pop(word.key, None)
            self._ask_again_ms = 0
            office.press.woken()
            self.line_is_up()

    def give_back(self, nik: int, issue: int) -> None:
        """Return a right that nothing was printed under, without being asked."""
        office, key = self._office, (nik, issue)
        grip = office.disk.grip(nik, issue)
        fence = grip.fence
        if fence is None or self.is_bound(office.disk, key):
            return
        if office.guarded(lambda: office.commit(lambda disk: disk.grips.__setitem__(key, grip.promised(fence)))):
            office.world.return_right(office, key, fence)

    def is_bound(self, disk: OfficeDisk, key: Key) -> bool:
        """Whether a card of that issue was begun here, or is about to be; without blanks none is.

        Not by one whose day is to come, and not by one that bears a name which lost: whoever's name stands gets
        the issue under a higher fence.
        """
        return any(self._binds(disk, job) for job in disk.jobs.values() if (job.nik, job.issue) == key)

    def _binds(self, disk: OfficeDisk, job: Job) -> bool:
        if job.state in (card.SENT, card.IN_DOUBT):
            return True
        if disk.standing(job.nik).verdict(job.name, is_disputed=False) == LOST:
            return False
        press = self._office.press
        return job.state in IN_HAND or (
            job.state == card.REQUESTED and bool(press.stack) and press.keeps(disk, job) != DUE
        )

    def _take_order(self, disk: OfficeDisk, word: Word) -> None:
        """An officer kept whom this office recorded: his card, unless it is made or was asked for already."""
        nik, issue = word.key
        for job in list(disk.jobs.values()):
            if (job.nik, job.name) != (nik, word.name) or job.state in (card.SPOILED, card.VOID):
                continue
            if job.issue >= issue and job.state != card.HANDED_OVER:
                return
            if job.state == card.REQUESTED:
                del disk.jobs[job.attempt]
        self._office.press.new_job(disk, nik, issue, word.name, word.claim)

    def _claim(self, key: Key) -> None:
        """Ask for a right, unless we hold it, could not use it, or asked a while ago."""
        office, now_ms = self._office, self._office.world.loop.now_ms
        grip = office.disk.grip(*key)
        if (
            self._office.press.stack
            and grip.fence is None
            and now_ms - self._asked_ms.get(key, -CLAIM_EVERY_MS) >= CLAIM_EVERY_MS
        ):
            self._asked_ms[key] = now_ms
            office.world.ask_right(office, key, grip.above)
