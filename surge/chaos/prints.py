"""Killing an office again and again while it prints a batch, and counting the cards in the printer's tray.

The printer is another machine: it goes on whatever happens to the office's computer, and its tray keeps its own
count of what came out, by the name of the job. The office runs as its own process, is killed (SIGKILL) at seeded
moments and started again, as systemd would. Now and then the printer loses its power together with the office and
forgets everything; the card that it held is ruined. What is in doubt at the end a person resolves, who looks into
the tray. Then ledger, outbox, stock and tray are compared.

    sepe surge chaos prints --kills 200 --cards 2000
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from node.desk.doctor import examine
from node.printing.ledger import Ledger
from node.printing.spool import NO_CARD, JobState
from node.stock import Stock
from node.storage.store import NodeStore
from sepe.card import issues_of
from sepe.errors import SepeError
from sepe.events import Event, Kind
from sepe.ids import EventId
from sepe.resident import fold
from sepe_io.process import end_child
from surge.chaos.cast import Kept, sepe
from surge.check import Check
from surge.demo.parts import run_sepe
from surge.lab.policy import print_incomplete

NODE = "537104-1"
PRODUCT = "ktp-el"
LOOK_S = 0.01
# A life in which no card comes out ends all the same: the next blow may fall while it is still starting.
LIFE_S_MAX = 20.0
SETTLE_S_MAX = 600.0
OVER = frozenset({JobState.PRINTED, JobState.IN_DOUBT, *NO_CARD})


@dataclass(frozen=True, slots=True)
class PrintSettings:
    """What a run is made of.

    Attributes:
        restarts: how many of the kills take the printer's power along.
        pace_s: of the printer, seconds a card.
        spare_blanks: beyond one for each card; what is resolved as "did not come out" goes back to stock.
    """

    kills: int = 200
    cards: int = 2000
    restarts: int = 20
    seed: int = 1
    pace_s: float = 0.05
    spare_blanks: int = 10


@dataclass(slots=True)
class PrintReport:
    """What became of a run; `passed` is the verdict.

    Attributes:
        came_out: doubts that a person resolved with "it lies in the tray"; ``ruined`` lay there and were no good,
            ``did_not`` come out the others.
        idle_kills: kills that fell while no card was under way at all (the office was starting).
    """

    settings: PrintSettings
    kills: int = 0
    idle_kills: int = 0
    starts: int = 0
    restarts: int = 0
    came_out: int = 0
    ruined: int = 0
    did_not: int = 0
    seconds: float = 0.0
    exit: int | None = None
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)

    def document(self) -> dict[str, Any]:
        """As one JSON document."""
        checks = [{"check": one.name, "expected": str(one.expected), "found": str(one.found), "holds": one.holds}
                  for one in self.checks]  # fmt: skip
        return {"passed": self.passed, **asdict(self), "checks": checks}


class Tray:
    """What came out of the printer, read from its own notes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.sheets: Counter[str] = Counter()
        self.spoiled: Counter[str] = Counter()

    def look(self) -> int:
        """How many good sheets lie there now."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read += len(line)
                    note = json.loads(line)
                    pile = self.spoiled if note["spoiled"] else self.sheets
                    pile[note["job_name"]] += 1
        return self.sheets.total()

    def has(self, count: int) -> bool:
        return self.look() >= count


async def run(
    settings: PrintSettings, folder: Path, say: Callable[[str], None] = lambda text: None
) -> PrintReport:
    """Run in ``folder``, which keeps the office and the tray.

    Raises:
        SepeError, TimeoutError: something did not start, or the batch did not end.
    """
    report = PrintReport(settings)
    office, tray = folder / "office", Tray(folder / "tray.jsonl")
    started_s = time.monotonic()
    printer = await _printer(folder, settings.pace_s)
    try:
        url, control = await _addresses_of(printer)
        await run_sepe("node", "init", office, "--node", NODE, "--hub", "127.0.0.1:1", "--printer", url,
                       "--blanks", _blanks(settings))  # fmt: skip
        print_incomplete(office)
        lines = folder / "people.jsonl"
        lines.write_text("".join(_line(number) for number in range(settings.cards)))
        await run_sepe("node", "record", office, lines)
        node = Kept(
            "office", sepe(["node", "run", office, "--http", "127.0.0.1:0", "--hear", 0]), folder / "office.log"
        )
        node.start()
        try:
            await _strike(settings, node, tray, office, control, report, say)
            await _settle(office, tray, report, say)
        finally:
            report.exit = await node.stop()
            report.starts = node.starts
    finally:
        await end_child(printer)
    report.seconds = time.monotonic() - started_s
    say("comparing tray, ledger, outbox and stock")
    report.checks = await asyncio.to_thread(judge, office, tray, settings)
    report.checks += [Check("kills", settings.kills, report.kills), Check("exit code at the end", 0, report.exit)]
    return report


def judge(office: Path, tray: Tray, settings: PrintSettings) -> list[Check]:
    """Every check; the office must have ended."""
    tray.look()
    store = NodeStore.open(office)
    try:
        jobs = Ledger(store).all(10 * settings.cards)
        printed = [job for job in jobs if job.state is JobState.PRINTED]
        nik_of = {job.name: job.nik for job in jobs}
        by_nik = Counter(nik_of.get(name, 0) for name in tray.sheets.elements())
        (sums, counts) = (Stock(store).sums(PRODUCT), Stock(store).counts()[PRODUCT])
        valid, recalled = _by_the_outbox(store)
        return [
            Check(
                "cards in the tray and printed by the ledger", sorted(tray.sheets), sorted(j.name for j in printed)
            ),
            Check("cards in the tray", settings.cards, tray.sheets.total()),
            Check("residents with other than one card", 0, sum(count != 1 for count in by_nik.values())),
            Check("residents with a card", settings.cards, len(by_nik)),
            Check("attempts that came out twice", 0, sum(count > 1 for count in tray.sheets.values())),
            Check("valid cards by the events, and cards to recall", (settings.cards, 0), (valid, recalled)),
            Check("doubts left", 0, sum(job.state is JobState.IN_DOUBT for job in jobs)),
            Check("blanks printed on", settings.cards, counts.get("printed", 0)),
            Check("serials printed on, each once", settings.cards, len({job.serial for job in printed})),
            Check("blanks spoiled and ruined cards in the tray", tray.spoiled.total(), counts.get("spoiled", 0)),
            Check("blanks in the books", _blanks(settings), sum(counts.values())),
            Check("blanks at hand", _blanks(settings) - settings.cards - tray.spoiled.total(), counts["at_hand"]),
            Check("days on which the stock does not close", 0, sum(not one.closes for one in sums.values())),
            Check("faults found by `node doctor`", [], [one.detail for one in examine(store) if not one.is_ok]),
        ]
    finally:
        store.close()


def text_of(report: PrintReport) -> str:
    """The report as people read it."""
    wanted = report.settings
    lines = [
        f"seed {wanted.seed}: {wanted.cards} cards at {wanted.pace_s:g} s each, {report.kills} kills "
        f"({report.idle_kills} while nothing was under way), {report.restarts} of them with the printer, "
        f"{report.seconds:.0f} s",
        f"doubts resolved by looking: {report.came_out} came out, {report.ruined} were ruined, "
        f"{report.did_not} did not come out",
    ]
    for check in report.checks:
        expected, found = (str(one) if len(str(one)) <= 60 else f"{len(str(one))} characters"
                           for one in (check.expected, check.found))  # fmt: skip
        lines.append(f"{'ok ' if check.holds else 'BAD'} {check.name}"
                     + ("" if check.holds else f": {found}, expected {expected}"))  # fmt: skip
    return "\n".join(lines)


async def _strike(  # noqa: PLR0917 - one run's parts
    settings: PrintSettings, node: Kept, tray: Tray, office: Path, control: str, report: PrintReport,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Kill the office so often, spread over the batch, each time a little after some card."""
    rng = Random(settings.seed)
    await node.until_ready()
    share = settings.cards / (settings.kills + 1)
    for number in range(settings.kills):
        due = int(share * (number + rng.random()))
        await _until(partial(tray.has, due))
        # Anywhere in the making of the next card, by two printers' paces.
        await asyncio.sleep(rng.random() * 2 * settings.pace_s)
        report.idle_kills += not _counts(office).keys() & {"reserved", "submitted"}
        starts = node.starts
        await _until(lambda: node.send(signal.SIGKILL))
        report.kills += 1
        if report.kills * settings.restarts // settings.kills > report.restarts:
            await asyncio.to_thread(_restart_printer, control)
            report.restarts += 1
        await _until(partial(_began_again, node, starts))
        if report.kills % 20 == 0:
            say(f"{report.kills} kills, {tray.look()} cards in the tray")


def _began_again(node: Kept, starts: int) -> bool:
    return node.starts > starts


async def _until(holds: Callable[[], bool]) -> None:
    """Until so, or for as long as a life lasts."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LIFE_S_MAX):
            while not holds():  # noqa: ASYNC110 - another process's files, which nothing announces
                await asyncio.sleep(LOOK_S)


async def _settle(office: Path, tray: Tray, report: PrintReport, say: Callable[[str], None]) -> None:
    """Let the office print the rest; a person resolves what is in doubt, until nothing is.

    Raises:
        TimeoutError: it did not come to an end.
    """
    say("no more kills; the office prints the rest")
    async with asyncio.timeout(SETTLE_S_MAX):
        while True:
            while not set(_counts(office)) <= OVER:  # noqa: ASYNC110 - the office is another process
                await asyncio.sleep(LOOK_S * 20)
            doubts = _doubts(office)
            if not doubts:
                return
            tray.look()
            for job, name in doubts:
                words = ["--came-out", "yes" if tray.sheets[name] else "no"]
                if tray.sheets[name]:
                    report.came_out += 1
                elif tray.spoiled[name]:
                    report.ruined += 1
                    words += ["--blank-spoiled"]
                else:
                    report.did_not += 1
                await run_sepe("node", "resolve", office, job, *words, "--operator", "op-1")


def _counts(office: Path) -> dict[str, int]:
    store = NodeStore.open(office, read_only=True)
    try:
        return Ledger(store).counts()
    finally:
        store.close()


def _doubts(office: Path) -> list[tuple[int, str]]:
    store = NodeStore.open(office, read_only=True)
    try:
        return [(job.id, job.name) for job in Ledger(store).in_state(JobState.IN_DOUBT)]
    finally:
        store.close()


def _by_the_outbox(store: NodeStore) -> tuple[int, int]:
    """(valid cards, cards to recall) as the centre would count them from this machine's events."""
    events: dict[int, list[Event]] = {}
    for row in store.events_after(0):
        if row.kind == Kind.CARD_MOVED:
            name = EventId(store.node, store.epoch, row.seq)
            events.setdefault(row.nik, []).append(Event(name, row.stamp, row.kind, row.nik, row.body))
    issues = [issue for listed in events.values() for issue in issues_of(fold(listed))]
    return sum(issue.valid is not None for issue in issues), sum(len(issue.recalled) for issue in issues)


def _line(number: int) -> str:
    """A synthetic resident of Oebobo: NIK serials are 9xxx, nobody's."""
    day, serial = divmod(number, 999)
    month, day = divmod(day, 28)
    nik = f"537104{day + 1:02}{month + 1:02}90{9001 + serial:04}"
    name = "WARGA " + "".join(chr(65 + int(digit)) for digit in str(number))
    person = {"nik": nik, "name": name, "birth_date": f"1990-{month + 1:02}-{day + 1:02}", "sex": "L"}
    return json.dumps(person) + "\n"


async def _printer(folder: Path, pace_s: float) -> asyncio.subprocess.Process:
    words = ["-m", "surge.printer", "--tray", str(folder / "tray.jsonl"), "--pace", str(pace_s)]
    return await asyncio.create_subprocess_exec(
        sepe([])[0], *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


async def _addresses_of(printer: asyncio.subprocess.Process) -> tuple[str, str]:
    """Where it prints, and where it takes commands."""
    assert printer.stdout is not None
    line = await asyncio.wait_for(printer.stdout.readline(), 30)
    if not line:
        raise SepeError("the virtual printer did not start")
    said = json.loads(line)
    return str(said["url"]), f"{said['http']}/control"


def _restart_printer(control: str) -> None:
    """Its power goes and comes: it forgets its jobs and counts from one again."""
    request = urllib.request.Request(control, json.dumps({"do": "restart"}).encode(), method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def _blanks(settings: PrintSettings) -> int:
    """One for each card, one for each that a power cut ruins, and some more."""
    return settings.cards + settings.restarts + settings.spare_blanks
