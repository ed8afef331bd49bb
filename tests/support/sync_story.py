"""A tiny shell around both pure machines, in memory and step by step: for scenarios that read like stories."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field

from node.outbox.recover import Comparison
from sepe.sync.office import Effect, OfficeSync, OpenEpoch, ResetLink, SendFrame, SendHello, StoreDurable
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import open_frame, seal_frame, sign_hello
from sepe_io.keys import Signer
from tests.support.memory import InMemoryHub, InMemoryOutbox
from tests.support.world import START_MS, nik_of, recorded

_epochs = itertools.count(1)


def new_epoch() -> bytes:
    return next(_epochs).to_bytes(16, "big")


@dataclass
class Story:
    """One office, one hub, and the line between them.

    Attributes:
        up: frames and greetings on their way to the hub. ``down``: its words on their way back.
        told: the effects that the machine gave, in order, for looking at.
        frame_events: how many events the shell puts into a frame.
    """

    hub: InMemoryHub = field(default_factory=InMemoryHub)
    outbox: InMemoryOutbox = field(default_factory=lambda: InMemoryOutbox("537104-1", new_epoch))
    signer: Signer = field(default_factory=Signer.generate)
    now_ms: int = START_MS
    frame_events: int = 10
    up: deque[bytes | sync_pb2.SignedHello] = field(default_factory=deque)
    down: deque[sync_pb2.Ack] = field(default_factory=deque)
    told: list[Effect] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hub.know(self.outbox.node, self.signer.key_id, self.signer.public_key)
        self.restart()

    def restart(self) -> None:
        """The office's program starts anew; its disk stays."""
        at = self.outbox.position()
        self.machine = OfficeSync(at.epoch, at.last_seq, at.durable_seq)
        self.up.clear()
        self.down.clear()

    def write(self, count: int, name: str = "MARIA TAEK") -> None:
        first = len(self.outbox.rows)
        self.outbox.append([recorded(nik_of(first + index), name) for index in range(count)], self.now_ms)
        self.perform(self.machine.outbox_grew(len(self.outbox.rows)))

    def link_up(self) -> None:
        self.perform(self.machine.link_up(self.now_ms))

    def link_down(self) -> None:
        """Cut: what is on its way is gone."""
        self.up.clear()
        self.down.clear()
        self.perform(self.machine.link_down())

    def perform(self, effects: list[Effect]) -> None:
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            self.told.append(effect)
            waiting.extend(self._do(effect))

    def hub_takes(self, count: int = 1) -> None:
        """The hub reads that many messages; its answers start back."""
        for _ in range(min(count, len(self.up))):
            message = self.up.popleft()
            answer = (
                self.hub.merge(message, self.now_ms)
                if isinstance(message, bytes)
                else self.hub.greet(message, self.now_ms)
            )
            if answer is not None:
                self.down.append(answer)

    def office_hears(self, count: int = 1) -> None:
        for _ in range(min(count, len(self.down))):
            word = self.down.popleft()
            self.perform(self.machine.heard(word, self.outbox.chain_at(word.durable_seq), self.now_ms))

    def settle(self, rounds: int = 2_000) -> None:
        """Let everything arrive, and time pass where something waits, until the hub holds all."""
        for _ in range(rounds):
            if self.up:
                self.hub_takes(len(self.up))
            elif self.down:
                self.office_hears()
            elif self.is_even:
                return
            else:
                timer = self.machine.next_timer_ms
                assert timer is not None, f"stuck in {self.machine.state} with {len(self.outbox.rows)} rows"
                self.now_ms = max(self.now_ms, timer)
                self.perform(self.machine.tick(self.now_ms))
        raise AssertionError(f"not even after {rounds} rounds: {self.machine}")

    @property
    def is_even(self) -> bool:
        """Whether the outbox knows that the hub holds all of it."""
        return self.outbox.durable_seq == len(self.outbox.rows)

    def bodies_at_hub(self) -> list[tuple[int, bytes]]:
        """(NIK, body) of every event that the hub counted."""
        return sorted(self.hub.events.values())

    def bodies_here(self) -> list[tuple[int, bytes]]:
        return sorted((draft.nik, draft.body) for draft, _ in self.outbox.rows)

    def _do(self, effect: Effect) -> list[Effect]:
        machine, at = self.machine, self.outbox.position()
        match effect:
            case SendHello():
                hello = sync_pb2.Hello(
                    node=self.outbox.node, epoch=at.epoch, last_seq=at.last_seq, last_chain=at.last_chain,
                    durable_seq=at.durable_seq, clock_ms=self.now_ms,
                )  # fmt: skip
                self.up.append(sign_hello(hello, self.signer))
            case SendFrame(after_seq, events_max):
                page = self.outbox.page(after_seq, min(events_max, self.frame_events))
                if page is None and after_seq < at.last_seq:
                    return machine.link_up(self.now_ms)
                if page is None:
                    machine.nothing_to_send()
                    return []
                self.up.append(
                    seal_frame(
                        node=self.outbox.node, epoch=at.epoch, first_seq=page.first_seq,
                        chain_before=page.chain_before, columns=page.columns, signer=self.signer,
                    )
                )  # fmt: skip
                return machine.sent(page.first_seq, after_seq + len(page.columns), self.now_ms)
            case StoreDurable(seq, went_back):
                self.outbox.store_durable(seq, self.now_ms, went_back)
            case ResetLink():
                self.up.clear()
                self.down.clear()
                return machine.link_up(self.now_ms)
            case OpenEpoch(reason, hub_seq, _):
                return self._open_epoch(reason, hub_seq)
        return []

    def _open_epoch(self, reason: str, hub_seq: int) -> list[Effect]:
        at = self.outbox.position()
        comparison = Comparison(self.outbox.chain_at, at.last_seq, 0)
        if reason == "pruned":
            comparison.common_seq = comparison.reached_seq = hub_seq
        for data in self.hub.frames_of(self.outbox.node, at.epoch, comparison.reached_seq):
            lost = comparison.feed(open_frame(data, lambda node, key_id: self.hub.keys[node, key_id]))
            self.lost += lost.columns.niks if lost else ()
        assert comparison.reached_seq == hub_seq
        opened = self.outbox.open_epoch(reason, comparison.common_seq, self.now_ms)
        return self.machine.epoch_opened(opened.epoch, opened.last_seq, self.now_ms)
