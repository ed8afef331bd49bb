"""A process whose wall clock is wrong, while everybody else's is right: libfaketime.

The monotonic clock stays true, as on a real machine whose date somebody set: timers and deadlines go on. The clock
can be set again while the process runs. Not for nats-server, which asks the kernel itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults.parts import MissingPartError, find

DAY_S = 86_400
YEAR_S = 365 * DAY_S


@dataclass(frozen=True, slots=True)
class WrongClock:
    """Attributes: ``environment`` is for the process; ``file`` holds the offset it reads."""

    file: Path
    environment: dict[str, str]

    def set(self, offset_s: int) -> None:
        """Put the process's clock ``offset_s`` seconds ahead of ours, behind when negative; takes effect at once."""
        half = self.file.with_suffix(".part")
        half.write_text(f"{offset_s:+d}\n")
        half.replace(self.file)

    def set_date(self, unix_s: int) -> None:
        """Put the process's clock to a moment, as a dead battery does at boot; it runs on from there."""
        self.set(unix_s - int(time.time()))


def wrong_clock(folder: Path, *, offset_s: int = 0) -> WrongClock:
    """A clock for one process, ``offset_s`` ahead of ours; ``folder`` is made here."""
    folder.mkdir(parents=True)
    find("faketime")
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        raise MissingPartError("libfaketimeMT.so.1 is missing: apt-get install faketime")
    clock = WrongClock(
        folder / "offset",
        {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(folder / "offset"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # File times would be shifted too, and filelock and SQLite look at none of them.
            "NO_FAKE_STAT": "1",
        },
    )
    clock.set(offset_s)
    return clock
