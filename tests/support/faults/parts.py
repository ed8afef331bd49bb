"""Calling the programs that the tools need; what is missing is named, together with its Debian package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# The program, and the Debian package that brings it.
PACKAGES = {
    "mkfs.ext4": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "mount": "mount",
    "umount": "mount",
    "losetup": "mount",
    "cc": "gcc",
    "faketime": "faketime",
}


class MissingPartError(AssertionError):
    """This machine cannot run the test; it fails, because a fault that is not tried is not survived."""


def find(program: str) -> str:
    """The path of ``program``.

    Raises:
        MissingPartError: it is not installed.
    """
    found = shutil.which(program, path=_search_path())
    if found is None:
        raise MissingPartError(f"{program} is missing: apt-get install {PACKAGES[program]}")
    return found


def call(program: str, *arguments: object) -> str:
    """Run ``program`` to its end; its stdout. Raises MissingPartError with what it said when it fails."""
    done = subprocess.run([find(program), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MissingPartError(f"{program} {' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout}")
    return done.stdout


def is_mounted(folder: Path) -> bool:
    """Whether something is mounted exactly there."""
    wanted = str(folder.resolve()).replace(" ", "\\040")
    return any(line.split()[1] == wanted for line in Path("/proc/mounts").read_text().splitlines())


def _search_path() -> str:
    # A plain user's PATH on Debian lacks the folders in which mkfs.ext4 and losetup live.
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
