"""One transaction of the merge: frames judged and logged one by one, everything else written once at its end."""

from __future__ import annotations

from hub.dispatch import book, watch
from hub.merge import log, wanted
from hub.merge.arrival import Outcome, hold_fork
from hub.merge.fold import Heads, write_heads, write_parked
from hub.merge.proving import BY_HAND, Arrival, Proven
from hub.stock import on_way
from sepe.errors import TransientError
from sepe.hlc import AHEAD_MS_MAX, cap_of, wall_ms_of
from sepe.sync.centre import EpochState, Judgement, ack, advanced, judge
from sepe.wire.v1 import sync_pb2
from sepe_io.sqlite import Connection

Epoch = tuple[str, bytes]


class StaleWriterError(TransientError):
    """Another worker moved the watermark meanwhile; nothing of the batch is stored. Merge it again."""


class Batch:
    """Frames of one write transaction. Call `take` for each, then `write`, then commit."""

    def __init__(self, connection: Connection, *, frames_max: int) -> None:
        self._connection = connection
        self._next_number = log.next_number(connection, frames_max)
        self._frames_max = frames_max
        self._loaded: dict[Epoch, EpochState] = {}
        self._states: dict[Epoch, EpochState] = {}
        self._heads = Heads()
        # Of the epochs that moved: when and by what way their last frame came.
        self._seen: dict[Epoch, tuple[int, str]] = {}
        self._ahead_ms: dict[str, int] = {}
        self._marked: set[int] = set()
        self._stock_steps: list[on_way.Step] = []
        self._misses_events = wanted.any_wanted(connection)

    def take(self, arrival: Arrival, proven: Proven) -> Outcome:
        """Judge a proven frame against the frames taken before, and log it when it is next."""
        header = proven.header
        key = (header.node, header.epoch)
        state = self._states.get(key)
        if state is None:
            state = self._loaded[key] = self._states[key] = log.epoch_state(self._connection, *key)
        verdict = judge(state, header, proven.chains, lambda seq: log.chain_at(self._connection, *key, seq))
        hub_ms = arrival.received_ms
        match verdict.judgement:
            case Judgement.ACCEPT:
                self._states[key] = state = advanced(state, header)
                self._log_frame(arrival, proven, verdict.skip)
                answer = ack(state, sync_pb2.VERDICT_DURABLE, hub_ms=hub_ms)
                return Outcome(self._asking(answer), verdict.judgement, events_merged=header.count - verdict.skip)
            case Judgement.DUPLICATE:
                if self._misses_events and wanted.mend(self._connection, arrival, proven):
                    self._next_number = log.next_number(self._connection, self._frames_max)
                answer = ack(state, sync_pb2.VERDICT_DURABLE, hub_ms=hub_ms)
                return Outcome(self._asking(answer), verdict.judgement)
            case Judgement.GAP:
                return Outcome(ack(state, sync_pb2.VERDICT_GAP, hub_ms=hub_ms), verdict.judgement)
            case Judgement.FORK:
                hold_fork(self._connection, arrival, header)
                answer = ack(state, sync_pb2.VERDICT_FORK, hub_ms=hub_ms, reason="fork")
                return Outcome(answer, verdict.judgement, "fork")

    def write(self) -> None:
        """Write what the taken frames add up to.

        Raises:
            StaleWriterError: a watermark is not where it was when its first frame was judged; roll back.
        """
        # All in one order: workers beside each other never wait in a circle. The watermarks are ours already,
        # by the locks of their nodes, and a stale writer is found before the dear part.
        for (node, epoch), (seen_ms, via) in sorted(self._seen.items()):
            self._move_watermark(node, epoch, seen_ms)
            # A courier's file says nothing of where the node is now.
            if via not in BY_HAND:
                self._note_whereabouts(node, epoch, seen_ms, via)
        write_heads(self._connection, self._heads)
        watch.mark(self._connection, self._marked)
        on_way.note(self._connection, sorted(self._stock_steps, key=on_way.told_to))

    def _log_frame(self, arrival: Arrival, proven: Proven, skip: int) -> None:
        header = proven.header
        number, self._next_number = self._next_number, self._next_number + 1
        cap = cap_of(arrival.received_ms)
        parked = self._heads.add(proven.tally, frame_number=number, start=skip)
        log.insert(
            self._connection, number, header, skip=skip, received_ms=arrival.received_ms, cap_ms=wall_ms_of(cap),
            via=arrival.via, data=arrival.data,
        )  # fmt: skip
        if parked:
            write_parked(self._connection, number, parked)
        if proven.own is not None:
            book.apply_frame(self._connection, proven.own, skip)
        self._marked.update(nik for index, nik in proven.marks if index >= skip)
        self._stock_steps += [step for index, step in proven.steps if index >= skip]
        ahead_ms = wall_ms_of(proven.stamp_max) - arrival.received_ms
        if ahead_ms > AHEAD_MS_MAX:
            self._ahead_ms[header.node] = ahead_ms
        self._seen[header.node, header.epoch] = (arrival.received_ms, arrival.via)

    def _asking(self, answer: sync_pb2.Ack) -> sync_pb2.Ack:
        """The answer; with it, what the log lacks of this node."""
        if self._misses_events:
            wanted.ask(self._connection, answer)
        return answer

    def _move_watermark(self, node: str, epoch: bytes, seen_ms: int) -> None:
        state, before = self._states[node, epoch], self._loaded[node, epoch]
        moved = self._connection.execute(
            "INSERT INTO epoch (node, epoch, durable_seq, chain, first_seen_ms, last_seen_ms)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET durable_seq = excluded.durable_seq,"
            " chain = excluded.chain, last_seen_ms = excluded.last_seen_ms WHERE epoch.durable_seq = ?",
            (node, epoch, state.durable_seq, state.chain, seen_ms, seen_ms, before.durable_seq),
        )
        if moved.rowcount != 1:
            raise StaleWriterError(f"another worker merged frames of {node}")

    def _note_whereabouts(self, node: str, epoch: bytes, seen_ms: int, via: str) -> None:
        durable_seq = self._states[node, epoch].durable_seq
        self._connection.execute(
            "UPDATE node SET last_seen_ms = MAX(COALESCE(last_seen_ms, 0), ?), via = ?,"
            " told_seq = IIF(epoch = ?, MAX(told_seq, ?), ?), epoch = ?,"
            " clock_skew_ms = COALESCE(?, clock_skew_ms) WHERE node = ?",
            (seen_ms, via, epoch, durable_seq, durable_seq, epoch, self._ahead_ms.get(node), node),
        )
