"""Laws of an office's print queue: nobody starves, nobody gets another's card, and a forecast adds up."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sepe.dispatch.forecast import Machine, Played, Situation, play
from sepe.dispatch.order import ANY, Queue, Taker, Waiting, ranked
from sepe.dispatch.outlook import outlook
from sepe.dispatch.policy import HOUR_MS, Hours, JobClass, Policy, class_of

# Small head starts, so that overtaking happens within a few hours of a test's world.
policies = st.builds(
    Policy,
    head_start_hours=st.fixed_dictionaries({kind: st.integers(0, 6) for kind in JobClass}),
    reprints_wait_hours=st.integers(0, 4),
    blanks_short_below=st.integers(0, 5),
)
kinds = st.sampled_from(list(JobClass))


@st.composite
def crowds(draw: st.DrawFn, most: int = 25) -> list[Waiting]:
    """Jobs in the order in which they came."""
    times = sorted(draw(st.lists(st.integers(0, 12), max_size=most)))
    return [
        Waiting(
            number, draw(kinds), hour * HOUR_MS,
            media=draw(st.sampled_from(["card", "a4"])),
            printer=draw(st.sampled_from([ANY, ANY, "p1", "p2"])),
            position=draw(st.integers(0, 3)),
            blank=draw(st.sampled_from(["", "ktp-el"])),
            ready_ms=draw(st.integers(0, 30)) * HOUR_MS,
        )
        for number, hour in enumerate(times, 1)
    ]  # fmt: skip


@given(policies, st.data())
def test_a_job_is_first_at_last_whoever_comes_and_however_blanks_run(policy: Policy, data: st.DataObject) -> None:
    """The law of no starving: against an adversary who each hour sends whom he likes and turns the shortage on and
    off, one patient job is overtaken only by those who came within `overtaken_ms_max` after it."""
    patient = Waiting(1, data.draw(kinds), 0)
    waiting, overtook, hour, number = [patient], [], 0, 1
    while True:
        for kind in data.draw(st.lists(kinds, min_size=1, max_size=3)):
            number += 1
            waiting.append(Waiting(number, kind, hour * HOUR_MS))
        queue = Queue()
        queue.replace(ranked(waiting, policy, is_short=data.draw(st.booleans())))
        taken = queue.take(Taker("p1", frozenset({"card"})))
        assert taken is not None
        first = taken[1]
        waiting.remove(first)
        if first is patient:
            break
        overtook.append(first)
        hour += 1
        # One goes each hour and at most three come, so this is the longest that it can take.
        assert hour <= 3 * (policy.overtaken_ms_max // HOUR_MS + 1) + 1
    assert all(one.since_ms <= patient.since_ms + policy.overtaken_ms_max for one in overtook)


@given(crowds(), policies, st.booleans())
def test_the_order_of_two_who_wait_does_not_turn_by_waiting(
    crowd: list[Waiting], policy: Policy, is_short: bool
) -> None:
    order = [one.job for one in ranked(crowd, policy, is_short=is_short)]
    without_some = [one for one in crowd if one.job % 3]
    assert [one.job for one in ranked(without_some, policy, is_short=is_short)] == [
        job for job in order if job % 3
    ]


@given(crowds(), policies, st.lists(st.sampled_from(["p1", "p2", "p3"]), max_size=60))
def test_printers_that_take_in_turns_never_get_one_job_twice_nor_another_printers(
    crowd: list[Waiting], policy: Policy, takers: list[str]
) -> None:
    queue = Queue()
    queue.replace(ranked(crowd, policy, is_short=False), but={2})
    by_job = {one.job: one for one in crowd}
    media = {"p1": frozenset({"card"}), "p2": frozenset({"card", "a4"}), "p3": frozenset({"a4"})}
    taken: list[int] = []
    for name in takers:
        taker = Taker(name, media[name])
        head = queue.head(taker)
        found = queue.take(taker)
        assert (None if found is None else found[0]) == head
        if found is not None:
            one = by_job[found[1].job]
            assert one.media in media[name] and one.printer in (ANY, name)
            taken.append(one.job)
    assert len(taken) == len(set(taken)) and 2 not in taken


machines = st.lists(
    st.builds(
        Machine,
        st.sampled_from(["p1", "p2", "p3"]),
        st.integers(1, 5).map(lambda quarter: quarter * HOUR_MS // 4),
        media=st.sampled_from([frozenset({"card"}), frozenset({"a4"}), frozenset({"card", "a4"})]),
        cards_a_day=st.integers(0, 6),
        done_today=st.integers(0, 2),
        ribbon_left=st.one_of(st.none(), st.integers(0, 5)),
        ribbons_spare=st.one_of(st.none(), st.integers(0, 1)),
        ribbon_cards=st.integers(1, 5),
        takes=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda machine: machine.name,
)


@given(crowds(), machines, st.integers(0, 12), st.integers(0, 30))
def test_a_forecast_spends_no_blank_twice_and_no_printer_makes_two_cards_at_once(
    crowd: list[Waiting], printers: list[Machine], blanks: int, hour: int
) -> None:
    hours = Hours(offset_min=0, open_min=8 * 60, close_min=20 * 60)
    queue = ranked(crowd, Policy(hours=hours), is_short=False)
    situation = Situation(queue, printers, {"ktp-el": blanks}, hour * HOUR_MS, hours)
    played = play(situation)
    by_job = {one.job: one for one in crowd}
    assert sum(1 for job in played.finish_ms if by_job[job].blank) <= blanks
    for machine in printers:
        mine = sorted(played.finish_ms[job] for job, name in played.machine.items() if name == machine.name)
        assert all(later - earlier >= machine.ms_per_card for earlier, later in pairwise(mine))
        days: dict[int, int] = {}
        for ms in mine:
            assert hours.open_ms(ms) <= ms - machine.ms_per_card and ms <= hours.close_ms(ms)
            days[hours.midnight_ms(ms)] = days.get(hours.midnight_ms(ms), 0) + 1
        if machine.cards_a_day:
            assert all(count <= machine.cards_a_day for count in days.values())
    for job, name in played.machine.items():
        machine = next(one for one in printers if one.name == name)
        one = by_job[job]
        assert machine.takes and one.media in machine.media and one.printer in (ANY, name)
        assert played.finish_ms[job] - machine.ms_per_card >= max(one.ready_ms, situation.now_ms)
    seen = outlook(situation)
    assert seen.played == played and seen.done_by_close + seen.left_at_close == len(crowd)
    assert isinstance(played, Played) and bool(seen.binding) == bool(crowd)


@given(
    st.integers(1, 3), st.sampled_from(["new", "lost", "other"]), st.dates(), st.booleans(), st.dates(), st.dates()
)
def test_every_job_has_a_class(
    issue: int, reason: str, due: date, is_in_room: bool, today: date, vote: date
) -> None:
    kind = class_of("ktp-el", issue, reason, due, is_in_room, today, vote)
    assert (kind is JobClass.ROOM) == is_in_room
    assert kind in Policy().offsets_ms(is_short=True)
