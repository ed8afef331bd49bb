"""A disk whose power can be cut: ext4 in a file, loop-mounted.

`Disk.cut` is the file system's own emergency stop: from that instant nothing reaches the medium, neither data that
sits in the page cache nor the journal. What had been synced is there after `Disk.power_on`, what had not is gone
or torn, exactly as after a power cut; the journal is replayed by the mount, as on a real start.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults.parts import call, is_mounted

# EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), with EXT4_GOING_FLAGS_NOLOGFLUSH.
_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSHING_THE_LOG = struct.pack("I", 2)
# A process that was killed a moment ago may still hold its files.
_RELEASE_S_MAX = 5.0


@dataclass(slots=True)
class Disk:
    """Attributes: ``folder`` is where it is mounted, ``image`` the medium."""

    folder: Path
    image: Path

    def cut(self) -> None:
        """Cut the power. Every later access of a process to its files fails; end those processes first or after."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _SHUTDOWN, _WITHOUT_FLUSHING_THE_LOG)
        finally:
            os.close(handle)

    def power_on(self) -> None:
        """Start again after `cut`: the journal is replayed and checked. No process may hold a file on the disk.

        Raises:
            MissingPartError: the file system is damaged beyond its journal, or something still uses it.
        """
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        call("mount", "-t", "ext4", "-o", "loop", self.image, self.folder)

    def _unmount(self) -> None:
        deadline = time.monotonic() + _RELEASE_S_MAX
        while True:
            try:
                call("umount", self.folder)
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@contextmanager
def disk(folder: Path, *, size_mb: int = 64) -> Iterator[Disk]:
    """A new, empty disk of ``size_mb``, mounted at ``folder`` (made here) and gone at the end of the block."""
    folder.mkdir(parents=True)
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    call("mkfs.ext4", "-q", "-F", image)
    made = Disk(folder, image)
    made._mount()
    try:
        yield made
    finally:
        if is_mounted(folder):
            # Lazily: after a failed test its processes may still hold files, and its own error is what counts.
            call("umount", "-l", folder)
        image.unlink()
