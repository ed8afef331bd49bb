"""A full world: the product's own hub, desks and relays on real databases, everything else under one seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Protocol

from hub.merge.store import HubStore
from node.storage.prune import KEEP_MS
from surge.fullworld import disk
from surge.fullworld.hub import HubMachine
from surge.fullworld.loop import VirtualLoop
from surge.fullworld.network import Network, Wire
from surge.fullworld.office import OfficeMachine
from surge.world.broker import Broker
from surge.world.faults import CALM, Faults
from surge.world.loop import START_MS
from surge.world.oracle import Oracle

FIRST_KECAMATAN = 537_101


class _Closable(Protocol):
    def close(self) -> None: ...


class FullWorld:
    """All that there is, with the disasters that may befall it.

    Attributes:
        story: what happened, line by line, with the time.
        problems: per checker, what was found.
        sent: frames that reached the broker, to be delivered once more at the end.
    """

    def __init__(self, loop: VirtualLoop, rng: Random, faults: Faults, folder: Path) -> None:
        self.loop, self.rng, self.faults, self._folder = loop, rng, faults, folder
        self.story: list[str] = []
        self.problems: dict[str, list[str]] = {}
        self.oracle = Oracle()
        self.network = Network(self)
        self.broker = Broker(_Timers(self), rng, faults)  # type: ignore[arg-type]
        self._paths = 0
        # Backups that were made before the faults stop may still be put back after it.
        self._last_disaster_s = 0.0
        self._open: list[_Closable] = []
        path = self.new_path("hub")
        disk.make_hub(path, rng.randbytes(32), now_ms=START_MS)
        self.hub = HubMachine(self, path)
        self.broker.wake = self.hub.pump
        self.offices: list[OfficeMachine] = []

    @property
    def now_s(self) -> float:
        """Seconds since the world began."""
        return self.loop.time()

    def strikes(self, probability: float) -> bool:
        """Whether a fault of that probability happens now."""
        return probability > 0.0 and self.rng.random() < probability

    def after(self, delay_s: float, call: Callable[..., Any], *arguments: Any) -> None:
        """Make ``call`` in ``delay_s``, on nobody's behalf."""
        self.loop.call_later(max(delay_s, 0.0), call, *arguments)

    def tell(self, what: str) -> None:
        """One line of the story."""
        self.story.append(f"{self.now_s:10.3f}  {what}")

    def problem(self, checker: str, what: str) -> None:
        """A promise was broken."""
        self.tell(f"{checker}: {what}")
        self.problems.setdefault(checker, []).append(what)

    def new_path(self, name: str) -> Path:
        """A place for a directory."""
        self._paths += 1
        return self._folder / f"{self._paths:04}-{name}"

    def close_later(self, one: _Closable) -> None:
        """Keep it open until the world ends: whoever loses power closes nothing."""
        self._open.append(one)

    def close(self) -> None:
        """End of the world."""
        for one in self._open:
            with suppress(Exception):
                one.close()

    # Who is here

    def populate(self, count: int) -> None:
        """The hub, and offices that it knows, with power."""
        self.hub.start()
        for index in range(count):
            node = f"{FIRST_KECAMATAN + index}-1"
            path = self.new_path(node)
            public_key = disk.make_office(path, node, self.rng.randbytes(32), now_ms=START_MS)
            enrol(self.hub.store, node, public_key)
            self.add_office(node, node, path)

    def add_office(self, name: str, node: str, path: Path) -> OfficeMachine:
        """One more machine, with power."""
        office = OfficeMachine(self, name, node, path, Wire(self.rng.choice((0.01, 0.05, 0.15, 0.4))))
        self.offices.append(office)
        office.start()
        return office

    def facts_on_offices(self) -> set[int]:
        return self.oracle.facts(body for one in self.offices for body in disk.office_bodies(one.folder))

    # Disasters

    def cut(self, office: OfficeMachine, lasts_s: float) -> None:
        self.tell(f"{office.name}: line cut")
        self.network.cut(office.wire, is_noticed=self.rng.random() < 0.5)
        self.after(lasts_s, self._mend, office)

    def kill(self, machine: OfficeMachine | HubMachine, lasts_s: float) -> None:
        machine.die()
        self.after(lasts_s, machine.start)

    def fill(self, machine: OfficeMachine | HubMachine, lasts_s: float) -> None:
        self.tell(f"{machine.name}: disk full")
        machine.fill_disk(True)
        self.after(lasts_s, machine.fill_disk, False)

    def jump_clock(self, machine: OfficeMachine | HubMachine, offset_ms: int, lasts_s: float) -> None:
        self.tell(f"{machine.name}: clock off by {offset_ms} ms")
        machine.clock_offset_ms = offset_ms
        if offset_ms > KEEP_MS:
            self.oracle.far_ahead.add(machine.name)
        self.after(lasts_s, self._set_clock, machine)

    def stop_broker(self, lasts_s: float) -> None:
        self.tell("broker stops")
        self.broker.is_up = False
        self.network.broker_fell()
        self.after(lasts_s, self._start_broker)

    def purge(self) -> None:
        self.tell(f"broker purged of {self.broker.purge()} frames")

    def lose_newest(self) -> None:
        self.tell(f"broker forgets {self.broker.lose_newest(self.rng.randrange(1, 6))} frames")

    def restore_office_later(self, office: OfficeMachine, delay_s: float) -> None:
        """Back the directory up now and restore it then, as ``cp -r`` of a running machine would."""
        backup = disk.copied(office.folder, self.new_path("backup"))
        self._last_disaster_s = max(self._last_disaster_s, self.now_s + delay_s)
        self.after(delay_s, self._restore_office, office, backup)

    def clone(self, office: OfficeMachine) -> None:
        """A copy of the disk in a second machine; both go on."""
        name = f"{office.name}-clone{len(self.offices)}"
        self.tell(f"{office.name} is cloned as {name}")
        self.oracle.unruly |= {office.name, name}
        self.add_office(name, office.node, disk.copied(office.folder, self.new_path(name)))

    def restore_hub_later(self, delay_s: float) -> None:
        self._last_disaster_s = max(self._last_disaster_s, self.now_s + delay_s)
        self.after(delay_s, self._restore_hub, disk.copied(self.hub.folder, self.new_path("backup")))

    def calm(self) -> None:
        """From now on nothing goes wrong any more, and what was broken is mended."""
        self.tell("the faults stop")
        self.faults = self.broker.faults = CALM
        self._start_broker()
        for machine in (self.hub, *self.offices):
            machine.start()
            machine.clock_offset_ms = 0
            machine.fill_disk(False)
        for office in self.offices:
            self._mend(office)

    def lags(self) -> str:
        """What is still on its way, ``""`` when nothing is."""
        if self.now_s <= self._last_disaster_s:
            return "a backup is still to be put back"
        waiting = "frames wait at the broker" if self.broker.queue or self.hub.unsettled else ""
        return waiting or next(filter(None, (office.lag() for office in self.offices)), "")

    async def settle(self, limit_s: float, step_s: float = 30.0) -> str:
        """Let time pass until nothing lags, at most so long; what still does."""
        until_s = self.now_s + limit_s
        # No event tells that nothing lags, and this clock costs nothing.
        while (left := self.lags()) and self.now_s < until_s:  # noqa: ASYNC110
            await asyncio.sleep(step_s)
        return left

    # Private

    def _mend(self, office: OfficeMachine) -> None:
        office.wire.is_cut = False

    def _set_clock(self, machine: OfficeMachine | HubMachine) -> None:
        machine.clock_offset_ms = 0

    def _start_broker(self) -> None:
        if not self.broker.is_up:
            self.tell("broker starts")
            self.broker.is_up = True
            self.hub.pump()

    def _restore_office(self, office: OfficeMachine, backup: Path) -> None:
        self.tell(f"{office.name} is restored from a backup")
        office.die()
        facts = self.oracle.facts
        before = facts(disk.office_bodies(office.folder))
        office.change_disk(backup)
        self.oracle.unruly.add(office.name)
        self.oracle.office_disk_changed(
            before - facts(disk.office_bodies(office.folder)),
            on_offices=self.facts_on_offices(),
            at_hub=facts(self.hub.bodies()),
        )
        self.after(self.rng.uniform(1, 60), office.start)

    def _restore_hub(self, backup: Path) -> None:
        self.hub.die()
        facts = self.oracle.facts
        before = facts(self.hub.bodies())
        self.hub.restore(backup)
        self.hub.start()
        self.oracle.hub_disk_changed(before - facts(self.hub.bodies()), on_offices=self.facts_on_offices())


def enrol(store: HubStore, node: str, public_key: bytes) -> None:
    """Make a node known to a hub."""
    token = store.enrol_token(node, now_ms=START_MS)
    accepted, reason = store.redeem(node, token, public_key, now_ms=START_MS)
    assert accepted, reason


class _Timers:
    """What the broker of the first speed asks of a loop: milliseconds."""

    def __init__(self, world: FullWorld) -> None:
        self._world = world

    def after(self, delay_ms: int, call: Callable[..., Any], *arguments: Any) -> None:
        self._world.after(delay_ms / 1000, call, *arguments)


def niks(kecamatan_codes: Sequence[int], people: int) -> list[int]:
    """Residents of these kecamatan; few, so that offices meet."""
    # A woman born on 1 January 1990; serials from 9000 belong to nobody.
    return [code * 10**10 + 4_101_909_000 + person for code in kecamatan_codes for person in range(people)]
