"""The office's side of the sync protocol.

The machine holds one session: where the hub's watermark stands, what is in flight, when to try again. It
never touches a disk or a socket. A shell feeds it inputs and performs the effects it returns, **in order**:

`SendHello`     Send a greeting built from the store (epoch, last seq, last chain, stored watermark).
`SendFrame`     Build a frame from the rows above ``after_seq``, send it, then call `sent` with its last seq.
                No row above it: call `nothing_to_send`. The link refused it: `link_down`. Rows above it, but
                the next one is pruned: `link_up`, to greet again and hear what the hub really lacks.
`StoreDurable`  Persist the watermark *before* the next effect. ``went_back`` says that the hub was restored
                from a backup and asks for rows again; never prune above it.
`OpenEpoch`     Fetch the hub's frames of this epoch and find the last seq at which both agree. When the hub's
                history turns out to be a mere beginning of ours, the word was stale: only greet again. Else
                persist a new epoch in one transaction: our rows above the common seq are written again in it,
                *with the stamps they had*, and the rows that the hub holds and we lost take their place in the
                old one. Then call `epoch_opened`.
`ResetLink`     Close the link and open one, preferably the other kind; then `link_up`.

The shell must deliver, with each hub message, the office's own chain digest at the message's watermark
(``None`` when it has no such row, or no longer the one after it): comparing the two is how forks, clones and
restores are found.

One machine drives one epoch. An epoch that was left behind still has rows that a hub restored from a backup
may lack, so on each greeting of the current epoch the shell also greets for every earlier one that the outbox
holds, with a machine of its own over the same link, until it is level. `OpenEpoch` from such a machine means
the same, but what the hub lacks is written again in the current epoch instead of a new one.

States: OFFLINE (no link) -> GREETING (hello sent) -> SYNCING -> OFFLINE; PARKED while the hub refuses us or
asks for patience. Every wait ends by itself: `next_timer_ms` says when to call `tick`. An idle session greets
again every ``greet_every_ms``, because a hub restored behind a broker that stayed up looks like one with nothing
to say.

An ack is waited for `ACK_TIMEOUT_MS` longer than the hub says, at most `HELD_MS_MAX`, that it takes to commit a
frame: one that is behind is not a dead line, and sending it the same again would put it further behind.

Frames in flight are bounded by ``window_frames``: one at a time starves a long line (600 ms round trips), a
whole backlog in flight would be sent again after each cut.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from sepe.wire.v1 import sync_pb2

WINDOW_FRAMES = 8
ACK_TIMEOUT_MS = 20_000
# However long a hub says that it holds frames, a line that swallows them is given up after a minute.
HELD_MS_MAX = 40_000
HELLO_TIMEOUT_MS = 10_000
# How long a refused office waits before it greets again: somebody must enrol it first.
REFUSED_PAUSE_MS = 30_000
CORRUPT_PAUSE_MS = 1_000
# A frame that arrives unreadable this often is cut in half, down to single events.
CORRUPT_TRIES = 3
EVENTS_MAX = 1000
# An idle office asks where the hub stands this often: 7,285 offices make eight greetings a second.
GREET_EVERY_MS = 900_000


class State(Enum):
    OFFLINE = "offline"
    GREETING = "greeting"
    SYNCING = "syncing"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class SendHello:
    """Greet the hub."""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send the rows above ``after_seq``, at most ``events_max`` of them."""

    after_seq: int
    events_max: int


@dataclass(frozen=True, slots=True)
class StoreDurable:
    """Persist the hub's watermark for the current epoch."""

    seq: int
    went_back: bool = False


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """Begin a new epoch; the hub holds the old one up to ``hub_seq``.

    ``reason``: ``rolled_back`` (the hub holds rows that we lost), ``fork`` (other rows than ours), or ``pruned``
    (it asks for rows that we no longer hold: it was restored from a backup older than our retention margin).
    """

    reason: str
    hub_seq: int
    hub_chain: bytes


@dataclass(frozen=True, slots=True)
class ResetLink:
    """The link gave no answer in time."""

    reason: str


Effect = SendHello | SendFrame | StoreDurable | OpenEpoch | ResetLink


@dataclass(slots=True)
class _InFlight:
    first_seq: int
    last_seq: int
    sent_ms: int


@dataclass(slots=True)
class OfficeSync:
    """One office's session with the hub.

    Args:
        epoch: the current epoch, 16 bytes.
        last_seq: highest seq in the outbox.
        durable_seq: the stored watermark.
        greet_every_ms: how long an idle session trusts that the hub stands where it stood.
    """

    epoch: bytes
    last_seq: int
    durable_seq: int
    window_frames: int = WINDOW_FRAMES
    state: State = State.OFFLINE
    refusal: str = ""
    greet_every_ms: int = GREET_EVERY_MS
    _in_flight: deque[_InFlight] = field(default_factory=deque)
    _handed_seq: int = 0
    _sending: bool = False
    _timer_ms: int | None = None
    _greet_due_ms: int = 0
    # The gap we rewound for, and how many frames behind the lost one will still report it.
    _gap_seq: int = -1
    _gap_echoes: int = 0
    _corrupt_tries: int = 0
    _events_max: int = EVENTS_MAX
    # How long the hub takes to commit a frame, by its last word.
    _held_ms: int = 0

    def link_up(self, now_ms: int) -> list[Effect]:
        """A link is ready: greet before anything else."""
        self._forget_flight()
        self._gap_seq, self._gap_echoes = -1, 0
        self.state = State.GREETING
        self._timer_ms = now_ms + HELLO_TIMEOUT_MS
        return [SendHello()]

    def link_down(self) -> list[Effect]:
        """The link is gone; what was in flight is sent again after the next greeting, if still needed."""
        self._forget_flight()
        self.state = State.OFFLINE
        self._timer_ms = None
        return []

    def outbox_grew(self, last_seq: int) -> list[Effect]:
        """The desk committed events up to ``last_seq``."""
        self.last_seq = max(self.last_seq, last_seq)
        return self._fill()

    def sent(self, first_seq: int, last_seq: int, now_ms: int) -> list[Effect]:
        """A frame left. Returns the next one to send, if the window has room.

        A frame may end above what `outbox_grew` announced: another process committed meanwhile.
        """
        self._sending = False
        if self.state is not State.SYNCING:
            return []  # The session ended while the frame was being built; its ack is welcome all the same.
        self.last_seq = max(self.last_seq, last_seq)
        self._in_flight.append(_InFlight(first_seq, last_seq, now_ms))
        self._handed_seq = last_seq
        self._wait_for_word()
        return self._fill()

    def nothing_to_send(self) -> None:
        """The store had no row above ``after_seq``."""
        self._sending = False
        self.last_seq = min(self.last_seq, self._handed_seq)

    def epoch_opened(self, epoch: bytes, last_seq: int, now_ms: int) -> list[Effect]:
        """The store began a new epoch; greet with it."""
        self.epoch, self.last_seq, self.durable_seq = epoch, last_seq, 0
        return self.link_up(now_ms)

    def heard(self, ack: sync_pb2.Ack, own_chain: bytes | None, now_ms: int) -> list[Effect]:
        """The hub's answer to a greeting or a frame.

        Args:
            own_chain: our chain digest at ``ack.durable_seq``; ``None`` when we hold no such row, or no longer
                the one after it.
        """
        if self.state in (State.OFFLINE, State.PARKED) or ack.epoch != self.epoch:
            # A late word on an earlier session or epoch, or, while parked, on a frame behind the one that parked
            # us: the greeting after the pause will tell.
            return []
        self._held_ms = min(ack.held_ms, HELD_MS_MAX)
        verdict = ack.verdict
        if verdict == sync_pb2.VERDICT_REFUSED:
            return self._park(ack.reason or "refused", now_ms + max(ack.retry_after_ms, REFUSED_PAUSE_MS))
        if verdict == sync_pb2.VERDICT_LATER:
            return self._park("", now_ms + max(ack.retry_after_ms, 1))
        if own_chain is not None:
            # VERDICT_FORK on a history that agrees with ours is about a frame of our clone's: both hear it.
            if own_chain != ack.durable_chain:
                return self._open_epoch("fork", ack)
            self.last_seq = max(self.last_seq, ack.durable_seq)
        elif ack.durable_seq > self.last_seq:
            return self._open_epoch("rolled_back", ack)
        elif self.state is State.GREETING:
            return self._open_epoch("pruned", ack)
        if self.state is State.SYNCING:
            return self._progress(ack, now_ms)
        return self._begin(ack, now_ms)

    def tick(self, now_ms: int) -> list[Effect]:
        """Time passed; call at `next_timer_ms` or later."""
        if self._timer_ms is None or now_ms < self._timer_ms:
            return []
        if self.state is State.PARKED or (self.state is State.SYNCING and not self._in_flight):
            return self.link_up(now_ms)
        reason = "no answer to the greeting" if self.state is State.GREETING else "no ack for a frame"
        self.link_down()
        return [ResetLink(reason)]

    @property
    def next_timer_ms(self) -> int | None:
        """When `tick` is due, ``None`` when nothing is awaited."""
        return self._timer_ms

    @property
    def in_flight_frames(self) -> int:
        return len(self._in_flight)

    def _begin(self, ack: sync_pb2.Ack, now_ms: int) -> list[Effect]:
        """Greeted and agreed: send from the hub's watermark, wherever that is."""
        went_back = ack.durable_seq < self.durable_seq
        moved = ack.durable_seq != self.durable_seq
        self.state, self.refusal = State.SYNCING, ""
        self.durable_seq = self._handed_seq = ack.durable_seq
        self._greet_due_ms = now_ms + self.greet_every_ms
        self._wait_for_word()
        return ([StoreDurable(ack.durable_seq, went_back)] if moved else []) + self._fill()

    def _progress(self, ack: sync_pb2.Ack, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        if ack.durable_seq > self.durable_seq:
            self.durable_seq = ack.durable_seq
            self._corrupt_tries, self._events_max, self._gap_seq = 0, EVENTS_MAX, -1
            effects.append(StoreDurable(ack.durable_seq))
        while self._in_flight and self._in_flight[0].last_seq <= ack.durable_seq:
            self._in_flight.popleft()
        self._handed_seq = max(self._handed_seq, ack.durable_seq)
        if ack.verdict == sync_pb2.VERDICT_CORRUPT:
            return effects + self._corrupted(now_ms)
        if ack.verdict == sync_pb2.VERDICT_GAP and self._is_news(ack.durable_seq):
            if ack.durable_seq < self.durable_seq:
                # The hub was restored from a backup behind a broker that stayed up, or a word from before our
                # progress was overtaken: only a greeting can tell.
                return self.link_up(now_ms)
            self._expect_echoes(ack.durable_seq)
            self._forget_flight()
        self._wait_for_word()
        return effects + self._fill()

    def _is_news(self, gap_seq: int) -> bool:
        """Whether to rewind for a gap: every frame behind the lost one reports it again, once is enough."""
        if gap_seq == self._gap_seq and self._gap_echoes:
            self._gap_echoes -= 1
            return False
        return True

    def _expect_echoes(self, gap_seq: int) -> None:
        """Every frame in flight will report this gap, but for the one that reports it now and the lost one."""
        silent = 1 + int(bool(self._in_flight) and self._in_flight[0].first_seq == gap_seq + 1)
        self._gap_seq, self._gap_echoes = gap_seq, max(len(self._in_flight) - silent, 0)

    def _wait_for_word(self) -> None:
        """Set the timer for the oldest frame's ack or, with none in flight, for the next greeting."""
        if self._in_flight:
            self._timer_ms = self._in_flight[0].sent_ms + ACK_TIMEOUT_MS + self._held_ms
        else:
            self._timer_ms = self._greet_due_ms

    def _corrupted(self, now_ms: int) -> list[Effect]:
        self._corrupt_tries += 1
        if self._corrupt_tries % CORRUPT_TRIES == 0:
            self._events_max = max(self._events_max // 2, 1)
        return self._park("", now_ms + CORRUPT_PAUSE_MS)

    def _fill(self) -> list[Effect]:
        """One frame at a time is asked of the shell; `sent` asks for the next."""
        room = len(self._in_flight) < self.window_frames
        if self.state is State.SYNCING and room and not self._sending and self._handed_seq < self.last_seq:
            self._sending = True
            return [SendFrame(self._handed_seq, self._events_max)]
        return []

    def _open_epoch(self, reason: str, ack: sync_pb2.Ack) -> list[Effect]:
        self.link_down()
        return [OpenEpoch(reason, ack.durable_seq, ack.durable_chain)]

    def _park(self, refusal: str, until_ms: int) -> list[Effect]:
        self._forget_flight()
        self.state, self.refusal = State.PARKED, refusal
        self._timer_ms = until_ms
        return []

    def _forget_flight(self) -> None:
        self._in_flight.clear()
        self._sending = False
        self._handed_seq = self.durable_seq
