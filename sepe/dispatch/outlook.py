"""How an office's day at the printers will end, and what keeps it from ending better.

Each limit in turn is taken away and the day is played again (`sepe.dispatch.forecast.play`). The limit whose
absence lets the most cards be done today is the one that *binds*; if all are done anyway, the one whose absence
ends the queue the earliest. Where several bind together, so that lifting one alone changes nothing, all are named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from sepe.dispatch.forecast import NEVER_MS, Played, Situation, close_ms, play
from sepe.dispatch.order import Ranked, Waiting

# Less than this is chance, not a limit: of the cards, and of the time that the queue takes. More than half of what
# is left over is a limit whatever it is of the whole.
GAIN_SHARE_MIN = 0.04
LEFT_SHARE_MIN = 0.5


class Limit(StrEnum):
    """What may keep cards from being printed today."""

    LINE = "line"
    CHECK = "check"
    BLANKS = "blanks"
    RIBBON = "ribbon"
    HEAT = "heat"
    PEOPLE = "people"
    PRINTERS = "printers"
    DUE = "due"
    DECISION = "decision"
    BATCH = "batch"


# Those that somebody could lift today, the more particular ones first: what is equally good goes to the first.
LIFTABLE = (Limit.BLANKS, Limit.RIBBON, Limit.LINE, Limit.CHECK, Limit.HEAT, Limit.PEOPLE)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can honestly be said of today.

    Attributes:
        close_ms: until when today's printers are attended.
        done_by_close: cards that will come out from now until then, expected arrivals included.
        left_at_close: cards that will still wait then.
        binding: what binds, one `Limit` mostly.
    """

    played: Played
    close_ms: int
    done_by_close: int
    left_at_close: int
    binding: tuple[Limit, ...]


def outlook(situation: Situation) -> Outlook:
    """How the day ends, and what binds."""
    until_ms = close_ms(situation)
    played = play(situation)
    done = played.by(until_ms)
    total = len(situation.queue) + len(situation.arrivals)
    return Outlook(played, until_ms, done, total - done, _binding(situation, played, until_ms, total))


def limit_of(one: Waiting, seen: Outlook) -> tuple[Limit, ...]:
    """What keeps this card from being out today; empty when it will be."""
    finish_ms = seen.played.finish_ms.get(one.job)
    if finish_ms is not None and finish_ms <= seen.close_ms:
        return ()
    if one.waits_for:
        return (Limit(one.waits_for),)
    return (Limit.BLANKS,) if one.job in seen.played.without_blank else seen.binding


def _binding(situation: Situation, played: Played, until_ms: int, total: int) -> tuple[Limit, ...]:
    if total == 0:
        return ()
    base = _worth(played, until_ms)
    is_all_done = base[0] == total

    def gain(limits: Iterable[Limit]) -> float:
        """What today gains without these limits: cards, or a share of the time when all are done anyway."""
        cards, last_ms = _worth(play(_without(situation, limits), is_today_only=True), until_ms)
        if not is_all_done:
            more = cards - base[0]
            counts = min(GAIN_SHARE_MIN * base[0], LEFT_SHARE_MIN * (total - base[0]))
            return float(more) if more >= max(1.0, counts) else 0.0
        saved = (base[1] - last_ms) / max(1, base[1] - situation.now_ms)
        return saved if saved >= GAIN_SHARE_MIN and cards == total else 0.0

    gains = {limit: gain((limit,)) for limit in LIFTABLE}
    best = max(gains, key=lambda limit: gains[limit])
    if gains[best]:
        return (best,)
    whole = gain(LIFTABLE)
    if not whole:
        return (Limit.PRINTERS,)
    # Several bind together: what can be left in place without losing the gain is not among them.
    needed = list(LIFTABLE)
    for limit in LIFTABLE:
        fewer = [one for one in needed if one is not limit]
        if gain(fewer) >= whole * (1 - GAIN_SHARE_MIN):
            needed = fewer
    return tuple(needed)


def _worth(played: Played, until_ms: int) -> tuple[int, int]:
    """How good a day is: cards by its close, and when the last of these is out."""
    today = [ms for ms in played.finish_ms.values() if ms <= until_ms]
    return len(today), max(today, default=0)


def _without(situation: Situation, limits: Iterable[Limit]) -> Situation:
    """The same day without these limits."""
    now_ms = situation.now_ms
    for limit in limits:
        match limit:
            case Limit.BLANKS:
                situation = replace(situation, blanks=dict.fromkeys(situation.blanks, NEVER_MS))
            case Limit.RIBBON:
                machines = [replace(one, ribbon_left=None) for one in situation.machines]
                situation = replace(situation, machines=machines)
            case Limit.HEAT:
                machines = [
                    replace(one, cards_a_day=0, ms_per_card=one.cold_ms_per_card or one.ms_per_card)
                    for one in situation.machines
                ]
                situation = replace(situation, machines=machines)
            case Limit.PEOPLE:
                situation = replace(situation, arrivals=_ready(situation.arrivals, now_ms))
            case Limit.CHECK:
                situation = replace(situation, queue=_ready(situation.queue, now_ms, limit), check_ms=0)
            case _:
                situation = replace(situation, queue=_ready(situation.queue, now_ms, limit))
    return situation


def _ready(queue: Ranked, now_ms: int, limit: Limit | None = None) -> Ranked:
    """The same jobs, those that wait for ``limit`` (``None``: all) being ready now."""
    jobs = {
        job: one._replace(ready_ms=now_ms) if limit is None or one.waits_for == limit else one
        for job, one in queue.jobs.items()
    }
    return Ranked(queue.lanes, jobs)
