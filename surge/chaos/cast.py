"""The processes of a run, each kept alive by a supervisor as systemd would, and struck by process handle.

Linux only, like the signals that freeze a process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sepe_io.process import end_child

RESTART_S = 0.3
STOP_S = 10.0
LINE_BYTES_MAX = 1 << 20


@dataclass(slots=True)
class Kept:
    """One program that is started again whenever it ends.

    Attributes:
        ready: what it said when it was ready, once it was.
        starts: how often it was started.
    """

    name: str
    command: list[str]
    log: Path
    ready: dict[str, Any] = field(default_factory=dict)
    starts: int = 0
    child: asyncio.subprocess.Process | None = None
    _task: asyncio.Task[None] | None = None
    _first: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=self.name)

    async def until_ready(self, timeout_s: float = 60.0) -> None:
        """Returns when it has said for the first time that it is ready. Raises TimeoutError."""
        await asyncio.wait_for(self._first.wait(), timeout_s)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; whether there was a process to get it."""
        if self.child is None or self.child.returncode is not None:
            return False
        with suppress(ProcessLookupError):
            self.child.send_signal(number)
        return True

    async def stop(self) -> int | None:
        """Ask it to end for good; its exit code, ``None`` when it was not running. It must not be frozen."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self.child is None or self.child.returncode is not None:
            return None
        return await end_child(self.child, grace_s=STOP_S)

    async def _keep(self) -> None:
        while True:
            with self.log.open("ab") as file:
                self.child = await asyncio.create_subprocess_exec(
                    *self.command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=file,
                    limit=LINE_BYTES_MAX,
                )
            self.starts += 1
            await self._attend(self.child)
            await self.child.wait()
            await asyncio.sleep(RESTART_S)

    async def _attend(self, child: asyncio.subprocess.Process) -> None:
        """Read what it says to its end."""
        assert child.stdout is not None
        while line := await child.stdout.readline():
            with suppress(ValueError):
                said = json.loads(line)
                self.ready = self.ready or said
                self._first.set()


@dataclass(slots=True)
class Desk(Kept):
    """``sepe node record DIR -`` held open.

    Attributes:
        confirmed: names of the events that it answered for.
        unanswered: lines whose desk died before it answered; each may be recorded or not, as after a real crash.
        refused: answers that were not ok.
    """

    confirmed: list[str] = field(default_factory=list)
    unanswered: int = 0
    refused: list[str] = field(default_factory=list)
    _asked: deque[bytes] = field(default_factory=deque)

    async def record(self, line: bytes) -> None:
        """Hand over one line; waits while the desk is away or behind."""
        while True:
            child = self.child
            if child is not None and child.returncode is None and child.stdin is not None:
                try:
                    self._asked.append(line)
                    child.stdin.write(line)
                    await child.stdin.drain()
                    return
                except (ConnectionError, RuntimeError):
                    # It died under our hands; whether it had read the line shows in the outbox alone.
                    return
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """No more lines: wait until it has answered for all and ended."""
        assert self._task is not None
        child = self.child
        if child is not None and child.stdin is not None:
            child.stdin.close()
            await child.wait()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._count_unanswered()

    async def _attend(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        self._count_unanswered()  # What came after the one before had died; this one has not been asked yet.
        while (line := await child.stdout.readline()).endswith(b"\n"):
            answer = json.loads(line)
            self._asked.popleft()
            if answer["ok"]:
                self.confirmed.append(answer["event"])
            else:
                self.refused.append(answer["error"])
        self._count_unanswered()

    def _count_unanswered(self) -> None:
        self.unanswered += len(self._asked)
        self._asked.clear()


def sepe(words: Sequence[object]) -> list[str]:
    """The command line of ``sepe`` with this Python."""
    return [sys.executable, "-m", "surge.program", *map(str, words)]


class Grip:
    """A hold on one process that is not our child; a reused process id is never hit."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def close(self) -> None:
        os.close(self._handle)


def broker_pid(hub: Kept) -> int | None:
    """The process id of the hub's nats-server; ``None`` while there is none."""
    if hub.child is None or hub.child.returncode is not None:
        return None
    pid = hub.child.pid
    with suppress(OSError, ValueError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if "nats" in Path(f"/proc/{child}/comm").read_text():
                return int(child)
    return None


def broker_of(hub: Kept) -> Grip | None:
    """A hold on the hub's nats-server; ``None`` while there is none."""
    pid = broker_pid(hub)
    with suppress(OSError):
        return None if pid is None else Grip(pid)
    return None
