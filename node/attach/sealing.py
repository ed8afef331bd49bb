"""Sealing what was taken to the hub's key, as soon as that is known: right after a recording, or once enrolled.

The order is file, disk, row: a kill in between leaves a sealed file that no row names, which
`node.attach.retention` sweeps away, and the attachment is sealed once more.
"""

from __future__ import annotations

from pathlib import Path

from node.attach.shelf import Attachment, Shelf
from node.desk.photos import photo_path, write_secret
from node.storage.store import NodeStore
from sepe.errors import TransientError
from sepe_io.logs import logger

SEALED_NAME = "attachments"

_log = logger("node.attach")


def seal_waiting(store: NodeStore, *, limit: int) -> int:
    """Seal up to ``limit`` attachments that are not; return how many were looked at, sealed or found lost.

    None while the hub's key is unknown.

    Raises:
        TransientError: disk full, or busy; what was sealed before stays sealed.
    """
    shelf = Shelf(store)
    public_key = shelf.sealing_key()
    if not public_key:
        return 0
    # Imported when there is something to seal: most recordings at a desk bring nothing along.
    from sepe_io.keys import key_id_of
    from sepe_io.seal import seal, sha256_of

    rows = shelf.unsealed(key_id_of(public_key), limit)
    for row in rows:
        plain = _plain(store, shelf, row)
        if plain is None:
            continue
        data = seal(plain, public_key)
        digest = sha256_of(data)
        write_secret(sealed_path(store.folder, digest), data)
        shelf.sealed(row.sha256, digest, len(data), key_id_of(public_key))
    return len(rows)


def sealed_path(folder: Path, sealed_sha256: bytes) -> Path:
    """Where the sealed file of this digest is kept."""
    name = sealed_sha256.hex()
    return folder / SEALED_NAME / name[:2] / name


def reseal(store: NodeStore, row: Attachment, reason: str) -> None:
    """A sealed file is not what it was: drop it, so that it is made again from the plain one."""
    _log.error("attachment.spoiled", reason=reason, has_plain=row.has_plain)
    Shelf(store).unseal(row.sha256, reason)
    sealed_path(store.folder, row.sealed_sha256).unlink(missing_ok=True)


def is_whole(folder: Path, row: Attachment) -> bool:
    """Whether the sealed file is there, byte for byte."""
    from sepe_io.seal import sha256_of

    try:
        return sha256_of(sealed_path(folder, row.sealed_sha256).read_bytes()) == row.sealed_sha256
    except OSError:
        return False


def _plain(store: NodeStore, shelf: Shelf, row: Attachment) -> bytes | None:
    """The plain file; ``None`` after noting that it is gone or is not what its event names."""
    from sepe_io.seal import sha256_of

    try:
        data = photo_path(store.folder, row.sha256).read_bytes()
    except FileNotFoundError:
        reason = "file_missing"
    except OSError as exc:
        raise TransientError(f"an attachment cannot be read: {exc.strerror}") from exc
    else:
        if sha256_of(data) == row.sha256:
            return data
        reason = "file_damaged"
    _log.error("attachment.lost", reason=reason, kind=row.kind)
    with store.transaction():
        shelf.plain_removed(row.sha256)
        if not row.sealed_bytes:
            shelf.refused(row.sha256, reason)
    return None
