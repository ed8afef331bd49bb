"""Corners of the office's machine that the seeded world found; each test failed before its fix."""

from __future__ import annotations

from sepe.sync.office import (
    GREET_EVERY_MS,
    Effect,
    OfficeSync,
    OpenEpoch,
    SendFrame,
    SendHello,
    State,
    StoreDurable,
)
from sepe.wire.v1 import sync_pb2

EPOCH = bytes(16)
DURABLE, GAP, FORK = sync_pb2.VERDICT_DURABLE, sync_pb2.VERDICT_GAP, sync_pb2.VERDICT_FORK


def chain(seq: int, branch: str = "") -> bytes:
    return f"{seq}{branch}".encode()


def word(verdict: sync_pb2.Verdict.ValueType, seq: int, branch: str = "") -> sync_pb2.Ack:
    return sync_pb2.Ack(epoch=EPOCH, verdict=verdict, durable_seq=seq, durable_chain=chain(seq, branch))


def heard(machine: OfficeSync, ack: sync_pb2.Ack, now_ms: int = 0, *, floor_seq: int = 0) -> list[Effect]:
    """What the machine says when its outbox holds the rows above ``floor_seq``."""
    holds = floor_seq <= ack.durable_seq <= machine.last_seq
    return machine.heard(ack, chain(ack.durable_seq) if holds else None, now_ms)


def syncing(last_seq: int, durable_seq: int = 0) -> OfficeSync:
    machine = OfficeSync(EPOCH, last_seq, durable_seq)
    machine.link_up(0)
    heard(machine, word(DURABLE, durable_seq))
    return machine


def send(machine: OfficeSync, *ends: int, now_ms: int = 0) -> list[Effect]:
    effects: list[Effect] = []
    for first, last in zip((machine.durable_seq, *ends), ends, strict=False):
        effects = machine.sent(first + 1, last, now_ms)
    return effects


def test_a_lost_frame_is_sent_again_at_the_first_gap_and_not_at_the_time_out() -> None:
    machine = syncing(30)
    send(machine, 10, 20, 30)
    assert heard(machine, word(GAP, 0)) == [SendFrame(0, 1000)]


def test_the_frames_behind_a_lost_one_make_one_rewind_together() -> None:
    machine = syncing(40)
    send(machine, 10, 20, 30, 40)
    heard(machine, word(GAP, 0))
    send(machine, 10, 20)
    assert heard(machine, word(GAP, 0)) == []
    assert heard(machine, word(GAP, 0)) == []
    assert machine.in_flight_frames == 2


def test_a_frame_that_is_lost_twice_is_rewound_twice() -> None:
    machine = syncing(20)
    send(machine, 10, 20)
    heard(machine, word(GAP, 0))
    send(machine, 10, 20)
    assert heard(machine, word(GAP, 0)) == [SendFrame(0, 1000)]


def test_words_on_frames_behind_the_one_that_parked_us_do_not_end_the_pause() -> None:
    machine = syncing(30)
    send(machine, 10, 20, 30)
    heard(machine, word(sync_pb2.VERDICT_CORRUPT, 0))
    assert heard(machine, word(GAP, 0)) == []
    assert machine.state is State.PARKED


def test_a_frame_with_rows_that_nobody_announced_is_no_rollback() -> None:
    machine = syncing(10)
    machine.sent(1, 15, 0)
    assert machine.heard(word(DURABLE, 15), chain(15), 0) == [StoreDurable(15)]


def test_a_watermark_above_ours_that_our_rows_explain_is_no_rollback() -> None:
    # A courier brought the rows to the hub, or another process of this machine did.
    machine = syncing(10)
    assert machine.heard(word(DURABLE, 15), chain(15), 0) == [StoreDurable(15)]


def test_a_fork_of_our_clone_is_not_ours() -> None:
    machine = syncing(20)
    send(machine, 10)
    assert heard(machine, word(FORK, 10)) == [StoreDurable(10)]


def test_a_fork_of_ours_opens_an_epoch() -> None:
    machine = syncing(20)
    send(machine, 10)
    assert heard(machine, word(FORK, 10, "b")) == [OpenEpoch("fork", 10, chain(10, "b"))]


def test_an_idle_office_greets_again_and_finds_that_the_hub_was_restored() -> None:
    machine = syncing(20, 20)
    assert machine.next_timer_ms == GREET_EVERY_MS
    assert machine.tick(GREET_EVERY_MS) == [SendHello()]
    assert heard(machine, word(DURABLE, 5), GREET_EVERY_MS) == [
        StoreDurable(5, went_back=True),
        SendFrame(5, 1000),
    ]


def test_a_busy_office_does_not_greet_in_between() -> None:
    machine = syncing(20)
    send(machine, 10, now_ms=GREET_EVERY_MS - 1)
    assert machine.tick(GREET_EVERY_MS) == []


def test_a_hub_that_asks_for_rows_long_pruned_gets_a_new_epoch_with_the_others() -> None:
    machine = OfficeSync(EPOCH, 50, 40)
    machine.link_up(0)
    assert heard(machine, word(DURABLE, 20), floor_seq=30) == [OpenEpoch("pruned", 20, chain(20))]


def test_a_late_word_from_below_the_oldest_row_changes_nothing() -> None:
    machine = syncing(50, 40)
    machine.sent(41, 50, 0)
    assert heard(machine, word(DURABLE, 20), floor_seq=40) == []
    assert machine.durable_seq == 40


def test_a_frame_that_leaves_after_its_session_ended_starts_no_timer() -> None:
    machine = syncing(20)
    machine.link_down()
    assert machine.sent(1, 10, 0) == []
    assert (machine.in_flight_frames, machine.next_timer_ms) == (0, None)
