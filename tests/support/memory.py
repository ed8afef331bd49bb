"""An outbox and a hub without any disk: what the scenario tests run the real machines on.

Typed and behaved like the real ones (`node.storage.store.NodeStore`, `hub.merge.store.HubStore`); the frames are
real, sealed and opened as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

from sepe.codec import Columns, chain_next, chain_start, fits
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.events import Draft
from sepe.hlc import next_stamp, stamp_of
from sepe.ids import EventId
from sepe.sync.centre import EpochState, Judgement, ack, advanced, judge, welcome
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import open_frame, open_hello

NewEpoch = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class MemoryPosition:
    """See `node.storage.store.Position`."""

    epoch: bytes
    last_seq: int
    last_chain: bytes
    durable_seq: int


@dataclass(frozen=True, slots=True)
class MemoryPage:
    """See `node.outbox.plan.Page`."""

    first_seq: int
    chain_before: bytes
    columns: Columns


@dataclass(slots=True)
class InMemoryOutbox:
    """One machine's outbox. ``new_epoch`` gives 16 bytes that no machine ever used.

    Attributes:
        rows: the current epoch's events with their stamps; row 0 has seq 1.
        pruned_seq: rows up to here are gone.
    """

    node: str
    new_epoch: NewEpoch
    epoch: bytes = b""
    rows: list[tuple[Draft, int]] = field(default_factory=list)
    chains: list[bytes] = field(default_factory=list)
    durable_seq: int = 0
    pruned_seq: int = 0
    hub_ms: int = 0
    link: str = "offline"
    notes: dict[str, str] = field(default_factory=dict)
    writes: int = 0

    def __post_init__(self) -> None:
        self.epoch = self.epoch or self.new_epoch()

    def append(self, drafts: list[Draft], now_ms: int) -> list[EventId]:
        first = len(self.rows) + 1
        for draft in drafts:
            last = self.rows[-1][1] if self.rows else 0
            stamp = next_stamp(last, now_ms, seen_hub=stamp_of(self.hub_ms))
            self._add(draft, stamp)
        self.writes += 1
        return [EventId(self.node, self.epoch, first + index) for index in range(len(drafts))]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def position(self) -> MemoryPosition:
        seq = len(self.rows)
        return MemoryPosition(self.epoch, seq, self._chain(seq), self.durable_seq)

    def page(self, after_seq: int, events_max: int = 1000) -> MemoryPage | None:
        if after_seq < self.pruned_seq or after_seq >= len(self.rows):
            return None
        taken: list[tuple[Draft, int]] = []
        size = 0
        for row in self.rows[after_seq : after_seq + events_max]:
            if not fits(len(taken), size, row[0].body):
                break
            taken.append(row)
            size += 22 + len(row[0].body)
        return MemoryPage(after_seq + 1, self._chain(after_seq), Columns.of(taken))

    def chain_at(self, seq: int) -> bytes | None:
        if seq < self.pruned_seq or seq > len(self.rows):
            return None
        return self._chain(seq)

    def store_durable(self, seq: int, now_ms: int, went_back: bool = False) -> None:
        if seq > len(self.rows):
            raise InvalidInputError("the hub cannot hold more than was sent", field="durable_seq", value=seq)
        if seq > self.durable_seq or went_back:
            self.durable_seq = seq

    def see_hub_clock(self, hub_ms: int, now_ms: int | None = None) -> None:
        self.hub_ms = max(self.hub_ms, hub_ms)

    def open_epoch(self, reason: str, keep_seq: int, now_ms: int) -> MemoryPosition:
        carried = self.rows[max(keep_seq, self.pruned_seq) :]
        self.epoch, self.rows, self.chains = self.new_epoch(), [], []
        self.durable_seq = self.pruned_seq = 0
        for draft, stamp in carried:
            self._add(draft, stamp)
        return self.position()

    def prune(self, now_ms: int) -> int:
        """Forget every row that the hub holds but the last: the worst case."""
        before, self.pruned_seq = self.pruned_seq, max(min(self.durable_seq, len(self.rows) - 1), self.pruned_seq)
        return self.pruned_seq - before

    def report_link(self, kind: str, now_ms: int) -> None:
        self.link = kind

    def data_version(self) -> int:
        return self.writes

    def get(self, key: str) -> str | None:
        return self.notes.get(key)

    def put(self, key: str, value: str | None) -> None:
        if value is None:
            self.notes.pop(key, None)
        else:
            self.notes[key] = value

    def copy(self) -> InMemoryOutbox:
        """What ``cp -r`` of the directory gives: a backup, or a clone."""
        twin = InMemoryOutbox(self.node, self.new_epoch, self.epoch, list(self.rows), list(self.chains))
        twin.durable_seq, twin.pruned_seq, twin.hub_ms = self.durable_seq, self.pruned_seq, self.hub_ms
        return twin

    def _add(self, draft: Draft, stamp: int) -> None:
        chain = chain_next(self._chain(len(self.rows)), draft.nik, stamp, draft.kind, draft.body)
        self.rows.append((draft, stamp))
        self.chains.append(chain)

    def _chain(self, seq: int) -> bytes:
        return self.chains[seq - 1] if seq else chain_start(self.node, self.epoch)


@dataclass(slots=True)
class InMemoryHub:
    """The centre's protocol without its merge: the log, the watermarks, what it knows and what it parked.

    Attributes:
        log: accepted frames in order, with how many of their first events were in the log before.
        quarantine: (reason, frame) of what was refused.
    """

    keys: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    states: dict[tuple[str, bytes], EpochState] = field(default_factory=dict)
    chains: dict[tuple[str, bytes], list[bytes]] = field(default_factory=dict)
    events: dict[EventId, tuple[int, bytes]] = field(default_factory=dict)
    log: list[tuple[bytes, int]] = field(default_factory=list)
    quarantine: list[tuple[str, bytes]] = field(default_factory=list)

    def merge(self, data: bytes, hub_ms: int) -> sync_pb2.Ack | None:
        """Take one frame; ``None`` when it names nobody that could be answered."""
        try:
            opened = open_frame(data, self._public_key_of)
        except PeerProtocolError as exc:
            self.quarantine.append((exc.reason, data))
            return None
        header = opened.header
        state = self._state(header.node, header.epoch)
        log = self.chains.setdefault((header.node, header.epoch), [])
        verdict = judge(state, header, opened.chains, lambda seq: log[seq - 1] if seq else None)
        answer = sync_pb2.VERDICT_DURABLE
        match verdict.judgement:
            case Judgement.ACCEPT:
                state = advanced(state, header)
                self.states[header.node, header.epoch] = state
                log += opened.chains[verdict.skip :]
                self.log.append((data, verdict.skip))
                for index in range(verdict.skip, header.count):
                    name = EventId(header.node, header.epoch, header.first_seq + index)
                    assert name not in self.events, "an event was counted twice"
                    self.events[name] = (opened.columns.niks[index], opened.columns.bodies[index])
            case Judgement.GAP:
                answer = sync_pb2.VERDICT_GAP
            case Judgement.FORK:
                self.quarantine.append(("fork", data))
                answer = sync_pb2.VERDICT_FORK
            case Judgement.DUPLICATE:
                pass
        return ack(state, answer, hub_ms=hub_ms)

    def greet(self, signed: sync_pb2.SignedHello, hub_ms: int) -> sync_pb2.Ack:
        """The answer to a greeting."""
        try:
            hello = open_hello(signed, self._public_key_of)
        except PeerProtocolError as exc:
            seen = sync_pb2.Hello.FromString(signed.hello)
            state = EpochState.new(seen.node, seen.epoch)
            return ack(state, sync_pb2.VERDICT_REFUSED, hub_ms=hub_ms, reason=exc.reason)
        state = self._state(hello.node, hello.epoch)
        log = self.chains.setdefault((hello.node, hello.epoch), [])
        return ack(state, welcome(state, hello, lambda seq: log[seq - 1] if seq else None), hub_ms=hub_ms)

    def frames_of(self, node: str, epoch: bytes, after_seq: int) -> Iterator[bytes]:
        """A node's own accepted frames that end above ``after_seq``."""
        for data, _ in self.log:
            header = open_frame(data, self._public_key_of).header
            if (header.node, header.epoch) == (node, epoch) and header.last_seq > after_seq:
                yield data

    def know(self, node: str, key_id: bytes, public_key: bytes) -> None:
        """Enrol a node's key."""
        self.keys[node, key_id] = public_key

    def backup(self) -> InMemoryHub:
        """The hub as a restore of today's backup would be."""
        return deepcopy(self)

    def _state(self, node: str, epoch: bytes) -> EpochState:
        return self.states.get((node, epoch)) or EpochState.new(node, epoch)

    def _public_key_of(self, node: str, key_id: bytes) -> bytes:
        found = self.keys.get((node, key_id))
        if found is None:
            raise PeerProtocolError("unknown_key" if node in {name for name, _ in self.keys} else "unknown_node")
        return found
