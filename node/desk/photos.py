"""Photos, signatures and templates as they were taken: kept by SHA-256, written before their event commits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from node.settings import PHOTOS_NAME
from sepe.attach import ATTACHMENT_BYTES_MAX, BIOMETRIC
from sepe.errors import InvalidInputError
from sepe_io.files import replace_file
from sepe_io.sqlite import StorageFullError

_HINT = "Periksa nama berkas itu; tempatnya dihitung dari berkas perekaman"


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken with a recording. ``kind``: one of `sepe.attach.KINDS`."""

    kind: str
    sha256: bytes
    size: int


def take_file(path: Path, folder: Path, kind: str) -> Taken:
    """Check a photo, signature or template and keep a copy under ``folder``.

    The copy is on the disk when this returns. One whose event then does not commit stays as an unused file.

    Raises:
        InvalidInputError: no such file, empty, over 3 MB, or (but for a template) not a whole picture.
        StorageFullError: nothing was kept.
    """
    try:
        if not path.is_file():
            raise InvalidInputError("berkas foto tidak ada", field=kind, value=path.name, hint=_HINT)
        size = path.stat().st_size
        if not 0 < size <= ATTACHMENT_BYTES_MAX:
            raise InvalidInputError(
                f"paling besar {ATTACHMENT_BYTES_MAX // 1024**2} MB dan tidak kosong",
                field=kind,
                value=path.name,
                hint="Ambil ulang atau perkecil",
            )
        data = path.read_bytes()
    except (OSError, ValueError) as exc:
        raise InvalidInputError("berkas tidak dapat dibaca", field=kind, hint=_HINT) from exc
    if kind != BIOMETRIC:
        _check_picture(data, kind)
    digest = hashlib.sha256(data).digest()
    target = photo_path(folder, digest)
    if not target.exists():
        write_secret(target, data)
    return Taken(kind, digest, len(data))


def photo_path(folder: Path, sha256: bytes) -> Path:
    """Where the plain file of this digest is kept."""
    name = sha256.hex()
    return folder / PHOTOS_NAME / name[:2] / name


def write_secret(target: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner alone, on the disk when this returns.

    Raises:
        StorageFullError: nothing was kept.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, data)
    except OSError as exc:
        raise StorageFullError(f"the attachment cannot be kept: {exc.strerror}") from exc


def _check_picture(data: bytes, kind: str) -> None:
    from node.printing.render import check_photo

    try:
        check_photo(data)
    except InvalidInputError as exc:
        raise InvalidInputError(exc.rule, field=kind, value=exc.value, hint=exc.hint) from exc
