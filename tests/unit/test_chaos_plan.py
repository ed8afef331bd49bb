"""The plan of blows: one seed, one plan."""

from __future__ import annotations

from surge.chaos.plan import OFFICE_BLOWS, Blow, plan


def test_a_seed_means_one_plan_and_another_seed_another() -> None:
    first = plan(7, seconds=60, offices=4, every_s=1.0)
    assert first == plan(7, seconds=60, offices=4, every_s=1.0)
    assert first != plan(8, seconds=60, offices=4, every_s=1.0)


def test_every_kind_of_blow_comes_before_any_comes_a_third_time() -> None:
    blows = [strike.blow for strike in plan(3, seconds=100, offices=4, every_s=1.0)]
    for start in range(0, len(blows) - len(Blow), len(Blow)):
        assert set(blows[start : start + len(Blow)]) == set(Blow)


def test_blows_come_in_order_at_about_the_wanted_rate_and_end_in_time() -> None:
    strikes = plan(11, seconds=1000, offices=3, every_s=2.0)
    times = [strike.at_s for strike in strikes]
    assert times == sorted(times) and times[-1] < 1000
    assert 400 < len(strikes) < 600
    assert all(strike.for_s <= 250 for strike in strikes)
    assert {strike.office for strike in strikes if strike.blow in OFFICE_BLOWS} == {0, 1, 2}
    assert {strike.office for strike in strikes if strike.blow not in OFFICE_BLOWS} == {-1}
