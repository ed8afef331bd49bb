"""One office as discrete events: people, desks, the line, the check, blanks, ribbons and printers.

The door opens on `surge.scenario.visits`, the same people whom a run on real processes sees. A visitor takes the
first free desk; whoever stands in the room when the desks close is served for `OVERTIME_S` more, the others on the
next open day. A first card waits for the line, the centre's check, a blank and a printer; a reprint for blank and
printer. Which card goes next is the office's own rule (`sepe.dispatch.policy`): head starts by class, reprints
back while blanks are short. A printer rests and stops as the press lets it (`node.printing.condition`).

Times are seconds after local midnight of the first day. All chance of a visitor is drawn when he comes, so that
two plays of one replication differ by what was changed and by nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import exp, log, sqrt
from random import Random

import simpy

from sepe.dispatch.order import is_short_of_blanks
from sepe.dispatch.policy import REPRINTS, JobClass, Policy
from sepe.products import PRODUCTS
from surge.plan.tally import Tally, bucket_of
from surge.plan.times import Hours, LineTimes
from surge.scenario.model import PrinterModel, Scenario
from surge.scenario.offices import Office
from surge.scenario.visits import DAY_S, Visit

OVERTIME_S = 3 * 3600.0
# The 90th percentile of the normal distribution.
Z_90 = 1.2816
POLICY = Policy()
# The press asks a printer again and again; between two cards that is about this much (docs/performance.md).
CHANGE_OVER_S = 0.1
CARD_PRODUCTS = frozenset(code for code, product in PRODUCTS.items() if product.media == "card")
Process = Generator[simpy.Event, object, None]


@dataclass(frozen=True, slots=True)
class Lifted:
    """Limits that are taken away to see what they cost."""

    line: bool = False
    check: bool = False
    blanks: bool = False
    ribbon: bool = False
    heat: bool = False
    people: bool = False


NOTHING = Lifted()


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that one play needs: the office as the scenario, or the what-if, leaves it.

    Attributes:
        down: when there is no line, in order.
    """

    scenario: Scenario
    office: Office
    down: tuple[tuple[float, float], ...] = ()
    lifted: Lifted = NOTHING


@dataclass(slots=True)
class _Card:
    """One card that somebody wants."""

    came_s: float
    asked_s: float
    product: str
    reason: str
    kind: JobClass
    ready_s: float = 0.0
    made_s: float | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """One card of a play: when it could be printed, and when it was; ``None``: not in the scenario's time."""

    product: str
    reason: str
    ready_s: float
    made_s: float | None


def play(setting: Setting, visits: Sequence[Visit], chance: Random, *, cards: list[Made] | None = None) -> Tally:
    """One office through all days of its scenario.

    Args:
        cards: takes every card that came to the printers.
    """
    office = _Office(setting, visits, chance)
    tally = office.run()
    if cards is not None:
        cards += [Made(one.product, one.reason, one.ready_s, one.made_s) for one in office.printed]
    return tally


class _Office:
    def __init__(self, setting: Setting, visits: Sequence[Visit], chance: Random) -> None:
        self.env = simpy.Environment()
        self.setting, self.visits, self.chance = setting, visits, chance
        scenario, office = setting.scenario, setting.office
        self.check, self.lifted = scenario.check, setting.lifted
        calendar = scenario.calendar
        self.days = len(calendar.days)
        self.tally = Tally.of_days(self.days)
        open_days = [(index, calendar.desk(day)) for index, day in enumerate(calendar.days)]
        desk = [
            (index * DAY_S + span[0] * 60.0, index * DAY_S + span[1] * 60.0) for index, span in open_days if span
        ]
        printing = [
            (index * DAY_S + calendar.printing[0] * 60.0, index * DAY_S + calendar.printing[1] * 60.0)
            for index, span in open_days
            if span
        ]
        self.desk_hours, self.print_hours = Hours(desk), Hours(printing)
        self.end_s = max(printing[-1][1], desk[-1][1] + OVERTIME_S, self.days * float(DAY_S))
        self.line = LineTimes(scenario.check.packet_kb, office.link, setting.down)
        self.room: deque[tuple[Visit, float, float, float]] = deque()
        self.free_desks: list[simpy.Event] = []
        self.blanks = dict(office.blanks)
        self.ribbons = office.ribbons
        self.offsets_s = {
            is_short: {kind: ms / 1000 for kind, ms in POLICY.offsets_ms(is_short=is_short).items()}
            for is_short in (False, True)
        }
        self.heaps: dict[tuple[str, JobClass], list[tuple[float, int, _Card]]] = {}
        self.ready = dict.fromkeys(CARD_PRODUCTS, 0)
        self.number = 0
        self.printed: list[_Card] = []
        self.idle: list[simpy.Event] = []
        self.waiting = self.waiting_first = 0
        self.dry_from: float | None = None
        sigma_2 = log(1 + scenario.desks.spread**2)
        self.service_sigma, self.service_shift = sqrt(sigma_2), -sigma_2 / 2
        self.check_sigma = log(self.check.spread) / Z_90

    def run(self) -> Tally:
        env = self.env
        env.process(self._door())
        for _ in range(self.setting.office.desks):
            env.process(self._desk())
        for model in self.setting.office.printers:
            env.process(self._printer(model))
        env.process(self._deliveries())
        env.process(self._midnights())
        env.run(until=self.end_s + 1)
        self._note_dry()
        tally = self.tally
        tally.left, tally.left_first = float(self.waiting), float(self.waiting_first)
        tally.attended_s = sum(end - begin for begin, end in self.print_hours.spans) * len(
            self.setting.office.printers
        )
        return tally

    def _door(self) -> Process:
        env, room, tally = self.env, self.room, self.tally
        for visit in self.visits:
            if visit.at_s > env.now:
                yield env.timeout(visit.at_s - env.now)
            # Mean 1, the spread of the scenario; and the chance of the check, whoever turns out to need it.
            draw = self.chance.gauss
            service = exp(self.service_sigma * draw(0, 1) + self.service_shift)
            check_z, held = draw(0, 1), self.chance.random()
            if self.lifted.people:
                self._served(visit, check_z, held)
                continue
            room.append((visit, service, check_z, held))
            if self.free_desks:
                self.free_desks.pop().succeed()
                continue
            day, length = int(env.now // DAY_S), len(room)
            tally.queue_max[day] = max(tally.queue_max[day], length)

    def _desk(self) -> Process:
        env, room, tally, hours = self.env, self.room, self.tally, self.desk_hours
        record_s, other_s = self.setting.scenario.desks.record_s, self.setting.scenario.desks.other_s
        while True:
            if not room:
                free = env.event()
                self.free_desks.append(free)
                yield free
                # A desk that was done meanwhile may have been quicker.
                continue
            visit, service, check_z, held = room.popleft()
            begin = hours.resume(env.now, more_s=OVERTIME_S)
            if begin is None:
                return
            if begin > env.now:
                yield env.timeout(begin - env.now)
            tally.desk_wait[bucket_of(env.now - visit.at_s)] += 1
            is_first = visit.product == "ktp-el" and visit.reason == "new"
            yield env.timeout(service * (record_s if is_first else other_s))
            self._served(visit, check_z, held)

    def _served(self, visit: Visit, check_z: float, held: float) -> None:
        now, tally = self.env.now, self.tally
        day = min(int(now // DAY_S), self.days - 1)
        tally.served[day] += 1
        # By the day that they came: a night's service ends after midnight.
        came_day = int(visit.at_s // DAY_S)
        tally.served_until_s[came_day] = max(tally.served_until_s[came_day], now - came_day * DAY_S)
        if visit.product not in CARD_PRODUCTS or not visit.is_due:
            return
        card = _Card(visit.at_s, now, visit.product, visit.reason, visit.kind)
        tally.asked[day] += 1
        self.waiting += 1
        if card.kind is not JobClass.VOTER:
            self._put(card)
            return
        if held < self.check.held_share and not self.lifted.check:
            tally.held += 1
            return
        self.waiting_first += 1
        ready = now
        if not self.lifted.line and self.check.needs_line:
            ready = self.line.sent_s(ready)
        if not self.lifted.check and self.check.needs_line:
            ready += self.check.median_s * exp(self.check_sigma * check_z)
        if ready <= now:
            self._put(card)
        else:
            self.env.timeout(ready - now).callbacks.append(lambda _event: self._put(card))

    def _put(self, card: _Card) -> None:
        self.number += 1
        card.ready_s = self.env.now
        self.printed.append(card)
        heap = self.heaps.setdefault((card.product, card.kind), [])
        heappush(heap, (card.asked_s, self.number, card))
        self.ready[card.product] += 1
        self._wake()

    def _wake(self) -> None:
        if self.idle:
            self.idle.pop().succeed()

    def _next(self) -> _Card | None:
        """The next card by the policy, its blank taken; ``None`` when there is none, or no blank for any."""
        best, best_key = None, 0.0
        is_dry = False
        for (product, kind), heap in self.heaps.items():
            if not heap:
                continue
            at_hand = self.blanks.get(product, 0)
            if at_hand <= 0 and not self.lifted.blanks:
                is_dry = True
                continue
            is_short = kind in REPRINTS and is_short_of_blanks(
                POLICY, at_hand=at_hand, waiting=self.ready[product]
            )
            key = heap[0][0] + self.offsets_s[is_short][kind]
            if best is None or key < best_key:
                best, best_key = heap, key
        self._note_dry(is_dry=is_dry)
        if best is None:
            return None
        card = heappop(best)[2]
        self.blanks[card.product] = self.blanks.get(card.product, 0) - 1
        self.ready[card.product] -= 1
        return card

    def _note_dry(self, *, is_dry: bool = False) -> None:
        """Time in which some card wants for a blank."""
        now = self.env.now
        if self.dry_from is not None:
            self.tally.dry_s += now - self.dry_from
            for day in range(int(self.dry_from // DAY_S), min(int(now // DAY_S), self.days - 1) + 1):
                self.tally.stock_outs[day] = 1.0
        self.dry_from = now if is_dry else None

    def _printer(self, model: PrinterModel) -> Process:
        env, hours, heat = self.env, self.print_hours, not self.lifted.heat
        day, made_today, run, last_s = -1, 0, 0, -1e9
        ribbon = model.ribbon_cards
        while True:
            begin = hours.resume(env.now, model.card_s)
            if begin is None:
                return
            if begin > env.now:
                yield self._rest(begin - env.now)
            if day != env.now // DAY_S:
                day, made_today = int(env.now // DAY_S), 0
            if heat and model.day_cards and made_today >= model.day_cards:
                yield self._rest((day + 1) * DAY_S - env.now)
                continue
            if heat and model.run_cards and run >= model.run_cards and env.now < last_s + model.rest_s:
                yield self._rest(last_s + model.rest_s - env.now)
                continue
            if ribbon <= 0 and not self.lifted.ribbon:
                if self.ribbons <= 0:
                    yield self._sleep()
                    continue
                self.ribbons -= 1
                ribbon = model.ribbon_cards
                yield self._rest(model.ribbon_change_s)
                continue
            card = self._next()
            if card is None:
                yield self._sleep()
                continue
            self._wake_if_work()
            yield env.timeout(model.card_s + CHANGE_OVER_S)
            made_today += 1
            ribbon -= 1
            run = run + 1 if env.now - last_s < model.rest_s else 1
            last_s = env.now
            self._made(card, model)

    def _rest(self, seconds: float) -> simpy.Event:
        """This printer can take nothing for a time; what it was woken for goes to another."""
        self._wake_if_work()
        return self.env.timeout(seconds)

    def _wake_if_work(self) -> None:
        if self.idle and any(self.ready.values()):
            self._wake()

    def _sleep(self) -> simpy.Event:
        event = self.env.event()
        self.idle.append(event)
        return event

    def _made(self, card: _Card, model: PrinterModel) -> None:
        now, tally = self.env.now, self.tally
        card.made_s = now
        day = min(int(now // DAY_S), self.days - 1)
        tally.cards[day] += 1
        tally.busy_s += model.card_s
        self.waiting -= 1
        if card.kind is JobClass.VOTER:
            tally.first_cards[day] += 1
            tally.last_first_s[day] = now - day * DAY_S
            self.waiting_first -= 1
        tally.card_wait[bucket_of(now + self.setting.scenario.desks.hand_over_s - card.came_s)] += 1

    def _deliveries(self) -> Process:
        env, scenario = self.env, self.setting.scenario
        for delivery in sorted(scenario.stock.deliveries, key=lambda one: one.when):
            if delivery.at and not any(self.setting.office.code.startswith(one) for one in delivery.at):
                continue
            clock = delivery.when
            at_s = (clock.date() - scenario.calendar.first).days * DAY_S + clock.hour * 3600 + clock.minute * 60
            yield env.timeout(max(0.0, at_s - env.now))
            if delivery.what == "ribbon":
                self.ribbons += delivery.count
            else:
                self.blanks[delivery.what] = self.blanks.get(delivery.what, 0) + delivery.count
            for _ in range(len(self.idle)):
                self._wake()

    def _midnights(self) -> Process:
        for day in range(self.days):
            yield self.env.timeout((day + 1) * DAY_S - self.env.now)
            self.tally.waiting[day] = self.waiting
