"""Stamps never go back, whatever the wall clock does."""

from hypothesis import given
from hypothesis import strategies as st

from sepe.hlc import AHEAD_MS_MAX, cap_of, effective_stamp, next_stamp, stamp_of, wall_ms_of


@given(st.lists(st.integers(-5, 5), min_size=2), st.integers(0, 3 << 16))
def test_every_stamp_is_above_the_one_before_and_above_the_hubs(walls: list[int], seen_hub: int) -> None:
    last = 0
    for wall in walls:
        stamp = next_stamp(last, wall, seen_hub=seen_hub)
        assert stamp > max(last, seen_hub)
        assert stamp >= stamp_of(wall)
        last = stamp


def test_a_million_events_in_one_millisecond_get_a_million_stamps() -> None:
    last = stamp_of(1_700_000_000_000)
    seen = {last := next_stamp(last, 1_700_000_000_000) for _ in range(1_000_000)}
    assert len(seen) == 1_000_000
    assert wall_ms_of(last) - 1_700_000_000_000 == 1_000_000 >> 16


def test_a_dead_clock_battery_does_not_take_stamps_back_to_1970() -> None:
    before = next_stamp(0, 1_700_000_000_000)
    assert next_stamp(before, 0) == before + 1


def test_a_clock_five_years_ahead_is_capped_and_a_sane_one_is_not() -> None:
    now = 1_700_000_000_000
    five_years = stamp_of(now + 5 * 365 * 86_400_000)
    assert effective_stamp(five_years, cap_of(now)) == stamp_of(now + AHEAD_MS_MAX)
    assert effective_stamp(stamp_of(now), cap_of(now)) == stamp_of(now)
