"""A hub and two offices of Kota Kupang as real processes, for scripts: lines that can be cut, clocks that can be wrong.

Made once and shared by the scripts that leave it whole; each command runs in the stage's folder, so that it reads as
in the documentation: ``sepe node status ./oebobo``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from PIL import Image

from hub.dispatch import feed
from hub.merge.store import HubStore
from node.clock import now_ms
from node.desk.day import day_of
from node.desk.standing import place as place_of
from node.printing.batches import Batches
from node.printing.ledger import Ledger
from node.printing.printers import Mode, Printers
from node.printing.spool import JobState
from node.storage.store import NodeStore
from surge.lab.policy import print_incomplete
from surge.line import Line
from tests.support import processes
from tests.support.faults.clock import WrongClock, wrong_clock
from tests.support.processes import Program
from tests.support.warm import COMMAND_TIMEOUT_S, Said, WarmProgram

OFFICES = {"oebobo": "537104-1", "kota-raja": "537105-1"}
BLANKS = 200
SETTLE_S = 45.0
LOOK_EVERY_S = 0.05
# A job in one of these goes on by itself, once its day has come.
MOVING = (JobState.QUEUED, JobState.READY, JobState.RESERVED, JobState.SUBMITTED)
T = TypeVar("T")


@dataclass(slots=True)
class Machine:
    """One office machine of a stage; ``program`` is ``None`` while it is off."""

    name: str
    node: str
    lines: tuple[Line, Line]
    program: Program | None = None
    clock: WrongClock | None = None

    @property
    def is_cut(self) -> bool:
        return self.lines[0].shape.is_cut

    @property
    def environment(self) -> dict[str, str]:
        return self.clock.environment if self.clock else {}


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a machine stands: its history, its prints, and how far it read which list of the hub's."""

    last_seq: int
    pending: int
    moving: int
    list_id: bytes
    heard: int


class Stage:
    """See the module. End it with `end`, whatever happened.

    Args:
        clocks: names of the machines whose clock the script sets.
    """

    def __init__(self, folder: Path, site: Path, *, clocks: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True)
        self.folder, self._site = folder, site
        self._warm = WarmProgram(site, folder / "commands")
        self._lines = _LinesThread()
        self._programs: list[Program] = []
        self._hub_addresses: tuple[object, ...] = ()
        self.hub: Program | None = None
        self.machines: dict[str, Machine] = {}
        Image.new("RGB", (300, 400), (200, 60, 60)).save(folder / "face.jpg")
        self._ok("hub", "init", "./hub")
        self.start_hub()
        for name, node in OFFICES.items():
            clock = wrong_clock(folder / f"{name}.clock") if name in clocks else None
            self._open_office(name, node, clock)

    # Commands

    def run(self, words: Sequence[str], *, text: str = "") -> Said:
        """One ``sepe`` command to its end; beside the program's clock where it concerns a machine that has one."""
        machine = next((self.machines[word[2:]] for word in words if word[2:] in self.machines), None)
        if machine is None or machine.clock is None:
            return self._warm.run(words, folder=self.folder, text=text)
        environment = {"PYTHONPATH": str(self._site), "NO_COLOR": "1", "COLUMNS": "120", **machine.environment}
        done = subprocess.run(
            [sys.executable, "-m", "surge.program", *words],
            cwd=self.folder, env={**os.environ, **environment}, input=text, capture_output=True,
            encoding="utf-8", timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def _ok(self, *words: str) -> str:
        said = self.run(words)
        assert said.code == 0, f"sepe {' '.join(words)}: exit {said.code}\n{said.out}\n{said.err}"
        return said.out

    # Power, lines, clocks

    def start_hub(self) -> None:
        """The hub, at first on free ports, then where the offices know it."""
        program = processes.hub_run(self.folder / "hub", *self._hub_addresses, site=self._site)
        self._programs.append(program)
        port = urlsplit(program.ready["nats"]).port
        self._hub_addresses = ("--grpc", program.ready["grpc"], "--nats-port", port)
        self.hub = program

    def kill_hub(self) -> None:
        assert self.hub is not None
        self.hub.kill()
        self.hub = None

    def restore_hub(self, file: str) -> None:
        """Its directory is gone; a backup is put in its place."""
        self.kill_hub()
        shutil.rmtree(self.folder / "hub")
        self._ok("hub", "restore", "./hub", file)
        self.start_hub()

    def start(self, machine: Machine) -> None:
        if machine.program is None:
            machine.program = processes.node_run(
                self.folder / machine.name, site=self._site, env=machine.environment
            )
            self._programs.append(machine.program)

    def kill(self, machine: Machine) -> None:
        if machine.program is not None:
            machine.program.kill()
            machine.program = None

    def cut(self, machine: Machine) -> None:
        for line in machine.lines:
            self._lines.call(_called(line.cut))

    def mend(self, machine: Machine) -> None:
        for line in machine.lines:
            self._lines.call(_called(line.heal))

    def replace(self, machine: Machine) -> None:
        """The machine is gone with its disk; a new one of the same name is enrolled."""
        self.kill(machine)
        shutil.rmtree(self.folder / machine.name)
        self._enrol(machine, blanks=0)
        self.start(machine)

    def make_whole(self) -> None:
        """Every process runs and every line carries."""
        if self.hub is None:
            self.start_hub()
        for machine in self.machines.values():
            self.mend(machine)
            self.start(machine)

    # Waiting

    def settle(self) -> None:
        """Until all that runs and has a line has told the hub everything, heard everything, and prints nothing more.

        Twice in a row the same: what one learns in one look another does in the next.
        """
        deadline = time.monotonic() + SETTLE_S
        before: object = None
        while True:
            now, waits = self._look()
            if not waits and now == before:
                return
            assert time.monotonic() < deadline, f"not settled within {SETTLE_S:.0f} s: {waits}"
            before = now
            time.sleep(LOOK_EVERY_S)

    def _look(self) -> tuple[list[Seen], list[str]]:
        """What each machine has seen, and what is still on its way."""
        seen = [self._seen_by(machine) for machine in self.machines.values()]
        told = self._told()
        waits = [
            text
            for machine, one in zip(self.machines.values(), seen, strict=True)
            for text in self._waits(machine, one, told)
        ]
        return seen, waits

    def _seen_by(self, machine: Machine) -> Seen:
        store = NodeStore.open(self.folder / machine.name, read_only=True)
        try:
            position = store.position()
            is_paused = all(one.mode is not Mode.ON for one in Printers(store).used())
            # What waits for its batch to be released waits for a person.
            today = day_of(now_ms(), machine.node).isoformat()
            found = [] if is_paused else Ledger(store).in_state(*MOVING)
            jobs = [job.id for job in found if job.due_day <= today]
            moving = len(jobs) - len(Batches(store).held_jobs(jobs))
            return Seen(position.last_seq, position.last_seq - position.durable_seq, moving, *place_of(store))
        finally:
            store.close()

    def _told(self) -> dict[str, tuple[bytes, int]]:
        """By machine the hub's list for it, and the last word on it; nothing while the hub is down."""
        if self.hub is None:
            return {}
        with HubStore.open(self.folder / "hub") as store:
            store.project()
            rows = store.connection.execute("SELECT node, MAX(number) FROM feed GROUP BY node").fetchall()
            return {node: (feed.list_id(store.connection), last) for node, last in rows}

    def _waits(self, machine: Machine, seen: Seen, told: dict[str, tuple[bytes, int]]) -> list[str]:
        if machine.program is None:
            return []
        waits = [f"{machine.name} prints {seen.moving}"] if seen.moving else []
        if self.hub is None or machine.is_cut:
            return waits
        if seen.pending:
            waits.append(f"{machine.name} has {seen.pending} to tell")
        list_id, last = told.get(machine.node, (b"", 0))
        if last and (seen.list_id != list_id or seen.heard < last):
            waits.append(f"{machine.name} has heard {seen.heard} of {last}")
        return waits

    # Making and ending

    def end(self) -> None:
        """Nothing of this stage runs any more."""
        for program in self._programs:
            program.kill()
        self._warm.end()
        for machine in self.machines.values():
            for line in machine.lines:
                self._lines.call(line.__aexit__())
        self._lines.end()

    def _open_office(self, name: str, node: str, clock: WrongClock | None) -> None:
        assert self.hub is not None
        nats = urlsplit(self.hub.ready["nats"])
        grpc_host, _, grpc_port = self.hub.ready["grpc"].rpartition(":")
        lines = (Line(grpc_host, int(grpc_port)), Line(nats.hostname or "127.0.0.1", nats.port or 4222))
        for line in lines:
            self._lines.call(line.__aenter__())
        machine = Machine(name, node, lines, clock=clock)
        self._enrol(machine, blanks=BLANKS)
        self.machines[name] = machine
        self.start(machine)

    def _enrol(self, machine: Machine, *, blanks: int) -> None:
        token = self._ok("hub", "enrol", "./hub", "--node", machine.node).strip()
        grpc, nats = machine.lines
        said = self._warm.run(
            [
                "node", "init", f"./{machine.name}", "--node", machine.node, "--hub", grpc.address, "--nats",
                f"nats://{nats.address}", "--token", token, "--blanks", str(blanks), "--printer",
                f"folder:{self.folder / machine.name}.tray",
            ],
            folder=self.folder,
        )  # fmt: skip
        assert said.code == 0, said.err
        print_incomplete(self.folder / machine.name)


class _LinesThread:
    """An event loop of its own for the lines, so that what waits in the test holds no byte up."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _called(change: Callable[[], None]) -> None:
    change()
