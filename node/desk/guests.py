"""Cards that an officer at the centre had moved here: printed as if they had been recorded at this desk.

The recording stays its own office's; what is to be printed comes with the order, the photo is fetched after it.
Until the photo is here the card is held, so that a cut line never makes a card with a silhouette. The right comes
by the same list of news, and without it nothing is printed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date

from node.desk.day import day_of
from node.desk.photos import photo_path, write_secret
from node.printing.batches import Batches
from node.printing.job import Job
from node.printing.ledger import JOB_NAME_BYTES, Ledger
from node.printing.rights import Right, RightBook
from node.printing.spool import NO_CARD, Fact, JobState, facts_of
from node.storage.store import NodeStore
from sepe.attach import PHOTO
from sepe.identity import keys_of
from sepe.products import eligibility
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2

AWAITS_PHOTO = "menunggu foto dari pusat"
DECIDED = "pusat memutuskan: identitas inilah yang berlaku"


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that is still at the centre, and the card for which it is needed."""

    right: Right
    sha256: bytes


def take_order(store: NodeStore, nik: int, order: rights_pb2.CardOrder, now_ms: int) -> None:
    """Enter a card that is to be printed for another office, in the caller's transaction.

    An order without a recording says that there is nothing to print any more. Heard again, or of a card that is in
    the ledger here already, it changes nothing. By an officer's decision on whose the NIK is, a card of the
    identity that won is made here, where it was recorded: one that waits here takes the order's issue.
    """
    right = Right(nik, order.product, order.issue)
    if not order.HasField("recorded"):
        return
    ledger = Ledger(store)
    mine = [job for job in ledger.of_resident(nik) if job.product == order.product and job.state not in NO_CARD]
    if order.by_decision:
        keys = keys_of(order.recorded.name, order.recorded.birth_date, order.recorded.sex)
        same = [job for job in mine if not keys.isdisjoint(_keys_of(ledger, job))]
        if same:
            for job in same:
                if job.issue != order.issue and not job.announced and Fact.WITHDRAWN in facts_of(job.state):
                    ledger.renumber(job.id, order.issue)
            return
    if any(job.issue == order.issue for job in mine):
        return
    body = order.recorded
    photo = body.photo_sha256
    if not photo or photo_path(store.folder, photo).exists():
        photo = b""
    state, reason = (JobState.HELD, AWAITS_PHOTO) if photo else (JobState.QUEUED, _why(order))
    today = day_of(now_ms, store.node)
    due = due_day(body, today)
    if not photo and due > today:
        state = JobState.WAITING_DUE
    # Epoch 0 is no epoch of this database: the recording is none of ours.
    store.connection.execute(
        "INSERT INTO job (name, nik, product, issue, state, fence, epoch, seq, created_ms, changed_ms, due_day, "
        "reason, body, claim) VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?)",
        (secrets.token_hex(JOB_NAME_BYTES), *right, str(state), RightBook(store).fence(*right),
         order.asked_ms or now_ms, now_ms, due.isoformat(), reason, body.SerializeToString(deterministic=True),
         order.claim.SerializeToString(deterministic=True)),
    )  # fmt: skip
    if order.by_decision:
        Batches(store).collect_again(nik, order.issue, body, now_ms)
    if order.by_decision and not photo:
        return
    store.connection.execute(
        "INSERT OR REPLACE INTO guest_card (nik, product, issue, from_node, photo, came_ms) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (*right, order.from_node, photo, now_ms),
    )


def photos_wanted(store: NodeStore, limit: int) -> list[Photo]:
    """Photos that are to be fetched, oldest order first."""
    rows = store.connection.execute(
        "SELECT nik, product, issue, photo FROM guest_card WHERE photo <> x'' ORDER BY came_ms, nik LIMIT ?",
        (limit,),
    )
    return [Photo(Right(nik, product, issue), bytes(photo)) for nik, product, issue, photo in rows.fetchall()]


def photo_came(store: NodeStore, photo: Photo, data: bytes, now_ms: int) -> None:
    """The photo is here: the card may be printed. The caller has held its SHA-256 against its name.

    Raises:
        StorageFullError: there is no room for it; the card stays held.
    """
    write_secret(photo_path(store.folder, photo.sha256), data)
    with store.transaction():
        # The centre has it, so it goes when no job draws it any more (`node.attach.retention`).
        store.connection.execute(
            "INSERT INTO attachment (sha256, kind, bytes, recorded_ms, state, sent_ms) "
            "VALUES (?, ?, ?, ?, 'sent', ?) ON CONFLICT (sha256) DO UPDATE SET has_plain = 1",
            (photo.sha256, PHOTO, len(data), now_ms, now_ms),
        )
        store.connection.execute(
            "UPDATE guest_card SET photo = x'' WHERE nik = ? AND product = ? AND issue = ?", photo.right
        )
        ledger = Ledger(store)
        for job in ledger.of_resident(photo.right.nik):
            if job.state is JobState.HELD and job.reason == AWAITS_PHOTO:
                ledger.settle(job.id, Fact.RELEASED, now_ms=now_ms)
        RightBook(store).fit_jobs(photo.right)


def _why(order: rights_pb2.CardOrder) -> str:
    return DECIDED if order.by_decision else f"dialihkan dari {order.from_node}"


def due_day(body: event_pb2.Recorded, today: date) -> date:
    """The first day on which the card may be printed; today for what cannot be read, which the drawing refuses."""
    try:
        found = eligibility(body.product, date.fromisoformat(body.birth_date), body.marital_status, today=today)
    except (ValueError, KeyError):
        return today
    return max(found.due_date, today)


def _keys_of(ledger: Ledger, job: Job) -> frozenset[bytes]:
    body = event_pb2.Recorded.FromString(ledger.recording_of(job))
    return keys_of(body.name, body.birth_date, body.sex)
