"""A queue run through an office's printers: when each card will be out, and where.

Each printer works at its measured pace, with its daily heat cap, its ribbon, and only while somebody is there;
each card takes a blank while there are blanks. People who are still expected today are in it as arrivals, because
they will stand before others who wait now. `sepe.dispatch.outlook` reads from it how the day ends and what binds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace

from sepe.dispatch.order import ANY, JOB_MASK, NOBODY, Key, Lane, Ranked
from sepe.dispatch.policy import DAY_MS, Hours

# A line of which nobody knows when it comes back, a decision that nobody has made.
NEVER_MS = 1 << 60
# Greater than any key.
_NONE = 1 << 200
DAYS_MAX = 400
# Greater than any key.
_NONE = 1 << 200
DAYS_MAX = 400
# Less than this is chance, not a limit: of the cards, and of the time that the queue takes. More than half of what
# is left over is a limit whatever it is of the whole.
GAIN_SHARE_MIN = 0.04
LEFT_SHARE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """One printer as the forecast sees it.

    Attributes:
        ms_per_card: its measured pace with the rests it takes; ``cold_ms_per_card`` without them.
        free_ms: when the card in it will be out.
        cards_a_day: what it can make in a day before heat spoils blanks, 0 for no limit.
        done_today: of these.
        ribbon_left: cards until the ribbon ends, ``None`` for unknown.
        ribbons_spare: ribbons that lie ready, ``None`` for enough; each lasts ``ribbon_cards``.
        takes: whether it takes new jobs (not paused, draining or stopped).
    """

    name: str
    ms_per_card: int
    cold_ms_per_card: int = 0
    media: frozenset[str] = frozenset({"card", "a4"})
    free_ms: int = 0
    cards_a_day: int = 0
    done_today: int = 0
    ribbon_left: int | None = None
    ribbons_spare: int | None = None
    ribbon_cards: int = 500
    ribbon_change_ms: int = 300_000
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a forecast needs.

    Attributes:
        arrivals: people expected later today, ``ready_ms`` being when they will have been recorded; their numbers
            are from `sepe.dispatch.order.EXPECTED_FIRST` on.
        blanks: at hand and not reserved, by product.
        check_ms: how long the uniqueness check takes before a recording may be printed.
    """

    queue: Ranked
    machines: Sequence[Machine]
    blanks: Mapping[str, int]
    now_ms: int
    hours: Hours
    arrivals: Ranked = NOBODY
    check_ms: int = 0


@dataclass(frozen=True, slots=True)
class Played:
    """A day played to its end.

    Attributes:
        finish_ms: by job, when it will be out; jobs that never will are missing.
        machine: by job, the printer that makes it.
        without_blank: jobs for which no blank is left.
    """

    finish_ms: dict[int, int] = field(default_factory=dict)
    machine: dict[int, str] = field(default_factory=dict)
    without_blank: frozenset[int] = frozenset()

    def by(self, ms: int) -> int:
        """How many are out by then."""
        return sum(1 for one in self.finish_ms.values() if one <= ms)

    @property
    def last_ms(self) -> int:
        """When the last one is out, 0 if there is none."""
        return max(self.finish_ms.values(), default=0)


class _Group:
    """Keys of the jobs of a lane: those ready, the next one last, and those that come later, the next one last."""

    __slots__ = ("later", "newcomers", "ready")

    def __init__(self) -> None:
        self.ready: list[Key] = []
        self.newcomers: list[Key] = []
        self.later: list[tuple[int, Key]] = []

    def head(self, now_ms: int) -> Key:
        """The key of the next job at this time, or `_NONE`."""
        while self.later and self.later[-1][0] <= now_ms:
            heappush(self.newcomers, self.later.pop()[1])
        ready = self.ready[-1] if self.ready else _NONE
        return min(ready, self.newcomers[0]) if self.newcomers else ready

    def drop(self, key: Key) -> None:
        """Take away what `head` gave."""
        if self.newcomers and self.newcomers[0] == key:
            heappop(self.newcomers)
        else:
            self.ready.pop()

    @property
    def next_ms(self) -> int:
        return self.later[-1][0] if self.later else NEVER_MS


@dataclass(slots=True)
class _State:
    """A printer while the day is played."""

    machine: Machine
    groups: list[_Group]
    pace_ms: int
    close_ms: int
    left: int
    ribbon: int
    spares: int


def play(situation: Situation, *, is_today_only: bool = False) -> Played:
    """The queue run through the printers, day by day, for at most `DAYS_MAX` days."""
    days_max = 0 if is_today_only else DAYS_MAX
    now_ms = situation.now_ms
    lanes = _grouped(situation)
    states = [_state(one, lanes, situation) for one in situation.machines if one.takes]
    heap = [(max(one.machine.free_ms, _open_from(now_ms, situation)), index) for index, one in enumerate(states)]
    heapify(heap)
    expected, jobs = situation.arrivals.jobs, situation.queue.jobs
    blanks = dict(situation.blanks)
    finish_ms: dict[int, int] = {}
    machine: dict[int, int] = {}
    without_blank: set[int] = set()
    while heap:
        at_ms, index = heap[0]
        state = states[index]
        done_ms = at_ms + state.pace_ms
        if done_ms > state.close_ms or state.left <= 0 or state.ribbon <= 0:
            _put(heap, index, _resumes_ms(state, at_ms, situation, days_max))
            continue
        groups = state.groups
        if len(groups) == 1 and not (groups[0].later or groups[0].newcomers):
            # Nearly always, and with 50,000 cards it counts.
            key = groups[0].ready.pop() if groups[0].ready else _NONE
        else:
            key, best = min((group.head(at_ms), number) for number, group in enumerate(groups))
            if key != _NONE:
                groups[best].drop(key)
        if key == _NONE:
            _put(heap, index, min(group.next_ms for group in groups))
            continue
        job = key & JOB_MASK
        one = jobs.get(job) or expected[job]
        if (blank := one.blank) and not one.has_blank:
            if (left := blanks.get(blank, 0)) <= 0:
                without_blank.add(job)
                continue
            blanks[blank] = left - 1
        state.left -= 1
        state.ribbon -= 1
        finish_ms[job] = done_ms
        machine[job] = index
        heapreplace(heap, (done_ms, index))
    names = [one.machine.name for one in states]
    return Played(finish_ms, {job: names[index] for job, index in machine.items()}, frozenset(without_blank))


def capacity(machines: Sequence[Machine], now_ms: int, until_ms: int) -> int:
    """How many cards these printers can still make until then, were there no end of cards and blanks."""
    total = 0
    for one in machines:
        if one.takes:
            by_time = max(0, until_ms - max(now_ms, one.free_ms)) // one.ms_per_card
            total += min(by_time, max(0, one.cards_a_day - one.done_today)) if one.cards_a_day else by_time
    return total


def _put(heap: list[tuple[int, int]], index: int, at_ms: int) -> None:
    """The first printer of the heap goes on at ``at_ms``, or is done with."""
    if at_ms >= NEVER_MS:
        heappop(heap)
    else:
        heapreplace(heap, (at_ms, index))


def _resumes_ms(state: _State, at_ms: int, situation: Situation, days_max: int) -> int:
    """When a printer that cannot begin a card now goes on: after a ribbon change, or another day."""
    machine, hours = state.machine, situation.hours
    if state.ribbon <= 0 and at_ms + state.pace_ms <= state.close_ms and state.left > 0:
        if state.spares <= 0:
            return NEVER_MS
        state.ribbon, state.spares = machine.ribbon_cards, state.spares - 1
        return at_ms + machine.ribbon_change_ms
    tomorrow_ms = hours.open_ms(max(state.close_ms - 1, at_ms) + DAY_MS)
    state.close_ms = hours.close_ms(tomorrow_ms)
    state.left = machine.cards_a_day or NEVER_MS
    is_too_slow = tomorrow_ms + state.pace_ms > state.close_ms
    return NEVER_MS if is_too_slow or tomorrow_ms > situation.now_ms + days_max * DAY_MS else tomorrow_ms


def _grouped(situation: Situation) -> dict[Lane, _Group]:
    groups: dict[Lane, _Group] = {}
    now_ms = situation.now_ms
    for queue, delay_ms in ((situation.queue, 0), (situation.arrivals, situation.check_ms)):
        jobs = queue.jobs
        for lane, keys in queue.lanes.items():
            group = groups.setdefault(lane, _Group())
            if not delay_ms and all(one.ready_ms <= now_ms for one in jobs.values()):
                group.ready = sorted(group.ready + list(keys), reverse=True)
                continue
            for key in keys:
                ready_ms = jobs[key & JOB_MASK].ready_ms + delay_ms
                if ready_ms > now_ms:
                    group.later.append((ready_ms, key))
                else:
                    group.ready.append(key)
            group.ready.sort(reverse=True)
    for group in groups.values():
        group.later.sort(reverse=True)
    return groups


def _state(machine: Machine, groups: dict[Lane, _Group], situation: Situation) -> _State:
    mine = [
        group
        for (media, printer), group in groups.items()
        if media in machine.media and printer in (ANY, machine.name)
    ]
    return _State(
        machine,
        mine or [_Group()],
        machine.ms_per_card,
        close_ms=close_ms(situation),
        left=machine.cards_a_day - machine.done_today if machine.cards_a_day else NEVER_MS,
        ribbon=NEVER_MS if machine.ribbon_left is None else machine.ribbon_left,
        spares=NEVER_MS if machine.ribbons_spare is None else machine.ribbons_spare,
    )


def _is_working(situation: Situation) -> bool:
    """Whether some printer is at work though its hours are over: then it goes on until the next opening."""
    return any(one.free_ms > situation.now_ms for one in situation.machines)


def _open_from(now_ms: int, situation: Situation) -> int:
    opens_ms = situation.hours.open_ms(now_ms)
    if opens_ms <= now_ms < situation.hours.close_ms(now_ms) or _is_working(situation):
        return now_ms
    return opens_ms if now_ms < opens_ms else situation.hours.open_ms(now_ms + DAY_MS)


def close_ms(situation: Situation) -> int:
    """Until when the printers are attended that work now, or begin next."""
    today_ms = situation.hours.close_ms(situation.now_ms)
    if today_ms > situation.now_ms:
        return today_ms
    tomorrow_ms = situation.hours.open_ms(situation.now_ms + DAY_MS)
    return tomorrow_ms if _is_working(situation) else situation.hours.close_ms(tomorrow_ms)
