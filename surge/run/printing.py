"""The printers of a virtual office: the real press and the real ledger, with printers that live in this process.

A printer here speaks the driver's protocol (`node.printing.driver`) and takes the time that its model takes for a
card, divided by ``faster``; it stops for heat as the model does. All before it is the product: queue, rights,
blanks, the intent before the sheet and the proof after it. What it is handed is one fixed page instead of a drawn
card: drawing is measured by ``run.py bench``, and hundreds of offices that draw would measure nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout

from node.link.rights import GrpcRights
from node.printing.driver import (
    Document,
    JobOutcome,
    Media,
    PrintDriver,
    PrinterBusyError,
    PrinterReport,
    PrinterState,
)
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.press import Press, press_lock
from node.printing.printers import Mode, Printer
from node.storage.store import NodeStore
from sepe.errors import SepeError
from sepe.products import PRODUCTS
from sepe_io.logs import logger
from sepe_io.tasks import end_tasks
from surge.run.cast import DAY_S, Cast
from surge.run.messages import Row
from surge.run.office import VirtualOffice
from surge.scenario.model import PrinterModel

PAGE = b"%PDF-1.4\n1 0 obj << /Type /Page >> endobj\n%%EOF\n"
LOOK_S = 0.25
# Jobs whose card a printer could make now or has in hand.
WANTED = ("queued", "ready", "reserved", "submitted")
_log = logger("surge.printing")


@dataclass(slots=True)
class VirtualCardPrinter:
    """One card printer by the driver's protocol; ``second`` tells scenario time."""

    model: PrinterModel
    faster: float
    second: Callable[[], float]
    made: list[float] = field(default_factory=list)
    _done_at: dict[str, float] = field(default_factory=dict)
    _free_at: float = 0.0
    _begun: float = field(default_factory=time.monotonic)
    _run: int = 0

    async def submit(self, document: Document) -> None:
        now = self.second()
        if now < self._free_at:
            raise PrinterBusyError("another card is in the printer")
        if now - self._free_at > self.model.rest_s > 0:
            self._run = 0
        self._run += 1
        self._free_at = self._done_at[document.job_name] = now + self.model.card_s
        self.made.append(self._free_at)
        if self.model.run_cards and self._run >= self.model.run_cards:
            self._free_at += self.model.rest_s
            self._run = 0

    async def outcome(self, job_name: str) -> JobOutcome:
        done = self._done_at.get(job_name)
        if done is None:
            return JobOutcome.UNKNOWN
        return JobOutcome.PRINTED if self.second() >= done else JobOutcome.PRINTING

    async def news(self, job_name: str, *, poll_s: float, quiet_s: float) -> bool:
        await asyncio.sleep(poll_s)
        return False

    async def cancel(self, job_name: str) -> None:
        """What is in the machine comes out."""

    async def remembered(self) -> list[str]:
        return list(self._done_at)

    async def report(self) -> PrinterReport:
        now = self.second()
        is_hot = self.model.day_cards > 0 and self.made_on(now) >= self.model.day_cards
        state = PrinterState.STOPPED if is_hot else PrinterState.PRINTING if self.is_busy else PrinterState.IDLE
        return PrinterReport(state, (), int(time.monotonic() - self._begun), int(now < self._free_at), not is_hot)

    async def close(self) -> None:
        """Nothing is held."""

    def made_on(self, second: float) -> int:
        """Cards of the day of that second, by days from the run's start."""
        day = second // DAY_S
        return sum(1 for at in reversed(self.made) if at // DAY_S == day)

    @property
    def is_busy(self) -> bool:
        """Whether a card is being made now."""
        now = self.second()
        return bool(self.made) and self.made[-1] - self.model.card_s <= now < self.made[-1]


class PrintRoom:
    """The printers of one office, from its opening to its account."""

    def __init__(self, office: VirtualOffice, cast: Cast) -> None:
        self._office, self._cast = office, cast
        self.node = office.seat.node
        self._began, self._wall_began_ms = 0.0, 0
        self._printers = {
            f"virtual:{index}": VirtualCardPrinter(model, cast.faster, self._second)
            for index, model in enumerate(office.seat.printers)
        }
        self._wanted_s: dict[int, float] = {}
        self._has_work = False

    @property
    def printers(self) -> int:
        """Printers that are attended now and have a card to make."""
        return len(self._printers) if self._has_work else 0

    @property
    def busy(self) -> int:
        return sum(one.is_busy for one in self._printers.values()) if self._has_work else 0

    @property
    def cards(self) -> int:
        """Cards that came out so far."""
        now = self._second()
        return sum(1 for one in self._printers.values() for at in one.made if at <= now)

    def _second(self) -> float:
        return (time.monotonic() - self._began) * self._cast.faster

    async def run(self, began: float) -> None:
        """Print until cancelled."""
        self._began = began
        self._wall_began_ms = time.time_ns() // 1_000_000 - int((time.monotonic() - began) * 1000)
        folder, settings = self._office.folder, self._office.lines[0].address
        assert self._office.office is not None
        office = self._office.office
        rights = GrpcRights(settings, self.node, lambda: office.signer, skew_ms=lambda: 0, trust=office.trust)
        store = NodeStore.open(folder)
        press = Press(
            store, None, _OnePage(), rights=rights, now_ms=self._office.now_ms, open_printer=self._driver
        )  # fmt: skip
        lock = press_lock(folder)
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._watch(folder))]
        try:
            with lock.acquire(timeout=0):
                await press.run(stop, printers=self._in_use)
        except (Timeout, SepeError) as exc:
            _log.error("press.failed", node=self.node, detail=str(exc)[:200])
        finally:
            await end_tasks(tasks)
            await press.close()
            await rights.close()
            store.close()

    def _driver(self, address: str) -> PrintDriver:
        return self._printers[address]

    def _in_use(self) -> list[Printer]:
        mode = Mode.ON if self._is_attended() else Mode.PAUSED
        return [Printer(address, address, frozenset({"card"}), mode) for address in self._printers]

    def _is_attended(self) -> bool:
        calendar, cast = self._cast.scenario.calendar, self._cast
        shift = (cast.offset_min - self._office.seat.office.utc_offset_min) * 60.0
        second = self._second() + cast.begin_s - shift
        day, minute = int(second // DAY_S), second % DAY_S / 60
        is_open = 0 <= day < len(calendar.days) and calendar.days[day] in calendar.open_days
        return is_open and calendar.printing[0] <= minute < calendar.printing[1] and not self._office.is_down

    async def _watch(self, folder: Path) -> None:
        """Note for how long there was something to print: the measure of how busy the printers were."""
        store = NodeStore.open(folder, read_only=True)
        marks = ", ".join("?" * len(WANTED))
        statement = f"SELECT 1 FROM job WHERE state IN ({marks}) AND product IN ('ktp-el', 'kia') LIMIT 1"
        try:
            while True:
                before = self._second()
                await asyncio.sleep(LOOK_S)
                waits = store.connection.execute(statement, WANTED).fetchone() is not None
                self._has_work = waits and self._is_attended()
                if self._has_work:
                    hour = int(before // 3600)
                    self._wanted_s[hour] = self._wanted_s.get(hour, 0.0) + self._second() - before
        finally:
            store.close()

    def tell(self, row: Row) -> None:
        """Fill in what the ledger says in the end."""
        store = NodeStore.open(self._office.folder)
        try:
            row.print_states = Ledger(store).counts()
            times = store.connection.execute(
                "SELECT changed_ms FROM job WHERE state IN ('printed', 'handed_over') "
                "AND product IN ('ktp-el', 'kia')"
            ).fetchall()
            row.valid_cards_max = store.connection.execute(
                "SELECT COALESCE(max(made), 0) FROM (SELECT count(*) AS made FROM job WHERE state IN "
                "('printed', 'handed_over') AND product IN ('ktp-el', 'kia') GROUP BY nik, product, issue)"
            ).fetchone()[0]
        finally:
            store.close()
        cards: dict[int, int] = {}
        for (changed_ms,) in times:
            hour = int((changed_ms - self._wall_began_ms) / 1000 * self._cast.faster // 3600)
            cards[hour] = cards.get(hour, 0) + 1
        made: dict[int, float] = {}
        for one in self._printers.values():
            for at in one.made:
                made[int(at // 3600)] = made.get(int(at // 3600), 0.0) + one.model.card_s
        hours = sorted(cards.keys() | self._wanted_s.keys())
        count = len(self._printers)
        row.cards = [
            [hour, cards.get(hour, 0), min(made.get(hour, 0.0), self._wanted_s.get(hour, 0.0) * count),
             self._wanted_s.get(hour, 0.0) * count]
            for hour in hours
        ]  # fmt: skip


class _OnePage:
    """Hands every job the same page; see the module."""

    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        media = Media.CARD if job.product in ("ktp-el", "kia") else Media.A4
        assert PRODUCTS[job.product].prints
        return lambda: Document(job.name, media, PAGE)
