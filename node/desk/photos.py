"""Photos of residents: kept by their SHA-256, written before the event that names them commits."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from node.settings import PHOTOS_NAME
from sepe.errors import InvalidInputError
from sepe_io.sqlite import StorageFullError

PHOTO_BYTES_MAX = 10 * 1024 * 1024
_HINT = "Periksa nama berkas foto; tempatnya dihitung dari berkas perekaman"


def take_photo(path: Path, folder: Path) -> bytes:
    """Check a photo and keep a copy under ``folder``; return its SHA-256.

    The copy is on the disk when this returns. A photo whose event then does not commit stays as an unused file.

    Raises:
        InvalidInputError: no such file, over 10 MiB, or not a whole picture.
        StorageFullError: nothing was kept.
    """
    from node.printing.render import check_photo

    try:
        if not path.is_file():
            raise InvalidInputError("berkas foto tidak ada", field="photo", value=path.name, hint=_HINT)
        if path.stat().st_size > PHOTO_BYTES_MAX:
            raise InvalidInputError(
                f"foto paling besar {PHOTO_BYTES_MAX // 1024**2} MiB", field="photo", value=path.name
            )
        data = path.read_bytes()
    except (OSError, ValueError) as exc:
        raise InvalidInputError("berkas foto tidak dapat dibaca", field="photo", hint=_HINT) from exc
    check_photo(data)
    digest = hashlib.sha256(data).digest()
    target = photo_path(folder, digest)
    if not target.exists():
        _write(target, data)
    return digest


def photo_path(folder: Path, sha256: bytes) -> Path:
    """Where a photo of this digest is kept."""
    name = sha256.hex()
    return folder / PHOTOS_NAME / name[:2] / name


def _write(target: Path, data: bytes) -> None:
    half = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.replace(target)
    except OSError as exc:
        half.unlink(missing_ok=True)
        raise StorageFullError(f"the photo cannot be kept: {exc.strerror}") from exc
