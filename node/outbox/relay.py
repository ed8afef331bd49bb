"""The relay: performs what `sepe.sync.office` decides, over whichever line there is.

One task owns the machine and the current line; effects are performed in the order in which the machine gives
them. Any `TransientError` ends the session, and the one retry policy begins the next.

What grows: nothing. Acks wait in a bounded deque (they are cumulative), frames in flight are bounded by the pace,
and rows stay in the outbox until the hub's own commit of them was heard.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from tenacity import AsyncRetrying, retry_if_exception_type, stop_never, wait_random_exponential

from node.link.choice import Line, Lines, newest
from node.link.link import LinkDownError, NoAckError, Pull
from node.outbox.earlier import EarlierEpoch, bring_level
from node.outbox.pace import Pace
from node.outbox.ports import PositionLike
from node.outbox.probe import proven
from node.outbox.reopen import KeepLost, find_parting
from node.outbox.shows import Shows
from node.outbox.view import RelayTimes, RelayView
from node.outbox.worker import OutboxWorker, RowsGoneError
from sepe.errors import PeerProtocolError, TransientError
from sepe.sync.office import (
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
from sepe_io.logs import logger
from sepe_io.tasks import end_tasks

_log = logger("node.relay")

HISTORY_ALARM = "history_parted"
# A session that lasted this long was a good one: the next attempt to connect starts without a pause.
GOOD_SESSION_MS = 10_000


def monotonic_ms() -> int:
    """A clock that never goes back; drives all waiting."""
    return time.monotonic_ns() // 1_000_000


class Relay:
    """Brings one node's outbox to the hub for as long as `run` runs.

    Args:
        pull: how to fetch our own frames after a restore or a clone.
        keep_lost: where events go that this machine lost and the hub holds.
        earlier: the epochs that this machine left behind.
        elsewhere: asked before a new epoch for what the hub holds under our name in epochs that we do not know.
        history_mended: awaited once all lost events were kept.
        before_greeting: awaited before each greeting; enrols the node while that is still to do.
        on_word: awaited with each word of the hub that a session goes on after, and the line to answer on.
    """

    def __init__(
        self,
        worker: OutboxWorker,
        lines: Lines,
        *,
        pull: Pull,
        keep_lost: KeepLost,
        before_greeting: Callable[[], Awaitable[None]] | None = None,
        on_word: Callable[[sync_pb2.Ack, Line], Awaitable[None]] | None = None,
        earlier: Callable[[], Awaitable[list[EarlierEpoch]]],
        elsewhere: Callable[[], Awaitable[Collection[bytes]]],
        history_mended: Callable[[], Awaitable[None]],
        times: RelayTimes | None = None,
        clock_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.view = RelayView()
        self._shows = Shows(self.view, worker)
        self._worker = worker
        self._lines = lines
        self._pull = pull
        self._keep_lost = keep_lost
        self._before_greeting = before_greeting
        self._on_word = on_word
        self._earlier = earlier
        self._elsewhere = elsewhere
        self._history_mended = history_mended
        self._times = times or RelayTimes()
        self._clock_ms = clock_ms
        self._pace = Pace()
        # Replaced at each attempt to connect by one that knows where the store stands.
        self._machine = OfficeSync(b"", 0, 0)
        self._line: Line | None = None
        self._better: Line | None = None
        self._wake = asyncio.Event()
        self._is_nudged = False
        self._has_headway = False
        self._hub_ms = 0

    def nudge(self) -> None:
        """Rows were written, or somebody wants an attempt now: do not wait for the next look."""
        self._is_nudged = True
        self._wake.set()

    def ring(self) -> None:
        """Rows may have been written: look at the outbox now."""
        self._wake.set()

    async def run(self) -> None:
        """Relay until cancelled. Every `TransientError` is waited out; anything else ends the run."""
        await self._shows.recall()
        await self._worker.was_nudged()  # What was asked for before we ran is what we are about to do.
        chores = asyncio.create_task(self._shows.chores(self._times, self._clock_ms))
        try:
            while True:
                async for attempt in self._retry_policy():
                    with attempt:
                        await self._attempt()
                await self._sleep_unless_nudged(random.uniform(0, self._times.jitter_ms) / 1000)
        finally:
            chores.cancel()
            with suppress(TransientError):
                # A reader learns at once that nobody relays any more.
                await asyncio.shield(self._worker.report_link("offline"))

    # Connecting

    def _retry_policy(self) -> AsyncRetrying:
        """Full jitter, capped, for ever; a nudge ends a pause early."""
        return AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=wait_random_exponential(multiplier=0.5, max=self._times.retry_max_ms / 1000),
            stop=stop_never,
            sleep=self._sleep_unless_nudged,
            reraise=True,
        )

    async def _attempt(self) -> None:
        """Connect and relay until the line is gone. Returns when that went well for a while, raises otherwise."""
        self._has_headway = False
        try:
            await self._connect()
            await self._session()
        except TransientError as exc:
            if self.view.reason != str(exc):
                _log.warning("relay.interrupted", reason=str(exc), link=self.view.link)
            self.view.reason = str(exc)
            if not self._has_headway:
                raise
        finally:
            await self._hang_up()

    async def _connect(self) -> None:
        """Open the best line there is and greet over it.

        Raises:
            LinkDownError: there is none.
        """
        position = await self._worker.position()
        self._machine = OfficeSync(position.epoch, position.last_seq, position.durable_seq)
        self._shows.position(position)
        reasons: list[str] = []
        for kind in self._lines.order(self._clock_ms()):
            try:
                self._line = await self._lines.open_line(kind, self._wake)
                await self._perform(self._machine.link_up(self._clock_ms()))
            except LinkDownError as exc:
                reasons.append(str(exc))
                self._lines.failed(kind.name, self._clock_ms())
                await self._hang_up()
            else:
                return
        raise LinkDownError("; ".join(reasons))

    async def _hang_up(self) -> None:
        self._machine.link_down()
        lines, self._line, self._better = (self._line, self._better), None, None
        await self._shows.link("offline")
        for line in lines:
            if line is not None:
                await line.link.close()

    async def _sleep_unless_nudged(self, seconds: float) -> None:
        until_ms = self._clock_ms() + int(seconds * 1000)
        while (left_ms := until_ms - self._clock_ms()) > 0 and not self._is_nudged:
            await self._wait(min(left_ms, self._times.offline_poll_ms))
            self._is_nudged |= await self._worker.was_nudged()
        self._is_nudged = False

    async def _wait(self, milliseconds: int) -> None:
        """Until something happened, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(milliseconds / 1000):
                await self._wake.wait()
        self._wake.clear()

    # One session

    async def _session(self) -> None:
        """Relay over the current line until it is gone. Raises `TransientError`."""
        begun_ms = self._clock_ms()
        self.view.sessions += 1
        prober = asyncio.create_task(self._seek_better())
        try:
            while True:
                timer_ms, now_ms = self._machine.next_timer_ms, self._clock_ms()
                idle_ms = self._times.poll_ms if timer_ms is None else max(timer_ms - now_ms, 0)
                await self._wait(min(idle_ms, self._times.poll_ms))
                if self._better is not None:
                    await self._switch()
                if self._open_line.lost:
                    raise LinkDownError(self._open_line.lost)
                await self._look()
                await self._hear()
                await self._perform(self._machine.tick(self._clock_ms()))
        except LinkDownError as exc:
            swallowed = isinstance(exc, NoAckError)
            self._lines.failed(self._open_line.name, self._clock_ms(), swallowed=swallowed)
            if swallowed or self._machine.in_flight_frames:
                self._pace.line_failed()
            raise
        finally:
            lasted_ms = self._clock_ms() - begun_ms
            self._has_headway |= self._machine.state is State.SYNCING and lasted_ms > GOOD_SESSION_MS
            # One cancel may be lost in nats-py's wait_for, and a prober that lives on would hold this up for ever.
            await end_tasks([prober])

    @property
    def _open_line(self) -> Line:
        assert self._line is not None
        return self._line

    async def _look(self) -> None:
        """Notice rows, whole new epochs and requests that other processes wrote."""
        position = await self._worker.position_if_changed()
        if position is None and not self._is_nudged:
            return
        is_nudged = self._is_nudged | await self._worker.was_nudged()
        self._is_nudged = False
        position = position or await self._worker.position()
        self._shows.position(position)
        if position.epoch != self._machine.epoch:
            await self._perform(self._epoch_opened(position))
        elif is_nudged and self._machine.state is State.PARKED:
            await self._perform(self._machine.link_up(self._clock_ms()))
        await self._perform(self._machine.outbox_grew(position.last_seq))

    async def _hear(self) -> None:
        machine = self._machine
        for ack in newest(self._open_line.acks):
            if ack.epoch != machine.epoch:
                continue
            position, own_chain = await self._worker.position_and_chain(ack.durable_seq)
            await self._perform(machine.outbox_grew(position.last_seq))
            was_greeting, durable_before = machine.state is State.GREETING, machine.durable_seq
            effects = machine.heard(ack, own_chain, self._clock_ms())
            if ack.verdict == sync_pb2.VERDICT_GAP:
                self._pace.rewound()
            self._hub_ms = ack.hub_ms
            self._shows.position(position)
            if was_greeting and machine.state is State.SYNCING:
                await self._greeted(ack.hub_ms)
            if machine.durable_seq > durable_before:
                await self._progressed(0 if was_greeting else ack.held_ms)
            await self._shows.refusal(machine.refusal)
            await self._perform(effects)
            if self._on_word is not None and machine.state is State.SYNCING:
                await self._on_word(ack, self._open_line)

    async def _greeted(self, hub_ms: int) -> None:
        await self._worker.see_hub_clock(hub_ms)
        if self.view.link != self._open_line.name:
            _log.info("relay.connected", link=self._open_line.name, pending=self.view.pending)
        self.view.reason = ""
        await self._shows.link(self._open_line.name)

    async def _progressed(self, held_ms: int) -> None:
        self._has_headway = True
        self._pace.acked(self._machine.durable_seq, self._clock_ms(), held_ms)
        self._lines.carried(self._open_line.name)

    # Effects

    async def _perform(self, effects: list[Effect]) -> None:
        waiting = deque(effects)
        while waiting:
            waiting.extend(await self._do(waiting.popleft()))

    async def _do(self, effect: Effect) -> list[Effect]:
        match effect:
            case SendHello():
                await self._send_hello()
            case SendFrame(after_seq, events_max):
                return await self._send_frame(after_seq, events_max)
            case StoreDurable(seq, went_back):
                if went_back:
                    _log.warning("hub.went_back", durable_seq=seq)
                await self._worker.store_durable(seq, went_back=went_back, hub_ms=self._hub_ms)
                self.view.durable_seq = seq
            case OpenEpoch():
                return await self._open_epoch(effect)
            case ResetLink(reason):
                raise NoAckError(f"{self._open_line.name}: {reason}")
        return []

    async def _send_hello(self) -> None:
        if self._before_greeting is not None:
            await self._before_greeting()
        line = self._open_line
        for epoch in await self._earlier():
            if alarm := await bring_level(line, self._worker, epoch):
                await self._shows.alarm(alarm)
        line.acks.append(await line.link.greet(await self._worker.hello()))
        self._wake.set()

    async def _send_frame(self, after_seq: int, events_max: int) -> list[Effect]:
        machine = self._machine
        machine.window_frames = self._pace.window_frames
        try:
            run = await self._worker.frame(after_seq, min(events_max, self._pace.events_max))
        except RowsGoneError:
            return machine.link_up(self._clock_ms())  # The greeting tells what the hub really lacks.
        if run is None:
            machine.nothing_to_send()
            return []
        await self._open_line.link.send(run.data)
        self._pace.sent(run.last_seq, self._clock_ms())
        self.view.frames_sent += 1
        self.view.bytes_sent += len(run.data)
        return machine.sent(after_seq + 1, run.last_seq, self._clock_ms())

    async def _open_epoch(self, effect: OpenEpoch) -> list[Effect]:
        """Find where the histories part and write what the hub lacks again, in a new epoch."""
        _log.error("history.parted", reason=effect.reason, hub_seq=effect.hub_seq, last_seq=self._machine.last_seq)
        try:
            parting = await find_parting(self._worker, self._pull, effect.hub_seq, self._keep_lost)
            if parting.lost_events == 0 and effect.reason != "pruned":
                raise TransientError("the hub's word on our history was overtaken by its own progress")
            elsewhere = await self._elsewhere()
        except PeerProtocolError as exc:
            await self._shows.alarm(f"{HISTORY_ALARM}: {exc.reason}")
            raise TransientError(f"the hub's copy of our history cannot be used: {exc}") from exc
        opened = await self._worker.open_epoch(effect.reason, parting.common_seq, elsewhere)
        if effect.reason == "pruned":
            # Stays until a person has looked: only an older copy of the hub or of this machine has those rows.
            await self._shows.alarm(f"rows_gone: the hub lacks rows after {effect.hub_seq} that were pruned here")
        elif self.view.alarm.startswith(HISTORY_ALARM):
            await self._shows.alarm("")
        await self._history_mended()
        _log.warning(
            "epoch.opened", reason=effect.reason, common_seq=parting.common_seq, lost_events=parting.lost_events,
            written_again=opened.last_seq,
        )  # fmt: skip
        self._shows.position(opened)
        return self._epoch_opened(opened)

    def _epoch_opened(self, position: PositionLike) -> list[Effect]:
        self.view.epochs_opened += 1
        self._pace.rewound()
        return self._machine.epoch_opened(position.epoch, position.last_seq, self._clock_ms())

    # A better line

    async def _seek_better(self) -> None:
        """While on a second-best line, try the better one now and then; hand it over once it has proven itself."""
        while True:
            await asyncio.sleep(self._times.offline_poll_ms / 1000)
            kind = self._lines.better_than(self._open_line.name, self._clock_ms())
            if kind is None or self._better is not None or self._machine.state is not State.SYNCING:
                continue
            try:
                self._better = await proven(self._lines, kind, self._worker, self._wake, self._times.proof_ms)
                self._wake.set()
            except TransientError:
                self._lines.failed(kind.name, self._clock_ms())

    async def _switch(self) -> None:
        """Go over to the better line; what is in flight on the old one is sent again if it has not arrived."""
        assert self._better is not None
        old, self._line, self._better = self._open_line, self._better, None
        self._machine.link_down()
        self._pace.rewound()
        self.view.switches += 1
        await old.link.close()
        await self._perform(self._machine.link_up(self._clock_ms()))
