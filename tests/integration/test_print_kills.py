"""SIGKILL at each step from blank to owner, with a real process, a real IPP printer and a real database.

A helper process has everything loaded and forks a child for each attempt, so that a kill costs a tenth of a second;
the printer is a process of its own and goes on, whatever happens to the office's computer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.desk.confirm import resolve
from node.desk.doctor import examine
from node.printing.ledger import Ledger
from node.printing.spool import JobState
from node.stock import Stock
from tests.support.office import HOME_NIK, NOW_MS, line, make_office, record
from tests.support.processes import ROOT

# Reads {"office", "printer", "step"} and answers with how its child ended: -9 killed, 0 done.
FORKER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from node.desk.hand_over import hand_over
from node.printing.driver import open_driver
from node.printing.ipp.client import IppDriver
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from tests.support.office import HOME_NIK, NOW_MS
from tests.support.printing import card_document

class Maker:
    def prepare(self, job, now_ms):
        return lambda: card_document(job.name)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def cut(owner, name, when, is_meant=lambda *arguments: True):
    original = getattr(owner, name)
    def around(self, *arguments, **keywords):
        meant = is_meant(*arguments)
        if meant and when == "before":
            die()
        result = original(self, *arguments, **keywords)
        if meant:
            die()
        return result
    async def around_async(self, *arguments, **keywords):
        if when == "before":
            die()
        await original(self, *arguments, **keywords)
        die()
    setattr(owner, name, around_async if asyncio.iscoroutinefunction(original) else around)

async def work(office, printer):
    store = NodeStore.open(Path(office))
    press = Press(store, open_driver(printer), Maker(), printer=printer, rights=None, now_ms=lambda: NOW_MS)
    for _ in range(200):
        if not await press.turn() and not Ledger(store).in_state("reserved", "submitted", "queued", "ready"):
            break
        await asyncio.sleep(0.01)
    await press.close()
    try:
        hand_over(store, int(HOME_NIK), product=None, operator="op-1", now_ms=NOW_MS)
    except InvalidInputError:
        pass  # Nothing lies printed.

def child(wish):
    when, _, step = wish["step"].partition(" ")
    if step in ("allot", "intend"):
        cut(Ledger, step, when)
    elif step == "submit":
        cut(IppDriver, step, when)
    elif step:
        cut(Ledger, "settle", when, lambda job, fact, *more: str(fact) == step)
    asyncio.run(work(wish["office"], wish["printer"]))

print(flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            child(json.loads(line))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def forker() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline()
    yield process
    process.communicate(timeout=10)


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    tray = tmp_path_factory.mktemp("printer") / "tray"
    process = subprocess.Popen(
        [sys.executable, "-m", "surge.printer", "--tray", str(tray), "--pace", "0.02"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["url"], tray
    process.communicate(timeout=10)


def sheets(tray: Path) -> Counter[str]:
    return (
        Counter(json.loads(note)["job_name"] for note in tray.read_text().splitlines())
        if tray.exists()
        else Counter()
    )


def run(forker: subprocess.Popen[str], office: Path, printer: str, step: str = "") -> int:
    assert forker.stdin is not None and forker.stdout is not None
    forker.stdin.write(json.dumps({"office": str(office), "printer": printer, "step": step}) + "\n")
    forker.stdin.flush()
    return int(forker.stdout.readline())


@pytest.mark.parametrize(
    ("step", "state"),
    [
        # Not started: the next start prints it.
        ("before allot", JobState.HANDED_OVER),
        ("after allot", JobState.HANDED_OVER),
        ("before intend", JobState.HANDED_OVER),
        # Nobody can tell: a person looks.
        ("after intend", JobState.IN_DOUBT),
        ("before submit", JobState.IN_DOUBT),
        # Done: the printer remembers the attempt by its name.
        ("after submit", JobState.HANDED_OVER),
        ("before accepted", JobState.HANDED_OVER),
        ("after accepted", JobState.HANDED_OVER),
        ("before printed", JobState.HANDED_OVER),
        ("after printed", JobState.HANDED_OVER),
        ("before handed_over", JobState.HANDED_OVER),
        ("after handed_over", JobState.HANDED_OVER),
    ],
)  # fmt: skip
def test_a_kill_at_any_step_ends_in_done_not_started_or_in_doubt(
    tmp_path: Path, forker: subprocess.Popen[str], printer: tuple[str, Path], step: str, state: JobState
) -> None:
    url, tray = printer
    store = make_office(tmp_path / "node", blanks=3)
    record(store, line())
    assert run(forker, store.folder, url, step) == -9
    assert run(forker, store.folder, url) == 0
    ledger = Ledger(store)
    (job,) = ledger.of_resident(int(HOME_NIK))
    assert job.state is state
    out = sheets(tray)
    assert out[job.name] == (state is JobState.HANDED_OVER)
    if state is JobState.IN_DOUBT:
        _, again = resolve(store, job.id, came_out=False, is_spoiled=False, operator="op-1", now_ms=NOW_MS)
        assert again is not None and run(forker, store.folder, url) == 0
        assert [one.state for one in ledger.of_resident(int(HOME_NIK))] == [JobState.VOID, JobState.HANDED_OVER]
    names = {one.name for one in ledger.of_resident(int(HOME_NIK))}
    assert sum(count for name, count in sheets(tray).items() if name in names) == 1, "one card, and no second one"
    assert Stock(store).counts()["ktp-el"] == {"at_hand": 2, "printed": 1}
    assert all(one.closes for one in Stock(store).sums("ktp-el").values())
    assert all(one.is_ok for one in examine(store)), examine(store)
    store.close()
