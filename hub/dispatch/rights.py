"""The hub's book of rights: who may print which issue, and the answers to those who ask.

The rules are `sepe.rights`; this module finds the facts and writes the moves, which are events of the hub itself.
Who holds a right that never moved by itself: the machine that an officer gave the roll of the kecamatan to
(``RollMoved``), else the *home machine*, the first machine of the kecamatan that the NIK begins with, at fence 0.
An office whose machine ``-1`` is not enrolled is spoken for by its lowest number, and as that may change, its
right is written down when it asks. So:

=====================================================  ==================================================
the claimant                                           gets
=====================================================  ==================================================
is not enrolled, or shut out                           ``unknown_node``, ``revoked``
asks for a NIK in an open conflict of identities       ``nik_conflict``
asks for a NIK that is another one now                 ``nik_replaced``
asks for a NIK whose owner is dead                     ``dead``
asks for an issue of which a card is out               ``already_printed``: where, when, on which blank
asks for an issue below one that is out                ``superseded``, and by whom
asks for an issue of which another machine may just    ``in_hand``: a job is sent or in doubt there
have made a card
holds the right                                        granted, same fence
asks while another machine holds it                    ``held``; the holder is asked to let go, and the answer
                                                       says what it said
asks for what an officer had moved away from it        ``held``, ``rerouted``; nobody is asked
asks while nobody holds it (given back, or no home     granted; the right moves to it, a fence higher
machine is enrolled)
=====================================================  ==================================================

A card that an officer had moved elsewhere (`hub.dispatch.moves`) goes there in the step that takes its holder's
promise: nobody else can claim in between.

A denied claim is remembered for as long as it is repeated (`WISH_MS`), so that whoever waits hears when a right
becomes free. Wishes and questions are no truth: lost with a disk, they come again with the next claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hub.dispatch import feed, moves
from hub.dispatch.book import entry_of, entry_of_roll, own_entries, own_entry
from hub.dispatch.frames import FrameCache, refs_of
from hub.dispatch.moves import Reroute
from hub.merge import project, registry
from sepe import card
from sepe.claims import claims_of
from sepe.events import Draft, Event, Kind, draft
from sepe.hlc import wall_ms_of
from sepe.ids import HUB_NODE
from sepe.life import life_of
from sepe.replaced import replaced_by, with_older
from sepe.resident import Resident
from sepe.rights import (
    FENCE_MAX,
    HOME_FENCE,
    HOME_MACHINE,
    NO_FENCE,
    Entry,
    claimed,
    given_back,
    kecamatan_of,
    taken_away,
)
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

# A wish that was not repeated for so long is nobody's any more.
WISH_MS = 7 * 24 * 3_600_000
# A repeated wish is written again no more often than this: most claims of those who wait then write nothing.
WISH_FRESH_MS = 10 * 60_000

CLAIMED, RETURNED, REROUTED = "claimed", "returned", "rerouted"

Key = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class RightClaim:
    """A machine asks for a right. ``above``: see `sepe.rights.claimed`."""

    nik: int
    product: str
    issue: int
    node: str
    above: int = 0


@dataclass(frozen=True, slots=True)
class RightReturn:
    """A machine promised never to print under ``fence``."""

    nik: int
    product: str
    issue: int
    node: str
    fence: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the hub says to a claim or a return; the fields are those of ``ClaimResponse``.

    Attributes:
        granted: the claimant may print under ``fence``; for a return: it is taken.
        holder: who holds the right, or made the card, after this answer; ``""`` nobody.
    """

    granted: bool
    holder: str
    fence: int
    reason: str
    asked_ms: int = 0
    kept: str = ""
    holder_seen_ms: int = 0
    printed_ms: int = 0
    card_state: str = ""
    serial: str = ""
    next_issue: int = 0


@dataclass(slots=True)
class RightsDesk:
    """Answers claims and returns in one write transaction; ``drafts`` are the moves, to be logged before it
    commits.

    Rights that moved are remembered, because the book on disk learns of them from the logged drafts.
    """

    connection: Connection
    now_ms: int
    frames: FrameCache
    drafts: list[Draft] = field(default_factory=list)
    _moved: dict[Key, Entry] = field(default_factory=dict)
    # By kecamatan: who holds the rights of its roll. Nobody is let in or shut out while we answer.
    _rolls: dict[str, Entry] = field(default_factory=dict)
    # Read at once for all who ask: each question to the database lets go of the interpreter, and then waits for
    # it while the event loop works.
    _known: frozenset[int] = frozenset()
    _own: dict[Key, Entry] = field(default_factory=dict)
    _refs: dict[int, bytes] = field(default_factory=dict)
    _strangers: dict[str, str] = field(default_factory=dict)
    _somebody_waits: bool = field(init=False)
    _some_go_elsewhere: bool = field(init=False)

    def __post_init__(self) -> None:
        self._some_go_elsewhere = moves.any_reroute(self.connection, self.now_ms)
        # Mostly nobody waits for anything; then a claim need not look for whom to tell.
        self._somebody_waits = self.connection.execute("SELECT 1 FROM right_wish LIMIT 1").fetchone() is not None

    def answer_all(self, requests: Sequence[RightClaim | RightReturn]) -> list[Answer]:
        """The answers in order, each as if it had come alone."""
        self._known = frozenset(one.nik for one in requests)
        self._own, self._refs = own_entries(self.connection, self._known), refs_of(self.connection, self._known)
        return [self.answer(one) for one in requests]

    def answer(self, request: RightClaim | RightReturn) -> Answer:
        """The answer to one request, by the table above."""
        if isinstance(request, RightReturn):
            return self.give_back(request)
        return self.claim(request)

    def claim(self, claim: RightClaim) -> Answer:
        """The answer to a claim."""
        refusal = self._strangers.get(claim.node)
        if refusal is None:
            refusal = self._strangers[claim.node] = stranger(self.connection, claim.node)
        if refusal:
            return Answer(False, "", 0, refusal)
        key = (claim.nik, claim.product, claim.issue)
        entry, is_written = self.entry(key)
        if entry.holder == claim.node and claim.above > entry.fence and self.going(key, claim.node) is not None:
            # It asks for more than it holds: so it promised that away, and its word of it is still on the way.
            self.give_back(RightReturn(*key, claim.node, entry.fence))
            entry, is_written = self.entry(key)
        events = self._events(claim.nik)
        resident = self._record(claim.nik, events) if events else None
        obstacle = None if resident is None else self.obstacle(resident, claim, entry)
        if obstacle is not None:
            return obstacle
        used = NO_FENCE if resident is None else _highest_fence(resident, claim)
        # Only machine 1 may lean on a right that is written nowhere: of the others the lowest speaks, and that may
        # change.
        is_implied = not is_written and entry.fence == HOME_FENCE and not claim.node.endswith(HOME_MACHINE)
        found = claimed(entry, claim.node, above=max(claim.above, int(is_implied)), used=used)
        if found is None:
            return self._denied(claim, entry)
        if found != entry:
            self._move(key, found, entry, CLAIMED)
        if self._somebody_waits:
            self._forget_wish(claim)
        return Answer(True, found.holder, found.fence, "")

    def assign(self, claim: RightClaim) -> Answer:
        """As a claim by that machine; it hears of the right by its list, for it did not ask."""
        answer = self.claim(claim)
        if answer.granted:
            entry = Entry(answer.holder, answer.fence)
            feed.tell_moved(self.connection, [claim.node], claim.nik, claim.product, claim.issue, entry)
        return answer

    def give_back(self, request: RightReturn) -> Answer:
        """The answer to a return; giving back what one gave back already is answered the same way again."""
        key = (request.nik, request.product, request.issue)
        entry, _ = self.entry(key)
        if entry == ("", request.fence + 1):
            return Answer(True, "", entry.fence, "")
        found = given_back(entry, request.node, request.fence)
        if found is None:
            reason = "stale_fence" if entry.holder == request.node else "not_holder"
            return Answer(False, entry.holder, entry.fence, reason)
        elsewhere = self.going(key, request.node)
        further = None if elsewhere is None else self._taken_over(elsewhere, found)
        if elsewhere is None or further is None:
            self._move(key, found, entry, RETURNED)
            return Answer(True, "", found.fence, RETURNED)
        self._move(key, further, entry, REROUTED, elsewhere.officer)
        feed.tell_card(self.connection, further.holder, *key, from_node=request.node, reason=elsewhere.reason)
        return Answer(True, further.holder, further.fence, REROUTED)

    def take_away(self, nik: int, product: str, issue: int, *, to: str, reason: str, officer: str) -> Entry:
        """Move a right because an officer decided that its holder is gone for good."""
        key = (nik, product, issue)
        entry, _ = self.entry(key)
        events = self.frames.events_of(self.connection, nik)
        used = _highest_fence(project.fold_events(events), RightClaim(*key, to)) if events else NO_FENCE
        found = taken_away(entry, to, used=used)
        self._move(key, found, entry, reason, officer)
        return found

    def going(self, key: Key, from_node: str) -> Reroute | None:
        """An officer's decision that still counts, that a card goes from this machine to another."""
        found = moves.reroute_of(self.connection, key) if self._some_go_elsewhere else None
        if found is None or found.from_node != from_node or found.to_node == from_node:
            return None
        return found if found.until_ms > self.now_ms else None

    def _taken_over(self, elsewhere: Reroute, free: Entry) -> Entry | None:
        """The entry once the other machine has it; ``None``: it may make no card now."""
        if stranger(self.connection, elsewhere.to_node):
            return None
        claim = RightClaim(*elsewhere.key, elsewhere.to_node)
        events = self.frames.events_of(self.connection, elsewhere.nik)
        resident = self._record(elsewhere.nik, events)
        if self.obstacle(resident, claim, free) is not None:
            return None
        return claimed(free, elsewhere.to_node, used=_highest_fence(resident, claim))

    def entry(self, key: Key) -> tuple[Entry, bool]:
        """The entry, and whether it is this right's own."""
        moved = self._moved.get(key)
        if moved is not None:
            return moved, True
        own = self._own.get(key) if key[0] in self._known else own_entry(self.connection, *key)
        if own is not None:
            return own, True
        roll = self._roll(key[0])
        return roll, roll.fence > HOME_FENCE

    def _events(self, nik: int) -> list[Event]:
        if nik in self._known:
            return self.frames.events_at(self.connection, nik, self._refs.get(nik, b""))
        return self.frames.events_of(self.connection, nik)

    def _record(self, nik: int, events: list[Event]) -> Resident:
        return with_older(
            project.fold_events(events), nik,
            lambda old_nik: project.fold_events(self.frames.events_of(self.connection, old_nik)),
        )  # fmt: skip

    def _roll(self, nik: int) -> Entry:
        code = kecamatan_of(nik)
        found = self._rolls.get(code)
        if found is None:
            found = self._rolls[code] = entry_of_roll(self.connection, nik)
        return found

    def obstacle(self, resident: Resident, claim: RightClaim, entry: Entry) -> Answer | None:
        """Why no card of this issue may be made now, whoever holds the right."""
        if replaced_by(resident):
            return Answer(False, entry.holder, entry.fence, "nik_replaced")
        claims = claims_of(resident)
        if claims.is_on_hold:
            return Answer(False, entry.holder, entry.fence, "nik_conflict")
        if life_of(resident) == event_pb2.LIFE_STATE_DEAD:
            return Answer(False, entry.holder, entry.fence, "dead")
        issues = card.issues_of(resident)
        for found in issues:
            if found.product != claim.product or found.issue < claim.issue:
                continue
            if found.valid is not None:
                reason = "already_printed" if found.issue == claim.issue else "superseded"
                return Answer(
                    False, found.valid.node, found.valid.fence, reason,
                    printed_ms=wall_ms_of(found.valid.out.stamp), card_state=project.state_name(found.valid.state),
                    serial=found.valid.serial, next_issue=card.next_issue(issues, claim.product),
                )  # fmt: skip
            for attempt in found.attempts if found.issue == claim.issue else ():
                # What may come out with an identity that lost is void already.
                is_lost = attempt.claim is not None and claims.is_lost(attempt.claim)
                if attempt.state in card.IN_HAND and attempt.node != claim.node and not is_lost:
                    return replace(
                        self._seen(Answer(False, attempt.node, attempt.fence, "in_hand"), attempt.node),
                        card_state=project.state_name(attempt.state), serial=attempt.serial,
                    )  # fmt: skip
        return None

    def _denied(self, claim: RightClaim, entry: Entry) -> Answer:
        """Note the wish and ask the holder to let go, unless an officer had the card moved there."""
        self._somebody_waits = True
        connection, key = self.connection, (claim.nik, claim.product, claim.issue)
        row = connection.execute(
            "SELECT wished_ms FROM right_wish WHERE nik = ? AND product = ? AND issue = ? AND node = ?",
            (*key, claim.node),
        ).fetchone()
        if row is None or self.now_ms - row[0] > WISH_FRESH_MS:
            connection.execute(
                "INSERT OR REPLACE INTO right_wish (nik, product, issue, node, wished_ms) VALUES (?, ?, ?, ?, ?)",
                (*key, claim.node, self.now_ms),
            )
            connection.execute("DELETE FROM right_wish WHERE wished_ms < ?", (self.now_ms - WISH_MS,))
        elsewhere = self.going(key, claim.node)
        if elsewhere is not None and elsewhere.to_node == entry.holder:
            return self._seen(Answer(False, entry.holder, entry.fence, "held", kept=REROUTED), entry.holder)
        asked = connection.execute(
            "SELECT fence, asked_ms, kept FROM right_ask WHERE nik = ? AND product = ? AND issue = ?", key
        ).fetchone()
        if asked is None or asked[0] != entry.fence:
            connection.execute(
                "INSERT OR REPLACE INTO right_ask (nik, product, issue, fence, asked_ms, kept)"
                " VALUES (?, ?, ?, ?, ?, '')",
                (*key, entry.fence, self.now_ms),
            )
            asked = (entry.fence, self.now_ms, "")
            feed.ask_to_let_go(connection, entry, *key, asked_by=claim.node)
        answer = Answer(False, entry.holder, entry.fence, "held", asked_ms=asked[1], kept=asked[2])
        return self._seen(answer, entry.holder)

    def _seen(self, answer: Answer, node: str) -> Answer:
        return replace(answer, holder_seen_ms=registry.last_seen_ms(self.connection, node))

    def _move(self, key: Key, found: Entry, before: Entry, reason: str, officer: str = "") -> None:
        nik, product, issue = key
        body = event_pb2.RightMoved(
            product=product, issue=issue, holder=found.holder, fence=found.fence, reason=reason, officer=officer
        )
        self.drafts.append(draft(Kind.RIGHT_MOVED, nik, body))
        self._moved[key] = found
        connection, told = self.connection, {before.holder, self._roll(nik).holder}
        if reason != CLAIMED:
            told.add(found.holder)  # A claimant has it from the answer, and asks again if that is lost.
        else:
            told.discard(found.holder)
        if not self._somebody_waits:
            feed.tell_moved(connection, told, nik, product, issue, found)
            return
        waiting = [
            node
            for (node,) in connection.execute(
                "SELECT node FROM right_wish WHERE nik = ? AND product = ? AND issue = ?", key
            )
        ]
        connection.execute("DELETE FROM right_ask WHERE nik = ? AND product = ? AND issue = ?", key)
        feed.tell_moved(connection, told.union(waiting), nik, product, issue, found)

    def _forget_wish(self, claim: RightClaim) -> None:
        self.connection.execute(
            "DELETE FROM right_wish WHERE nik = ? AND product = ? AND issue = ? AND node = ?",
            (claim.nik, claim.product, claim.issue, claim.node),
        )


def note_kept(connection: Connection, key: Key, *, fence: int, reason: str, holder: str) -> None:
    """The holder was asked for a right and keeps it; whoever claims hears why."""
    if entry_of(connection, *key)[0] == (holder, fence):
        connection.execute(
            "UPDATE right_ask SET kept = ?"
            " WHERE nik = ? AND product = ? AND issue = ? AND fence = ? AND kept <> ?",
            (reason, *key, fence, reason),
        )


def _highest_fence(resident: Resident, claim: RightClaim) -> int:
    fences = (
        step.fence
        for step in resident.steps
        if (step.product, step.issue) == (claim.product, claim.issue) and step.fence <= FENCE_MAX
    )
    return max(fences, default=NO_FENCE)


def stranger(connection: Connection, node: str) -> str:
    """Why this machine is given nothing: ``unknown_node``, ``revoked``; ``""`` when it is enrolled."""
    if node == HUB_NODE or not registry.is_enrolled(connection, node):
        known = connection.execute("SELECT 1 FROM node WHERE node = ?", (node,)).fetchone()
        return "revoked" if known else "unknown_node"
    return ""
