"""The courier's file: what is written comes back, and no damage passes for a whole file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sepe.errors import InvalidInputError
from sepe_io.framefile import MAGIC, read_frames, write_frames

FRAMES = [b"one", b"two" * 1000, b"\0"]


def test_what_is_written_comes_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "unsent.frames"
    assert write_frames(path, iter(FRAMES)) == 3
    assert list(read_frames(path)) == FRAMES
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_of_frames_holds_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "unsent.frames"
    assert write_frames(path, []) == 0
    assert list(read_frames(path)) == []


def test_a_file_cut_anywhere_or_with_one_bit_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unsent.frames"
    write_frames(path, [b"abc", b"de"])
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(InvalidInputError):
            list(read_frames(path))
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        with pytest.raises(InvalidInputError):
            list(read_frames(path))
    path.write_bytes(whole + b"x")
    with pytest.raises(InvalidInputError):
        list(read_frames(path))


def test_a_length_beyond_any_frame_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "unsent.frames"
    path.write_bytes(MAGIC + b"\xff\xff\xff\xff")
    with pytest.raises(InvalidInputError, match="over the limit"):
        list(read_frames(path))


def test_a_failure_while_writing_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "unsent.frames"
    write_frames(path, [b"old"])

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        write_frames(path, broken())
    assert list(read_frames(path)) == [b"old"]
    assert list(tmp_path.iterdir()) == [path]
