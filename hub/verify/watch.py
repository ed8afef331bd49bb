"""Reading everything back all the time, in the background of a running hub, a little at a time.

A reading shares the processor with the merge, so it works in slices of `SLICE_S` and then rests: some three
parts in a hundred of one core, which is about 100,000 events a minute. Once frames came back the next one
begins soon; otherwise after `pause_s`.

What an office is asked for goes out with its next word at the latest: a connected one that sends nothing is
told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from hub.engine import place
from hub.merge import log, wanted
from hub.verify.check import Check
from hub.verify.report import Report
from sepe.errors import SepeError, TransientError
from sepe.sync.centre import ack
from sepe.wire.v1 import sync_pb2
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError, translated

SLICE_S = 0.05
FRAMES_PER_READ = 2

_log = logger("hub.verify")

Announce = Callable[[list[sync_pb2.Ack]], None]


@dataclass(frozen=True, slots=True)
class Times:
    """When the background reading works.

    Attributes:
        first_s: after the hub's start. ``pause_s``: between two readings.
        share: which part of the time it works.
        look_s: how often it looks whether a reading is due.
        ask_s: how often offices that send nothing are told what is asked of them.
    """

    first_s: float = 5.0
    pause_s: float = 3600.0
    share: float = 0.03
    look_s: float = 5.0
    ask_s: float = 30.0


async def keep_verifying(directory: Path, announce: Announce, times: Times | None = None) -> None:
    """Read everything back again and again until cancelled. What cannot be read today is tried again later.

    Raises:
        DiskFailedError: only a new start, which proves the disk, can use the database again.
    """
    times = times or Times()
    await asyncio.sleep(times.first_s)
    while True:
        try:
            report = await _read_once(directory, times)
            if report.findings:
                _log.warning("reading.ended", frames=report.frames, found=len(report.findings))
            await _pause(directory, announce, times)
            continue
        except DiskFailedError:
            raise
        except TransientError as exc:
            _log.warning("reading.deferred", reason=str(exc))
        except SepeError as exc:
            _log.error("reading.failed", error=str(exc))
        except Exception as exc:
            # Damage can take any shape. Its text may hold a person's data, so only its kind is told.
            _log.error("reading.failed", error=type(exc).__name__)
        await asyncio.sleep(times.ask_s)


async def _read_once(directory: Path, times: Times) -> Report:
    """One reading, in slices, in a thread of its own."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="hub-verify")
    pace = _Pace(times.share)

    def read() -> Report:
        check = Check(directory, rest=pace.rest)
        try:
            while check.step(FRAMES_PER_READ):
                pace.rest()
            return check.finish(time.time_ns() // 1_000_000)
        finally:
            check.close()

    try:
        return await asyncio.get_running_loop().run_in_executor(thread, read)
    finally:
        pace.is_over.set()  # The thread ends at its next rest, which is a moment away.
        thread.shutdown(wait=False)


class _OverError(SepeError):
    """The hub is stopping."""


class _Pace:
    """Rests of one thread: after `SLICE_S` of its own time, so long that the share is kept."""

    def __init__(self, share: float) -> None:
        self.is_over = Event()
        self._rest_per_work = 1 / share - 1
        self._begun: float | None = None

    def rest(self) -> None:
        """Rest when it is time to. Raises `_OverError` when the hub stops."""
        now = time.thread_time()
        if self._begun is None:
            self._begun = now
        worked_s = now - self._begun
        if worked_s >= SLICE_S:
            self.is_over.wait(worked_s * self._rest_per_work)
            self._begun = time.thread_time()
        if self.is_over.is_set():
            raise _OverError("the hub is stopping")


async def _pause(directory: Path, announce: Announce, times: Times) -> None:
    """Until the next reading is due, or something was put back; tell offices meanwhile what is asked of them."""
    until, tell_at = time.monotonic() + times.pause_s, time.monotonic()
    while time.monotonic() < until:
        if time.monotonic() >= tell_at:
            tell_at = time.monotonic() + times.ask_s
            announce(await asyncio.to_thread(_words, directory))
        await asyncio.sleep(min(times.look_s, times.pause_s))
        if await asyncio.to_thread(_is_due, directory):
            return


def _is_due(directory: Path) -> bool:
    with closing(place.connect(directory, read_only=True)) as connection, translated():
        return connection.execute("SELECT 1 FROM meta WHERE name = ?", (wanted.DUE,)).fetchone() is not None


def _words(directory: Path) -> list[sync_pb2.Ack]:
    """A word to each node that is asked for something, on the epoch that it greeted for last."""
    words = []
    with closing(place.connect(directory, read_only=True)) as connection, translated():
        for node, epoch in connection.execute(
            "SELECT node, epoch FROM node WHERE epoch IS NOT NULL AND node IN (SELECT node FROM wanted)"
        ).fetchall():
            state = log.epoch_state(connection, node, epoch)
            word = ack(state, sync_pb2.VERDICT_DURABLE, hub_ms=time.time_ns() // 1_000_000)
            word.wanted.extend(wanted.runs_of(connection, node))
            words.append(word)
    return words
