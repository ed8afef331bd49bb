"""How much is in flight, which line is used, and where two histories part."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.link.choice import PAUSE_DOUBLINGS_MAX, Lines, newest
from node.link.link import Link, LinkKind, OnAck, OnDown
from node.outbox.pace import EVENTS_MAX, EVENTS_MIN, QUICK_MS, SLOW_MS, WINDOW_MAX, Pace
from node.outbox.recover import Comparison
from sepe.errors import PeerProtocolError
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import reopen_frame
from tests.support.world import Node, nik_of, recorded


def feed(pace: Pace, answer_ms: int, rounds: int) -> None:
    for number in range(rounds):
        pace.sent(number, 0)
        pace.acked(number, answer_ms)


def test_a_good_line_gets_a_full_window_of_full_frames() -> None:
    pace = Pace()
    feed(pace, 600, 7)
    assert (pace.events_max, pace.window_frames) == (EVENTS_MAX, WINDOW_MAX)


def test_a_slow_line_gets_a_smaller_window_first_and_then_smaller_frames() -> None:
    pace = Pace(EVENTS_MAX, WINDOW_MAX)
    feed(pace, SLOW_MS + 1, 5)
    assert (pace.events_max, pace.window_frames) == (EVENTS_MAX, 1)
    feed(pace, SLOW_MS + 1, 1)
    assert pace.events_max == EVENTS_MAX // 2


def test_a_line_in_between_is_left_as_it_is() -> None:
    pace = Pace(500, 4)
    feed(pace, (QUICK_MS + SLOW_MS) // 2, 10)
    assert (pace.events_max, pace.window_frames) == (500, 4)


def test_however_bad_the_line_a_few_events_always_travel() -> None:
    pace = Pace()
    for _ in range(20):
        pace.line_failed()
        feed(pace, SLOW_MS + 1, 3)
    assert (pace.events_max, pace.window_frames) == (EVENTS_MIN, 1)


def test_one_ack_for_several_frames_counts_by_the_oldest() -> None:
    pace = Pace(EVENTS_MAX, 4)
    for number, sent_ms in enumerate((0, 5_000, 6_000), start=1):
        pace.sent(number, sent_ms)
    pace.acked(3, SLOW_MS + 500)
    assert pace.window_frames == 2


def test_what_was_in_flight_before_a_rewind_measures_nothing() -> None:
    pace = Pace(EVENTS_MAX, 4)
    pace.sent(10, 0)
    pace.rewound()
    pace.acked(10, SLOW_MS * 10)
    assert pace.window_frames == 4


@pytest.mark.parametrize("frame_bytes_per_event", [60, 150, 400])
def test_the_pace_settles_on_64_kbit_so_that_acks_come_in_time(frame_bytes_per_event: int) -> None:
    """A line that carries 8,000 bytes a second and answers after half a second."""
    pace, now_ms, busy_until_ms = Pace(), 0, 0
    waiting: deque[tuple[int, int]] = deque()
    worst_ms, seq = 0, 0
    for _ in range(400):
        while len(waiting) < pace.window_frames:
            seq += pace.events_max
            busy_until_ms = max(busy_until_ms, now_ms) + pace.events_max * frame_bytes_per_event // 8
            waiting.append((seq, busy_until_ms + 500))
            pace.sent(seq, now_ms)
            worst_ms = max(worst_ms, busy_until_ms + 500 - now_ms)
        done, at_ms = waiting.popleft()
        now_ms = max(now_ms, at_ms)
        pace.acked(done, now_ms)
    assert worst_ms < 20_000


class Taken:
    """A hub that takes its time over a line that carries ``rate`` events a second, driven by a pace."""

    def __init__(self, pace: Pace, rate: float, hub_ms: int, told: float = 1.0) -> None:
        self.pace, self.rate, self.hub_ms, self.told = pace, rate, hub_ms, told

    def run(self, rounds: int) -> int:
        """Play; the longest time from frame to ack."""
        now_ms = line_free_ms = seq = worst_ms = 0
        waiting: deque[tuple[int, int, int]] = deque()
        for _ in range(rounds):
            while len(waiting) < self.pace.window_frames:
                seq += self.pace.events_max
                line_free_ms = max(line_free_ms, now_ms) + int(1000 * self.pace.events_max / self.rate)
                waiting.append((seq, now_ms, line_free_ms + self.hub_ms))
                self.pace.sent(seq, now_ms)
            done, sent_ms, at_ms = waiting.popleft()
            now_ms = max(now_ms, at_ms)
            worst_ms = max(worst_ms, now_ms - sent_ms)
            self.pace.acked(done, now_ms, int(self.hub_ms * self.told))
        return worst_ms


def test_a_hub_that_is_behind_gets_fewer_frames_and_not_smaller_ones() -> None:
    pace = Pace(EVENTS_MAX, WINDOW_MAX)
    Taken(pace, 50_000, hub_ms=15_000).run(60)
    assert (pace.events_max, pace.window_frames) == (EVENTS_MAX, 1)
    returning = Pace()
    Taken(returning, 50_000, hub_ms=15_000).run(60)
    assert (returning.events_max, returning.window_frames) == (EVENTS_MAX, 1), "who comes back meanwhile as well"
    silent = Pace(EVENTS_MAX, WINDOW_MAX)
    Taken(silent, 50_000, hub_ms=15_000, told=0).run(60)
    assert silent.events_max == EVENTS_MIN, "a hub that does not say is taken for a slow line, as ever"


def test_a_slow_line_to_a_slow_hub_still_gets_small_frames() -> None:
    pace = Pace(EVENTS_MAX, WINDOW_MAX)
    Taken(pace, 53, hub_ms=5_000).run(200)
    assert pace.events_max / 53 * 1000 <= SLOW_MS


@given(
    waits=st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 1 << 32)), max_size=60),
    lies=st.booleans(),
)
def test_whatever_a_hub_says_of_itself_the_pace_stays_in_its_bounds_and_what_cannot_be_is_not_believed(
    waits: list[tuple[int, int]], lies: bool
) -> None:
    told, deaf = Pace(), Pace()
    for number, (waited_ms, held_ms) in enumerate(waits):
        for pace in (told, deaf):
            pace.sent(number, 0)
        told.acked(number, waited_ms, waited_ms + 1 + held_ms if lies else held_ms)
        deaf.acked(number, waited_ms)
        assert EVENTS_MIN <= told.events_max <= EVENTS_MAX and 1 <= told.window_frames <= WINDOW_MAX
        assert told.events_max >= deaf.events_max and told.window_frames >= deaf.window_frames
        if lies:
            assert told == deaf


class NoLink:
    """Opens at once, or breaks at once."""

    name = "none"
    healthy = True

    async def open(self) -> None: ...
    async def greet(self, hello: sync_pb2.SignedHello) -> sync_pb2.Ack:
        return sync_pb2.Ack()

    async def send(self, frame: bytes) -> None: ...
    async def close(self) -> None: ...


def make(on_ack: OnAck, on_down: OnDown) -> Link:
    return NoLink()


NATS, GRPC = LinkKind("nats", make), LinkKind("grpc", make)


def names(lines: Lines, now_ms: int) -> list[str]:
    return [kind.name for kind in lines.order(now_ms)]


def test_a_line_that_failed_is_tried_last_until_its_pause_is_over() -> None:
    lines = Lines([NATS, GRPC], probe_ms=1_000)
    lines.failed("nats", 0)
    assert names(lines, 999) == ["grpc", "nats"]
    assert names(lines, 1_000) == ["nats", "grpc"]


def test_when_all_failed_the_best_is_tried_first() -> None:
    lines = Lines([NATS, GRPC], probe_ms=1_000)
    lines.failed("nats", 0)
    lines.failed("grpc", 0)
    assert names(lines, 10) == ["nats", "grpc"]


def test_a_line_that_cannot_be_had_is_probed_steadily() -> None:
    lines = Lines([NATS, GRPC], probe_ms=1_000)
    for turn in range(5):
        assert lines.better_than("grpc", turn * 1_000) is NATS
        lines.failed("nats", turn * 1_000)
        assert lines.better_than("grpc", turn * 1_000 + 999) is None


def test_a_line_that_swallows_frames_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    lines = Lines([NATS, GRPC], probe_ms=1_000)
    for turn in range(8):
        lines.failed("nats", 0, swallowed=True)
        pause_ms = 1_000 << min(turn, PAUSE_DOUBLINGS_MAX)
        assert names(lines, pause_ms - 1) == ["grpc", "nats"]
        assert names(lines, pause_ms) == ["nats", "grpc"]
    lines.carried("nats")
    lines.failed("nats", 0, swallowed=True)
    assert names(lines, 1_000) == ["nats", "grpc"]


def test_nothing_is_better_than_the_best() -> None:
    assert Lines([NATS, GRPC]).better_than("nats", 0) is None
    assert Lines([GRPC]).better_than("grpc", 0) is None


async def test_a_kind_that_the_hub_names_later_comes_first() -> None:
    lines = Lines([GRPC])
    lines.prefer(NATS)
    lines.prefer(NATS)
    assert (lines.best, names(lines, 0)) == ("nats", ["nats", "grpc"])
    line = await lines.open_line(NATS, asyncio.Event())
    assert line.name == "nats"


def word(seq: int, verdict: sync_pb2.Verdict.ValueType = sync_pb2.VERDICT_DURABLE, epoch: int = 0) -> sync_pb2.Ack:
    return sync_pb2.Ack(epoch=bytes([epoch] * 16), verdict=verdict, durable_seq=seq)


def test_of_several_watermarks_only_the_last_is_news() -> None:
    acks = deque([word(1), word(2), word(3)])
    assert newest(acks) == [word(3)]
    assert not acks


def test_gaps_other_epochs_and_falling_watermarks_are_all_news() -> None:
    gap = word(2, sync_pb2.VERDICT_GAP)
    acks = [word(1), gap, gap, word(5), word(4), word(4, epoch=1)]
    assert newest(deque(acks)) == acks


def history(count: int, name: str = "MARIA TAEK") -> Node:
    node = Node("537104-1")
    node.write(*(recorded(nik_of(number), name) for number in range(count)))
    return node


def compare(own: Node, theirs: Node, *, start: int = 0, size: int = 4, own_chains: int = 0) -> Comparison:
    """``own_chains``: rows up to there are pruned."""

    def chain_at(seq: int) -> bytes | None:
        return own.chain(seq) if own_chains <= seq <= own.last_seq else None

    comparison = Comparison(chain_at, own.last_seq, start)
    for data in theirs.frames(size):
        opened = reopen_frame(data)
        if opened.header.last_seq > start:
            comparison.feed(opened)
    return comparison


def test_a_shorter_history_of_the_same_branch_parts_at_its_end() -> None:
    theirs = history(10)
    own = theirs.clone()
    del own.drafts[7:], own.stamps[7:]
    found = compare(own, theirs)
    assert (found.common_seq, found.reached_seq) == (7, 10)


@pytest.mark.parametrize("start", [0, 3, 5])
def test_branches_part_where_the_first_event_differs(start: int) -> None:
    own, theirs = history(5), history(5)
    own.write(recorded(nik_of(1), "HERE"), recorded(nik_of(2), "HERE"))
    theirs.write(recorded(nik_of(3), "THERE"), *(recorded(nik_of(number), "THERE") for number in range(4)))
    found = compare(own, theirs, start=start)
    assert (found.common_seq, found.reached_seq) == (5, 10)


def test_what_the_hub_holds_and_we_do_not_is_handed_out_exactly() -> None:
    theirs = history(10)
    own = theirs.clone()
    del own.drafts[5:], own.stamps[5:]
    comparison = Comparison(lambda seq: own.chain(seq) if seq <= 5 else None, 5, 0)
    runs = [comparison.feed(reopen_frame(data)) for data in theirs.frames(4)]
    lost = [(run.first_seq, len(run.columns)) for run in runs if run is not None]
    assert lost == [(6, 3), (9, 2)]


def test_pruned_rows_count_as_agreed() -> None:
    own, theirs = history(6), history(9)
    found = compare(own, theirs, own_chains=4)
    assert found.common_seq == 6


def test_a_hole_in_what_the_hub_sends_is_refused() -> None:
    theirs = history(10)
    frames = [reopen_frame(data) for data in theirs.frames(4)]
    comparison = Comparison(theirs.chain, 10, 0)
    comparison.feed(frames[0])
    with pytest.raises(PeerProtocolError, match="pull_gap"):
        comparison.feed(frames[2])
    assert comparison.reached_seq == 4


def test_whether_a_start_is_agreed_is_told_by_the_digest_before_the_frame() -> None:
    own, theirs = history(8, "HERE"), history(8, "THERE")
    frames = [reopen_frame(data) for data in theirs.frames(4)]
    comparison = Comparison(own.chain, 8, 4)
    assert not comparison.starts_agreed(frames[1])
    assert Comparison(own.chain, 8, 0).starts_agreed(frames[0])


def test_a_first_frame_that_begins_below_the_start_is_compared_at_the_start() -> None:
    """Found by seed 7 of the full world: a restored hub heard a clone first, and the branches part inside a frame
    whose beginning both share. Taken for agreed, the events between were lost."""
    own, theirs = history(3), history(3)
    own.write(*(recorded(nik_of(number), "HERE") for number in range(3)))
    theirs.write(*(recorded(nik_of(number), "THERE") for number in range(5)))
    (frame,) = (reopen_frame(data) for data in theirs.frames(8))
    assert not Comparison(own.chain, 6, 6).starts_agreed(frame)
    assert Comparison(own.chain, 6, 3).starts_agreed(frame)
    assert compare(own, theirs).common_seq == 3
