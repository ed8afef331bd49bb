"""An hour's bytes are an hour's bytes, wherever the hour begins."""

from hypothesis import given
from hypothesis import strategies as st

from sepe.budget import BURST_PART, BYTES_PER_HOUR_MIN, HOUR_MS, UNLIMITED, Budget

LIMIT = 1_200_000


def test_a_full_bucket_gives_its_burst_and_no_more() -> None:
    budget = Budget.full(LIMIT, 0)
    assert budget.available(0) == LIMIT // BURST_PART == 100_000
    assert budget.spent(100_000, 0).available(0) == 0


def test_what_is_missing_flows_in_evenly() -> None:
    budget = Budget.full(LIMIT, 0).spent(100_000, 0)
    wait_ms = budget.wait_ms(16_384, 0)
    assert 50_000 < wait_ms < 60_000
    assert budget.available(wait_ms) >= 16_384 > budget.available(wait_ms - 1)


def test_events_that_went_first_are_paid_back() -> None:
    budget = Budget.full(LIMIT, 0).spent(650_000, 0)
    assert budget.level_bytes == -550_000
    assert budget.available(HOUR_MS // 2) == 0
    assert budget.available(HOUR_MS // 2 + 60_000) > 0


def test_a_debt_ends_after_an_hour_however_many_events_there_were() -> None:
    assert Budget.full(LIMIT, 0).spent(10**12, 0).wait_ms(1, 0) <= HOUR_MS + 4


def test_without_a_limit_nothing_waits() -> None:
    budget = Budget.full(0, 0).spent(10**12, 0)
    assert budget.available(0) == UNLIMITED
    assert budget.wait_ms(10**9, 0) == 0


def test_the_smallest_budget_lets_the_smallest_chunk_through() -> None:
    from sepe.attach import CHUNK_BYTES_MIN

    assert Budget.full(BYTES_PER_HOUR_MIN, 0).available(0) >= CHUNK_BYTES_MIN


def test_a_clock_that_goes_back_refills_nothing_and_stops_nothing() -> None:
    budget = Budget.full(LIMIT, HOUR_MS).spent(100_000, HOUR_MS)
    back = budget.at(5_000)
    assert back.available(5_000) == 0
    assert back.available(65_000) > 0


def test_a_restart_continues_the_same_bucket() -> None:
    budget = Budget.full(LIMIT, 0).spent(90_000, 0)
    again = Budget.saved(LIMIT, budget.level_bytes, 0, 0)
    assert again.available(0) == 10_000
    assert Budget.saved(0, budget.level_bytes, 0, 0).available(0) == UNLIMITED
    assert Budget.saved(LIMIT * 2, 10**9, 0, 0).available(0) == 200_000, "a level above the burst is no level"


@given(st.lists(st.tuples(st.integers(0, HOUR_MS // 3), st.integers(1, 150_000)), min_size=1, max_size=60))
def test_no_hour_carries_more_than_the_limit(wishes: list[tuple[int, int]]) -> None:
    budget, now_ms, went = Budget.full(LIMIT, 0), 0, []
    for pause_ms, wish in wishes:
        now_ms += pause_ms
        taken = min(wish, budget.available(now_ms))
        budget = budget.spent(taken, now_ms)
        went.append((now_ms, taken))
    for begin_ms, _ in went:
        # At or after the begin and within the hour: the refill of the last millisecond rounds in our favour.
        carried = sum(taken for at_ms, taken in went if begin_ms <= at_ms < begin_ms + HOUR_MS)
        assert carried <= LIMIT


@given(st.integers(0, 200_000), st.integers(1, 300_000), st.integers(0, HOUR_MS))
def test_after_the_wait_it_may_go_and_not_before(spent: int, wish: int, later_ms: int) -> None:
    budget = Budget.full(LIMIT, 0).spent(spent, 0).at(later_ms)
    wait_ms = budget.wait_ms(wish, later_ms)
    reachable = min(wish, LIMIT // BURST_PART)
    assert budget.available(later_ms + wait_ms) >= reachable
    assert wait_ms == 0 or budget.available(later_ms + wait_ms - 1) < reachable
