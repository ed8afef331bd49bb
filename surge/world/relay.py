"""The relay of an office: a thin shell around the real `sepe.sync.office`, as `node.outbox.relay` is one.

It performs the machine's effects in order, as the docstring of `sepe.sync.office` asks, and may lose power at each
step. One machine drives the current epoch; each earlier epoch that the disk still holds gets one of its own after
every greeting, until the hub holds all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import takewhile
from random import Random
from typing import TYPE_CHECKING

from sepe.sync.office import (
    EVENTS_MAX,
    Effect,
    OfficeSync,
    OpenEpoch,
    ResetLink,
    SendFrame,
    SendHello,
    State,
    StoreDurable,
)
from sepe.wire.v1 import sync_pb2
from surge.world import reopen
from surge.world.bugs import Bug
from surge.world.disk import OfficeDisk
from surge.world.hub import Arrival
from surge.world.loop import HOUR_MS, MINUTE_MS, SECOND_MS
from surge.world.network import NOTICE_MS_MAX
from surge.world.power import DiskFullError, PowerCutError
from surge.world.wire import seal

if TYPE_CHECKING:
    from surge.world.office import Office

GREET_EVERY_MS = 6 * HOUR_MS
# Small, so that windows and rewinds happen with little traffic.
FRAME_EVENTS_MAX = 8
RETRY_MS_MAX = 30 * MINUTE_MS
# Neither a connection nor a greeting is headway; only a stored watermark or a session that lasts is.
GOOD_SESSION_MS = MINUTE_MS
PULL_TIMEOUT_MS = MINUTE_MS
POLL_MS = 50
# How often one connection may find that histories part, and the pause when that was too often.
PARTINGS_MAX = 5
PARTING_PAUSE_MS = HOUR_MS

assert FRAME_EVENTS_MAX < EVENTS_MAX


class Relay:
    """Brings one office's outbox to the hub.

    Attributes:
        session: number of the connection; words on an earlier one are void.
        kind: ``nats``, ``grpc`` or ``""`` for none.
        machines: one for each epoch that is being talked about.
        words_to_lose: how many words of the hub will not arrive; ``frames_to_lose``: how many frames will not
            leave. For scenarios, where chance has no say.
    """

    def __init__(self, office: Office, rng: Random) -> None:
        self.office, self.world = office, office.world
        self.session = 0
        self.kind = ""
        self.machines: dict[bytes, OfficeSync] = {}
        self.frames_sent = self.words_to_lose = self.frames_to_lose = 0
        self._rng = rng
        self._prefers = "nats"
        self._tries = 0
        self._began_ms = 0
        self._rings_ms: set[int] = set()
        self._waits_for_pull = False
        self._will_look = False
        self._partings = 0

    def woken(self) -> None:
        """The power is back: connect soon."""
        self._tries = 0
        self.connect_later(self._rng.randrange(60 * SECOND_MS))

    def grew(self) -> None:
        """The desk or the press committed events; the relay looks into the outbox every now and then."""
        if not self._will_look:
            self._will_look = True
            self.world.loop.after(POLL_MS, self._look)

    def _look(self) -> None:
        self._will_look = False
        machine = self.machines.get(self.office.disk.current.epoch)
        if machine is not None:
            self._drive(machine, partial(machine.outbox_grew, self.office.disk.current.last_seq))

    def connect_later(self, delay_ms: int) -> None:
        """Try to connect then; an attempt that became pointless does nothing."""
        self.world.loop.after(delay_ms, self._connect, self.office.life, self.session)

    def line_broke(self) -> None:
        """The line is gone and this end was told."""
        if self.kind:
            self.hang_up()
            self._retry()

    def _connect(self, life: int, session: int) -> None:
        if life != self.office.life or not self.office.is_up or session != self.session or self.kind:
            return
        world = self.world
        if self.office.line.is_cut:
            return  # `World.mend` wakes it: knocking at a cut line only costs steps.
        nats_can, grpc_can = world.broker.is_up, world.hub.is_up
        if not (nats_can or grpc_can):
            self._retry()
            return
        wanted = self._prefers if (nats_can if self._prefers == "nats" else grpc_can) else ""
        self.session += 1
        self.kind = wanted or ("nats" if nats_can else "grpc")
        self._prefers = "nats"
        self._began_ms = world.loop.now_ms
        self._begin()

    def _begin(self) -> None:
        rows = self.office.disk.current
        machine = OfficeSync(rows.epoch, rows.last_seq, rows.durable_seq, greet_every_ms=GREET_EVERY_MS)
        self.machines = {rows.epoch: machine}
        self._drive(machine, lambda: machine.link_up(self.world.loop.now_ms))

    def hang_up(self) -> None:
        """Forget the connection and everything that was under way on it."""
        if self.kind and self.world.loop.now_ms - self._began_ms > GOOD_SESSION_MS:
            self._tries = 0
        self.session += 1
        self.kind = ""
        self.machines = {}
        self._waits_for_pull = False
        self._rings_ms = set()
        self._partings = 0

    def _retry(self) -> None:
        """Full jitter, capped."""
        self._tries += 1
        longest_ms = min(SECOND_MS << min(self._tries, 20), RETRY_MS_MAX)
        self.connect_later(1 + self._rng.randrange(longest_ms))

    # The machine

    def hear(self, word: sync_pb2.Ack) -> None:
        """A word of the hub arrived, by any way."""
        if self.words_to_lose:
            self.words_to_lose -= 1
            return
        machine = self.machines.get(word.epoch)
        if not self.office.is_up or machine is None:
            return
        rows = self.office.disk.rows_of(word.epoch)
        assert rows is not None
        own_chain = rows.chain_at(word.durable_seq)

        def take() -> list[Effect]:
            self._see_hub_clock(word)
            return machine.heard(word, own_chain, self.world.loop.now_ms)

        self._drive(machine, take)
        if machine.state is State.SYNCING:
            self.office.talk.line_is_up()

    def _see_hub_clock(self, word: sync_pb2.Ack) -> None:
        # Rides in the transaction of the watermark; alone it is not worth one.
        self.office.disk.hub_said_ms = word.hub_ms
        self.office.law.heard(word.hub_ms, self.world.loop.now_ms)
        self.office.disk.hub_ms = max(self.office.disk.hub_ms, word.hub_ms)

    def _drive(self, machine: OfficeSync, act: Callable[[], list[Effect]]) -> None:
        """Give the machine an input and perform its effects, in order; power may fail at each."""
        try:
            effects = act()
            for effect in effects:
                effects += self._perform(machine, effect)
        except PowerCutError:
            self.world.office_dies(self.office)
            return
        except DiskFullError:
            self.line_broke()
            return
        self._set_timer()

    def _perform(self, machine: OfficeSync, effect: Effect) -> list[Effect]:
        if machine is not self.machines.get(machine.epoch):
            return []  # An earlier effect ended this session.
        match effect:
            case SendHello():
                self._greet(machine)
            case SendFrame(after_seq, events_max):
                return self._send(machine, after_seq, min(events_max, FRAME_EVENTS_MAX))
            case StoreDurable(seq, went_back):
                self.office.step("between ack and cursor")
                self.office.commit(lambda disk: self._store_durable(disk, machine.epoch, seq, went_back))
                self._prune()
                self._tries = 0
                if machine.epoch != self.office.disk.current.epoch and seq >= machine.last_seq:
                    del self.machines[machine.epoch]
            case OpenEpoch():
                return self._reopen(machine, effect)
            case ResetLink(reason):
                self.world.tell(f"{self.office.name} resets its link: {reason}")
                self._prefers = "grpc" if self.kind == "nats" else "nats"
                self.line_broke()
        return []

    def _greet(self, machine: OfficeSync) -> None:
        rows = self.office.disk.rows_of(machine.epoch)
        assert rows is not None
        hello = sync_pb2.Hello(
            node=self.office.node, epoch=rows.epoch, last_seq=rows.last_seq, last_chain=rows.last_chain,
            durable_seq=rows.durable_seq, clock_ms=max(self.office.now_ms(), 0),
        )  # fmt: skip
        self._carry(self.world.answer_greeting, self.office, self.session, self.kind, hello)
        if rows is self.office.disk.current:
            if self.office.disk.is_fresh:
                self._pull(self.office.disk.current.epoch, "replaced")
            for earlier in self.office.disk.epochs[:-1]:
                if earlier.niks and earlier.epoch not in self.machines:
                    twin = OfficeSync(
                        earlier.epoch, earlier.last_seq, earlier.durable_seq, greet_every_ms=GREET_EVERY_MS
                    )
                    self.machines[earlier.epoch] = twin
                    for effect in twin.link_up(self.world.loop.now_ms):
                        self._perform(twin, effect)

    def _send(self, machine: OfficeSync, after_seq: int, events_max: int) -> list[Effect]:
        rows = self.office.disk.rows_of(machine.epoch)
        assert rows is not None
        page = rows.page(after_seq, events_max)
        if page is None:
            if rows.last_seq > after_seq:
                return machine.link_up(self.world.loop.now_ms)  # Pruned: ask again what the hub really lacks.
            machine.nothing_to_send()
            return []
        before, columns = page
        last_seq = after_seq + len(columns)
        after = rows.chain_at(last_seq)
        assert after is not None
        data = seal(
            node=self.office.node, epoch=rows.epoch, first_seq=after_seq + 1, chain_before=before,
            chain_after=after, columns=columns,
        )  # fmt: skip
        self.frames_sent += 1
        self._launch(rows.epoch, last_seq, data)
        self.office.step("between publish and ack")
        return machine.sent(after_seq + 1, last_seq, self.world.loop.now_ms)

    def _launch(self, epoch: bytes, last_seq: int, data: bytes) -> None:
        office, world, faults = self.office, self.world, self.world.faults
        if self.frames_to_lose:
            self.frames_to_lose -= 1
            return
        if faults.corrupt and world.strikes(faults.corrupt):
            place = self._rng.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ 1 << self._rng.randrange(8)]) + data[place + 1 :]
        if faults.cut_mid_frame and world.strikes(faults.cut_mid_frame):
            world.tell(f"{office.name}: the line breaks in the middle of a frame")
            half = data[: self._rng.randrange(1, len(data))]
            if self._rng.random() < 0.5:
                world.loop.after(1, world.hub.receive, Arrival(half))
            notice_ms = self._rng.randrange(1, NOTICE_MS_MAX)
            world.loop.after(notice_ms, world.told_of_cut, office, office.life, self.session)
            return
        if self.kind == "nats":
            world.network.nats(office.line, world.publish, office, epoch, last_seq, data, office.life)
        else:
            arrival = Arrival(data, office, self.session)
            world.network.grpc(office, self.session, world.hub.receive, arrival)

    def broker_took(self, epoch: bytes, last_seq: int) -> None:
        """The broker acknowledged a frame. The product ignores it: a broker is a pipe, never the record."""
        if self.world.bug is Bug.PRUNE_ON_BROKER_ACK:
            rows = self.office.disk.rows_of(epoch)
            if rows is not None:
                rows.prune(last_seq)

    def _carry(self, call: Callable[..., None], *arguments: object) -> None:
        if self.kind == "nats":
            self.world.network.nats(self.office.line, call, *arguments)
        else:
            self.world.network.grpc(self.office, self.session, call, *arguments)

    def _store_durable(self, disk: OfficeDisk, epoch: bytes, seq: int, went_back: bool) -> None:
        rows = disk.rows_of(epoch)
        assert rows is not None
        if went_back:
            self.world.tell(f"{self.office.name} hears that the hub went back to {seq}")
            rows.marks = [mark for mark in rows.marks if mark[0] <= seq]
        rows.durable_seq = seq
        if not rows.marks or rows.marks[-1][0] < seq:
            rows.marks.append((seq, disk.hub_said_ms, self.office.now_ms()))

    def _prune(self) -> None:
        """Forget what the hub has held for longer than the margin.

        Counted from the hub's word, not from the row's age: a row may be old when the hub first hears of it. By
        the hub's clock *and* our own, because either may jump by years.
        """
        hub_ms, own_ms, margin_ms = self.office.disk.hub_said_ms, self.office.now_ms(), self.world.margin_ms
        for rows in self.office.disk.epochs:
            if not rows.marks or hub_ms - rows.marks[0][1] < margin_ms:
                continue
            old = list(takewhile(lambda mark: min(hub_ms - mark[1], own_ms - mark[2]) >= margin_ms, rows.marks))
            if old and old[-1][0] > rows.floor_seq:
                self.office.step("during prune")
                rows.prune(min(old[-1][0], rows.durable_seq))
            del rows.marks[: len(old)]

    # Histories that part

    def _reopen(self, machine: OfficeSync, effect: OpenEpoch) -> list[Effect]:
        if self.world.bug is Bug.EPOCH_KEPT_AFTER_RESTORE:
            return self._keep_epoch(machine, effect)
        self.world.tell(f"{self.office.name} and the hub disagree: {effect.reason}")
        self._partings += 1
        if self._partings > PARTINGS_MAX:
            # Mending did not help: whatever is wrong, asking at once again would only go in circles.
            self.hang_up()
            self.connect_later(self._rng.randrange(PARTING_PAUSE_MS))
        else:
            self._pull(machine.epoch, effect.reason)
        return []

    def _keep_epoch(self, machine: OfficeSync, effect: OpenEpoch) -> list[Effect]:
        """What a program without epochs does: believe the hub's number and go on."""
        rows = self.office.disk.rows_of(machine.epoch)
        assert rows is not None
        rows.cut(0)
        rows.floor_seq = rows.durable_seq = effect.hub_seq
        rows.floor_chain = effect.hub_chain
        self._begin()
        return []

    def _pull(self, epoch: bytes, reason: str) -> None:
        """Ask for our history, over gRPC whatever the frames travel by."""
        if self._waits_for_pull:
            return
        self._waits_for_pull = True
        world, session = self.world, self.session
        world.network.grpc(self.office, session, world.answer_pull, self.office, session, epoch, reason)
        world.loop.after(PULL_TIMEOUT_MS, self._pull_is_late, self.office.life, session)

    def pulled(self, epoch: bytes, reason: str, history: reopen.History) -> None:
        """The hub's copy of our history is here: find where the two part, and mend ours."""
        self._waits_for_pull = False
        plan = reopen.plan(self.office.disk, epoch, history)
        self.world.tell(f"{self.office.name} {plan.story} ({reason})")

        def write(disk: OfficeDisk) -> None:
            reopen.perform(disk, plan, self._rng.randbytes(16))
            self.world.oracle.office_took_back(self.world.oracle.facts(disk.bodies()))
            self.office.press.learn(disk, plan.learnt)

        if self.office.guarded(lambda: self.office.commit(write)):
            self._begin()
        elif self.office.is_up:
            self.line_broke()

    def _pull_is_late(self, life: int, session: int) -> None:
        if life == self.office.life and session == self.session and self._waits_for_pull:
            self.line_broke()

    # Time

    def _set_timer(self) -> None:
        first: int | None = None
        for machine in self.machines.values():
            due_ms = machine.next_timer_ms
            if due_ms is not None and (first is None or due_ms < first):
                first = due_ms
        now_ms = self.world.loop.now_ms
        # A ring that is asked for already will look again.
        if first is not None and not any(now_ms < at_ms <= first for at_ms in self._rings_ms):
            at_ms = max(first, now_ms + 1)
            self._rings_ms.add(at_ms)
            self.world.loop.after(at_ms - now_ms, self._ring, self.session, at_ms)

    def _ring(self, session: int, at_ms: int) -> None:
        if session != self.session:
            return  # Of an earlier connection.
        self._rings_ms.discard(at_ms)
        now_ms = self.world.loop.now_ms
        for machine in list(self.machines.values()):
            due_ms = machine.next_timer_ms
            if due_ms is not None and due_ms <= now_ms:
                self._drive(machine, partial(machine.tick, now_ms))
        if self.session == session:
            self._set_timer()
