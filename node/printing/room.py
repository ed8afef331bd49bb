"""Telling the centre of our printers when what it knows is not so any more: the room, and the cards left over.

The greeting tells the room as well (`node.outbox`), but a line that stands for a day is greeted on once. This goes
with the question for news, at most once a minute, and only when the centre would plan otherwise if it knew.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.printing.outlook import OfficeDay, office_day, room_of
from node.printing.printers import Printers
from node.storage.store import NodeStore
from sepe.dispatch.forecast import NEVER_MS
from sepe.dispatch.outlook import Limit, limit_of
from sepe.dispatch.policy import JobClass
from sepe.dispatch.room import LEFT_CARDS_MAX, TOLD_AGAIN_MS, is_material
from sepe.errors import InvalidInputError
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import sync_pb2

# Of a queue of 50,000 a look takes a tenth of a second.
LOOK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Word:
    """What the centre is to be told.

    Attributes:
        left: cards that will not be out today, in the order of the queue, the first `LEFT_CARDS_MAX` of ``total``.
    """

    room: sync_pb2.PrintRoom
    left: tuple[rights_pb2.LeftCard, ...]
    total: int


class RoomTeller:
    """Remembers what the centre was told; for one thread at a time."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._told: Word | None = None
        self._told_ms = self._looked_ms = 0

    def due(self, now_ms: int) -> Word | None:
        """What is to be told now; ``None``: nothing new, or this machine prints nothing."""
        # A clock that was set back must not silence it.
        if 0 <= now_ms - self._looked_ms < LOOK_MS:
            return None
        self._looked_ms = now_ms
        word = word_of(self._store, now_ms)
        if word is None:
            return None
        before = self._told
        is_old = not 0 <= now_ms - self._told_ms < TOLD_AGAIN_MS
        if before is None or is_old or is_material(before.room, word.room) or _keys(before) != _keys(word):
            return word
        return None

    def told(self, word: Word, now_ms: int) -> None:
        """The centre has heard it."""
        self._told, self._told_ms = word, now_ms


def word_of(store: NodeStore, now_ms: int) -> Word | None:
    """What the centre would be told now; ``None``: there are no printers, or the policy cannot be read."""
    try:
        if not Printers(store).used():
            return None
        day = office_day(store, now_ms)
    except InvalidInputError:
        return None  # The policy file; the operator is told by every command that reads it.
    left = _left(store, day)
    return Word(room_of(day), tuple(left[:LEFT_CARDS_MAX]), len(left))


def _left(store: NodeStore, day: OfficeDay) -> list[rights_pb2.LeftCard]:
    """Cards that could be made elsewhere: their right is here, nothing but printer or blank is lacking, nobody
    waits for them in the room, and they will not be out today."""
    found = []
    finish = day.seen.played.finish_ms
    for one in day.queue:
        if not one.blank or one.has_blank or one.kind is JobClass.ROOM or one.ready_ms > day.now_ms:
            continue
        if one.waits_for not in {"", Limit.BLANKS} or finish.get(one.job, NEVER_MS) <= day.seen.close_ms:
            continue
        found.append(one)
    rights = dict(
        (job, (nik, product, issue))
        for job, nik, product, issue in store.connection.execute(
            "SELECT id, nik, product, issue FROM job WHERE fence IS NOT NULL AND override = '' "
            "AND state IN ('queued', 'ready', 'waiting_blank')"
        )
    )
    return [
        rights_pb2.LeftCard(
            nik=rights[one.job][0], product=rights[one.job][1], issue=rights[one.job][2],
            finish_ms=finish.get(one.job, 0), why="+".join(limit_of(one, day.seen)),
        )
        for one in found
        if one.job in rights
    ]  # fmt: skip


def _keys(word: Word) -> set[tuple[int, str, int]]:
    return {(one.nik, one.product, one.issue) for one in word.left}
