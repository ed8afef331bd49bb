"""The residents' projection read back: is what this desk knows of each resident what its own events say?

Only residents of whom every recording is still held can be checked: rows older than the retention margin are
pruned, and what a restored machine took back from the hub lies in no outbox. Times of a row are left as they
are: the stamps that would give them differ from the wall clock after it went back.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.desk.plan import Known, disagrees_with, known_after, known_amended, known_corrected
from node.storage import damage
from node.storage.store import NodeStore
from sepe import hlc
from sepe.errors import PeerProtocolError
from sepe.events import Kind, body_of
from sepe.identity import identity_key
from sepe.wire.v1 import event_pb2

ROWS_PER_TURN = 20_000
_COLUMNS = "claims, first_ms, last_ms, identity, is_disputed, known"


@dataclass(frozen=True, slots=True)
class Altered:
    """One resident whose row is not what the events say; ``stored`` is ``None`` when it is gone."""

    nik: int
    stored: Known | None
    right: Known


def altered_residents(store: NodeStore, turn: int | None = None) -> list[Altered]:
    """Residents who can be checked and whose row is wrong, by NIK.

    Args:
        turn: look at one part of a large office only, another one each turn; ``None`` looks at all.
    """
    with store.reading():
        if damage.damaged(store.connection, damage.OPEN):
            return []  # First the events themselves.
        is_whole = _is_whole(store)
        found = []
        parts = 1 if turn is None else _parts(store)
        for nik, right in sorted(_by_events(store, parts, (turn or 0) % parts).items()):
            row = store.connection.execute(f"SELECT {_COLUMNS} FROM resident WHERE nik = ?", (nik,)).fetchone()
            stored = None if row is None else Known.of(row)
            # What is missing here of a resident was recorded before the outbox begins: there is nothing to
            # compare.
            if not is_whole and (stored is None or stored.claims != right.claims):
                continue
            if stored is None or _facts(stored) != _facts(right):
                found.append(Altered(nik, stored, right))
    return found


def mend_residents(store: NodeStore, turn: int | None = None) -> int:
    """Write the rows of altered residents again; return how many. ``turn``: see `altered_residents`."""
    if not altered_residents(store, turn):
        return 0  # Nearly always: without the write lock.
    with store.transaction():
        found = altered_residents(store, turn)
        for one in found:
            right = one.right
            first_ms, last_ms = right.first_ms, right.last_ms
            if one.stored is not None:
                first_ms, last_ms = one.stored.first_ms, one.stored.last_ms
            store.connection.execute(
                f"INSERT OR REPLACE INTO resident (nik, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (one.nik, right.claims, first_ms, last_ms, right.identity, right.is_disputed, right.known),
            )
    return len(found)


def _facts(known: Known) -> tuple[int, bytes, bool, bytes]:
    return known.claims, known.identity, known.is_disputed, known.known


def _is_whole(store: NodeStore) -> bool:
    """Whether every event that this desk knows of lies in the outbox."""
    pruned = store.connection.execute("SELECT 1 FROM epoch WHERE pruned_seq > 0").fetchone()
    taken_back = store.connection.execute("SELECT 1 FROM meta WHERE key LIKE 'absorbed %'").fetchone()
    lost = damage.damaged(store.connection)
    return pruned is None and taken_back is None and not lost


def _parts(store: NodeStore) -> int:
    """How many parts the residents are looked at in; one is a fifth of a second of work."""
    return 1 + int(store.connection.execute("SELECT count(*) FROM outbox").fetchone()[0]) // ROWS_PER_TURN


def _by_events(store: NodeStore, parts: int, part: int) -> dict[int, Known]:
    """What the outbox says of each resident. Rows that were written again in a later epoch count once."""
    found: dict[int, Known] = {}
    rows = store.connection.execute(
        "SELECT o.nik, o.stamp, o.kind, o.body FROM outbox o JOIN epoch e ON e.number = o.epoch"
        " WHERE o.kind IN (?, ?, ?) AND o.seq > e.carried_seq AND o.nik % ? = ? ORDER BY o.epoch, o.seq",
        (Kind.RECORDED, Kind.CLAIM_CORRECTED, Kind.CORRECTED, parts, part),
    )
    last: dict[int, event_pb2.Recorded] = {}
    for nik, stamp, kind, data in rows:
        try:
            body = body_of(kind, data)
        except PeerProtocolError:
            continue
        known, now_ms = found.get(nik), hlc.wall_ms_of(stamp)
        match body:
            case event_pb2.Recorded():
                identity = identity_key(body.name, body.birth_date, body.sex)
                disagrees, changes = disagrees_with(known, body)
                found[nik], last[nik] = known_after(
                    known, body, data, identity=identity, now_ms=now_ms, is_changed=changes,
                    is_disputed=known is not None and (known.is_disputed or disagrees),
                ), body  # fmt: skip
            case event_pb2.ClaimCorrected() if known is not None:
                found[nik], last[nik] = known_corrected(known, last[nik], body, now_ms)
            case event_pb2.Corrected() if known is not None:
                found[nik], last[nik] = known_amended(known, last[nik], body, now_ms)
    return found
