"""A test that hangs ends, whatever it hangs in, and the run goes on.

pytest-timeout raises in the main thread once. A test that then waits again, as a pool of processes does when its block
is left, or that hangs in C code with Python's lock held, would hang for ever. `GRACE_S` after its time limit its process
is ended: first by a thread that also ends its children, and where that cannot run, by faulthandler's own thread, which
needs no lock. xdist reports the test as failed and goes on with a fresh worker.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

GRACE_S = 60.0
_C_CODE_S = 15.0
# Before pytest takes the process's stderr to itself for each test: this module is loaded with -p.
_STDERR = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    grace_s = float(os.environ.get("SEPE_TEST_GRACE_S", GRACE_S))
    limit_s = limit_of(item) + grace_s
    timer = threading.Timer(limit_s, _end, (item.nodeid,))
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(limit_s + _C_CODE_S * grace_s / GRACE_S, exit=True, file=_STDERR)
    try:
        return (yield)
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()


def limit_of(item: pytest.Item) -> float:
    """The time limit of a test, as pytest-timeout reads it."""
    marker = item.get_closest_marker("timeout")
    if marker is not None and (marker.args or "timeout" in marker.kwargs):
        return float(marker.args[0] if marker.args else marker.kwargs["timeout"])
    given = item.config.getoption("timeout", None) or item.config.getini("timeout") or 120
    return float(given)


def _end(name: str) -> None:
    print(f"\n{name} hangs beyond its limit: its process ends", file=_STDERR, flush=True)
    faulthandler.dump_traceback(file=_STDERR)
    for pid in children(os.getpid()):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os._exit(70)


def children(parent: int) -> list[int]:
    """Processes that this one started, and theirs. Linux; elsewhere none."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # The second field, the name in brackets, may hold blanks.
            fields = entry.read_text().rpartition(")")[2].split()
            found.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    left, all_of_them = [parent], []
    while left:
        own = found.get(left.pop(), [])
        all_of_them += own
        left += own
    return all_of_them
