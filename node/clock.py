"""The wall clock of this machine: the one place where the office reads it."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Milliseconds since 1970 as this machine believes; it may jump either way."""
    return time.time_ns() // 1_000_000
