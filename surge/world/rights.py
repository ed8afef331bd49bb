"""The hub's book of rights in a world, and what it tells the offices, by the product's own rules (`sepe.rights`).

A claim is answered at once. Who holds the right is asked for it by a list of words, one list for each machine's
name, in which a newer word on a subject takes the place of an older one; offices read on after each word of the
hub and when they are poked. Claims, answers, questions and returns are lost, doubled, late and crossed as the
faults say. Wishes and lists are no truth: a restored hub has none, and they come again with the next claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sepe import card
from sepe.claims import claims_of
from sepe.ids import EventId
from sepe.replaced import replaced_by
from sepe.resident import Resident
from sepe.rights import HOME_FENCE, HOME_MACHINE, NO_FENCE, Entry, claimed, given_back, kecamatan_of, taken_away
from surge.world.bugs import Bug
from surge.world.standing import UNDISPUTED, Standing, standing_of

if TYPE_CHECKING:
    from surge.world.centre import HubDisk
    from surge.world.hub import Hub
    from surge.world.world import World

Key = tuple[int, int]
LET_GO, MOVED, STANDING, ORDER = "let_go", "moved", "standing", "order"
# Answers after which waiting for the right is pointless: the card is out, or a later one is.
FINAL = frozenset({"already_printed", "superseded"})


class Word(NamedTuple):
    """What a machine is told: of a right, asked to let go of ``fence``, or who holds it now; of a resident, how he
    stands; of a card that an officer's decision made due, whose it is."""

    kind: str
    key: Key
    fence: int = 0
    holder: str = ""
    standing: Standing = UNDISPUTED
    name: str = ""
    claim: EventId | None = None


class Answer(NamedTuple):
    """The hub's answer to a claim."""

    granted: bool
    fence: int
    reason: str = ""


class Rights:
    """Claims, returns and decisions, each one step of the hub."""

    def __init__(self, world: World, hub: Hub) -> None:
        self._world, self._hub = world, hub

    @property
    def _disk(self) -> HubDisk:
        return self._hub.disk

    def entry(self, key: Key) -> Entry:
        """Who holds a right, beforehand the first machine of the office that the NIK begins with."""
        home = kecamatan_of(key[0]) + HOME_MACHINE
        return self._disk.rights.get(key) or Entry(home if self._world.has_node(home) else "", HOME_FENCE)

    def claim(self, key: Key, node: str, above: int) -> Answer:
        """The answer to a claim; as in `hub.dispatch.rights`, what stands against any card comes first."""
        entry = self.entry(key)
        resident = self._disk.resident(key[0])
        reason = obstacle(resident, key[1], node)
        if reason:
            return Answer(False, entry.fence, reason)
        used = max((step.fence for step in resident.steps if step.issue == key[1]), default=NO_FENCE)
        found = claimed(entry, node, above=above, used=used)
        if found is None and self._world.bug is Bug.RIGHT_WITHOUT_PROMISE:
            found = Entry(node, max(entry.fence, used) + 1)
        if found is None:
            self._disk.wishes.setdefault(key, set()).add(node)
            self._tell(entry.holder, Word(LET_GO, key, entry.fence))
            return Answer(False, entry.fence, "held")
        if found != entry:
            self._move(key, found, entry)
        self._disk.wishes.get(key, set()).discard(node)
        return Answer(True, found.fence)

    def give_back(self, key: Key, node: str, fence: int) -> None:
        """A machine promised never to print under ``fence``; an outdated promise changes nothing."""
        entry = self.entry(key)
        found = given_back(entry, node, fence)
        if found is not None:
            self._move(key, found, entry)

    def take_away(self, key: Key) -> None:
        """An officer decides that the holder is gone for good; in a world he is mistaken."""
        entry = self.entry(key)
        used = max((step.fence for step in self._disk.resident(key[0]).steps), default=NO_FENCE)
        self._move(key, taken_away(entry, used=used), entry)
        self._world.oracle.taken_away.add(key)

    def words(self, node: str, feed_id: int, after: int) -> tuple[int, list[Word]]:
        """(number of the last word, words above ``after``) of a machine's list; all when it read another list."""
        listed = self._disk.feed.get(node, {})
        start = after if feed_id == self._disk.feed_id else 0
        found = sorted((one for one in listed.values() if one[0] > start), key=lambda one: one[0])
        return (found[-1][0] if found else start), [word for _, word in found if self._is_meant(word, node)]

    def _is_meant(self, word: Word, node: str) -> bool:
        """An order that is fulfilled or was decided anew is not told again, as in `hub.dispatch.orders`."""
        nik, issue = word.key
        return word.kind != ORDER or any(
            (one.issue, one.claim.id) == (issue, word.claim) for one in card.owed(self._disk.resident(nik))
        )

    def tell_standing(self, nik: int) -> None:
        """Say how a resident stands to every machine that has to do with him, and whose card is due."""
        disk = self._disk
        resident = disk.resident(nik)
        word = Word(STANDING, (nik, 0), standing=standing_of(resident))
        subject = (STANDING, (nik, 0))
        told = {node for node, listed in disk.feed.items() if subject in listed}
        nodes = {one.version.node for one in resident.claims} | {one.version.node for one in resident.steps}
        concerned = told if word.standing == UNDISPUTED else told | nodes | {self.entry((nik, 1)).holder}
        for node in sorted(concerned - {""}):
            self._tell(node, word)
        orders = {
            (one.claim.version.node, (ORDER, (nik, one.issue))): Word(
                ORDER, (nik, one.issue), name=one.claim.name, claim=one.claim.id
            )
            for one in card.owed(resident)
        }
        for node, listed in disk.feed.items():
            for done in [
                key for key in listed if key[0] == ORDER and key[1][0] == nik and (node, key) not in orders
            ]:
                del listed[done]
        for (node, _), order in orders.items():
            self._tell(node, order)

    def _move(self, key: Key, found: Entry, before: Entry) -> None:
        self._hub.write_move(key, found)
        waiting = self._disk.wishes.get(key, set())
        for node in sorted((waiting | {before.holder, found.holder}) - {""}):
            self._disk.feed.get(node, {}).pop((LET_GO, key), None)
            self._tell(node, Word(MOVED, key, found.fence, found.holder))

    def _tell(self, node: str, word: Word) -> None:
        disk = self._disk
        before = disk.feed.get(node, {}).get((word.kind, word.key))
        if word.kind in (STANDING, ORDER) and before is not None and before[1] == word:
            return  # A question for a right is put again, for the answer may be another one now.
        disk.words_told += 1
        disk.feed.setdefault(node, {})[word.kind, word.key] = (disk.words_told, word)
        self._world.poke(node)


def obstacle(resident: Resident, issue: int, node: str) -> str:
    """Why no card of this issue may be made at ``node``, whoever holds the right; ``""`` when one may."""
    if replaced_by(resident):
        return "nik_replaced"
    claims = claims_of(resident)
    if claims.is_on_hold:
        return "nik_conflict"
    for found in card.issues_of(resident):
        if found.issue < issue:
            continue
        if found.valid is not None:
            return "already_printed" if found.issue == issue else "superseded"
        for one in found.attempts if found.issue == issue else ():
            is_lost = one.claim is not None and claims.is_lost(one.claim)
            if one.state in card.IN_HAND and one.node != node and not is_lost:
                return "in_hand"
    return ""
