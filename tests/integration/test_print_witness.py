"""A ledger that was put back from a backup, without a line: it prints nothing that may be out already."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.merge.registry import add_key
from hub.merge.store import HubStore
from node.desk.status import warnings
from node.printing.driver import PrintDriver
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.printing.spool import JobState
from node.printing.witness import COUNT_NAME, PLACE_NAME, Evidence, Witness
from node.settings import DATABASE_NAME, KEY_NAME
from node.storage.store import NodeStore
from node.sync import sync
from sepe_io import keys
from sepe_io.sqlite import transaction
from tests.support.live_hub import running_hub
from tests.support.office import HOME_NIK, NOW_MS, PlainMaker, ScriptedPrinter, line, make_office, record
from tests.support.turns import PRINTER

OTHERS = [f"537104410190{serial}" for serial in (9002, 9003)]


async def press_once(store: NodeStore, driver: PrintDriver) -> None:
    """A press that starts as `node run` and `node print` start it, and ends."""
    # Each start is some minutes after the last: what was told to wait asks again.
    at_ms = NOW_MS + 600_000 * (1 + Ledger(store).sent_count())
    made = Press(store, driver, PlainMaker(), printer=PRINTER, rights=None, now_ms=lambda: at_ms)
    try:
        await made.examine()
        for _ in range(3):
            await made.turn()
    finally:
        await made.close()


def press(store: NodeStore, driver: PrintDriver) -> None:
    asyncio.run(press_once(store, driver))


def states(store: NodeStore) -> list[JobState]:
    return [job.state for job in Ledger(store).all(10)[::-1]]


class Machine:
    """One office machine with a backup from before its last card."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.backup = folder / "node", folder / "backup"
        self.printer = ScriptedPrinter()
        store = make_office(self.folder, blanks=5)
        record(store, line(OTHERS[0]))
        press(store, self.printer)
        record(store, line())
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        shutil.copytree(self.folder, self.backup)
        store = NodeStore.open(self.folder)
        press(store, self.printer)
        assert len(self.printer.cards) == 2
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()

    def put_back(self, *names: str) -> NodeStore:
        """These files as they were; none: the whole directory."""
        if names:
            for name in names:
                (self.folder / name).write_bytes((self.backup / name).read_bytes())
            for path in self.folder.glob(f"{DATABASE_NAME}-*"):
                path.unlink()
        else:
            shutil.rmtree(self.folder)
            shutil.copytree(self.backup, self.folder)
        return NodeStore.open(self.folder)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    return Machine(tmp_path)


# An image of the whole disk brings every file back as it was: only the printer remembers.
PUT_BACK = {
    Evidence.COUNT: (DATABASE_NAME,),
    Evidence.PLACE: (),
    Evidence.PRINTER: (DATABASE_NAME, COUNT_NAME),
}


@pytest.mark.parametrize("evidence", list(PUT_BACK))
def test_an_older_ledger_prints_nothing_until_the_centre_was_heard(machine: Machine, evidence: Evidence) -> None:
    store = machine.put_back(*PUT_BACK[evidence])
    if evidence is not Evidence.PRINTER:
        machine.printer.says.clear()
    witness = Witness(store)
    assert states(store) == [JobState.PRINTED, JobState.QUEUED], "it has forgotten the second card"
    press(store, machine.printer)
    assert witness.suspended() is evidence and len(machine.printer.cards) == 2
    record(store, line(OTHERS[1]))
    press(store, machine.printer)
    assert states(store) == [JobState.PRINTED, JobState.WAITING_RIGHT, JobState.WAITING_RIGHT]
    assert "dipulihkan" in Ledger(store).job(2).reason and len(machine.printer.cards) == 2
    assert "restored" in {one.code for one in warnings(store, NOW_MS)}
    store.close()
    # It is no matter of one process's memory.
    store = NodeStore.open(machine.folder)
    press(store, machine.printer)
    assert len(machine.printer.cards) == 2
    witness = Witness(store)
    witness.heard_hub()
    assert "restored" not in {one.code for one in warnings(store, NOW_MS)}
    press(store, machine.printer)
    assert states(store) == [JobState.PRINTED] * 3, "the centre knew of nothing, so both cards are made"
    press(store, machine.printer)
    assert witness.suspended() is None, "what a printer remembered is explained once"
    store.close()


def test_a_supervisor_forces_what_cannot_wait_and_the_events_say_so(machine: Machine) -> None:
    store = machine.put_back(DATABASE_NAME)
    press(store, machine.printer)
    (job,) = Ledger(store).of_resident(int(HOME_NIK))
    Ledger(store).override(job.id, reason="berangkat besok", operator="spv", now_ms=NOW_MS)
    press(store, machine.printer)
    forced = Ledger(store).job(job.id)
    assert (forced.state, forced.override) == (JobState.PRINTED, "berangkat besok")
    assert Witness(store).suspended() is Evidence.COUNT
    store.close()


@pytest.mark.parametrize("change", ["nothing", "mode", "lost witness", "renamed directory"])
def test_a_machine_that_only_went_on_is_never_suspected(tmp_path: Path, change: str) -> None:
    machine = Machine(tmp_path)
    folder = machine.folder
    match change:
        case "mode":
            (folder / PLACE_NAME).chmod(0o600)
        case "lost witness":
            (folder / COUNT_NAME).unlink()
        case "renamed directory":
            folder = folder.rename(tmp_path / "elsewhere")
    store = NodeStore.open(folder)
    record(store, line(OTHERS[1]))
    press(store, machine.printer)
    assert states(store) == [JobState.PRINTED] * 3 and Witness(store).suspended() is None
    press(store, machine.printer)
    assert Witness(store).suspended() is None
    store.close()


async def test_a_machine_that_was_put_back_learns_its_cards_from_the_centre_and_prints_on(tmp_path: Path) -> None:
    machine = await asyncio.to_thread(Machine, tmp_path)
    with HubStore.create(tmp_path / "hub", now_ms=NOW_MS) as hub, transaction(hub.connection):
        key = keys.load(machine.folder / KEY_NAME).public_key
        add_key(hub.connection, "537104-1", key, now_ms=NOW_MS)
    async with running_hub(tmp_path / "hub") as at:
        report = await asyncio.to_thread(sync, machine.folder, 60, hub=at.grpc)
        assert report.pending == 0, report
        store = await asyncio.to_thread(machine.put_back)
        record(store, line(OTHERS[1]))
        await press_once(store, machine.printer)
        assert Witness(store).suspended() is not None and len(machine.printer.cards) == 2
        await asyncio.to_thread(sync, machine.folder, 60, hub=at.grpc)
        assert Witness(store).suspended() is None
        await press_once(store, machine.printer)
    assert states(store).count(JobState.PRINTED) == 3 and len(set(machine.printer.cards)) == 3
    store.close()
