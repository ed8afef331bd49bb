"""The model beside the real tool: one office's cards through a real ledger, queue and press.

The plan's people come, are recorded and checked; each recording then goes through the real desk of a real node
into its database at the moment at which the check let it through. The real press, with the node's own policy file,
heat limits and queue, gives the cards to printers whose only invention is their clock. What it made by when stands
beside what the model made of the same people. People, desks and the centre's check exist in the model alone.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from heapq import heappop, heappush
from pathlib import Path
from random import Random

from node.desk.lines import InputLine
from node.desk.record import Desk
from node.printing.condition import Conditions, Limits
from node.printing.driver import Document, JobOutcome, Media, PrinterBusyError, PrinterReport, PrinterState
from node.printing.job import Job
from node.printing.press import Press
from node.printing.printers import Mode, Printer
from node.settings import KEY_NAME, NodeSettings, save_settings
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe_io import keys
from surge.people import NikSpace, Populace
from surge.plan.office import CHANGE_OVER_S, Made, Setting, play
from surge.scenario.model import PrinterModel, Scenario
from surge.scenario.offices import offices_of
from surge.scenario.strikes import down_times, struck
from surge.scenario.visits import DAY_S, Visits

# A machine's serials: the real stock counts every one of them.
BLANK_PREFIX = {"ktp-el": "K", "kia": "A"}


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of the model beside the tool's."""

    name: str
    model: float
    tool: float

    @property
    def difference(self) -> float:
        """The model's beyond the tool's, as a share of the tool's."""
        return (self.model - self.tool) / self.tool if self.tool else float(self.model != self.tool)


@dataclass(frozen=True, slots=True)
class Checked:
    """How far the model is from the tool.

    Attributes:
        hours: (hour from the first midnight, cards of the model so far, cards of the tool so far).
    """

    figures: tuple[Compared, ...]
    hours: tuple[tuple[int, int, int], ...]

    @property
    def worst(self) -> float:
        """The largest difference, as a share."""
        return max((abs(one.difference) for one in self.figures), default=0.0)


def check(scenario: Scenario, *, replication: int = 0) -> Checked:
    """Play one office in both; about a minute for a thousand visitors.

    Raises:
        InvalidInputError: the scenario has more than one office.
    """
    offices = offices_of(scenario)
    if len(offices) != 1:
        raise InvalidInputError(
            "only a scenario of one office is checked against the real tool", field="--check", value=scenario.name,
            hint="tts-peak-day, school-visit, prison-outreach and coklit-night have one",
        )  # fmt: skip
    office = offices[0]
    down = tuple(down_times(scenario, office, struck(scenario, offices)))
    cards: list[Made] = []
    visits = list(Visits(scenario).of(office, replication))
    chance = Random(f"{scenario.seed}/{office.code}/desk/{replication}")
    play(Setting(scenario, office, down), visits, chance, cards=cards)
    made = asyncio.run(_real(scenario, cards))
    ours = [one.made_s for one in cards if one.made_s is not None]
    firsts = [
        one.made_s for one in cards if one.made_s is not None and one.reason == "new" and one.product == "ktp-el"
    ]
    theirs, their_firsts = [at for at, _ in made], [at for at, is_first in made if is_first]
    figures = [
        Compared("cards", len(ours), len(theirs)),
        Compared("first_cards", len(firsts), len(their_firsts)),
        Compared("last_first_card_hour", max(firsts, default=0.0) / 3600, max(their_firsts, default=0.0) / 3600),
        Compared("middle_card_hour", _middle(ours) / 3600, _middle(theirs) / 3600),
    ]
    hours = range(
        int(min(ours + theirs, default=0.0) // 3600) + 1, int(max(ours + theirs, default=0.0) // 3600) + 2
    )
    rows = [
        (hour, sum(at <= hour * 3600 for at in ours), sum(at <= hour * 3600 for at in theirs)) for hour in hours
    ]
    return Checked(tuple(figures), tuple(rows))


def _middle(times: list[float]) -> float:
    return sorted(times)[len(times) // 2] if times else 0.0


class _Clock:
    """The office's time, which moves when nothing is left to do."""

    def __init__(self, start_ms: int) -> None:
        self.start_ms, self.now_s = start_ms, 0.0

    def ms(self) -> int:
        return self.start_ms + int(self.now_s * 1000)


class _ClockPrinter:
    """A printer that makes one card after the other, by the office's clock."""

    def __init__(self, model: PrinterModel, clock: _Clock, out: Callable[[str, float], None]) -> None:
        self._model, self._clock, self._out = model, clock, out
        self._done: set[str] = set()
        self.job, self.until_s = "", 0.0

    def tick(self) -> None:
        """The card in it comes out when its time is over."""
        if self.job and self._clock.now_s >= self.until_s:
            self._done.add(self.job)
            self._out(self.job, self.until_s)
            self.job = ""

    async def submit(self, document: Document) -> None:
        if self.job:
            raise PrinterBusyError("it has a card in it")
        self.job = document.job_name
        self.until_s = self._clock.now_s + self._model.card_s + CHANGE_OVER_S

    async def outcome(self, job_name: str) -> JobOutcome:
        if job_name == self.job:
            return JobOutcome.PRINTING
        return JobOutcome.PRINTED if job_name in self._done else JobOutcome.UNKNOWN

    async def news(self, job_name: str, *, poll_s: float, quiet_s: float) -> bool:
        return False

    async def cancel(self, job_name: str) -> None:
        """Too late: the card comes out."""

    async def remembered(self) -> list[str]:
        return [*self._done, *([self.job] if self.job else [])]

    async def report(self) -> PrinterReport:
        state = PrinterState.PRINTING if self.job else PrinterState.IDLE
        return PrinterReport(state, (), None, int(bool(self.job)), accepting=not self.job)

    async def close(self) -> None:
        """Nothing is held."""


class _PlainMaker:
    """Draws nothing, as how a card looks is not what is checked; knows whose first card a job is."""

    def __init__(self) -> None:
        self.first_niks: set[int] = set()
        self.first_jobs: set[str] = set()

    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        if job.nik in self.first_niks and job.product == "ktp-el":
            self.first_jobs.add(job.name)
        return lambda: Document(job.name, Media.CARD, b"%PDF-1.4 /Type /Page")


async def _real(scenario: Scenario, cards: list[Made]) -> list[tuple[float, bool]]:
    """(second, whether it was a first card) of every card that the real press had made."""
    (office,) = offices_of(scenario)
    zone = timezone(timedelta(minutes=office.utc_offset_min))
    start = datetime.combine(scenario.calendar.first, datetime.min.time(), zone)
    clock = _Clock(int(start.timestamp() * 1000))
    opens_s, closes_s = (minute * 60.0 for minute in scenario.calendar.printing)
    with tempfile.TemporaryDirectory() as name:
        store = _store(Path(name), office.nodes[0], scenario, clock)
        desk = Desk(store, regions=None, photo_base=store.folder)
        made: list[tuple[float, bool]] = []
        maker = _PlainMaker()

        def out(job_name: str, at_s: float) -> None:
            made.append((at_s, job_name in maker.first_jobs))

        models = {f"clock:{number}": model for number, model in enumerate(office.printers)}
        printers = {address: _ClockPrinter(model, clock, out) for address, model in models.items()}
        for address, model in models.items():
            limits = Limits(model.ribbon_cards, model.day_cards, model.run_cards, int(model.rest_s))
            Conditions(store).set_limits(address, limits)
        press = Press(
            store, None, maker, rights=None, now_ms=clock.ms, open_printer=lambda address: printers[address]
        )
        await press.use([Printer(address, "", frozenset({"card"}), Mode.ON) for address in models])
        people = Populace(
            Random(scenario.seed), kecamatan=office.code, today=scenario.calendar.first, space=NikSpace()
        )
        # Only those who are 17 came to the printers.
        last_born = scenario.calendar.first - timedelta(days=17 * 1461 // 4 + 2)
        due_born = (last_born - timedelta(days=58 * 1461 // 4), last_born)
        times = [(one.ready_s, number) for number, one in enumerate(cards)]
        times += [(at_s, -1) for at_s in _rests(scenario, models)]
        times.sort(reverse=True)
        heap: list[tuple[float, int]] = []
        for item in times:
            heappush(heap, item)
        try:
            while heap:
                at_s, number = heappop(heap)
                clock.now_s = max(clock.now_s, at_s)
                for printer in printers.values():
                    printer.tick()
                if number >= 0:
                    wanted = cards[number]
                    born = due_born if wanted.product == "ktp-el" else None
                    person = replace(people.person(wanted.product, born=born), reason=wanted.reason)
                    line = {**person.to_line(), "product": wanted.product}
                    answer = desk.record([InputLine(1, json.dumps(line).encode())], clock.ms())[0]
                    assert answer.ok, answer
                    if wanted.product == "ktp-el" and wanted.reason == "new":
                        maker.first_niks.add(int(person.nik.value))
                if heap and heap[0][0] <= clock.now_s:
                    continue
                second = clock.now_s % DAY_S
                is_attended = opens_s <= second < closes_s or second + DAY_S < closes_s
                if not is_attended:
                    continue
                before = {address: printer.until_s for address, printer in printers.items()}
                await press.turn()
                for address, printer in printers.items():
                    if printer.job and printer.until_s != before[address]:
                        heappush(heap, (printer.until_s, -1))
                        heappush(heap, (printer.until_s + models[address].rest_s, -1))
        finally:
            await press.close()
            store.close()
    end_s = len(scenario.calendar.days) * DAY_S
    return [(at_s, is_first) for at_s, is_first in made if at_s <= max(end_s, closes_s)]


def _rests(scenario: Scenario, models: dict[str, PrinterModel]) -> list[float]:
    """Moments at which a press looks again though nothing came: the opening of each day."""
    del models
    return [day * DAY_S + scenario.calendar.printing[0] * 60.0 for day in range(len(scenario.calendar.days))]


def _store(folder: Path, node: str, scenario: Scenario, clock: _Clock) -> NodeStore:
    settings = NodeSettings(node, "127.0.0.1:1")
    keys.save(keys.Signer.generate(), folder / KEY_NAME)
    store = NodeStore.create(folder, settings, now_ms=clock.ms())
    save_settings(folder, settings)
    vote = scenario.calendar.vote_day
    text = f'vote_day = "{vote or ""}"\n[complete]\nwaits = false\n'
    (folder / "queue.toml").write_text(text, encoding="utf-8")
    (office,) = offices_of(scenario)
    for product, count in office.blanks.items():
        if count:
            prefix = BLANK_PREFIX[product]
            Stock(store).receive(
                SerialRange(product, f"{prefix}000001", f"{prefix}{count:06d}"), now_ms=clock.ms()
            )
    return store
