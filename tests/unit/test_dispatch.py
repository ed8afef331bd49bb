"""The queue's policy and what an office is told of its day, case by case."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest

from sepe.dispatch.forecast import NEVER_MS, Machine, Situation
from sepe.dispatch.order import Ranked, Waiting, is_short_of_blanks, ranked
from sepe.dispatch.outlook import Limit, limit_of, outlook
from sepe.dispatch.pace import expected_arrivals, pace_of
from sepe.dispatch.policy import DAY_MS, HOUR_MS, Hours, JobClass, Policy, class_of, parse_policy
from sepe.errors import InvalidInputError

HOURS = Hours(offset_min=0)
NINE = 100 * DAY_MS + 9 * HOUR_MS
VOTE = date(2024, 11, 27)
TODAY = date(2024, 11, 20)


@pytest.mark.parametrize(
    ("product", "issue", "reason", "due", "in_room", "kind"),
    [
        ("ktp-el", 1, "new", date(2007, 1, 1), True, JobClass.ROOM),
        ("ktp-el", 1, "new", date(2024, 11, 27), False, JobClass.TURNS_17),
        ("ktp-el", 1, "new", date(2023, 11, 29), False, JobClass.TURNS_17),
        ("ktp-el", 1, "new", date(2023, 11, 28), False, JobClass.VOTER),
        ("ktp-el", 1, "new", date(2024, 11, 28), False, JobClass.FIRST),
        ("kia", 1, "new", date(2020, 1, 1), False, JobClass.FIRST),
        ("ktp-el", 2, "lost", date(1990, 1, 1), False, JobClass.LOST),
        ("ktp-el", 3, "data-change", date(1990, 1, 1), False, JobClass.DATA_CHANGE),
        ("ktp-el", 2, "", date(1990, 1, 1), False, JobClass.DATA_CHANGE),
    ],
)
def test_who_needs_the_card_most(
    product: str, issue: int, reason: str, due: date, in_room: bool, kind: JobClass
) -> None:
    assert class_of(product, issue, reason, due, in_room, TODAY, VOTE) is kind


def test_after_the_vote_and_without_one_nobody_is_a_voter() -> None:
    for today, vote in ((date(2024, 11, 28), VOTE), (TODAY, None)):
        assert class_of("ktp-el", 1, "new", date(2024, 11, 1), False, today, vote) is JobClass.FIRST


def names(queue: Ranked) -> list[int]:
    return [one.job for one in queue]


def test_the_room_first_then_first_voters_then_the_rest_by_age() -> None:
    waiting = [
        Waiting(1, JobClass.DATA_CHANGE, 0), Waiting(2, JobClass.LOST, 0), Waiting(3, JobClass.VOTER, HOUR_MS),
        Waiting(4, JobClass.TURNS_17, 2 * HOUR_MS), Waiting(5, JobClass.ROOM, 3 * HOUR_MS), Waiting(6, JobClass.LOST, HOUR_MS),
    ]  # fmt: skip
    assert names(ranked(waiting, Policy(), is_short=False)) == [5, 4, 3, 2, 6, 1]


def test_when_blanks_are_short_a_first_issue_of_today_goes_before_a_reprint_of_yesterday() -> None:
    waiting = [Waiting(1, JobClass.LOST, 0), Waiting(2, JobClass.FIRST, 30 * HOUR_MS)]
    assert names(ranked(waiting, Policy(), is_short=False)) == [1, 2]
    assert names(ranked(waiting, Policy(), is_short=True)) == [2, 1]
    assert names(ranked(waiting, Policy(first_issues_first=False), is_short=True)) == [1, 2]
    assert is_short_of_blanks(Policy(), at_hand=60, waiting=61) and not is_short_of_blanks(
        Policy(), at_hand=60, waiting=60
    )
    assert is_short_of_blanks(Policy(), at_hand=49, waiting=1) and not is_short_of_blanks(
        Policy(), at_hand=0, waiting=0
    )


def test_a_batch_keeps_the_order_of_its_list() -> None:
    waiting = [
        Waiting(9, JobClass.BATCH, 0, position=1),
        Waiting(3, JobClass.BATCH, 0, position=2),
        Waiting(5, JobClass.BATCH, 0),
    ]
    assert names(ranked(waiting, Policy(), is_short=False)) == [5, 9, 3]


def seen(count: int, *machines: Machine, blanks: int = 1000, now_ms: int = NINE, **fields: object) -> object:
    queue = ranked(
        [Waiting(i, JobClass.FIRST, i, **fields) for i in range(1, count + 1)], Policy(), is_short=False
    )  # type: ignore[arg-type]
    return outlook(Situation(queue, machines, {"ktp-el": blanks}, now_ms, HOURS))


TENTH = Machine("p1", HOUR_MS // 10)


@pytest.mark.parametrize(
    ("situation", "done", "binding"),
    [
        (seen(50, TENTH), 50, (Limit.PRINTERS,)),
        (seen(150, TENTH), 120, (Limit.PRINTERS,)),
        (seen(150, TENTH, blanks=30), 30, (Limit.BLANKS,)),
        (seen(150, Machine("p1", HOUR_MS // 10, cards_a_day=40)), 40, (Limit.HEAT,)),
        (seen(150, Machine("p1", HOUR_MS // 10, cards_a_day=40), blanks=40), 40, (Limit.BLANKS, Limit.HEAT)),
        (seen(150, Machine("p1", HOUR_MS // 10, ribbon_left=7, ribbons_spare=0)), 7, (Limit.RIBBON,)),
        (seen(50, TENTH, waits_for="line", ready_ms=NEVER_MS), 0, (Limit.LINE,)),
        (seen(50, TENTH, waits_for="check", ready_ms=NINE + 11 * HOUR_MS), 10, (Limit.CHECK,)),
        (seen(50), 0, (Limit.PRINTERS,)),
        (seen(0, TENTH), 0, ()),
    ],
)  # fmt: skip
def test_what_binds_is_what_would_let_more_out_today(
    situation: object, done: int, binding: tuple[Limit, ...]
) -> None:
    assert (situation.done_by_close, situation.binding) == (done, binding)  # type: ignore[attr-defined]


def test_each_card_that_does_not_come_out_today_says_why() -> None:
    queue = ranked(
        [Waiting(1, JobClass.ROOM, 0), Waiting(2, JobClass.FIRST, 0, waits_for="line", ready_ms=NEVER_MS), Waiting(3, JobClass.LOST, 0)],
        Policy(), is_short=False,
    )  # fmt: skip
    day = outlook(Situation(queue, [TENTH], {"ktp-el": 1}, NINE, HOURS))
    assert [limit_of(one, day) for one in queue] == [(), (Limit.LINE,), (Limit.BLANKS,)]


def test_what_is_over_at_closing_is_made_the_next_morning() -> None:
    day = seen(121, TENTH)
    assert day.played.finish_ms[121] == NINE + 23 * HOUR_MS + HOUR_MS // 10  # type: ignore[attr-defined]
    late = seen(1, TENTH, now_ms=NINE + 13 * HOUR_MS)
    assert late.played.finish_ms[1] == NINE + 23 * HOUR_MS + HOUR_MS // 10  # type: ignore[attr-defined]


def test_a_night_run_that_is_under_way_goes_on() -> None:
    late_ms = NINE + 14 * HOUR_MS
    night = seen(3, Machine("p1", HOUR_MS, free_ms=late_ms + 60_000), now_ms=late_ms)
    assert night.played.finish_ms[3] == late_ms + 60_000 + 3 * HOUR_MS  # type: ignore[attr-defined]


def test_a_pace_forgets_jams_and_knows_a_hot_printer_from_a_slow_one() -> None:
    assert pace_of([]).samples == 0
    assert pace_of([30_000] * 9 + [2 * HOUR_MS]).ms_per_card == 30_000
    hot = pace_of([30_000] * 4 + [300_000])
    assert (hot.ms_per_card, hot.cold_ms_per_card) == (84_000, 30_000)
    assert pace_of([38_000, 40_000, 42_000]).cold_ms_per_card == 40_000


def test_people_are_expected_as_on_the_days_before_and_more_when_more_came() -> None:
    day_ms = NINE - 9 * HOUR_MS
    before = [day_ms - DAY_MS + 8 * HOUR_MS + i * 4 * 60_000 for i in range(120)]  # 15 an hour until 16.00.
    usual = expected_arrivals(
        [*before, *(day_ms + 8 * HOUR_MS + i * 4 * 60_000 for i in range(15))], now_ms=NINE, hours=HOURS
    )
    assert 95 <= len(usual) <= 110 and usual == sorted(usual) and usual[0] > NINE
    crowd = expected_arrivals(
        [*before, *(day_ms + 8 * HOUR_MS + i * 60_000 for i in range(60))], now_ms=NINE, hours=HOURS
    )
    assert len(crowd) > 1.8 * len(usual)
    assert len(expected_arrivals([], now_ms=NINE, hours=HOURS, a_day=70)) == 70
    assert expected_arrivals([], now_ms=NINE, hours=HOURS) == []
    assert expected_arrivals(before, now_ms=day_ms + 17 * HOUR_MS, hours=HOURS) == []


def test_a_policy_file_says_only_what_it_changes() -> None:
    text = """
    vote_day = "2024-11-27"
    [head_start_hours]
    lost = 30
    [blanks_short]
    first_issues_first = false
    [hours]
    printing = "07:30-24:00"
    """
    policy = parse_policy(tomllib.loads(text), offset_min=480)
    assert policy.vote_day == VOTE and policy.head_start_hours[JobClass.LOST] == 30
    assert policy.head_start_hours[JobClass.ROOM] == 72 and not policy.first_issues_first
    assert policy.hours == Hours(480, 450, 1440)
    assert parse_policy({}, offset_min=480) == Policy()


@pytest.mark.parametrize(
    "text",
    ['votes = ""', 'vote_day = "27-11-2024"', "head_start_hours = {rich = 9}", "head_start_hours = {room = -1}",
     "head_start_hours = {room = true}", 'hours = {printing = "21:00-08:00"}', 'hours = {desk = "8-16"}',
     "blanks_short = {first_issues_first = 1}", "recordings_a_day = 1.5"],
)  # fmt: skip
def test_a_wrong_policy_names_the_key_and_the_rule(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(tomllib.loads(text), offset_min=480)
    assert caught.value.field and "queue.toml" in caught.value.hint
