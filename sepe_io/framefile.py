"""A file of frames: what a courier carries when no line does (``node export-unsent`` to ``hub import``).

Layout: `MAGIC`; per frame four bytes of length, big-endian, and the frame; a length of zero; the SHA-256 of all
of that. The digest tells a cut or damaged file from a whole one. It proves no origin: each frame is signed by its
node, and whoever reads the file judges the frames exactly as if they had come over a line.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sepe.codec import FRAME_BYTES_MAX
from sepe.errors import InvalidInputError

MAGIC = b"sepe-frames-1\n"
_LENGTH = struct.Struct(">I")
_DIGEST_BYTES = 32


def write_frames(path: Path, frames: Iterable[bytes]) -> int:
    """Write the file whole or not at all; return how many frames it holds.

    A file that was there is replaced once the new one is on the disk. Readable by its owner alone: it holds
    personal data.
    """
    number = 0
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            digest = hashlib.sha256()
            for piece in _pieces(frames):
                digest.update(piece)
                file.write(piece)
                number += 1
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return number - 2  # magic and end mark


def read_frames(path: Path) -> Iterator[bytes]:
    """The frames of the file, in order.

    Raises:
        InvalidInputError: not such a file; or it is cut or damaged, which shows only at the end. The frames
            given until then are as they stand in the file, and their signatures say whether they are whole.
        OSError: the file cannot be opened or read.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256()
        magic = file.read(len(MAGIC))
        if magic != MAGIC:
            raise _refused(path, "this is not a file of frames", "It is made by `sepe node export-unsent`.")
        digest.update(magic)
        while True:
            head = _exactly(file, _LENGTH.size, path)
            digest.update(head)
            (length,) = _LENGTH.unpack(head)
            if length == 0:
                break
            if length > FRAME_BYTES_MAX:
                raise _refused(path, f"a frame of {length} bytes is over the limit of {FRAME_BYTES_MAX}")
            frame = _exactly(file, length, path)
            digest.update(frame)
            yield frame
        if _exactly(file, _DIGEST_BYTES, path) != digest.digest() or file.read(1):
            raise _refused(path, "the file's digest does not fit what it holds")


def _pieces(frames: Iterable[bytes]) -> Iterator[bytes]:
    yield MAGIC
    for frame in frames:
        assert 0 < len(frame) <= FRAME_BYTES_MAX
        yield _LENGTH.pack(len(frame)) + frame
    yield _LENGTH.pack(0)


def _exactly(file: BinaryIO, count: int, path: Path) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise _refused(path, "the file ends too early")
    return data


def _refused(path: Path, rule: str, hint: str = "Copy it again from where it was exported.") -> InvalidInputError:
    return InvalidInputError(rule, field="file", value=path.name, hint=hint)
