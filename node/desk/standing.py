"""What the centre knows of a resident that decides over his cards, and what it does to the jobs here.

It comes by the list of news (`sepe.rpc.v1.Rights.Changes`): identities in conflict and the officer's decision on
them, deaths, NIK that are other ones now, cards to be collected. It says how things are, so hearing it again does
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.desk import guests, news
from node.desk.old_cards import IS_ENDED
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.rights import Right, RightBook
from node.printing.spool import Fact, JobState, facts_of
from node.stock import on_way
from node.storage.store import NodeStore
from sepe.identity import IDENTITY_KEY_BYTES, keys_of
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2

FEED_KEY, PLACE_KEY = "feed", "feed_place"
DISPUTED = "identitas berbeda, menunggu keputusan pusat"
DECIDED_OTHERWISE = "pusat memutuskan identitas lain untuk NIK ini; rekam ulang dengan data yang benar"
DEAD = "pemegang NIK tercatat meninggal"
REPLACED = "NIK ini sudah diganti oleh pusat"
# A job with one of these is withdrawn, not held.
ENDED = (DEAD, DECIDED_OTHERWISE, REPLACED)


@dataclass(frozen=True, slots=True)
class Standing:
    """The centre's word on one resident.

    Attributes:
        settled: the keys (`sepe.identity`) of all identities that were ever claimed, once it is settled which one
        stays,
            by an officer or by its office's correction; empty before.
        kept: of the one that stays.
        replaced_by: the NIK that counts instead of this one, 0 for none.
    """

    on_hold: bool = False
    is_dead: bool = False
    settled: frozenset[bytes] = frozenset()
    kept: frozenset[bytes] = frozenset()
    replaced_by: int = 0

    def verdict(self, keys: frozenset[bytes], *, is_disputed: bool) -> str:
        """Why a card with this identity is held; ``""``: it is not.

        Args:
            keys: of the identity, by `sepe.identity.keys_of`.
            is_disputed: claims made here disagree.
        """
        if self.replaced_by:
            return REPLACED
        if self.is_dead:
            return DEAD
        if not keys.isdisjoint(self.kept):
            return ""
        if not keys.isdisjoint(self.settled):
            return DECIDED_OTHERWISE
        return DISPUTED if self.on_hold or is_disputed else ""


UNKNOWN = Standing()


def standing_of(store: NodeStore, nik: int) -> Standing:
    """What the centre said of a resident."""
    row = store.connection.execute(
        "SELECT on_hold, life, settled, keep, kept, replaced_by FROM standing WHERE nik = ?", (nik,)
    ).fetchone()
    if row is None:
        return UNKNOWN
    on_hold, life, settled, keep, kept, replaced_by = row
    # An older hub names one key of the identity that stays.
    return Standing(
        bool(on_hold), life == event_pb2.LIFE_STATE_DEAD, _keys(settled), _keys(kept or keep), replaced_by
    )


def _keys(joined: bytes) -> frozenset[bytes]:
    size = IDENTITY_KEY_BYTES
    return frozenset(joined[start : start + size] for start in range(0, len(joined), size))


def place(store: NodeStore) -> tuple[bytes, int]:
    """In which list of the hub's this machine counts, and how far it has read it."""
    return bytes.fromhex(store.get(FEED_KEY) or ""), int(store.get(PLACE_KEY) or 0)


def apply_changes(store: NodeStore, answer: rights_pb2.ChangesResponse, now_ms: int) -> int:
    """Take in a part of the list, and note how far it was read: one transaction. Returns how many changes."""
    book = RightBook(store)
    with store.transaction():
        for change in answer.changes:
            before = news.look(store, change)
            match change.WhichOneof("what"):
                case "moved":
                    right = Right(change.nik, change.moved.product, change.moved.issue)
                    book.moved(right, change.moved.holder, change.moved.fence)
                case "let_go":
                    asked = change.let_go
                    book.asked(
                        Right(change.nik, asked.product, asked.issue), asked.fence, now_ms=now_ms,
                        decided_ms=asked.decided_until_ms,
                    )  # fmt: skip
                case "roll":
                    book.roll_moved(change.roll.kecamatan_code, change.roll.holder, change.roll.fence)
                case "standing":
                    _take_standing(store, change.nik, change.standing, now_ms)
                case "card":
                    guests.take_order(store, change.nik, change.card, now_ms)
                case "blanks":
                    on_way.take_word(store, change.blanks)
                case "bring":
                    on_way.take_wish(store, change.bring)
            news.note(store, change, before, now_ms)
        news.note_alarm(store, now_ms)
        store.put(FEED_KEY, answer.feed.hex())
        store.put(PLACE_KEY, str(answer.last))
    return len(answer.changes)


def note_life(store: NodeStore, nik: int, state: int, now_ms: int, *, is_court_order: bool = False) -> bool:
    """This office learned of a death or a move by itself before the centre; in the caller's transaction.

    Returns:
        Whether it takes effect here: of somebody who was never recorded here, a death and a court's word do not;
        see `sepe.life`.
    """
    is_grave = is_court_order or state == event_pb2.LIFE_STATE_DEAD
    if is_grave and not store.connection.execute("SELECT 1 FROM resident WHERE nik = ?", (nik,)).fetchone():
        return False
    store.connection.execute(
        "INSERT INTO standing (nik, on_hold, life, settled, keep, reason) VALUES (?, 0, ?, x'', x'', '') "
        "ON CONFLICT DO UPDATE SET life = excluded.life",
        (nik, state),
    )
    _fit_jobs(store, nik, now_ms)
    return True


def recalls(store: NodeStore) -> list[dict[str, object]]:
    """Cards that this office has to collect, by NIK: those that its machines made and that are not ended here."""
    rows = store.connection.execute(
        "SELECT nik, product, issue, attempt, serial, node, reason FROM recall WHERE substr(node, 1, 6) = ? "
        f"AND NOT {IS_ENDED} ORDER BY nik, product, issue",
        (store.node[:6],),
    )
    names = ("nik", "product", "issue", "attempt", "serial", "node", "reason")
    return [{**dict(zip(names, row, strict=True)), "why": row[-1]} for row in rows.fetchall()]


def _take_standing(store: NodeStore, nik: int, said: rights_pb2.Standing, now_ms: int) -> None:
    store.connection.execute(
        "INSERT OR REPLACE INTO standing (nik, on_hold, life, settled, keep, kept, replaced_by, reason) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            nik, int(said.on_hold), said.life, b"".join(sorted(said.settled)), said.keep,
            b"".join(sorted(said.kept)), said.replaced_by, said.reason,
        ),
    )  # fmt: skip
    store.connection.execute("DELETE FROM recall WHERE nik = ?", (nik,))
    store.connection.executemany(
        "INSERT OR REPLACE INTO recall (nik, product, issue, attempt, serial, node, reason) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (nik, one.product, one.issue, one.attempt, one.serial, one.node, one.reason)
            for one in said.recalls
        ],
    )  # fmt: skip
    _fit_jobs(store, nik, now_ms)


def _fit_jobs(store: NodeStore, nik: int, now_ms: int) -> None:
    ledger, standing = Ledger(store), standing_of(store, nik)
    for job in ledger.of_resident(nik):
        _fit(ledger, job, standing, now_ms)


def _fit(ledger: Ledger, job: Job, standing: Standing, now_ms: int) -> None:
    """Hold, release or withdraw a job as the centre's word wants it; what a supervisor forced is left alone."""
    if job.override:
        return
    body = event_pb2.Recorded.FromString(ledger.recording_of(job))
    keys = keys_of(body.name, body.birth_date, body.sex)
    why = standing.verdict(keys, is_disputed=False)
    possible = facts_of(job.state)
    if why in ENDED:
        if Fact.WITHDRAWN in possible:
            ledger.settle(job.id, Fact.WITHDRAWN, now_ms=now_ms, reason=why)
    elif why:
        if Fact.DISPUTED in possible:
            ledger.settle(job.id, Fact.DISPUTED, now_ms=now_ms, reason=why)
    elif job.state is JobState.HELD and not keys.isdisjoint(standing.kept):
        ledger.settle(job.id, Fact.RELEASED, now_ms=now_ms)
