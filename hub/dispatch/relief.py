"""Carrying out what `hub.dispatch.overflow` proposes: which cards go, who is asked, and what came of it.

An officer decides, with a reason. The decision and the questions to the holders are one transaction, so a hub that
is killed in the middle has decided or has not. Deciding again what stands already changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from hub.attach.index import open_index
from hub.dispatch import elsewhere, feed, moves, overflow
from hub.dispatch.book import entry_of
from hub.dispatch.elsewhere import Asked
from hub.dispatch.frames import FrameCache
from hub.dispatch.moves import BlanksOrder, Key, Reroute
from hub.dispatch.orders import photo_of, recording_of
from hub.merge import project
from hub.merge.store import HubStore
from hub.read import printers
from sepe import card
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.hlc import wall_ms_of
from sepe.wire.v1 import event_pb2, sync_pb2
from sepe_io.sqlite import Connection, transaction, translated

REASON_CHARS_MAX = 1000
CARDS_PER_STEP = 400


@dataclass(frozen=True, slots=True)
class CardMove:
    """One card that is to be made elsewhere.

    Attributes:
        why: what keeps it from being out today where it is, as in ``PrintRoom.binding``.
        here_ms: when it would be out there, 0 when nobody can tell; ``there_ms`` at the other office, about.
        until_ms: when the receiving printers close.
        outcome: what became of the wish; ``None`` before it was asked for.
    """

    nik: int
    product: str
    issue: int
    from_node: str
    to_node: str
    why: str
    here_ms: int
    there_ms: int
    until_ms: int
    outcome: Asked | None = None


@dataclass(frozen=True, slots=True)
class Relief:
    """A plan with its cards; ``blanks`` that are to be brought with them or instead."""

    plan: overflow.Plan
    cards: tuple[CardMove, ...]
    blanks: tuple[BlanksOrder, ...]

    @property
    def unnamed(self) -> int:
        """How many cards of the plan nobody has named: their office told how many wait and not which."""
        count = sum(one.count for one in self.plan.moves if one.kind is overflow.Kind.CARDS)
        return max(0, count - len(self.cards))


class Stand(StrEnum):
    """How far a decision on a card is."""

    ASKED = "asked"  # Its holder has not answered.
    KEPT = "kept"  # Its holder makes it.
    MOVED = "moved"  # The other machine has the right.
    PRINTED = "printed"  # And the card is out.
    LAPSED = "lapsed"  # The receiving printers closed before the holder answered: it keeps the card.


@dataclass(frozen=True, slots=True)
class Progress:
    """One decision and what came of it; ``detail``: why it is kept, or the serial of the card."""

    reroute: Reroute
    stand: Stand
    detail: str = ""


def propose(
    store: HubStore, product: str, now_ms: int, *, least: int = overflow.MOVE_MIN,
    kinds: Collection[overflow.Kind] = tuple(overflow.Kind),
) -> Relief:  # fmt: skip
    """What should move today, and which cards these are: of each office those that it would come to first."""
    connection = store.connection
    rooms = {node: room for node, _, room in printers.rooms(connection)}
    plan = overflow.plan(printers.offices(connection, product, now_ms), now_ms, move_min=least, kinds=kinds)
    standing = {one.key for one in moves.reroutes(connection, after_ms=now_ms)}
    left = {one.from_node: _left(connection, one.from_node, product, standing) for one in plan.moves}
    there: dict[str, int] = {}
    cards, blanks = [], []
    for move in plan.moves:
        room = rooms[move.to_node]
        until_ms = int(room.close_ms)
        if move.kind is overflow.Kind.BLANKS:
            giver_ms = int(rooms[move.from_node].close_ms)
            blanks.append(BlanksOrder(product, move.from_node, move.to_node, move.count, max(until_ms, giver_ms)))
            continue
        for nik, issue, finish_ms, why in _first(left[move.from_node], move.count):
            ahead = there[move.to_node] = there.get(move.to_node, room.waiting) + 1
            there_ms = _finish_ms(room, ahead, now_ms)
            cards.append(
                CardMove(nik, product, issue, move.from_node, move.to_node, why, finish_ms, there_ms, until_ms)
            )
    return Relief(plan, tuple(cards), tuple(blanks))


def check(store: HubStore, relief: Relief, now_ms: int) -> list[CardMove]:
    """What `decide` would come to now; nothing is changed."""
    frames = FrameCache()
    with _index(store) as index, translated():
        return [replace(one, outcome=_obstacle(store.connection, index, frames, one)) for one in relief.cards]


def decide(store: HubStore, relief: Relief, *, reason: str, officer: str, now_ms: int) -> list[CardMove]:
    """Decide that these cards and blanks go, and ask for them; each card with what became of it.

    Raises:
        InvalidInputError: no reason.
    """
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise InvalidInputError(
            f"a decision needs a reason of at most {REASON_CHARS_MAX} characters", field="--reason", value=reason,
            hint="Say why these cards are made elsewhere today.",
        )  # fmt: skip
    done = []
    for start in range(0, len(relief.cards), CARDS_PER_STEP):
        with _index(store) as index, transaction(store.connection):
            desk = store.rights_desk(now_ms)
            for one in relief.cards[start : start + CARDS_PER_STEP]:
                outcome = _obstacle(store.connection, index, desk.frames, one)
                if outcome is None:
                    wanted = Reroute(
                        one.nik, one.product, one.issue, one.from_node, one.to_node, one.until_ms,
                        reason=reason, officer=officer,
                    )  # fmt: skip
                    outcome = elsewhere.ask(desk, wanted)
                done.append(replace(one, outcome=outcome))
            store.append_in_transaction(desk.drafts, now_ms)
    standing = {
        (one.product, one.from_node, one.to_node, one.count)
        for one in moves.blanks_orders(store.connection, after_ms=now_ms)
    }
    orders = [one for one in relief.blanks if (one.product, one.from_node, one.to_node, one.count) not in standing]
    with transaction(store.connection):
        store.append_in_transaction([_order(store.connection, one, reason, officer) for one in orders], now_ms)
    return done


def progress(
    store: HubStore, now_ms: int, *, keys: Collection[Key] | None = None, after_ms: int = 0
) -> list[Progress]:
    """How far each decision is, newest first; ``keys``: of these cards alone."""
    frames = FrameCache()
    with translated():
        return [
            _progress(store.connection, frames, one, now_ms)
            for one in moves.reroutes(store.connection, after_ms=after_ms)
            if keys is None or one.key in keys
        ]


def _progress(connection: Connection, frames: FrameCache, one: Reroute, now_ms: int) -> Progress:
    issues = card.issues_of(project.fold_events(frames.events_of(connection, one.nik)))
    out = next(
        (found.valid for found in issues if (found.product, found.issue) == one.key[1:] and found.valid), None
    )
    if out is not None:
        where = Stand.PRINTED if out.node == one.to_node else Stand.KEPT
        return Progress(one, where, out.serial)
    entry, _ = entry_of(connection, *one.key)
    if entry.holder == one.to_node:
        return Progress(one, Stand.MOVED)
    if one.until_ms <= now_ms:
        return Progress(one, Stand.LAPSED)
    row = connection.execute(
        "SELECT kept FROM right_ask WHERE nik = ? AND product = ? AND issue = ? AND fence = ?",
        (*one.key, entry.fence),
    ).fetchone()
    kept = str(row[0]) if row is not None else ""
    return Progress(one, Stand.KEPT if kept else Stand.ASKED, kept)


@contextmanager
def _index(store: HubStore) -> Iterator[Connection]:
    """What attachments the hub holds."""
    index = open_index(store.directory)
    try:
        yield index
    finally:
        index.close()


def _obstacle(connection: Connection, index: Connection, frames: FrameCache, one: CardMove) -> Asked | None:
    """What keeps a card where it is, as far as the hub's files tell it.

    A recording that is not at the hub cannot be sent on, and without its photo the other office could not draw it.
    """
    events = frames.events_of(connection, one.nik)
    if recording_of(events, one.product, one.issue) is None:
        return Asked.NOT_RECORDED
    photo = photo_of(events, one.product, one.issue)
    whole = "SELECT 1 FROM attachment WHERE sha256 = ? AND complete_ms IS NOT NULL"
    return Asked.NO_PHOTO if photo and not index.execute(whole, (photo,)).fetchone() else None


def _order(connection: Connection, one: BlanksOrder, reason: str, officer: str) -> Draft:
    feed.want_blanks(connection, replace(one, reason=reason))
    body = event_pb2.BlanksOrdered(
        product=one.product, count=one.count, from_node=one.from_node, to_node=one.to_node, until_ms=one.until_ms,
        reason=reason, officer=officer,
    )  # fmt: skip
    return draft(Kind.BLANKS_ORDERED, 0, body)


def _left(
    connection: Connection, node: str, product: str, but: Collection[Key]
) -> Iterator[tuple[int, int, int, str]]:
    rows = connection.execute(
        "SELECT nik, issue, finish_ms, why FROM left_card WHERE node = ? AND product = ? ORDER BY place",
        (node, product),
    ).fetchall()
    return (row for row in rows if (row[0], product, row[1]) not in but)


def _first(cards: Iterator[tuple[int, int, int, str]], count: int) -> Iterator[tuple[int, int, int, str]]:
    for _, one in zip(range(count), cards, strict=False):
        yield one


def _finish_ms(room: sync_pb2.PrintRoom, ahead: int, now_ms: int) -> int:
    """About when the card will be out that has so many before it there, itself included."""
    return now_ms + ahead * max(0, int(room.close_ms) - now_ms) // max(1, room.capacity)


def decided_ms(one: Reroute) -> int:
    """When it was decided, milliseconds since 1970."""
    return wall_ms_of(one.stamp)
