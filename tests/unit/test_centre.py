"""The hub's judgement of one frame or greeting."""

from __future__ import annotations

from sepe.codec import Header
from sepe.sync.centre import EpochState, Judgement, Verdict, ack, advanced, judge, welcome
from sepe.wire.v1 import sync_pb2

EPOCH = bytes(range(16))


def chain(seq: int, branch: str = "a") -> bytes:
    """A stand-in digest: 32 bytes that name the seq and the branch."""
    return f"{branch}{seq}".encode().ljust(32, b".")


def state(durable_seq: int) -> EpochState:
    return EpochState("537104-1", EPOCH, durable_seq, chain(durable_seq))


def header(first: int, last: int, branch: str = "a", *, before_branch: str = "a") -> Header:
    return Header(
        node="537104-1", epoch=EPOCH, first_seq=first, count=last - first + 1,
        chain_before=chain(first - 1, before_branch), chain_after=chain(last, branch), payload_bytes=1, key_id=b"",
    )  # fmt: skip


def verdict(durable: int, first: int, last: int, branch: str = "a", *, before_branch: str = "a") -> Verdict:
    chains = [chain(seq, branch) for seq in range(first, last + 1)]
    return judge(state(durable), header(first, last, branch, before_branch=before_branch), chains, chain)


def test_the_next_frame_is_accepted_whole() -> None:
    assert verdict(10, 11, 20) == Verdict(Judgement.ACCEPT, 0)


def test_the_first_frame_of_an_epoch_is_accepted() -> None:
    new = EpochState.new("537104-1", EPOCH)
    first = header(1, 3)
    first = Header(first.node, EPOCH, 1, 3, new.chain, chain(3), 1, b"")
    assert judge(new, first, [chain(seq) for seq in (1, 2, 3)], chain) == Verdict(Judgement.ACCEPT, 0)


def test_a_frame_that_overlaps_is_accepted_from_its_first_new_event() -> None:
    assert verdict(10, 6, 20) == Verdict(Judgement.ACCEPT, 5)


def test_a_frame_above_the_watermark_is_a_gap() -> None:
    assert verdict(10, 12, 20).judgement is Judgement.GAP


def test_a_gap_is_a_gap_whatever_the_branch() -> None:
    assert verdict(10, 12, 20, "b", before_branch="b").judgement is Judgement.GAP


def test_an_old_frame_is_a_duplicate() -> None:
    assert verdict(10, 3, 7).judgement is Judgement.DUPLICATE
    assert verdict(10, 3, 10).judgement is Judgement.DUPLICATE


def test_an_old_frame_of_another_branch_is_a_fork() -> None:
    assert verdict(10, 3, 7, "b").judgement is Judgement.FORK
    assert verdict(10, 3, 10, "b").judgement is Judgement.FORK


def test_a_next_frame_that_follows_another_history_is_a_fork() -> None:
    assert verdict(10, 11, 20, before_branch="b").judgement is Judgement.FORK


def test_an_overlap_of_another_branch_is_a_fork() -> None:
    assert verdict(10, 6, 20, "b").judgement is Judgement.FORK


def test_a_log_that_no_longer_reaches_back_is_taken_for_agreement() -> None:
    found = judge(state(10), header(3, 7, "b"), [chain(seq, "b") for seq in range(3, 8)], lambda seq: None)
    assert found.judgement is Judgement.DUPLICATE


def test_the_watermark_moves_to_the_frame_s_end() -> None:
    assert advanced(state(10), header(6, 20)) == state(20)


def hello(last_seq: int, branch: str = "a") -> sync_pb2.Hello:
    return sync_pb2.Hello(node="537104-1", epoch=EPOCH, last_seq=last_seq, last_chain=chain(last_seq, branch))


def test_an_office_ahead_or_level_is_told_the_watermark() -> None:
    assert welcome(state(10), hello(25), chain) == sync_pb2.VERDICT_DURABLE
    assert welcome(state(10), hello(10), chain) == sync_pb2.VERDICT_DURABLE
    assert welcome(state(10), hello(0), chain) == sync_pb2.VERDICT_DURABLE


def test_an_office_behind_on_the_same_branch_finds_out_by_itself() -> None:
    assert welcome(state(10), hello(7), chain) == sync_pb2.VERDICT_DURABLE


def test_an_office_behind_or_level_on_another_branch_is_told_so() -> None:
    assert welcome(state(10), hello(7, "b"), chain) == sync_pb2.VERDICT_FORK
    assert welcome(state(10), hello(10, "b"), chain) == sync_pb2.VERDICT_FORK


def test_an_ack_names_the_epoch_and_both_ends_of_the_watermark() -> None:
    word = ack(state(10), sync_pb2.VERDICT_GAP, hub_ms=-5, reason="x", retry_after_ms=3)
    assert (word.node, word.epoch, word.durable_seq, word.durable_chain) == ("537104-1", EPOCH, 10, chain(10))
    assert (word.hub_ms, word.reason, word.retry_after_ms) == (0, "x", 3)
