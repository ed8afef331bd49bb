"""A hub and its offices on one machine as real processes, and what their files say afterwards."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.merge import digest, log
from hub.merge.store import HubStore
from node.storage.store import NodeStore, Position
from sepe.events import Kind
from surge.lab.policy import print_incomplete
from tests.support import processes
from tests.support.processes import ROOT, Program
from tests.support.world import nik_of

NODE = "537104-1"
SETTLE_S = 45.0

Environment = dict[str, str]


class Place:
    """Made by `place`. Files are read in this process, so that waiting for something starts no program.

    Attributes:
        hub: the hub's process; replaced by each `start_hub`.
    """

    hub: Program

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder
        self.hub_dir = folder / "hub"
        self._site = site
        self._programs: list[Program] = []

    def sepe(
        self, *words: object, text: str | None = None, env: Environment | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return processes.sepe(*words, text=text, site=self._site, env=env)

    def ok(self, *words: object, text: str | None = None, env: Environment | None = None) -> str:
        """The command's stdout; it must exit 0."""
        done = self.sepe(*words, text=text, env=env)
        assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def make_hub(self) -> None:
        self.ok("hub", "init", self.hub_dir)

    def start_hub(self, env: Environment | None = None) -> Program:
        """The hub, at first on free ports, then where the offices know it."""
        again: tuple[object, ...] = ()
        if self._programs:
            port = self.hub.ready["nats"].rpartition(":")[2]
            again = ("--grpc", self.hub.ready["grpc"], "--nats-port", port)
        self.hub = self._kept(processes.hub_run(self.hub_dir, *again, site=self._site, env=env))
        return self.hub

    def make_office(self, node: str = NODE, name: str = "office", *options: object) -> Path:
        """A new office directory that is enrolled with its first greeting; the hub must run."""
        token = self.ok("hub", "enrol", self.hub_dir, "--node", node).strip()
        ready = self.hub.ready
        addresses = ("--hub", ready["grpc"], "--nats", ready["nats"])
        self.ok("node", "init", self.folder / name, "--node", node, *addresses, "--token", token, *options)
        print_incomplete(self.folder / name)
        return self.folder / name

    def start_office(self, office: Path, env: Environment | None = None) -> Program:
        return self._kept(processes.node_run(office, site=self._site, env=env))

    def record(self, office: Path, first: int, count: int, env: Environment | None = None) -> set[str]:
        """Record ``count`` residents, from the ``first``-th synthetic one; the names of their events."""
        answers = self.ok("node", "record", office, "-", text=lines_of(first, count), env=env).splitlines()
        events = {json.loads(answer)["event"] for answer in answers}
        assert len(events) == count
        return events

    def position(self, office: Path) -> Position:
        """What ``node status`` shows of the office's history."""
        store = NodeStore.open(office, read_only=True)
        try:
            return store.position()
        finally:
            store.close()

    def known_at(self, office: Path) -> set[int]:
        """The NIK that an office's desk knows."""
        store = NodeStore.open(office, read_only=True)
        try:
            return {nik for (nik,) in store.connection.execute("SELECT nik FROM resident")}
        finally:
            store.close()

    def logged(self) -> dict[str, int]:
        """The NIK of each recording that the hub holds, by the event's name."""
        with HubStore.open(self.hub_dir) as store:
            found = [
                (str(event.id), event.nik)
                for frame in log.all_frames(store.connection)
                for event in log.events_in(frame)
                if event.kind == Kind.RECORDED
            ]
        assert len(dict(found)) == len(found), "one name, two events"
        return dict(found)

    def held(self) -> Counter[int]:
        """How often the hub holds a recording of each synthetic resident."""
        return Counter(self.logged().values())

    def digest(self) -> str:
        with HubStore.open(self.hub_dir) as store:
            return digest.digest(store.connection).digest

    def until(self, what: str, holds: Callable[[], bool], timeout_s: float = SETTLE_S) -> None:
        """Returns when ``holds``, of things in files and processes that no event tells."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
            time.sleep(0.1)

    def until_received(self, *offices: Path) -> None:
        """Until the hub has confirmed all that these offices hold."""

        def is_received(office: Path) -> bool:
            position = self.position(office)
            return position.durable_seq == position.last_seq

        self.until("everything received", lambda: all(is_received(office) for office in offices))

    def until_ended(self, program: Program, timeout_s: float = SETTLE_S) -> int:
        """Its exit code, once it has ended by itself."""
        self.until("the process has ended", lambda: program.process.poll() is not None, timeout_s)
        return program.process.returncode

    def end(self) -> None:
        for program in self._programs:
            program.kill()

    def _kept(self, program: Program) -> Program:
        self._programs.append(program)
        return program


@contextmanager
def place(folder: Path, *, site: Path = ROOT, hub: bool = True) -> Iterator[Place]:
    """A place with a running hub (unless ``hub`` is false); every process is ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Place(folder, site)
    try:
        if hub:
            made.make_hub()
            made.start_hub()
        yield made
    finally:
        made.end()


def lines_of(first: int, count: int) -> str:
    """Input lines of ``node record`` for some synthetic residents."""
    lines = [
        {"nik": f"{nik_of(number):016}", "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P"}
        for number in range(first, first + count)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def numbered(first: int, count: int) -> Counter[int]:
    """What `Place.held` shows of these residents when each was merged once."""
    return Counter(nik_of(number) for number in range(first, first + count))
