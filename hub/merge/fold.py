"""Folding frames into heads, and writing heads as one upsert per NIK."""

from __future__ import annotations

from collections.abc import Mapping

from sepe.codec import Columns
from sepe.head import HASH_MASK, Head, Parked, add_frame, event_hash
from sepe_io.sqlite import Connection

NIK_MAX = 10**16 - 1
# The head of the events that concern no resident: counted and in the digest, never a person.
NO_NIK = 0


def fold_frame(
    heads: dict[int, Head], columns: Columns, chains: list[bytes], *, frame_number: int, cap: int, start: int
) -> list[Parked]:
    """`sepe.head.add_frame`, and the events without a possible NIK go to the head of `NO_NIK`.

    A number of over 16 digits is nobody's; its event is parked, for a 64-bit column cannot hold every such
    number and no desk can have typed it.
    """
    parked = add_frame(heads, columns, chains, frame_number=frame_number, cap=cap, start=start)
    niks = columns.niks
    if min(niks) != 0 and max(niks) <= NIK_MAX:
        return parked
    stray = heads.setdefault(NO_NIK, Head())
    told = {one.index for one in parked}
    for index in range(start, len(columns)):
        nik = niks[index]
        if nik == 0 or nik > NIK_MAX:
            stray.events += 1
            stray.checksum += event_hash(chains[index], columns.stamps[index], cap)
            stray.checksum &= HASH_MASK
        if nik > NIK_MAX:
            heads.pop(nik, None)
            if index not in told:
                parked.append(Parked(index, "impossible_nik"))
    return parked


def write_heads(connection: Connection, heads: Mapping[int, Head], table: str = "head") -> None:
    """Add ``heads`` to those stored, in the order of the NIK: neighbours share pages."""
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
        [
            (
                nik,
                head.events,
                head.claims,
                head.identity_min,
                head.identity_max,
                head.prints,
                head.decisions,
                head.checksum,
                bytes(head.refs),
            )
            for nik, head in sorted(heads.items())
        ],
    )


def write_parked(connection: Connection, frame_number: int, parked: list[Parked], table: str = "parked") -> None:
    """Keep which events of a frame could not be folded."""
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} (frame, place, reason) VALUES (?, ?, ?)",
        [(frame_number, one.index, one.reason) for one in parked],
    )
