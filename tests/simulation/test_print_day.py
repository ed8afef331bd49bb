"""A day of TTS before the 2024 vote (DOMAIN §1): is what the office was told at nine true at nine in the evening?"""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median

import pytest

from sepe.dispatch.forecast import Machine, Situation
from sepe.dispatch.order import EXPECTED_FIRST, Waiting, ranked
from sepe.dispatch.outlook import Limit, Outlook, outlook
from sepe.dispatch.pace import expected_arrivals, pace_of
from sepe.dispatch.policy import DAY_MS, HOUR_MS, Policy
from tests.support.print_day import KINDS, Day, Printer, hours, live, people

MONDAY_MS = 1_707_062_400_000  # 5 February 2024, 00.00 in Timor.
RECORDINGS = 695


@dataclass
class Told:
    """The forecast at nine, and the day as it went on."""

    seen: Outlook
    printed_before: int
    day: Day

    @property
    def printed(self) -> int:
        return self.printed_before + len(self.day.out_ms)


def nine_o_clock(
    seed: int, printers: list[Printer], *, blanks: int = 500, recordings: int = RECORDINGS, a_day: int = 0
) -> Told:
    """Two ordinary days to learn from, the morning until nine, the forecast, and the rest of the day."""
    dice = random.Random(seed)
    policy = Policy(hours=hours())
    asked: list[int] = []
    for before in (3, 2):
        came = people(MONDAY_MS - before * DAY_MS, 450, dice)
        asked += came
        cards = [Waiting(i, dice.choice(KINDS), ms) for i, ms in enumerate(came)]
        live(cards, printers, 10_000, policy, MONDAY_MS - before * DAY_MS + 8 * HOUR_MS,
             MONDAY_MS - before * DAY_MS + 21 * HOUR_MS, dice)  # fmt: skip
        for printer in printers:
            printer.made, printer.since_rest, printer.ribbon = 0, 0, min(printer.ribbon, 500)
    came = people(MONDAY_MS, recordings, dice)
    cards = [Waiting(i, dice.choice(KINDS), ms) for i, ms in enumerate(came)]
    nine_ms, close_ms = MONDAY_MS + 9 * HOUR_MS, MONDAY_MS + 21 * HOUR_MS
    morning, left = live(cards, printers, blanks, policy, MONDAY_MS + 8 * HOUR_MS, nine_ms, dice)
    here = [one for one in morning.waiting if one.since_ms <= nine_ms]
    expected = expected_arrivals(
        [*asked, *(ms for ms in came if ms <= nine_ms)], now_ms=nine_ms, hours=hours(), a_day=a_day
    )
    arrivals = [
        Waiting(EXPECTED_FIRST + i, KINDS[i % len(KINDS)], ms, ready_ms=ms) for i, ms in enumerate(expected)
    ]
    is_short = left < len(here) + len(arrivals)
    machines = []
    for one in printers:
        pace = pace_of(one.took)
        machines.append(Machine(one.name, pace.ms_per_card, pace.cold_ms_per_card, free_ms=one.free_ms, cards_a_day=one.a_day + 5,
                                done_today=one.made, ribbon_left=one.ribbon, ribbons_spare=one.ribbons_spare))  # fmt: skip
    seen = outlook(
        Situation(
            ranked(here, policy, is_short=is_short),
            machines,
            {"ktp-el": left},
            nine_ms,
            hours(),
            ranked(arrivals, policy, is_short=is_short),
        )
    )
    day, _ = live(morning.waiting, printers, left, policy, nine_ms, close_ms, dice)
    # A card that is in a printer at closing comes out; it counts for neither side.
    day.out_ms = {job: ms for job, ms in day.out_ms.items() if ms <= close_ms}
    return Told(seen, len(morning.out_ms), day)


def tts() -> list[Printer]:
    """Three small printers and a better one; the ribbon of one of the small ones is nearly at its end."""
    return [Printer("k1", 100), Printer("k2", 100, ribbon=260), Printer("k3", 100), Printer("k4", 250)]


def within(share: float, told: float, true: float) -> bool:
    return abs(told - true) <= share * true


@pytest.mark.parametrize("seed", range(4))
def test_at_nine_the_office_is_told_that_blanks_bind_and_how_many_cards_come_out(seed: int) -> None:
    told = nine_o_clock(seed, tts())
    assert told.seen.binding == (Limit.BLANKS,)
    assert within(0.10, told.printed_before + told.seen.done_by_close, told.printed)
    assert told.printed == 500
    # How many more will come is the one thing that an hour of a day cannot tell to a tenth.
    assert within(0.25, told.printed_before + told.seen.done_by_close + told.seen.left_at_close, RECORDINGS)
    # When the last blank is spent, from the morning on.
    start_ms = MONDAY_MS + 8 * HOUR_MS
    last_ms = max(told.day.out_ms.values())
    assert within(0.10, told.seen.played.last_ms - start_ms, last_ms - start_ms)


@pytest.mark.parametrize("seed", range(3))
def test_those_who_wait_at_nine_are_told_their_time_when_the_office_knows_how_many_will_come(seed: int) -> None:
    told = nine_o_clock(seed, tts(), blanks=2000, a_day=RECORDINGS)
    nine_ms = MONDAY_MS + 9 * HOUR_MS
    errors = [
        abs(told.seen.played.finish_ms[job] - ms) / (ms - nine_ms)
        for job, ms in told.day.out_ms.items()
        if job in told.seen.played.finish_ms and ms - nine_ms > HOUR_MS
    ]
    assert len(errors) > 5 and median(errors) <= 0.10


@pytest.mark.parametrize(
    ("printers", "blanks", "recordings", "limit"),
    [
        (tts(), 2000, RECORDINGS, Limit.HEAT),
        ([Printer(f"k{i}", 700, run=50) for i in range(3)], 2000, 300, Limit.PEOPLE),
        ([Printer("k1", 400, ribbon=30, ribbons_spare=0), Printer("k2", 100)], 2000, 400, Limit.RIBBON),
        ([Printer("k1", 1300, run=1000)], 3000, 2500, Limit.PRINTERS),
    ],
)  # fmt: skip
def test_what_binds_on_another_day_is_named_too(
    printers: list[Printer], blanks: int, recordings: int, limit: Limit
) -> None:
    told = nine_o_clock(5, printers, blanks=blanks, recordings=recordings)
    assert told.seen.binding == (limit,)
    assert within(0.10, told.printed_before + told.seen.done_by_close, told.printed)
