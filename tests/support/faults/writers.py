"""Processes that commit as fast as they can and say so: what a fault tool is let loose on.

``python -m tests.support.faults.writers KIND FOLDER`` prints one line after each commit that returned, with what it
wrote, and one last line ``error: …`` when a commit fails.

``wal-FULL``, ``wal-NORMAL``, ``wal-OFF``
    rows 1, 2, 3 … into a table of FOLDER/plain.db, opened by `sepe_io.sqlite` and then set to that synchronous
    mode. FULL is what the product uses; the others show that the tool would notice the difference.
``desk``
    recordings at the node directory FOLDER, one commit each; prints the event ids.
``merge``
    frames of 20 events into the hub directory FOLDER; prints the acknowledged watermark.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WAIT_S_MAX = 30.0
EVENTS_PER_FRAME = 20
START_MS = 1_727_485_200_000  # 28 September 2024, 09.00 in Kupang.


@dataclass(slots=True)
class Writer:
    """A running writer.

    Attributes:
        said: its lines so far; a line is appended only after the commit that it names.
    """

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _over: bool = False

    def wait_for(self, lines: int) -> None:
        """Returns once it has said ``lines`` more lines, or has ended."""
        with self._news:
            wanted = len(self.said) + lines
            assert self._news.wait_for(lambda: len(self.said) >= wanted or self._over, WAIT_S_MAX), self.said[-3:]

    def kill(self) -> None:
        """End it with SIGKILL and take in what it had still said."""
        self.process.kill()
        self.process.wait(WAIT_S_MAX)
        with self._news:
            assert self._news.wait_for(lambda: self._over, WAIT_S_MAX)

    @property
    def acknowledged(self) -> list[str]:
        return [line for line in self.said if not line.startswith("error: ")]

    @property
    def errors(self) -> list[str]:
        return [line.removeprefix("error: ") for line in self.said if line.startswith("error: ")]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.said.append(line.strip())
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()


@contextmanager
def writer(kind: str, folder: Path, environment: dict[str, str] | None = None) -> Iterator[Writer]:
    """A writer at work, killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.faults.writers", kind, str(folder)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Writer(process)
    threading.Thread(target=running._read, daemon=True).start()
    try:
        yield running
    finally:
        running.kill()


def make_node(folder: Path, node: str = "537104-1") -> Path:
    """A node directory without a hub."""
    from node.settings import NodeSettings, save_settings
    from node.storage.store import NodeStore

    folder.mkdir()
    save_settings(folder, NodeSettings(node))
    NodeStore.create(folder, NodeSettings(node), now_ms=START_MS).close()
    return folder


def make_hub(folder: Path) -> Path:
    """A hub directory that knows the node of the ``merge`` writer."""
    from hub.merge.store import HubStore
    from tests.support.world import Node

    with HubStore.create(folder, now_ms=START_MS) as store:
        token = store.enrol_token("537104-1", now_ms=START_MS)
        accepted, reason = store.redeem("537104-1", token, Node("537104-1").signer.public_key, now_ms=START_MS)
        assert accepted, reason
    return folder


def _rows(folder: Path, synchronous: str) -> Iterator[str]:
    from sepe_io import sqlite

    connection = sqlite.connect(folder / "plain.db")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("CREATE TABLE IF NOT EXISTS fact (number INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    number = connection.execute("SELECT coalesce(max(number), 0) FROM fact").fetchone()[0]
    while True:
        number += 1
        with sqlite.transaction(connection):
            connection.execute("INSERT INTO fact VALUES (?, ?)", (number, bytes(500)))
        yield str(number)


def _recordings(folder: Path) -> Iterator[str]:
    import json

    from node.desk.record import record_line
    from node.storage.store import NodeStore
    from tests.support.world import nik_of

    store = NodeStore.open(folder)
    number = store.position().last_seq
    while True:
        number += 1
        line = {"nik": f"{nik_of(number):016}", "name": "SIMON TAEK", "birth_date": "1990-01-01", "sex": "L"}
        answer = record_line(
            store, json.dumps(line).encode(), regions=None, base=folder, now_ms=time.time_ns() // 1_000_000
        )
        yield str(answer.event) if answer.ok else f"error: {answer.error}"


def _merges(folder: Path) -> Iterator[str]:
    from hub.merge.store import Arrival, HubStore
    from tests.support.world import Node, nik_of, recorded

    store, node = HubStore.open(folder), Node("537104-1")
    now_ms = time.time_ns() // 1_000_000
    while True:
        first = node.last_seq + 1
        node.write(*(recorded(nik_of(first + index)) for index in range(EVENTS_PER_FRAME)))
        outcome = store.merge([Arrival(node.frame(first), "grpc", now_ms)])[0]
        assert outcome.ack is not None and outcome.reason == "", outcome
        yield str(outcome.ack.durable_seq)


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind.startswith("wal-"):
        lines = _rows(folder, kind.removeprefix("wal-"))
    else:
        lines = {"desk": _recordings, "merge": _merges}[kind](folder)
    try:
        for line in lines:
            print(line, flush=True)
    except Exception as exc:
        print(f"error: {type(exc).__name__}: {exc}", flush=True)


if __name__ == "__main__":
    main()
