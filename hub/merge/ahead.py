"""Proving ahead: while one batch is written, the next is proven by processes beside.

Proving (decompress, signature, chain, reading each body once) is the larger half of a merge and needs nothing of
the database but the keys; writing is SQLite's or the server's work. So a hub that is behind uses every core: a
thread would share the interpreter's lock with the writer and with the transports. An idle hub proves where it
writes: for a few frames another process is only a detour. The processes start when they are first of use.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import hub
from hub.merge import prover
from hub.merge.arrival import Outcome, key_lookup
from hub.merge.proving import Arrival, Proof, Proven
from sepe.errors import PeerProtocolError
from sepe_io.frames import peek_header
from sepe_io.logs import logger
from sepe_io.sqlite import Connection, translated

COMMAND = (sys.executable, "-m", "hub.merge.prover")
# Proving so much takes longer than sending it there and back; about a thousand events.
BYTES_MIN = 32 * 1024
PROCESSES_MAX = 4
# What a process is given at a time, some 20 ms of work: whoever is done takes the next.
PART_BYTES = 256 * 1024
# What Linux lets anybody have, not its 64 KiB: a batch of megabytes would change sides forty times.
PIPE_BYTES = 1 << 20
# After a process that did not start, or died, the hub does without for so long.
REST_S = 30.0
STOP_S = 2.0

_log = logger("hub.merge")


class MergingStore(Protocol):
    """What proving ahead needs of the hub's storage; `hub.merge.store.HubStore` is one."""

    def merge(self, arrivals: Sequence[Arrival], proven: Proof | None = None) -> list[Outcome]:
        """Commit a batch."""


def cores() -> int:
    """How many cores this process may use."""
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Prover:
    """Processes that prove, each led by a thread. Used by one thread at a time; `close` it.

    Args:
        reader: opens a connection to the hub's database that only reads: where the keys are.
        processes: how many at most; ``None``: as many as there are cores, up to `PROCESSES_MAX`; 0: none.
        command: starts one.
    """

    def __init__(
        self, reader: Callable[[], Connection], processes: int | None = None, command: Sequence[str] = COMMAND
    ) -> None:
        self._reader = reader
        self._connection: Connection | None = None
        self._missing = min(cores(), PROCESSES_MAX) if processes is None else processes
        self._command = command
        self._changed = threading.Condition()
        self._key_lock = threading.Lock()
        self._living = 0
        self._idle: list[_Process] = []
        self._rest_until = 0.0
        self._is_closed = False
        # One thread leads each process, another waits for it to start.
        count = max(self._missing, 1)
        self._leading = ThreadPoolExecutor(count, thread_name_prefix="hub-prover")
        self._starting = ThreadPoolExecutor(count, thread_name_prefix="hub-prover-start")

    def start(self, arrivals: Sequence[Arrival]) -> Future[Proof | None]:
        """Begin to prove these, after what was begun before.

        The result is for `HubStore.merge`; ``None`` when they must be proven there.
        """
        whole: Future[Proof | None] = Future()
        self._start_missing()
        if not self._living or not arrivals:
            whole.set_result(None)
            return whole
        parts = [self._leading.submit(self._prove, part) for part in _split(arrivals)]
        waiting = len(parts)

        def done(_: Future[Proof | None]) -> None:
            nonlocal waiting
            with self._changed:
                waiting -= 1
                is_last = not waiting
            if is_last:
                whole.set_result(_join(parts))

        for part in parts:
            part.add_done_callback(done)
        return whole

    def wait_until_ready(self) -> None:
        """Start all processes now, and wait for them."""
        for starting in self._start_missing():
            starting.result()

    def close(self) -> None:
        """Wait for what runs, and end the processes."""
        with self._changed:
            self._is_closed = True
        for pool in (self._leading, self._starting):
            pool.shutdown(wait=True, cancel_futures=True)
        for process in self._idle:
            process.end()
        self._idle.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Prover:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_missing(self) -> list[Future[None]]:
        with self._changed:
            if self._is_closed or time.monotonic() < self._rest_until:
                return []
            missing, self._missing = self._missing, 0
        return [self._starting.submit(self._start_one) for _ in range(missing)]

    def _start_one(self) -> None:
        try:
            process = _Process(self._command)
        except (OSError, EOFError) as exc:
            self._lost(exc)
            return
        with self._changed:
            self._living += 1
        self._give_back(process)

    def _take(self) -> _Process | None:
        """A process with nothing to do, once there is one; ``None`` when none lives."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or not self._living)
            return self._idle.pop() if self._idle else None

    def _give_back(self, process: _Process) -> None:
        with self._changed:
            self._idle.append(process)
            self._changed.notify()

    def _lost(self, exc: Exception) -> None:
        _log.warning("prover.lost", error=type(exc).__name__, rest_s=REST_S)
        with self._changed:
            self._missing += 1
            self._rest_until = time.monotonic() + REST_S

    def _prove(self, arrivals: Sequence[Arrival]) -> Proof | None:
        process = self._take()
        if process is None:
            return None
        try:
            keys = self._keys_of(arrivals)
            found = process.ask(list(zip(arrivals, keys, strict=True)))
        except (OSError, EOFError) as exc:
            process.end()
            self._lost(exc)
            with self._changed:
                self._living -= 1
                self._changed.notify_all()
            return None
        except Exception as exc:
            # A lost connection: the merge meets it again and knows what to do.
            self._forget_connection()
            found = type(exc).__name__
        self._give_back(process)
        if isinstance(found, str):
            _log.warning("proving.left_to_merge", frames=len(arrivals), error=found)
            return None
        return found

    def _keys_of(self, arrivals: Sequence[Arrival]) -> list[prover.Key]:
        with self._key_lock, translated():
            if self._connection is None:
                self._connection = self._reader()
            return [_key_of(self._connection, arrival) for arrival in arrivals]

    def _forget_connection(self) -> None:
        with self._key_lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class _Process:
    """One process that proves, ready for work. Used by one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        root = str(Path(hub.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        # numpy sums here and multiplies nothing; a pool of threads for that would only take memory.
        environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, pipesize=PIPE_BYTES
        )
        try:
            self._receive()
        except BaseException:
            self.end()
            raise

    def ask(self, request: Sequence[tuple[Arrival, prover.Key]]) -> Proof | str:
        """See `prover.answer`.

        Raises:
            OSError, EOFError: it has died.
        """
        assert self._child.stdin is not None
        prover.send(self._child.stdin, request)
        found: Proof | str = self._receive()
        return found

    def end(self) -> None:
        """Let it end by the end of its input, or kill it."""
        assert self._child.stdin is not None and self._child.stdout is not None
        with suppress(OSError):
            self._child.stdin.close()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()

    def _receive(self) -> Any:
        assert self._child.stdout is not None
        return prover.receive(self._child.stdout)


def merge_ahead(
    store: MergingStore, proving: Prover, batches: Iterable[Sequence[Arrival]]
) -> Iterator[list[Outcome]]:
    """Merge batch after batch, each proven while the one before is written; the outcomes of each, committed.

    Raises:
        what `HubStore.merge` raises; the batches before are stored.
    """
    waiting: tuple[Sequence[Arrival], Future[Proof | None]] | None = None
    for batch in batches:
        following = batch, proving.start(batch)
        if waiting is not None:
            yield store.merge(waiting[0], waiting[1].result())
        waiting = following
    if waiting is not None:
        yield store.merge(waiting[0], waiting[1].result())


def _key_of(connection: Connection, arrival: Arrival) -> prover.Key:
    try:
        header = peek_header(arrival.data)
        return key_lookup(connection, arrival)(header.node, header.key_id)
    except PeerProtocolError as exc:
        return exc


def _split(arrivals: Sequence[Arrival]) -> Iterator[Sequence[Arrival]]:
    """Runs of about `PART_BYTES`, in order."""
    start = size = 0
    for index, one in enumerate(arrivals, 1):
        size += len(one.data)
        if size >= PART_BYTES or index == len(arrivals):
            yield arrivals[start:index]
            start, size = index, 0


def _join(parts: Sequence[Future[Proof | None]]) -> Proof | None:
    """The proof of the whole; ``None`` when a part has none."""
    found: list[Proven | PeerProtocolError] = []
    for part in parts:
        proof = None if part.cancelled() else part.result()
        if proof is None:
            return None
        found += proof
    return found
