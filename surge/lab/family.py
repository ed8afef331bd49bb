"""What a process and its Python helpers use, as the kernel counts it; a nats-server among them does not count."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of CPU since they started; of those that live."""
    return sum(map(_cpu_s, _family(pid)))


def peak_bytes(pid: int) -> int:
    """The most that each ever held in memory, added up; what they share counts in each."""
    return sum(map(_peak_bytes, _family(pid)))


def _family(pid: int) -> list[int]:
    found = [pid]
    # A child belongs to the thread that started it.
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().startswith("python"):
                found += _family(int(child))
    return found


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0  # It has ended and waits to be collected.
