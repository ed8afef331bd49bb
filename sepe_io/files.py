"""Replacing a file: whoever reads it, also after a power cut, finds the old one or the new one, each whole."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

OWNER_ALONE = 0o600
# What any new file gets; the process's umask takes from it.
AS_USUAL = 0o666

_CANNOT = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
_BINARY = getattr(os, "O_BINARY", 0)


def replace_file(path: Path, data: bytes, *, mode: int = OWNER_ALONE) -> None:
    """Put ``data`` in the place of ``path``, there or not; it is on the disk when this returns.

    Without the sync a rename may reach the disk before the bytes do, and a power cut leaves an empty file.

    Args:
        mode: its permissions from its first byte on.

    Raises:
        OSError: what was there is as it was, and no other file is left behind.
    """
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of a folder last; Windows has no such call and needs none.

    Raises:
        OSError: the disk failed. A file system that cannot do it, as of a stick or a share, is no error.
    """
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as exc:
        if exc.errno not in _CANNOT:
            raise
