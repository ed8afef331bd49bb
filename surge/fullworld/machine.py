"""What the hub and the offices have in common: a directory, a clock, tasks, and power that may fail."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sepe_io.sqlite import Connection
from surge.fullworld import disk
from surge.fullworld.loop import POWER, Fate, Power
from surge.world.loop import START_MS

if TYPE_CHECKING:
    from surge.fullworld.world import FullWorld

_T = TypeVar("_T")
# SQLite's own bound.
_PAGES_MAX = 4_294_967_294


class Machine(ABC):
    """See the module. ``clock_offset_ms``: its wall clock minus the world's true time."""

    def __init__(self, world: FullWorld, name: str, folder: Path) -> None:
        self.world, self.name, self.folder = world, name, folder
        self.clock_offset_ms = 0
        self.is_disk_full = False
        self._power: Power | None = None
        self._context = copy_context()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_on(self) -> bool:
        return self._power is not None and self._power.is_on

    def now_ms(self) -> int:
        """Its wall clock."""
        return START_MS + int(self.world.now_s * 1000) + self.clock_offset_ms

    def start(self) -> None:
        """Power is there; nothing happens when it has been."""
        if self.is_on:
            return
        self.world.tell(f"{self.name} starts")
        self._power = Power(self.fate_of, self._step_kills)
        self._context = copy_context()
        self._context.run(POWER.set, self._power)
        self.boot()
        if self.is_disk_full:
            self.fill_disk(True)

    def die(self, *, tear: Callable[[Path], object] = lambda copy: None) -> None:
        """The power fails now: the directory is as the last commit left it, and nobody closes anything.

        Args:
            tear: what else the cut did to the copy that the machine goes on with.
        """
        if not self.is_on:
            return
        assert self._power is not None
        self._power.off()
        self.world.tell(f"{self.name} loses power")
        self.folder = disk.copied(self.folder, self.world.new_path(self.name))
        tear(self.folder)
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self.halt()

    def unplug(self) -> None:
        """The world ends: nothing of this machine runs any more."""
        if self._power is not None:
            self._power.off()
        for task in list(self._tasks):
            task.cancel()

    def spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """A task that ends with the power."""
        task = self.world.loop.create_task(work, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def limit_pages(self, connections: Sequence[Connection], is_full: bool) -> None:
        """A disk without room for one more page, or with room again."""
        self.is_disk_full = is_full
        for connection in connections:
            pages = connection.execute("PRAGMA page_count").fetchone()[0] if is_full else _PAGES_MAX
            connection.execute(f"PRAGMA max_page_count={pages}")

    def _step_kills(self) -> None:
        """A step's fate was to lose the power; it comes back by itself."""
        self.die()
        self.world.after(self.world.rng.uniform(1, 20), self.start)

    # What each kind of machine does

    @abstractmethod
    def boot(self) -> None:
        """Open the directory and start the tasks."""

    @abstractmethod
    def halt(self) -> None:
        """Drop what the power took: connections that nobody closed."""

    @abstractmethod
    def fate_of(self, call: str) -> Fate:
        """What becomes of a step that writes."""

    @abstractmethod
    def fill_disk(self, is_full: bool) -> None:
        """Leave no room on the disk, or give it back."""
