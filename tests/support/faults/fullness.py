"""A small disk that can be filled to the last byte and freed again: a tmpfs of a few megabytes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults.parts import call, is_mounted

_BALLAST = "ballast"


@dataclass(slots=True)
class SmallDisk:
    """Attributes: ``folder`` is where it is mounted."""

    folder: Path

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all free space but ``leave_bytes`` (rounded to pages). Call again to take what became free."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        handle = os.open(self.folder / _BALLAST, flags)
        try:
            for block in (1 << 16, 1 << 12):
                while self.free_bytes >= leave_bytes + block:
                    os.write(handle, bytes(block))
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
        finally:
            os.close(handle)

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.folder / _BALLAST).unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize


@contextmanager
def small_disk(folder: Path, *, size_mb: int) -> Iterator[SmallDisk]:
    """A new, empty disk of ``size_mb``, mounted at ``folder`` (made here) and gone at the end of the block."""
    folder.mkdir(parents=True)
    call("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", folder)
    try:
        yield SmallDisk(folder)
    finally:
        if is_mounted(folder):
            call("umount", "-l", folder)
