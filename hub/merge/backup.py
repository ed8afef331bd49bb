"""A copy of the whole hub in one file, taken while it runs, and back.

The file is the database as it stood at one commit, with the hub's own key inside: a restored hub must go on
signing as itself. So the file is as secret as the hub's directory.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hub.merge.own import OwnHistory
from hub.merge.store import DATABASE, KEY_FILE, HubStore
from sepe.errors import InvalidInputError, SepeError
from sepe_io import keys
from sepe_io.sqlite import Connection, connect, transaction, translated

_PART = ".part"


def backup(store: HubStore, file: Path) -> int:
    """Write the copy; return its bytes. An older file of that name is replaced once the new one is whole.

    Merging goes on meanwhile; what commits after the copy began is not in it, and the offices send it again
    after a restore.
    """
    part = file.with_name(file.name + _PART)
    part.unlink(missing_ok=True)
    try:
        # Made first, so that the copy is readable by its owner alone from its first byte on.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with translated():
            store.connection.execute("VACUUM INTO ?", (str(part),))
        copy = connect(part)
        try:
            with transaction(copy):
                pem = (store.directory / KEY_FILE).read_bytes()
                copy.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('key', ?)", (pem,))
            with translated():
                # One file, without a log beside it.
                copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
        _sync(part)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return file.stat().st_size


def restore(file: Path, directory: Path) -> None:
    """Make a hub in ``directory`` from a backup. A kill in between leaves no hub there; restore again.

    The hub's own history goes on in a new epoch: what it wrote after the backup may live on elsewhere.

    Raises:
        InvalidInputError: not a backup, a damaged one, or the directory holds something else.
    """
    if not file.is_file():
        raise InvalidInputError("there is no such file", field="FILE", value=str(file))
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / (DATABASE + _PART)
    leftovers = {part.name, part.name + "-wal", part.name + "-shm", part.name + "-journal", KEY_FILE}
    found = {one.name for one in directory.iterdir()}
    if found - leftovers:
        raise InvalidInputError(
            "a hub is restored into an empty directory only", field="DIR", value=str(directory),
            hint="Choose another, or move what is there away.",
        )  # fmt: skip
    for name in found:
        (directory / name).unlink()
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    shutil.copyfile(file, part)
    try:
        _prepare(part, directory / KEY_FILE)
    except BaseException:
        for name in leftovers:
            (directory / name).unlink(missing_ok=True)
        raise
    _sync(part)
    part.replace(directory / DATABASE)


def _prepare(part: Path, key_path: Path) -> None:
    try:
        connection = connect(part)
    except SepeError as exc:
        raise _refusal() from exc
    try:
        pem = _key_inside(connection)
        with os.fdopen(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with transaction(connection):
            connection.execute("DELETE FROM meta WHERE name = 'key'")
            OwnHistory(connection, keys.load(key_path)).open_epoch()
        with translated():
            connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()


def _key_inside(connection: Connection) -> bytes:
    """The hub's key, when the copy is whole and is a hub's."""
    try:
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _refusal()
        pem = bytes(connection.execute("SELECT value FROM meta WHERE name = 'key'").fetchone()[0])
        load_pem_private_key(pem, password=None)
    except Exception as exc:
        # No such table, no such row, no such key: whatever it is, it is no backup of ours.
        raise _refusal() from exc
    return pem


def _refusal() -> InvalidInputError:
    return InvalidInputError(
        "this is not a whole backup of a hub", field="FILE", hint="It is made by `sepe hub backup DIR FILE`."
    )


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
