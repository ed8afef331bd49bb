"""Start the real programs as processes, wait for their ready line, end them by their id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
LOG_LINES = 400


@dataclass
class Program:
    """A running ``sepe …`` process.

    Attributes:
        ready: the JSON document of its ready line (``hub run`` and ``node run`` print one).
        log: its last lines of stderr.
    """

    process: subprocess.Popen[str]
    ready: dict[str, Any] = field(default_factory=dict)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to end (SIGTERM); return its exit code. Kills it and fails when it does not obey in time."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"did not end within {timeout_s} s of SIGTERM\n{self.tail()}") from None
        return self.process.returncode

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL), and wait until it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def tail(self) -> str:
        """What it logged last, for the message of a failed test."""
        return "\n".join(self.log)


def start(
    *arguments: object, ready: bool = True, env: dict[str, str] | None = None, site: Path = ROOT,
    handles: int | None = None,
) -> Program:  # fmt: skip
    """Start ``sepe arguments…``; with ``ready``, return once it has printed its ready line.

    ``site`` is the folder that holds the packages: the checkout, or an unpacked wheel. ``handles``: how many open
    files it may have.

    Whoever starts a program ends it: ``program.stop()`` or ``program.kill()``, or use `running`.
    """
    process = subprocess.Popen(
        # -m puts the working folder before everything else on sys.path.
        [*_limited(handles), sys.executable, "-m", "surge.program", *map(str, arguments)],
        cwd=site,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    program = Program(process)
    first = threading.Event()
    threading.Thread(target=_read_out, args=(program, first), daemon=True).start()
    threading.Thread(target=_read_log, args=(program,), daemon=True).start()
    if ready and not (first.wait(READY_TIMEOUT_S) and program.ready):
        code = process.poll()
        program.kill()
        raise AssertionError(f"sepe {' '.join(map(str, arguments))}: not ready (exit {code})\n{program.tail()}")
    return program


def _limited(handles: int | None) -> list[str]:
    """What runs a program with so few open files; util-linux has it everywhere."""
    return [] if handles is None else ["prlimit", f"--nofile={handles}:{handles}"]


def hub_run(directory: Path, *options: object, **keywords: Any) -> Program:
    """``sepe hub run`` with all ports free ones; give options to choose others. Needs `sepe hub init` before."""
    return start(
        "hub",
        "run",
        directory,
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--nats-port",
        0,
        *options,
        **keywords,
    )


def node_run(directory: Path, *options: object, **keywords: Any) -> Program:
    """``sepe node run`` with its page on a free port."""
    return start("node", "run", directory, "--http", "127.0.0.1:0", *options, **keywords)


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """The program, ended at the end of the block whatever happens."""
    try:
        yield program
    finally:
        program.kill()


def sepe(
    *arguments: object,
    text: str | None = None,
    timeout_s: float = 60,
    site: Path = ROOT,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``sepe arguments…`` to its end, with ``text`` as its standard input; for ``site`` see `start`."""
    return subprocess.run(
        # -m puts the working folder before everything else on sys.path.
        [sys.executable, "-m", "surge.program", *map(str, arguments)],
        cwd=site,
        env={**os.environ, **(env or {})},
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )


def sepe_json(*arguments: object, code: int = 0) -> Any:
    """The JSON document that ``sepe arguments… --json`` prints; its exit code must be ``code``."""
    done = sepe(*arguments, "--json")
    assert done.returncode == code, f"exit {done.returncode}: {done.stderr}"
    return json.loads(done.stdout)


def _read_out(program: Program, first: threading.Event) -> None:
    assert program.process.stdout is not None
    for line in program.process.stdout:
        if not first.is_set():
            program.ready = json.loads(line)
            first.set()
    first.set()


def _read_log(program: Program) -> None:
    assert program.process.stderr is not None
    for line in program.process.stderr:
        program.log.append(line.rstrip())
