"""A file that is replaced is the old one or the new one, and on the disk before it is named."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from sepe_io.files import AS_USUAL, replace_file


def test_a_new_file_is_its_owners_alone_unless_asked_otherwise(tmp_path: Path) -> None:
    replace_file(tmp_path / "secret", b"one")
    replace_file(tmp_path / "secret", b"two")
    replace_file(tmp_path / "list", b"public", mode=AS_USUAL)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("secret", "list")]
    umask = os.umask(0)
    os.umask(umask)
    assert modes == [0o600, 0o666 & ~umask]
    assert (tmp_path / "secret").read_bytes() == b"two"


def test_a_disk_that_does_not_sync_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_bytes(b"old")

    def failing(handle: int) -> None:
        raise OSError(errno.EIO, "the disk failed")

    monkeypatch.setattr("sepe_io.files.os.fsync", failing)
    with pytest.raises(OSError, match="the disk failed"):
        replace_file(tmp_path / "list", b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("list", b"old")]


def test_a_file_system_that_cannot_sync_its_folders_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def of_files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not here")
        sync(handle)

    monkeypatch.setattr("sepe_io.files.os.fsync", of_files_only)
    replace_file(tmp_path / "list", b"new")
    assert (tmp_path / "list").read_bytes() == b"new"
