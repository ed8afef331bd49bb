"""The accounting of a run: open loop, latency per event, catching up, fairness."""

from __future__ import annotations

import pytest

from surge.run.meter import EDGES, Histogram, Meter, fairness


def test_latency_counts_each_event_from_its_commit_to_its_ack() -> None:
    meter = Meter()
    meter.committed(3, 3, 10.0)
    meter.committed(4, 1, 11.0)
    meter.durable(3, 10.5)
    assert (meter.lag, meter.acks.total) == (1, 3)
    meter.durable(4, 15.0)
    assert meter.lag == 0
    assert meter.acks.quantile(0.5) == pytest.approx(0.5, rel=0.11)
    assert meter.acks.quantile(1.0) == pytest.approx(4.0)
    assert meter.oldest_s == pytest.approx(4.0)


def test_what_never_arrives_ages_and_is_in_no_latency() -> None:
    meter = Meter()
    meter.committed(1, 1, 0.0)
    assert meter.age(100.0) == 100.0
    assert meter.acks.total == 0
    assert meter.oldest_s == 100.0


def test_a_hub_that_takes_its_word_back_is_noted_and_the_events_wait_again() -> None:
    meter = Meter()
    meter.committed(10, 10, 0.0)
    meter.durable(10, 1.0)
    meter.durable(4, 2.0, went_back=True)
    assert (meter.taken_back, meter.lag) == (6, 6)
    meter.durable(10, 3.0)
    assert (meter.lag, meter.acks.total) == (0, 10)


def test_catching_up_lasts_from_the_return_to_the_ack_of_all_that_waited_then() -> None:
    meter = Meter()
    meter.committed(5, 5, 0.0)
    meter.returned(100.0)
    meter.committed(6, 1, 101.0)  # Came after the line did: not caught up but carried.
    meter.durable(4, 102.0)
    assert meter.is_catching_up and meter.catch_up_s is None
    meter.durable(5, 103.0)
    assert (meter.catch_up_s, meter.catch_up_events, meter.is_catching_up) == (3.0, 5, False)
    # A shorter one does not hide a longer one, and a line that goes again is no catching up.
    meter.returned(110.0)
    meter.durable(6, 111.0)
    assert meter.catch_up_s == 3.0
    meter.committed(7, 1, 112.0)
    meter.returned(113.0)
    meter.lost_line()
    meter.durable(7, 900.0)
    assert meter.catch_up_s == 3.0


def test_a_line_that_returns_to_an_empty_outbox_leaves_nothing_to_catch_up() -> None:
    meter = Meter()
    meter.returned(1.0)
    assert not meter.is_catching_up
    assert meter.catch_up_s is None


def test_histograms_of_two_processes_add_up_to_that_of_one() -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for number in range(1, 200):
        (one if number % 3 else other).add(number / 100, number)
        both.add(number / 100, number)
    joined = Histogram.unpacked(one.packed(), one.longest_s)
    joined.join(other)
    assert joined == both


@pytest.mark.parametrize("seconds", [0.0001, 0.001, 0.0123, 1.0, 59.0, 40_000.0])
def test_a_percentile_is_right_to_a_tenth_and_never_below_what_was_measured(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    histogram.add(EDGES[-1])
    found = histogram.quantile(0.5)
    assert found is not None
    assert seconds <= found <= max(seconds * 1.1001, EDGES[0])


def test_fairness_is_one_when_all_are_served_alike_and_one_nth_when_one_has_all() -> None:
    assert fairness([3.0, 3.0, 3.0]) == pytest.approx(1.0)
    assert fairness([9.0, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert fairness([]) is None
