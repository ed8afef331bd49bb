"""Folding frames into head rows, and writing head rows as one upsert per NIK.

`sepe.head.add_frame` is the rule and this is its fast form (half the time): rows as plain lists, and no call for
what every event needs, because this loop runs once for each event of the country. The property tests hold both
equal.
"""

from __future__ import annotations

import struct
from operator import itemgetter
from typing import Any

from hub.engine.place import is_postgres
from sepe.codec import Columns
from sepe.errors import PeerProtocolError
from sepe.events import BODIES, Kind, body_of
from sepe.head import HASH_MASK, NO_IDENTITY_MAX, NO_IDENTITY_MIN, REF, REF_INDEX_BITS, Parked, event_hash
from sepe.identity import identity_key
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

NIK_MAX = 10**16 - 1
# The head of the events that concern no resident: counted and in the digest, never a person.
NO_NIK = 0

# One row of the head table by NIK, its columns in the order of `write_heads`.
Heads = dict[int, list[Any]]
_EVENTS, _CLAIMS, _MIN, _MAX, _PRINTS, _DECISIONS, _CHECKSUM, _REFS = range(1, 9)

_RECORDED, _CARD_MOVED, _CASE_DECIDED = int(Kind.RECORDED), int(Kind.CARD_MOVED), int(Kind.CASE_DECIDED)
_first_number = struct.Struct("<Q").unpack_from


def fold_frame(
    heads: Heads, columns: Columns, chains: list[bytes], *, frame_number: int, cap: int, start: int
) -> list[Parked]:
    """Add a frame's events, from index ``start``, to ``heads``; return those that could not be folded.

    A parked event still counts and keeps its pointer. A number of over 16 digits is nobody's: its event is parked
    and counts at `NO_NIK`, for a 64-bit column cannot hold every such number and no desk can have typed it.
    """
    parked: list[Parked] = []
    number = frame_number << REF_INDEX_BITS
    refs = struct.pack(f"<{len(columns)}Q", *range(number, number + len(columns)))
    is_capped = max(columns.stamps) > cap
    parse, key, find, read_number = event_pb2.Recorded.FromString, identity_key, heads.get, int.from_bytes
    for index in range(start, len(columns)):
        nik, kind, body = columns.niks[index], columns.kinds[index], columns.bodies[index]
        identity, prints, decisions = -1, 0, 0
        try:
            if kind == _RECORDED:
                claim = parse(body)
                identity = read_number(key(claim.name, claim.birth_date, claim.sex), "little") & HASH_MASK
            else:
                prints, decisions = _read_other(kind, body)
        except PeerProtocolError as exc:
            parked.append(Parked(index, exc.reason))
        except Exception as exc:
            # A poison event must not stop the office behind it, whatever it makes the parser raise.
            parked.append(Parked(index, f"unreadable_event: {type(exc).__name__}"))
        if is_capped:
            checksum = event_hash(chains[index], columns.stamps[index], cap)
        else:
            checksum = _first_number(chains[index])[0] & HASH_MASK
        if 0 < nik <= NIK_MAX:
            ref = refs[index * REF.size : (index + 1) * REF.size]
        else:
            if nik and not (parked and parked[-1].index == index):
                parked.append(Parked(index, "impossible_nik"))
            nik, identity, prints, decisions, ref = NO_NIK, -1, 0, 0, b""
        row = find(nik)
        if row is None:
            if identity >= 0:
                heads[nik] = [nik, 1, 1, identity, identity, prints, decisions, checksum, ref]
            else:
                heads[nik] = [nik, 1, 0, NO_IDENTITY_MIN, NO_IDENTITY_MAX, prints, decisions, checksum, ref]
            continue
        row[_EVENTS] += 1
        if identity >= 0:
            row[_CLAIMS] += 1
            row[_MIN] = min(row[_MIN], identity)
            row[_MAX] = max(row[_MAX], identity)
        row[_PRINTS] += prints
        row[_DECISIONS] += decisions
        row[_CHECKSUM] = (row[_CHECKSUM] + checksum) & HASH_MASK
        row[_REFS] += ref
    return parked


def write_heads(connection: Connection, heads: Heads, table: str = "head") -> None:
    """Add ``heads`` to those stored, in the order of the NIK: neighbours share pages."""
    rows = sorted(heads.values(), key=itemgetter(0))
    if is_postgres(connection):
        from hub.engine import heads as postgres

        postgres.write_heads(connection, rows, table)
        return
    # SQLite's || gives text even for two blobs, hence the cast.
    connection.executemany(
        f"INSERT INTO {table}"
        " (nik, events, claims, identity_min, identity_max, prints, decisions, checksum, refs)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (nik) DO UPDATE SET"
        " events = events + excluded.events,"
        " claims = claims + excluded.claims,"
        " identity_min = MIN(identity_min, excluded.identity_min),"
        " identity_max = MAX(identity_max, excluded.identity_max),"
        " prints = prints + excluded.prints,"
        " decisions = decisions + excluded.decisions,"
        f" checksum = (checksum + excluded.checksum) & {HASH_MASK},"
        " refs = CAST(refs || excluded.refs AS BLOB)",
        rows,
    )


def write_parked(connection: Connection, frame_number: int, parked: list[Parked], table: str = "parked") -> None:
    """Keep which events of a frame could not be folded."""
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} (frame, place, reason) VALUES (?, ?, ?)",
        [(frame_number, one.index, one.reason) for one in parked],
    )


def _read_other(kind: int, body: bytes) -> tuple[int, int]:
    """(cards printed, decisions) of an event that is no recording.

    Raises:
        PeerProtocolError: ``unknown_kind``, or it cannot be read.
    """
    if kind == _CARD_MOVED:
        return int(event_pb2.CardMoved.FromString(body).state == event_pb2.CARD_STATE_PRINTED), 0
    if kind == _CASE_DECIDED:
        event_pb2.CaseDecided.FromString(body)
        return 0, 1
    if kind not in BODIES:
        raise PeerProtocolError("unknown_kind", str(kind))
    body_of(kind, body)
    return 0, 0
