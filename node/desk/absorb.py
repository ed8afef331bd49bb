"""Taking back what a restored machine lost: its own events, fetched from the hub.

The events stay the hub's; here only the projections learn of them, so that nothing is printed twice and no blank
is spent twice. What the machine did after the last event that the hub holds is lost for good, so a card that was
*sent* then is in doubt, and a person looks.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from google.protobuf.message import Message

from node.desk.day import day_of
from node.desk.guests import due_day
from node.desk.plan import Known
from node.desk.standing import note_life
from node.printing.batches import Batches
from node.printing.door import Door
from node.printing.due import due_today
from node.printing.ledger import JOB_NAME_BYTES, Ledger
from node.printing.rights import RightBook
from node.printing.spool import Fact, JobState
from node.stock.shelf import BlankState, Shelf
from node.storage.schema import JOB_IS_OPEN
from node.storage.store import NodeStore
from sepe import hlc
from sepe.card import HANDED_OVER, IN_DOUBT, PRINTED, SPOILED, VOID
from sepe.codec import Columns
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.events import body_of
from sepe.identity import identity_key
from sepe.reprints import LOST, SWAPPED
from sepe.serials import serials_between
from sepe.stock import BLANK_PRODUCTS, Movement
from sepe.wire.v1 import event_pb2

# A job that was sent becomes *reserved*: the press asks the printer, or it is in doubt.
_STATES = {
    IN_DOUBT: JobState.IN_DOUBT,
    PRINTED: JobState.PRINTED,
    SPOILED: JobState.SPOILED,
    HANDED_OVER: JobState.HANDED_OVER,
    VOID: JobState.VOID,
}
ASK = "hilang saat pemulihan; periksa apakah sudah dicetak"
# In meta, with the epoch: the seq up to which it was absorbed.
_ABSORBED = "absorbed "
# A recording's wish whose attempt was not seen yet; epoch 0 is no epoch of this database.
_LOST_WISH = "state = 'held' AND epoch = 0 AND announced = 0"
_BLANK_STATES = {PRINTED: BlankState.PRINTED, HANDED_OVER: BlankState.PRINTED, SPOILED: BlankState.SPOILED}
_MOVED = {
    Movement.RECEIVED: BlankState.AT_HAND,
    Movement.MOVED_IN: BlankState.AT_HAND,
    Movement.FOUND: BlankState.AT_HAND,
    Movement.MOVED_OUT: BlankState.MOVED_OUT,
    Movement.LOST: BlankState.LOST,
    Movement.SPOILED: BlankState.SPOILED,
    Movement.DESTROYED: BlankState.DESTROYED,
}


def absorb(store: NodeStore, epoch: bytes, first_seq: int, columns: Columns) -> int:
    """Teach residents, jobs and blanks what these lost events say; return how many were new.

    One transaction. Runs must come in order of seq; a repeat changes nothing.
    """
    key = _ABSORBED + epoch.hex()
    with store.transaction():
        after_seq = int(store.get(key) or 0)
        count = 0
        for seq, nik, stamp, body in _parsed(first_seq, columns):
            if seq <= after_seq:
                continue
            count += 1
            match body:
                case event_pb2.Recorded():
                    claim = event_pb2.EventRef(node=store.node, epoch=epoch, seq=seq)
                    _absorb_recorded(store, nik, hlc.wall_ms_of(stamp), body, claim)
                case event_pb2.CardMoved():
                    _absorb_card(store, nik, hlc.wall_ms_of(stamp), body)
                case event_pb2.CardWithdrawn():
                    _absorb_withdrawal(store, nik, hlc.wall_ms_of(stamp), body)
                case event_pb2.LifeChanged():
                    note_life(store, nik, body.state, hlc.wall_ms_of(stamp))
                case event_pb2.StockMoved():
                    _absorb_stock(store, hlc.wall_ms_of(stamp), body)
        store.put(key, str(max(after_seq, first_seq + len(columns) - 1)))
    return count


def absorbed(store: NodeStore) -> dict[bytes, int]:
    """Up to which seq each epoch was absorbed."""
    rows = store.connection.execute(
        "SELECT substr(key, ?), value FROM meta WHERE key GLOB ?", (len(_ABSORBED) + 1, f"{_ABSORBED}*")
    )
    return {bytes.fromhex(epoch): int(seq) for epoch, seq in rows}


def doubt_lost_wishes(store: NodeStore, now_ms: int) -> int:
    """After the last run: what was asked for and never seen sent. Returns how many are in doubt.

    What no printer can have had is what it was: not due, on hold, waiting for data or a word. Of the rest, a
    machine that was put back from a backup may have printed after the last event that the hub holds, and only a
    person can tell. A machine that takes a lost one's place (ADR 0024) goes by what the hub heard: what was never
    sent is queued.
    """
    ledger, door, today = Ledger(store), Door(store), due_today(store, now_ms)
    doubts = 0
    with store.transaction():
        is_replaced = _is_replaced(store)
        rows = store.connection.execute(f"SELECT id FROM job WHERE {_LOST_WISH}").fetchall()
        for (job_id,) in rows:
            ledger.settle(job_id, Fact.RELEASED, now_ms=now_ms)
            if door.look(job_id, today=today, now_ms=now_ms).state is not JobState.QUEUED or is_replaced:
                continue
            store.connection.execute("UPDATE job SET state = 'reserved' WHERE id = ?", (job_id,))
            ledger.settle(job_id, Fact.LOST, now_ms=now_ms, reason=ASK)
            doubts += 1
    return doubts


def _is_replaced(store: NodeStore) -> bool:
    """Whether all that was taken back is another database's: this one was empty when it began."""
    own = {bytes(epoch) for (epoch,) in store.connection.execute("SELECT epoch FROM epoch")}
    return own.isdisjoint(absorbed(store))


def _parsed(first_seq: int, columns: Columns) -> Iterable[tuple[int, int, int, Message | None]]:
    for index, (nik, stamp, kind, data) in enumerate(
        zip(columns.niks, columns.stamps, columns.kinds, columns.bodies, strict=True)
    ):
        try:
            body = body_of(kind, data)
        except PeerProtocolError:
            body = None  # The hub parked it; there is nothing to learn from it here.
        yield first_seq + index, nik, stamp, body


def _absorb_recorded(
    store: NodeStore, nik: int, at_ms: int, body: event_pb2.Recorded, claim: event_pb2.EventRef
) -> None:
    execute = store.connection.execute
    identity = identity_key(body.name, body.birth_date, body.sex)
    row = execute(
        "SELECT claims, first_ms, last_ms, identity, is_disputed, known FROM resident WHERE nik = ?", (nik,)
    ).fetchone()
    if row is None:
        known = Known(1, at_ms, at_ms, identity, False, body.SerializeToString(deterministic=True))
    else:
        old = Known.of(row)
        merged = event_pb2.Recorded.FromString(body.SerializeToString())
        merged.MergeFrom(event_pb2.Recorded.FromString(old.known))  # What was recorded since is later.
        known = Known(
            old.claims + 1, min(old.first_ms, at_ms), max(old.last_ms, at_ms), old.identity,
            old.is_disputed or identity != old.identity, merged.SerializeToString(deterministic=True),
        )  # fmt: skip
    execute(
        "INSERT OR REPLACE INTO resident VALUES (?, ?, ?, ?, ?, ?, ?)",
        (nik, known.claims, known.first_ms, known.last_ms, known.identity, known.is_disputed, known.known),
    )
    if body.issue and not _has_issue(store, nik, body.product, body.issue):
        data = body.SerializeToString(deterministic=True)
        name = secrets.token_hex(JOB_NAME_BYTES)
        _insert_job(
            store, name, nik, body.product, body.issue, state=JobState.HELD, at_ms=at_ms, body=data, claim=claim
        )
        Batches(store).collect_again(nik, body.issue, body, at_ms)


def _absorb_card(store: NodeStore, nik: int, at_ms: int, step: event_pb2.CardMoved) -> None:
    execute = store.connection.execute
    state = _STATES.get(step.state, JobState.RESERVED)
    job = execute("SELECT id FROM job WHERE nik = ? AND name = ?", (nik, step.attempt)).fetchone()
    if job is None:
        # A wish is an attempt once a printer may know it, so one of this issue that none knows yet is this
        # attempt: put in for its recording just now, or asked for before the backup and sent after it.
        wish = execute(
            "SELECT id FROM job WHERE nik = ? AND product = ? AND issue = ? AND announced = 0 "
            f"AND {JOB_IS_OPEN} ORDER BY id LIMIT 1",
            (nik, step.product, step.issue),
        ).fetchone()
        if wish is not None:
            execute("UPDATE job SET name = ? WHERE id = ?", (step.attempt, wish[0]))
            _give_back_blank(store, wish[0], at_ms)
        made = (step.attempt, nik, step.product, step.issue)
        job = wish or (_insert_job(store, *made, state=state, at_ms=at_ms, body=None),)
    execute(
        "UPDATE job SET state = ?, announced = ?, fence = ?, serial = ?, override = ?, operator = ?, "
        "changed_ms = ? WHERE id = ?",
        (str(state), step.state, step.fence, "" if step.state == VOID else step.serial,
         step.reason if step.override else "", step.operator, at_ms, job[0]),
    )  # fmt: skip
    if step.received_by:
        execute(
            "INSERT OR REPLACE INTO receiver (job, received_by, name, document) VALUES (?, ?, ?, ?)",
            (job[0], step.received_by, step.receiver_name, step.receiver_document),
        )
    if step.serial and step.product in BLANK_PRODUCTS:
        _absorb_blank(Shelf(store), step, job[0], at_ms)


def _give_back_blank(store: NodeStore, job: int, at_ms: int) -> None:
    """A wish may hold a blank already; the attempt that it became was printed on another."""
    shelf = Shelf(store)
    held = "SELECT product, serial FROM blank WHERE job = ? AND state = 'reserved'"
    for product, serial in store.connection.execute(held, (job,)).fetchall():
        shelf.put(product, serial, BlankState.AT_HAND, now_ms=at_ms)


def _absorb_blank(shelf: Shelf, step: event_pb2.CardMoved, job: int, at_ms: int) -> None:
    state = _BLANK_STATES.get(step.state, BlankState.RESERVED)
    known = shelf.state_of(step.product, step.serial)
    if step.state == VOID:
        # A blank went back when its attempt was given up; a card that was out and declared void keeps its own.
        if known is BlankState.PRINTED:
            return
        state = BlankState.AT_HAND
    keeper = None if state is BlankState.AT_HAND else job
    shelf.put(step.product, step.serial, state, now_ms=at_ms, job=keeper)


def _absorb_stock(store: NodeStore, at_ms: int, body: event_pb2.StockMoved) -> None:
    state = _MOVED.get(Movement(body.movement)) if body.movement in set(Movement) else None
    if state is None:
        return
    try:
        serials = serials_between(body.first_serial, body.last_serial or body.first_serial)
    except InvalidInputError:
        return
    shelf = Shelf(store)
    if body.movement in (Movement.RECEIVED, Movement.MOVED_IN):
        news = [one for one in serials if shelf.state_of(body.product, one) in (None, BlankState.MOVED_OUT)]
        shelf.take_in(body.product, news, body.movement, at_ms)
        return
    for serial in serials:
        shelf.put(body.product, serial, state, now_ms=at_ms, reason=body.reason)


def _absorb_withdrawal(store: NodeStore, nik: int, at_ms: int, body: event_pb2.CardWithdrawn) -> None:
    is_destroyed = (body.minutes.rpartition("/")[2], at_ms) if body.destroyed else ("", 0)
    lies_here = body.product in BLANK_PRODUCTS and body.reason not in (LOST, SWAPPED)
    # The card that was found again lies here, though it was lost before.
    store.connection.execute(
        "INSERT INTO old_card (nik, product, serial, attempt, issue, reason, document, lies_here, taken_ms, "
        "operator, minutes, destroyed_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "reason = excluded.reason, lies_here = excluded.lies_here, minutes = excluded.minutes, "
        "destroyed_ms = excluded.destroyed_ms",
        (nik, body.product, body.serial, body.attempt, body.issue, body.reason, body.document_number, lies_here,
         at_ms, body.operator, *is_destroyed),
    )  # fmt: skip


def _has_issue(store: NodeStore, nik: int, product: str, issue: int) -> bool:
    return bool(
        store.connection.execute(
            "SELECT 1 FROM job WHERE nik = ? AND product = ? AND issue = ?", (nik, product, issue)
        ).fetchone()
    )


def _insert_job(
    store: NodeStore,
    name: str,
    nik: int,
    product: str,
    issue: int,
    *,
    state: JobState,
    at_ms: int,
    body: bytes | None,
    claim: event_pb2.EventRef | None = None,
) -> int:
    today = day_of(at_ms, store.node)
    due = today if body is None else due_day(event_pb2.Recorded.FromString(body), today)
    cursor = store.connection.execute(
        "INSERT INTO job (name, nik, product, issue, state, fence, epoch, seq, created_ms, changed_ms, due_day, "
        "body, claim) VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?)",
        (name, nik, product, issue, str(state), RightBook(store).fence(nik, product, issue), at_ms, at_ms,
         due.isoformat(), body, b"" if claim is None else claim.SerializeToString(deterministic=True)),
    )  # fmt: skip
    return int(cursor.lastrowid)
