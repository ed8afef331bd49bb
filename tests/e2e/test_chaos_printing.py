"""Cards under blows: the printer is another machine that goes on, whatever happens to the office's computer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.printing.ledger import Ledger
from node.stock import Stock
from node.storage.store import NodeStore
from tests.support.faults.power import disk
from tests.support.place import Place, place
from tests.support.processes import ROOT

CARDS = 24
BLOWS = 4


class CardPrinter:
    """A virtual printer in a process of its own, with the notes of its output tray."""

    def __init__(self, tray: Path, port: int = 0) -> None:
        self.tray = tray
        command = [
            sys.executable,
            "-m",
            "surge.printer",
            "--tray",
            str(tray),
            "--pace",
            "0.25",
            "--port",
            str(port),
        ]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = str(json.loads(self._process.stdout.readline())["url"])

    def sheets(self) -> Counter[str]:
        """How many cards came out, by the job's name."""
        notes = self.tray.read_text().splitlines() if self.tray.exists() else []
        return Counter(json.loads(note)["job_name"] for note in notes)

    def pull_the_plug(self) -> None:
        """It forgets its jobs and numbers the next ones from 1 again."""
        self._process.kill()
        self._process.wait()

    def plug_in(self) -> None:
        port = int(self.url.rpartition(":")[2].partition("/")[0])
        self.__init__(self.tray, port)  # type: ignore[misc]


@contextmanager
def card_printer(tray: Path) -> Iterator[CardPrinter]:
    made = CardPrinter(tray)
    try:
        yield made
    finally:
        made.pull_the_plug()


@pytest.fixture
def here(site: Path, tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "place", site=site) as made:
        yield made


def states(office: Path) -> dict[str, tuple[str, int]]:
    """State and NIK of every job, by its name at the printer."""
    store = NodeStore.open(office)
    try:
        return {job.name: (str(job.state), job.nik) for job in Ledger(store).all(1000)}
    finally:
        store.close()


def wait_for_sheets(here: Place, printer: CardPrinter, count: int) -> None:
    here.until(f"{count} cards", lambda: printer.sheets().total() >= count)


def wait_until_idle(here: Place, office: Path) -> dict[str, tuple[str, int]]:
    """Until every card is printed or waits for a person who looks."""
    over = {"printed", "in_doubt"}
    here.until("every job printed or in doubt", lambda: {state for state, _ in states(office).values()} <= over)
    return states(office)


def check_cards(here: Place, office: Path, printer: CardPrinter, doubts_max: int) -> None:
    """One card at most for each resident, none without its event at the hub, every doubt honest."""
    jobs = wait_until_idle(here, office)
    here.until_received(office)
    assert len(jobs) == CARDS
    sheets = printer.sheets()
    assert max(sheets.values()) == 1
    assert sheets.keys() <= jobs.keys()
    assert max(Counter(jobs[name][1] for name in sheets).values()) == 1
    held = here.held()
    assert all(held[jobs[name][1]] == 1 for name in sheets)
    doubts = [name for name, (state, _) in jobs.items() if state == "in_doubt"]
    assert len(doubts) <= doubts_max
    printed = {name for name, (state, _) in jobs.items() if state == "printed"}
    assert printed <= sheets.keys()
    assert sheets.keys() - printed <= set(doubts)


def strike(here: Place, printer: CardPrinter, blow: Callable[[], None]) -> None:
    """A few times, each after some more cards."""
    for turn in range(BLOWS):
        wait_for_sheets(here, printer, 3 * (turn + 1))
        time.sleep(0.06 * turn)  # Not always at the same step.
        blow()


@pytest.mark.timeout(240)
def test_a_killed_office_never_prints_a_card_twice(here: Place, tmp_path: Path) -> None:
    with card_printer(tmp_path / "tray") as printer:
        office = here.make_office("537104-1", "office", "--printer", printer.url, "--blanks", 100)
        here.record(office, 0, CARDS)
        running = here.start_office(office)

        def kill() -> None:
            nonlocal running
            running.kill()
            running = here.start_office(office)

        strike(here, printer, kill)
        # The printer kept its memory, so each doubt ends by itself.
        check_cards(here, office, printer, doubts_max=BLOWS)


@pytest.mark.timeout(240)
def test_a_power_cut_leaves_no_card_without_its_event_and_no_second_card(here: Place, tmp_path: Path) -> None:
    with card_printer(tmp_path / "tray") as printer, disk(here.folder / "medium") as medium:
        office = here.make_office("537104-1", "medium/office", "--printer", printer.url, "--blanks", 100)
        here.record(office, 0, CARDS)
        running = here.start_office(office)

        def cut() -> None:
            nonlocal running
            medium.cut()
            running.kill()
            medium.power_on()
            running = here.start_office(office)

        strike(here, printer, cut)
        check_cards(here, office, printer, doubts_max=BLOWS)
        here.end()


@pytest.mark.timeout(240)
def test_a_printer_that_loses_power_and_counts_from_one_again_leaves_doubts_and_no_second_card(
    here: Place, tmp_path: Path
) -> None:
    with card_printer(tmp_path / "tray") as printer:
        office = here.make_office("537104-1", "office", "--printer", printer.url, "--blanks", 100)
        here.record(office, 0, CARDS)
        here.start_office(office)

        def unplug() -> None:
            printer.pull_the_plug()
            time.sleep(0.5)
            printer.plug_in()

        strike(here, printer, unplug)
        check_cards(here, office, printer, doubts_max=2 * BLOWS)


@pytest.mark.timeout(240)
def test_an_office_put_back_from_a_backup_made_before_its_printing_hears_of_it_and_prints_nothing_twice(
    here: Place, tmp_path: Path
) -> None:
    with card_printer(tmp_path / "tray") as printer:
        office = here.make_office("537104-1", "office", "--printer", printer.url, "--blanks", 100)
        here.record(office, 0, 4)
        shutil.copytree(office, tmp_path / "backup")
        running = here.start_office(office)
        before = wait_until_idle(here, office)
        here.until_received(office)
        running.kill()
        shutil.rmtree(office)
        shutil.copytree(tmp_path / "backup", office)
        # It forgets, so that nothing but the centre can tell what was printed.
        printer.pull_the_plug()
        printer.plug_in()
        here.start_office(office)
        here.until("the printing known again", lambda: states(office) == before)
        here.record(office, 4, 1)
        after = wait_until_idle(here, office)
        assert len(after) == 5 and printer.sheets().total() == 5 and set(printer.sheets().values()) == {1}
        store = NodeStore.open(office)
        try:
            assert len({job.serial for job in Ledger(store).all(10)}) == 5
            assert all(one.closes for one in Stock(store).sums("ktp-el").values())
        finally:
            store.close()
