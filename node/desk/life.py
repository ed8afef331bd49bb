"""A death, a move away, a court's word: what it writes, and what it does to the jobs here."""

from __future__ import annotations

from node.desk.standing import note_life
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.wire.v1 import event_pb2

STATES = {
    "alive": event_pb2.LIFE_STATE_ALIVE,
    "moved": event_pb2.LIFE_STATE_MOVED,
    "dead": event_pb2.LIFE_STATE_DEAD,
}


def change_life(
    store: NodeStore, nik: int, state: str, *, document: str, is_court_order: bool, operator: str, now_ms: int
) -> bool:
    """Write it down. A death withdraws what is still to be printed; the card itself is then to be collected.

    Returns:
        Whether it takes effect. A death, or a court's word, on a NIK that was never recorded here waits for an
        officer at the centre (`sepe.life`): it may be a mistyped number.

    Raises:
        InvalidInputError: no such state, no document, or a return to life without a court's order.
    """
    if state not in STATES:
        raise InvalidInputError("keadaan tidak dikenal", field="STATE", value=state, hint=", ".join(STATES))
    if not document.strip():
        raise InvalidInputError(
            "tulis nomor suratnya", field="--document", hint="Akta kematian, SKPWNI, atau penetapan pengadilan."
        )
    if state == "alive" and not is_court_order:
        raise InvalidInputError(
            "hanya penetapan pengadilan yang membatalkan kematian atau kepindahan", field="--court", hint="--court"
        )
    body = event_pb2.LifeChanged(
        state=STATES[state], court_order=is_court_order, document_number=document.strip(), operator=operator
    )
    with store.transaction():
        store.append([draft(Kind.LIFE_CHANGED, nik, body)], now_ms)
        return note_life(store, nik, STATES[state], now_ms, is_court_order=is_court_order)


def person(store: NodeStore, nik: int) -> event_pb2.Recorded | None:
    """Whose NIK it is, as far as this machine recorded him."""
    row = store.connection.execute("SELECT known FROM resident WHERE nik = ?", (nik,)).fetchone()
    return None if row is None else event_pb2.Recorded.FromString(row[0])
