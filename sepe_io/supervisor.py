"""Telling systemd how this process is: ready, alive, about to end (the protocol of sd_notify(3)).

Under `Type=notify` the unit counts as started only when `ready` was said, so `systemctl start` and whatever is
ordered after it wait for the moment in which offices may come. Under `WatchdogSec=` the process is killed and
started again when `keep_alive` falls silent. Where nobody listens (a terminal, Windows) nothing happens.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

_SOCKET = "NOTIFY_SOCKET"
# Three beats within the time that systemd allows: two may be late before it loses patience.
_BEATS = 3


def ready(status: str) -> bool:
    """Say that the work can begin; whether somebody was told. ``status`` is what `systemctl status` shows."""
    return _tell("READY=1", f"STATUS={status}")


def stopping() -> bool:
    """Say that the end was asked for and is being prepared."""
    return _tell("STOPPING=1", "STATUS=stopping")


async def keep_alive(prove: Callable[[], Awaitable[object]] | None = None) -> None:
    """Beat until cancelled; returns never, and does nothing when no watchdog was asked for.

    Args:
        prove: must return before each beat. What it waits for, the watchdog watches: a loop that turns while the
            thread that writes is stuck is no living hub. An error of it counts as an answer.
    """
    allowed_s = watchdog_s()
    if allowed_s is None:
        await asyncio.Event().wait()
        return
    while True:
        # Whoever did the failing work tells of it; it did not hang, which is all that is asked here.
        with suppress(Exception):
            await (prove() if prove is not None else asyncio.sleep(0))
        _tell("WATCHDOG=1")
        await asyncio.sleep(allowed_s / _BEATS)


def watchdog_s() -> float | None:
    """Seconds that systemd allows between two beats, ``None`` when it does not watch this process."""
    for_pid, allowed_us = os.environ.get("WATCHDOG_PID", ""), os.environ.get("WATCHDOG_USEC", "")
    if for_pid and for_pid != str(os.getpid()):
        return None  # Inherited from a supervisor that watches our parent.
    return int(allowed_us) / 1e6 if allowed_us.isdigit() and int(allowed_us) > 0 else None


def _tell(*words: str) -> bool:
    address = os.environ.get(_SOCKET, "")
    family = getattr(socket, "AF_UNIX", None)
    if not address or family is None:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # A name of Linux's abstract namespace.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as line:
            # A supervisor that does not read must not hold us up: its queue takes a few words, others are dropped.
            line.setblocking(False)
            line.connect(address)
            line.sendall("\n".join(words).encode())
    except OSError:
        return False  # It is gone or does not listen; that ends nobody's work.
    return True
