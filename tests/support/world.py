"""Synthetic nodes: they write events, keep their own history and cut signed frames from it, without any database.

NIK serials are 9xxx: nobody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sepe.codec import Columns, chain_start, chains
from sepe.events import Draft, Event, Kind, draft
from sepe.hlc import next_stamp
from sepe.ids import EventId
from sepe.wire.v1 import event_pb2, sync_pb2
from sepe_io.frames import seal_frame, sign_hello
from sepe_io.keys import Signer

START_MS = 1_727_485_200_000  # 28 September 2024, 09.00 in Kupang.


def nik_of(number: int, kecamatan: str = "537104") -> int:
    """The ``number``-th synthetic NIK of a kecamatan, 0 to 300,000 or so: born 1 January 1990 and later."""
    day, serial = divmod(number, 1000)
    month, day = divmod(day, 28)
    year, month = divmod(month, 12)
    return int(f"{kecamatan}{day + 1:02}{month + 1:02}{(90 + year) % 100:02}{9000 + serial:04}")


def recorded(
    nik: int, name: str = "MARIA TAEK", *, birth_date: str = "1990-01-01", sex: str = "P", **fields: object
) -> Draft:
    """A recording; further fields of ``Recorded`` by name."""
    body = event_pb2.Recorded(name=name, birth_date=birth_date, sex=sex, product="ktp-el", reason="new", issue=1)
    for key, value in fields.items():
        setattr(body, key, value)
    return draft(Kind.RECORDED, nik, body)


def corrected(nik: int, **fields: str) -> Draft:
    """A correction of fields other than identity."""
    return draft(Kind.CORRECTED, nik, event_pb2.Corrected(fields=fields))


def card_moved(
    nik: int, state: int = event_pb2.CARD_STATE_PRINTED, *, attempt: str = "a", fence: int = 0, issue: int = 1
) -> Draft:
    """One step of one attempt at a KTP-el."""
    body = event_pb2.CardMoved(product="ktp-el", issue=issue, attempt=attempt, fence=fence, serial=f"S-{attempt}")
    body.state = state  # type: ignore[assignment]
    return draft(Kind.CARD_MOVED, nik, body)


def stock_moved(count: int = 100) -> Draft:
    """Card stock that came: an event without a resident."""
    body = event_pb2.StockMoved(product="ktp-el", movement="received", first_serial="A1", count=count)
    return draft(Kind.STOCK_MOVED, 0, body)


@dataclass(slots=True)
class Node:
    """One office machine's history in one epoch, in memory.

    Args:
        name: names the key and the epoch too, so a world is the same in each run.
        now_ms: its wall clock; `write` moves it one millisecond an event.
    """

    name: str
    epoch: bytes = b""
    now_ms: int = START_MS
    signer: Signer = field(init=False)
    drafts: list[Draft] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        seed = hashlib.sha256(b"key " + self.name.encode()).digest()
        self.signer = Signer.of(Ed25519PrivateKey.from_private_bytes(seed))
        self.epoch = self.epoch or hashlib.sha256(b"epoch " + self.name.encode()).digest()[:16]

    @property
    def last_seq(self) -> int:
        return len(self.drafts)

    def write(self, *drafts: Draft) -> list[EventId]:
        """Append events; their names."""
        first = self.last_seq + 1
        for one in drafts:
            self.now_ms += 1
            self.stamps.append(next_stamp(self.stamps[-1] if self.stamps else 0, self.now_ms))
            self.drafts.append(one)
        return [EventId(self.name, self.epoch, first + index) for index in range(len(drafts))]

    def columns(self, first_seq: int, last_seq: int) -> Columns:
        return Columns.of(
            list(zip(self.drafts[first_seq - 1 : last_seq], self.stamps[first_seq - 1 : last_seq], strict=True))
        )

    def chain(self, seq: int) -> bytes:
        """The chain digest at ``seq``."""
        start = chain_start(self.name, self.epoch)
        return chains(start, self.columns(1, seq))[-1] if seq else start

    def frame(self, first_seq: int = 1, last_seq: int = 0) -> bytes:
        """One signed frame; ``last_seq`` 0 is the last."""
        last_seq = last_seq or self.last_seq
        return seal_frame(
            node=self.name,
            epoch=self.epoch,
            first_seq=first_seq,
            chain_before=self.chain(first_seq - 1),
            columns=self.columns(first_seq, last_seq),
            signer=self.signer,
        )

    def frames(self, size: int = 100) -> list[bytes]:
        """The whole history in frames of at most ``size`` events."""
        return self.cut(range(size, self.last_seq, size))

    def cut(self, ends: Iterable[int]) -> list[bytes]:
        """The whole history in frames that end at these seqs, and the rest."""
        bounds = [0, *sorted({end for end in ends if 0 < end < self.last_seq}), self.last_seq]
        found, chain = [], chain_start(self.name, self.epoch)
        for before, end in pairwise(bounds):
            if before == end:
                continue
            columns = self.columns(before + 1, end)
            found.append(
                seal_frame(
                    node=self.name, epoch=self.epoch, first_seq=before + 1, chain_before=chain,
                    columns=columns, signer=self.signer,
                )
            )  # fmt: skip
            chain = chains(chain, columns)[-1]
        return found

    def events(self) -> list[Event]:
        """The history as the pure fold takes it."""
        return [
            Event(EventId(self.name, self.epoch, seq), stamp, one.kind, one.nik, one.body)
            for seq, (one, stamp) in enumerate(zip(self.drafts, self.stamps, strict=True), start=1)
        ]

    def hello(self, *, durable_seq: int = 0, clock_ms: int | None = None) -> sync_pb2.SignedHello:
        """A signed greeting that tells where the history stands."""
        hello = sync_pb2.Hello(
            node=self.name,
            epoch=self.epoch,
            last_seq=self.last_seq,
            last_chain=self.chain(self.last_seq),
            durable_seq=durable_seq,
            clock_ms=self.now_ms if clock_ms is None else clock_ms,
            contract=1,
            software="test",
        )
        return sign_hello(hello, self.signer)

    def clone(self) -> Node:
        """A copy of the disk: same key, same epoch, same history so far."""
        twin = Node(self.name, self.epoch, self.now_ms)
        twin.drafts, twin.stamps = list(self.drafts), list(self.stamps)
        return twin


def by_nik(nodes: Sequence[Node]) -> dict[int, list[Event]]:
    """Every event of these nodes, by NIK."""
    found: dict[int, list[Event]] = {}
    for node in nodes:
        for event in node.events():
            found.setdefault(event.nik, []).append(event)
    return found
