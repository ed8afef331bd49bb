"""Processes: being asked to stop, finding a free port, ending a child by its id."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

CHILD_GRACE_S = 3.0


@contextmanager
def stop_requests() -> Iterator[asyncio.Event]:
    """An event that is set when somebody asks this process to end; use it inside a running loop.

    SIGTERM and Ctrl-C everywhere, Ctrl-Break and closing the console on Windows. A second request ends the
    process at once: a person who presses Ctrl-C twice means it.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    names = [name for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
    numbers = [signal.Signals(getattr(signal, name)) for name in names]
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        # asyncio's own add_signal_handler is missing on Windows; this way works on both.
        loop.call_soon_threadsafe(stop.set)

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago; for programs that cannot be given port 0."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        if hasattr(signal, "SIGKILL"):  # On Windows the option means "steal the port".
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


async def end_child(child: asyncio.subprocess.Process, *, grace_s: float = CHILD_GRACE_S) -> int:
    """Ask a child to end, kill it when it does not; return its exit code. Harmless on a child that has ended."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await child.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                child.kill()
    return await child.wait()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
