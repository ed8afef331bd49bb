"""A copy of the whole hub in one file, taken while it runs, and back.

The file is the database as it stood at one commit, with the hub's own key and its authority inside: a restored hub
must go on signing as itself, and offices know it by that authority. So the file is as secret as the directory.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hub.engine.place import is_postgres
from hub.merge.own import OwnHistory
from hub.merge.store import DATABASE, KEY_FILE, HubStore
from hub.tls import FOLDER as TLS_FOLDER
from hub.tls import HubTls
from sepe.errors import InvalidInputError, SepeError
from sepe_io import keys
from sepe_io.certificates import Issued
from sepe_io.sqlite import Connection, connect, transaction, translated

_PART = ".part"
_AUTHORITY = ("tls_certificate", "tls_key")


def backup(store: HubStore, file: Path) -> int:
    """Write the copy; return its bytes. An older file of that name is replaced once the new one is whole.

    Merging goes on meanwhile; what commits after the copy began is not in it, and the offices send it again
    after a restore.

    Raises:
        InvalidInputError: the hub's data is in PostgreSQL.
    """
    if is_postgres(store.connection):
        raise InvalidInputError(
            "this hub stores in PostgreSQL, whose own tools copy it", field="DIR", value=str(store.directory),
            hint="pg_dump of its database, and a copy of DIR for the hub's keys and attachments: see"
            " docs/reference/postgresql.md.",
        )  # fmt: skip
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
                for name, value in _authority_inside(store.directory):
                    copy.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))
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
    leftovers = {part.name, part.name + "-wal", part.name + "-shm", part.name + "-journal", KEY_FILE, TLS_FOLDER}
    found = {one.name for one in directory.iterdir()}
    if found - leftovers:
        raise InvalidInputError(
            "a hub is restored into an empty directory only", field="DIR", value=str(directory),
            hint="Choose another, or move what is there away.",
        )  # fmt: skip
    _clear(directory, found)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    shutil.copyfile(file, part)
    try:
        _prepare(part, directory)
    except BaseException:
        _clear(directory, leftovers)
        raise
    _sync(part)
    part.replace(directory / DATABASE)


def _clear(directory: Path, names: set[str]) -> None:
    """Remove what a restore that was cut short left."""
    for name in names - {TLS_FOLDER}:
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / TLS_FOLDER, ignore_errors=True)


def _prepare(part: Path, directory: Path) -> None:
    key_path = directory / KEY_FILE
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
            _put_authority(connection, directory)
            OwnHistory(connection, keys.load(key_path)).open_epoch()
        with translated():
            connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()


def _authority_inside(directory: Path) -> list[tuple[str, bytes]]:
    """The authority's certificate and key as rows; none when its key is kept elsewhere."""
    authority = HubTls(directory).authority
    if authority is None:
        return []
    return list(zip(_AUTHORITY, (authority.certificate_pem, authority.key_pem), strict=True))


def _put_authority(connection: Connection, directory: Path) -> None:
    rows = dict(connection.execute("SELECT name, value FROM meta WHERE name IN (?, ?)", _AUTHORITY).fetchall())
    if len(rows) == len(_AUTHORITY):
        HubTls(directory).put_authority(Issued(*(bytes(rows[name]) for name in _AUTHORITY)))
        connection.execute("DELETE FROM meta WHERE name IN (?, ?)", _AUTHORITY)


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
