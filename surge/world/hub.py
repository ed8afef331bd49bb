"""The hub of a world: a thin shell, as `hub.ingest` is one, around the real `sepe.sync.centre`.

Receive, judge, commit, then ack: four moments, and it may die between any two. What it holds in memory is gone
then; what the broker gave it and it did not acknowledge is delivered again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from sepe.codec import Columns, chain_next
from sepe.errors import PeerProtocolError
from sepe.events import Kind
from sepe.head import is_suspect
from sepe.hlc import cap_of, next_stamp
from sepe.ids import HUB_NODE
from sepe.replaced import replaced_by
from sepe.rights import Entry
from sepe.sync.centre import EpochState, Judgement, Verdict, ack, judge, welcome
from sepe.wire.v1 import event_pb2, sync_pb2
from surge.world.bodies import PRODUCT
from surge.world.broker import Message
from surge.world.bugs import DEDUPE_WINDOW_MS, Bug
from surge.world.centre import HubDisk, Key, LogRow
from surge.world.loop import MINUTE_MS
from surge.world.rights import STANDING, Rights
from surge.world.wire import Opened, open_, peek, seal

if TYPE_CHECKING:
    from surge.world.office import Office
    from surge.world.world import World

BATCH_FRAMES_MAX = 16
# Beyond this the gRPC edge asks for patience instead of queueing more.
QUEUE_FRAMES_MAX = 256
LATER_MS = 5 * MINUTE_MS
ANSWERS = {
    Judgement.ACCEPT: sync_pb2.VERDICT_DURABLE,
    Judgement.DUPLICATE: sync_pb2.VERDICT_DURABLE,
    Judgement.GAP: sync_pb2.VERDICT_GAP,
    Judgement.FORK: sync_pb2.VERDICT_FORK,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame at the hub. ``office`` and ``session`` say which gRPC stream it came by, else it came by NATS."""

    data: bytes
    office: Office | None = None
    session: int = 0
    message: Message | None = None


@dataclass(slots=True)
class _Plan:
    """What one batch will write and say."""

    rows: list[LogRow] = field(default_factory=list)
    refused: dict[bytes, str] = field(default_factory=dict)
    acks: list[tuple[Arrival, sync_pb2.Ack]] = field(default_factory=list)
    states: dict[Key, EpochState] = field(default_factory=dict)
    chains: dict[Key, list[bytes]] = field(default_factory=dict)


class Hub:
    """One hub process and its disk."""

    def __init__(self, world: World, rng: Random) -> None:
        self.disk = HubDisk()
        self.is_up = True
        self.disk_is_full = False
        self.clock_offset_ms = 0
        self.life = 0
        self.queue_max_seen = 0
        self.backups: list[HubDisk] = []
        self._world, self._rng = world, rng
        self._direct: deque[Arrival] = deque()
        self._in_hand: list[Message] = []
        self._in_hand_of = 0
        self._is_busy = False
        self._opened: dict[bytes, Opened | str] = {}
        self._epoch = rng.randbytes(16)
        self._last_stamp = 0
        self._seen_frames: dict[bytes, int] = {}
        self.rights = Rights(world, self)

    def now_ms(self) -> int:
        """The hub's own clock, which may be wrong."""
        return self._world.loop.now_ms + self.clock_offset_ms

    # Power

    def die(self) -> None:
        """The process is gone, with all that it held in memory."""
        self.is_up = self._is_busy = False
        self.life += 1
        self._direct.clear()
        self._world.grpc_reset()

    def start(self) -> None:
        """The process is back; the broker delivers again what was not acknowledged."""
        if self.is_up:
            return
        self.is_up = True
        held, self._in_hand = self._in_hand, []
        if held and self._in_hand_of == self._world.broker_life:
            self._world.broker.give_back(held)
        self.pump()

    # Edges

    def greet(self, hello: sync_pb2.Hello) -> sync_pb2.Ack:
        """The answer to a greeting."""
        key = (hello.node, hello.epoch)
        state = self.disk.state_of(key)
        chains = self.disk.chains.get(key, [])
        verdict = welcome(state, hello, lambda seq: chains[seq - 1] if seq else None)
        return ack(state, verdict, hub_ms=self.now_ms())

    def receive(self, arrival: Arrival) -> None:
        """A frame came by gRPC."""
        if not self.is_up:
            return
        if len(self._direct) >= QUEUE_FRAMES_MAX or (self.disk_is_full and self._is_busy):
            self._ask_for_patience(arrival)
            return
        self._direct.append(arrival)
        self.queue_max_seen = max(self.queue_max_seen, len(self._direct))
        self.pump()

    def pump(self) -> None:
        """Begin the next batch, if there is one and the last is done."""
        if not self.is_up or self._is_busy:
            return
        batch = [self._direct.popleft() for _ in range(min(BATCH_FRAMES_MAX, len(self._direct)))]
        messages = self._world.broker.take(BATCH_FRAMES_MAX - len(batch))
        batch += [Arrival(message.data, message=message) for message in messages]
        if not batch:
            return
        self._is_busy = True
        self._in_hand, self._in_hand_of = messages, self._world.broker_life
        plan = self._plan(batch)
        if self._world.bug is Bug.ACK_BEFORE_COMMIT:
            self._answer(plan)
        self._world.loop.after(2 + int(self._rng.random() * 18), self._commit, self.life, plan, batch)

    def pull(self, node: str) -> dict[bytes, tuple[list[tuple[int, int, int, bytes]], list[bytes]]]:
        """A node's own history as the hub holds it: per epoch the events and the digest after each."""
        result: dict[bytes, tuple[list[tuple[int, int, int, bytes]], list[bytes]]] = {}
        for row in self.disk.log:
            if row.opened.header.node == node:
                columns, skip = row.opened.columns, row.skip
                events, _ = result.setdefault(row.opened.header.epoch, ([], self.disk.chains[row.key]))
                events += zip(
                    columns.niks[skip:], columns.stamps[skip:], columns.kinds[skip:], columns.bodies[skip:],
                    strict=True,
                )  # fmt: skip
        return result

    # Rights

    def write_move(self, key: tuple[int, int], entry: Entry) -> None:
        """A right moves: an event of the hub's own, in the log before anybody hears of it."""
        nik, issue = key
        body = event_pb2.RightMoved(product=PRODUCT, issue=issue, holder=entry.holder, fence=entry.fence)
        self.write_own(Kind.RIGHT_MOVED, nik, body.SerializeToString())

    def write_word(self, kind: Kind, nik: int, body: bytes) -> None:
        """An officer's word on a resident; whom it concerns is told."""
        self.write_own(kind, nik, body)
        self.look_at([nik])

    def write_own(self, kind: Kind, nik: int, body: bytes) -> None:
        """An event of the hub's own goes into its log."""
        # Above all that is logged, so that an officer's later word is the later one.
        self._last_stamp = next_stamp(self._last_stamp, self.now_ms())
        columns = Columns((nik,), (self._last_stamp,), (int(kind),), (body,))
        state = self.disk.state_of((HUB_NODE, self._epoch))
        after = chain_next(state.chain, nik, self._last_stamp, columns.kinds[0], columns.bodies[0])
        data = seal(
            node=HUB_NODE, epoch=self._epoch, first_seq=state.durable_seq + 1, chain_before=state.chain,
            chain_after=after, columns=columns,
        )  # fmt: skip
        self.disk.take(LogRow(open_(data), 0, cap_of(self.now_ms())))

    # Residents

    def look_at(self, niks: Iterable[int]) -> None:
        """Say anew how these residents stand, where there is anything to say, as the projector of cases does."""
        heads, feed = self.disk.heads, self.disk.feed
        told = {key[0] for listed in feed.values() for kind, key in listed if kind == STANDING}
        waiting, seen = sorted(niks), set()
        while waiting:
            nik = waiting.pop(0)
            head = heads.get(nik)
            if head is None or nik in seen:
                continue
            seen.add(nik)
            if nik in told or is_suspect(
                head.claims, head.identity_min, head.identity_max, head.prints, head.decisions
            ):
                self.rights.tell_standing(nik)
                # What is said of an old number may say something of those that count, or counted, instead of it.
                resident = self.disk.resident(nik)
                others = {word.new_nik for word in resident.replacements} | {replaced_by(resident)}
                waiting += sorted(others - {0})

    # A batch

    def _plan(self, batch: list[Arrival]) -> _Plan:
        plan = _Plan()
        hub_ms = self.now_ms()
        cap = cap_of(hub_ms)
        for arrival in batch:
            opened = self._open(arrival.data)
            if isinstance(opened, str):
                plan.refused[arrival.data] = opened
                header = peek(arrival.data)
                if header is not None:
                    state = self._planned_state(plan, (header.node, header.epoch))
                    plan.acks.append((arrival, ack(state, sync_pb2.VERDICT_CORRUPT, hub_ms=hub_ms, reason=opened)))
                continue
            key = (opened.header.node, opened.header.epoch)
            state = self._planned_state(plan, key)
            verdict = self._judge(plan, state, opened, arrival.data)
            if verdict.judgement is Judgement.ACCEPT:
                plan.rows.append(LogRow(opened, verdict.skip, cap))
                if opened.header.last_seq > state.durable_seq:
                    new = opened.chains[state.durable_seq + 1 - opened.header.first_seq :]
                    plan.chains.setdefault(key, []).extend(new)
                    state = EpochState(*key, opened.header.last_seq, opened.header.chain_after)
                    plan.states[key] = state
            elif verdict.judgement is Judgement.FORK:
                plan.refused[arrival.data] = "fork"
            plan.acks.append((arrival, ack(state, ANSWERS[verdict.judgement], hub_ms=hub_ms)))
        return plan

    def _planned_state(self, plan: _Plan, key: Key) -> EpochState:
        return plan.states.get(key) or self.disk.state_of(key)

    def _judge(self, plan: _Plan, state: EpochState, opened: Opened, data: bytes) -> Verdict:
        key = (state.node, state.epoch)
        logged, planned = self.disk.chains.get(key, []), plan.chains.get(key, [])

        def chain_at(seq: int) -> bytes | None:
            return logged[seq - 1] if seq <= len(logged) else planned[seq - len(logged) - 1]

        verdict = judge(state, opened.header, opened.chains, chain_at)
        bug = self._world.bug
        if bug is Bug.NO_DEDUPE and verdict.judgement is not Judgement.GAP:
            return Verdict(Judgement.ACCEPT)
        if bug is Bug.DEDUPE_BY_WINDOW and verdict.judgement is not Judgement.GAP:
            now_ms = self._world.loop.now_ms
            seen_ms = self._seen_frames.get(data, -DEDUPE_WINDOW_MS)
            self._seen_frames[data] = now_ms
            known = now_ms - seen_ms < DEDUPE_WINDOW_MS
            return Verdict(Judgement.DUPLICATE if known else Judgement.ACCEPT)
        return verdict

    def _open(self, data: bytes) -> Opened | str:
        found = self._opened.get(data)
        if found is None:
            try:
                found = open_(data)
            except PeerProtocolError as exc:
                found = exc.reason
            self._opened[data] = found
        return found

    def _commit(self, life: int, plan: _Plan, batch: list[Arrival]) -> None:
        world = self._world
        if life != self.life:
            return
        if self.disk_is_full:
            # Busy until the rest is over: a second batch beside this one would judge by the same watermark.
            world.broker.give_back(self._in_hand)
            self._in_hand = []
            for arrival in batch:
                self._ask_for_patience(arrival)
            world.loop.after(LATER_MS, self._rest_is_over, self.life)
            return
        dies = world.strikes(world.faults.kill_hub)
        if dies and not (world.faults.torn_write and world.strikes(world.faults.torn_write)):
            world.hub_dies("before its commit")
            return
        for row in plan.rows:
            self.disk.take(row)
        self.disk.quarantine.update(plan.refused)
        self.look_at({nik for row in plan.rows for nik in row.opened.columns.niks[row.skip :]})
        if plan.rows and world.story is not None:
            world.tell(f"hub commits {sum(len(row.bodies()) for row in plan.rows)} events")
        if dies or world.strikes(world.faults.kill_hub):
            world.hub_dies("between commit and ack")
            return
        self._in_hand = []
        world.loop.after(1 + int(self._rng.random() * 4), self._done, self.life, plan)

    def _done(self, life: int, plan: _Plan) -> None:
        if life != self.life:
            return
        self._is_busy = False
        if self._world.bug is not Bug.ACK_BEFORE_COMMIT:
            self._answer(plan)
        self.pump()

    def _rest_is_over(self, life: int) -> None:
        if life == self.life:
            self._is_busy = False
            self.pump()

    def _answer(self, plan: _Plan) -> None:
        for arrival, word in plan.acks:
            if word.durable_seq > self.disk.state_of((word.node, word.epoch)).durable_seq:
                self._world.oracle.hasty_acks += 1
            self._say(arrival, word)

    def _say(self, arrival: Arrival, word: sync_pb2.Ack) -> None:
        """Answer by the way the frame came."""
        if arrival.office is None:
            self._world.announce(word)
        else:
            self._world.network.grpc(arrival.office, arrival.session, arrival.office.relay.hear, word)

    def _ask_for_patience(self, arrival: Arrival) -> None:
        header = peek(arrival.data)
        if header is not None:
            state = self.disk.state_of((header.node, header.epoch))
            word = ack(state, sync_pb2.VERDICT_LATER, hub_ms=self.now_ms(), retry_after_ms=2 * LATER_MS)
            self._say(arrival, word)
