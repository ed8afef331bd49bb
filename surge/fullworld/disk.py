"""Disks: directories with real databases, made fast, copied as a power cut leaves them, and read for the checkers.

Between two calls of a machine no transaction is open, so a copy of its files is what a power cut would leave:
every commit that returned is in the database or its journal.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.merge import schema as hub_schema
from hub.merge.store import DATABASE as HUB_DATABASE
from hub.merge.store import KEY_FILE, HubStore
from node.outbox.office import LOST_FOLDER
from node.settings import DATABASE_NAME, KEY_NAME, NodeSettings, save_settings
from node.storage import schema as node_schema
from node.storage.store import NodeStore
from sepe_io import keys, sqlite
from sepe_io.framefile import read_frames
from sepe_io.frames import reopen_frame
from sepe_io.sqlite import Connection

# Memory instead of a disk: a world makes thousands of commits, and no power cut of this machine is part of it.
SHARED_MEMORY = Path("/dev/shm")


def world_folder() -> TemporaryDirectory[str]:
    """A directory for one world, in memory where the system has such a place."""
    return TemporaryDirectory(prefix="sepe-world-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)


def make_templates() -> None:
    """Migrate the empty databases that worlds begin with; once a process.

    sqlite-utils draws the names of its savepoints from ``secrets``. Drawn within a world, they would make the
    first world of a process another than the same seed gives later.
    """
    for steps in (hub_schema.STEPS, node_schema.STEPS):
        _empty(tuple(steps))


def make_hub(folder: Path, key: bytes, *, now_ms: int) -> None:
    """A new hub directory whose key is ``key``, 32 bytes."""
    folder.mkdir()
    keys.save(_signer(key), folder / KEY_FILE)
    (folder / HUB_DATABASE).write_bytes(_empty(tuple(hub_schema.STEPS)))
    # The key is there and the database is not made: as a kill left it that `create` takes up again.
    HubStore.create(folder, now_ms=now_ms).close()


def make_office(folder: Path, node: str, key: bytes, *, now_ms: int) -> bytes:
    """A new node directory; its public key."""
    folder.mkdir()
    signer = _signer(key)
    keys.save(signer, folder / KEY_NAME)
    (folder / DATABASE_NAME).write_bytes(_empty(tuple(node_schema.STEPS)))
    settings = NodeSettings(node, "hub:1")
    NodeStore.create(folder, settings, now_ms=now_ms).close()
    save_settings(folder, settings)
    return signer.public_key


def copied(folder: Path, to: Path) -> Path:
    """A copy of a directory in which no transaction is open; the shared-memory index is not on any disk."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*-shm"))
    return to


class LastCommit:
    """The journal of an office around one commit, to tear the commit in a copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = self._look()

    def tear(self, copy: Path, share: float) -> bool:
        """Leave ``share`` of what the commit wrote in ``copy``; ``False`` when its journal began anew."""
        (base, wal), (base_now, wal_now) = self._before, self._look()
        if base != base_now or wal_now <= wal:
            return False
        with (copy / f"{DATABASE_NAME}-wal").open("r+b") as file:
            file.truncate(wal + int(share * (wal_now - wal)))
        return True

    def _look(self) -> tuple[int, int]:
        wal = self._folder / f"{DATABASE_NAME}-wal"
        return (self._folder / DATABASE_NAME).stat().st_mtime_ns, wal.stat().st_size if wal.exists() else 0


def outbox_bodies(folder: Path) -> list[bytes]:
    """Every event body in an office's outbox, in all epochs."""
    connection = sqlite.connect(folder / DATABASE_NAME)
    try:
        return [bytes(body) for (body,) in connection.execute("SELECT body FROM outbox")]
    finally:
        connection.close()


def office_bodies(folder: Path) -> list[bytes]:
    """Every event body on an office's disk: its outbox, and what it fetched back."""
    fetched = [body for frame in courier_frames(folder) for body in reopen_frame(frame).columns.bodies]
    return outbox_bodies(folder) + fetched


def bodies_with(folder: Path, marks: Mapping[int, bytes], connection: Connection | None) -> dict[int, bytes]:
    """The bodies in an office's outbox that hold these marks, by the number of the mark.

    Args:
        connection: the office's own, while it has power.
    """
    own = connection or sqlite.connect(folder / DATABASE_NAME)
    try:
        found = {
            number: own.execute("SELECT body FROM outbox WHERE instr(body, ?) LIMIT 1", (mark,)).fetchone()
            for number, mark in marks.items()
        }
    finally:
        if connection is None:
            own.close()
    return {number: bytes(row[0]) for number, row in found.items() if row is not None}


def courier_frames(folder: Path) -> Iterator[bytes]:
    """The frames that an office fetched back and keeps for a courier."""
    for path in sorted((folder / LOST_FOLDER).glob("*.frames")):
        yield from read_frames(path)


def _signer(key: bytes) -> keys.Signer:
    return keys.Signer.of(Ed25519PrivateKey.from_private_bytes(key))


@cache
def _empty(steps: Sequence[str]) -> bytes:
    """A database with that schema and nothing in it; migrating takes longer than many a world."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        connection = sqlite.connect(path)
        sqlite.migrate(connection, steps)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.read_bytes()
