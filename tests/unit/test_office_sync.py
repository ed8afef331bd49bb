"""Both pure machines talk to each other; the line between them does what lines do."""

from __future__ import annotations

import pytest

from sepe.sync.office import (
    ACK_TIMEOUT_MS,
    HELD_MS_MAX,
    REFUSED_PAUSE_MS,
    WINDOW_FRAMES,
    OfficeSync,
    OpenEpoch,
    ResetLink,
    SendFrame,
    SendHello,
    State,
    StoreDurable,
)
from sepe.wire.v1 import sync_pb2
from sepe_io.keys import Signer
from tests.support.sync_story import Story


def frames_asked(story: Story) -> list[int]:
    return [effect.after_seq for effect in story.told if isinstance(effect, SendFrame)]


def test_a_backlog_reaches_the_hub_and_the_office_knows_it() -> None:
    story = Story()
    story.write(105)
    story.link_up()
    story.settle()
    assert story.bodies_at_hub() == story.bodies_here()
    assert story.outbox.durable_seq == 105


def test_the_office_greets_before_it_sends_anything() -> None:
    story = Story()
    story.write(5)
    story.link_up()
    assert story.told == [SendHello()]


def test_never_more_frames_are_in_flight_than_the_window_holds() -> None:
    story = Story()
    story.write(500)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    assert story.machine.in_flight_frames == WINDOW_FRAMES
    story.hub_takes()
    story.office_hears()
    assert story.machine.in_flight_frames == WINDOW_FRAMES
    assert frames_asked(story)[-1] == WINDOW_FRAMES * story.frame_events


def test_a_watermark_is_stored_before_the_next_frame_is_asked_for() -> None:
    story = Story()
    story.write(500)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    story.told.clear()
    story.hub_takes()
    story.office_hears()
    assert [type(effect) for effect in story.told] == [StoreDurable, SendFrame]


def test_rows_written_while_the_line_is_up_leave_at_once() -> None:
    story = Story()
    story.link_up()
    story.settle()
    story.hub_takes()
    story.office_hears()
    story.write(3)
    assert len(story.up) == 1
    story.settle()
    assert story.outbox.durable_seq == 3


def test_a_lost_frame_is_sent_again() -> None:
    story = Story()
    story.write(100)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    story.up.popleft()
    story.settle()
    assert story.bodies_at_hub() == story.bodies_here()


def test_a_purged_pipe_loses_nothing() -> None:
    story = Story()
    story.write(300)
    story.link_up()
    story.hub_takes(3)
    story.office_hears(3)
    story.up.clear()
    story.settle()
    assert story.bodies_at_hub() == story.bodies_here()


@pytest.mark.parametrize("place", [0, 4, 6])
def test_one_hole_is_filled_without_waiting_for_a_time_out(place: int) -> None:
    story = Story()
    story.write(80)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    del story.up[place]
    begun_ms = story.now_ms
    story.settle()
    assert story.bodies_at_hub() == story.bodies_here()
    assert story.now_ms == begun_ms


def test_a_lost_last_frame_costs_one_time_out() -> None:
    story = Story()
    story.write(80)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    story.up.pop()
    begun_ms = story.now_ms
    story.settle()
    assert story.now_ms - begun_ms == ACK_TIMEOUT_MS


@pytest.mark.parametrize(("held_ms", "allowed_ms"), [(0, 0), (9_000, 9_000), (1 << 31, HELD_MS_MAX)])
def test_a_hub_that_says_how_far_it_is_behind_is_given_that_much_longer(held_ms: int, allowed_ms: int) -> None:
    story = Story()
    story.write(80)
    story.link_up()
    story.hub_takes()
    for ack in story.down:
        ack.held_ms = held_ms
    story.office_hears()
    assert story.machine.next_timer_ms == story.now_ms + ACK_TIMEOUT_MS + allowed_ms


def test_a_lost_ack_is_made_good_by_the_next_one() -> None:
    story = Story()
    story.write(100)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    story.hub_takes(2)
    story.down.popleft()
    story.office_hears()
    assert story.outbox.durable_seq == 20


def test_when_every_ack_is_lost_the_link_is_reset_and_nothing_is_counted_twice() -> None:
    story = Story()
    story.write(30)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    story.hub_takes(10)
    story.down.clear()
    story.settle()
    assert any(isinstance(effect, ResetLink) for effect in story.told)
    assert story.bodies_at_hub() == story.bodies_here()


def test_a_frame_that_came_by_both_ways_counts_once() -> None:
    story = Story()
    story.write(50)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    twins = list(story.up)
    story.settle()
    # InMemoryHub asserts that no event is taken twice.
    story.up.extend(twins)
    story.hub_takes(len(twins))
    assert {word.verdict for word in story.down} == {sync_pb2.VERDICT_DURABLE}
    assert story.bodies_at_hub() == story.bodies_here()


def test_a_cut_in_the_middle_goes_on_from_the_watermark() -> None:
    story = Story()
    story.write(100)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    story.hub_takes(3)
    story.office_hears(3)
    story.link_down()
    assert story.machine.next_timer_ms is None
    story.told.clear()
    story.link_up()
    story.settle()
    assert frames_asked(story)[0] == 30
    assert story.bodies_at_hub() == story.bodies_here()


def test_an_ack_that_the_office_missed_before_its_death_is_learnt_from_the_greeting() -> None:
    story = Story()
    story.write(20)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    story.hub_takes(2)
    story.restart()
    story.told.clear()
    story.link_up()
    story.settle()
    assert frames_asked(story) == []
    assert story.outbox.durable_seq == 20


def test_no_answer_to_the_greeting_resets_the_link() -> None:
    story = Story()
    story.link_up()
    story.up.clear()
    timer = story.machine.next_timer_ms
    assert timer is not None
    assert story.machine.tick(timer - 1) == []
    assert story.machine.tick(timer) == [ResetLink("no answer to the greeting")]
    assert story.machine.state is State.OFFLINE


def test_a_hub_restored_from_yesterday_gets_the_rest_again() -> None:
    story = Story()
    story.write(40)
    story.link_up()
    story.settle()
    yesterday = story.hub.backup()
    story.write(60)
    story.settle()
    story.link_down()
    story.hub = yesterday
    story.link_up()
    story.settle()
    assert StoreDurable(40, went_back=True) in story.told
    assert story.bodies_at_hub() == story.bodies_here()


def test_a_hub_restored_behind_a_broker_that_stayed_up_gets_the_rest_again() -> None:
    story = Story()
    story.write(40)
    story.link_up()
    story.settle()
    yesterday = story.hub.backup()
    story.write(60)
    story.settle()
    story.hub = yesterday
    story.write(10)  # No greeting in between: the hub answers the next frame with a gap.
    story.settle()
    assert StoreDurable(40, went_back=True) in story.told
    assert story.bodies_at_hub() == story.bodies_here()


def test_a_hub_older_than_the_retention_gets_what_is_left_in_a_new_epoch() -> None:
    story = Story()
    story.write(40)
    story.link_up()
    story.settle()
    last_month = story.hub.backup()
    story.write(60)
    story.settle()
    story.outbox.prune(story.now_ms)
    story.write(5)
    story.link_down()
    story.hub = last_month
    story.link_up()
    story.settle()
    assert [effect.reason for effect in story.told if isinstance(effect, OpenEpoch)] == ["pruned"]
    # 40 that it knew, the last durable row that a prune leaves, and 5 new ones.
    assert len(story.hub.events) == 46


def test_an_idle_office_notices_a_hub_that_was_restored_behind_its_back() -> None:
    story = Story()
    story.write(40)
    story.link_up()
    story.settle()
    yesterday = story.hub.backup()
    story.write(60)
    story.settle()
    story.hub = yesterday
    timer = story.machine.next_timer_ms
    assert timer is not None
    story.now_ms = timer
    story.perform(story.machine.tick(timer))
    story.hub_takes()
    story.office_hears()
    story.settle()
    assert story.bodies_at_hub() == story.bodies_here()


def test_an_office_restored_from_a_backup_opens_an_epoch_and_learns_what_it_lost() -> None:
    story = Story()
    story.write(30)
    story.link_up()
    story.settle()
    backup = story.outbox.copy()
    story.write(20, "YOHANES SERAN")
    story.settle()
    story.outbox = backup
    story.restart()
    story.write(5, "NEW AFTER THE RESTORE")
    story.link_up()
    story.settle()
    assert [effect.reason for effect in story.told if isinstance(effect, OpenEpoch)] == ["rolled_back"]
    assert len(story.lost) == 20
    # 30 and 20 before, and the 5 under names of the new epoch.
    assert len(story.bodies_at_hub()) == 55
    assert len(story.outbox.rows) == 5


def test_an_office_restored_without_writing_anything_opens_an_empty_epoch() -> None:
    story = Story()
    story.write(30)
    story.link_up()
    story.settle()
    backup = story.outbox.copy()
    story.write(20)
    story.settle()
    story.outbox = backup
    story.restart()
    story.link_up()
    story.settle()
    assert (len(story.lost), len(story.outbox.rows)) == (20, 0)
    assert len(story.bodies_at_hub()) == 50


def test_an_office_that_overtook_its_own_past_is_found_by_its_digest() -> None:
    story = Story()
    story.write(30)
    story.link_up()
    story.settle()
    backup = story.outbox.copy()
    story.write(20, "YOHANES SERAN")
    story.settle()
    story.outbox = backup
    story.restart()
    story.write(70, "ANOTHER")
    story.link_up()
    story.settle()
    assert [effect.reason for effect in story.told if isinstance(effect, OpenEpoch)] == ["fork"]
    assert len(story.bodies_at_hub()) == 30 + 20 + 70


def test_a_clone_opens_an_epoch_of_its_own_and_both_histories_survive() -> None:
    first = Story()
    first.write(30)
    first.link_up()
    first.settle()
    clone = Story(hub=first.hub, outbox=first.outbox.copy(), signer=first.signer)
    first.write(10, "AT THE FIRST")
    clone.write(10, "AT THE CLONE")
    first.settle()
    clone.link_up()
    clone.settle()
    assert [effect.reason for effect in clone.told if isinstance(effect, OpenEpoch)] == ["fork"]
    assert clone.outbox.epoch != first.outbox.epoch
    assert len(first.hub.events) == 50


def test_clones_that_write_at_the_same_time_part_at_the_first_frame() -> None:
    first = Story()
    first.write(30)
    first.link_up()
    first.settle()
    clone = Story(hub=first.hub, outbox=first.outbox.copy(), signer=first.signer)
    clone.link_up()
    clone.settle()
    clone.hub_takes()
    clone.office_hears()
    first.write(15, "AT THE FIRST")
    clone.write(15, "AT THE CLONE")
    first.settle()
    clone.settle()
    assert ("fork" in {reason for reason, _ in first.hub.quarantine}) or clone.outbox.epoch != first.outbox.epoch
    assert len(first.hub.events) == 60


def test_an_unknown_office_waits_and_goes_on_by_itself_once_it_is_known() -> None:
    story = Story()
    story.hub.keys.clear()
    story.write(5)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    assert (story.machine.state, story.machine.refusal) == (State.PARKED, "unknown_node")
    assert story.machine.next_timer_ms == story.now_ms + REFUSED_PAUSE_MS
    story.hub.know(story.outbox.node, story.signer.key_id, story.signer.public_key)
    story.settle()
    assert story.machine.refusal == ""
    assert story.outbox.durable_seq == 5


def test_another_key_under_the_same_name_is_refused() -> None:
    story = Story()
    story.signer = Signer.generate()
    story.write(5)
    story.link_up()
    story.hub_takes()
    story.office_hears()
    assert story.machine.refusal == "unknown_key"
    assert story.hub.events == {}


def test_a_hub_that_asks_for_patience_is_left_alone_for_that_long() -> None:
    story = Story()
    story.write(5)
    story.link_up()
    at = story.outbox.position()
    word = sync_pb2.Ack(
        node=story.outbox.node, epoch=at.epoch, verdict=sync_pb2.VERDICT_LATER, retry_after_ms=4_000
    )
    assert story.machine.heard(word, None, story.now_ms) == []
    assert story.machine.next_timer_ms == story.now_ms + 4_000
    story.up.clear()
    story.settle()
    assert story.outbox.durable_seq == 5


def test_a_frame_that_keeps_arriving_broken_is_cut_smaller() -> None:
    machine = OfficeSync(bytes(16), 1_000, 0)
    machine.link_up(0)
    durable = sync_pb2.Ack(epoch=bytes(16), verdict=sync_pb2.VERDICT_DURABLE)
    corrupt = sync_pb2.Ack(epoch=bytes(16), verdict=sync_pb2.VERDICT_CORRUPT)
    asked: list[int] = []
    now_ms = 0
    for _ in range(12):
        for effect in machine.heard(durable, b"", now_ms):
            if isinstance(effect, SendFrame):
                asked.append(effect.events_max)
                machine.sent(1, effect.events_max, now_ms)
        machine.heard(corrupt, b"", now_ms)
        now_ms += 1_000
        machine.tick(now_ms)
    assert asked[0] == 1_000
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] < asked[0]


def test_words_on_an_earlier_epoch_are_ignored() -> None:
    story = Story()
    story.write(5)
    story.link_up()
    late = sync_pb2.Ack(node=story.outbox.node, epoch=bytes(16), verdict=sync_pb2.VERDICT_FORK, durable_seq=9)
    assert story.machine.heard(late, None, story.now_ms) == []


@pytest.mark.parametrize("verdict", [0, 1, 2, 3, 4, 5, 6, 99])
def test_no_word_of_the_hub_makes_an_offline_machine_act(verdict: int) -> None:
    machine = OfficeSync(bytes(16), 10, 0)
    word = sync_pb2.Ack(epoch=bytes(16), verdict=verdict, durable_seq=3)  # type: ignore[arg-type]
    assert machine.heard(word, None, 0) == []
    assert machine.state is State.OFFLINE
