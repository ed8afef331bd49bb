"""A PostgreSQL server of its own on this machine, gone afterwards. Started by root it runs as another user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from sepe.errors import InvalidInputError, SepeError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
# The making of a data directory; what a server writes later is synced. A power cut takes the lab along anyway.
_UNSYNCED = "--no-sync"
SHARED_BUFFERS = "256MB"


@dataclass(slots=True)
class LabPostgres:
    """A server that listens on a socket in its own folder, and on no port. It syncs what it commits.

    Attributes:
        url: of the one database that was made for a hub.
        settings: more of postgresql.conf, each ``name=value``, from the next start on.
    """

    folder: Path
    user: str | None
    process: subprocess.Popen[bytes] | None = None
    settings: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"postgresql://sepe@/sepe?host={self.folder}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it, or start it again.

        Raises:
            SepeError: it does not answer, with the end of its log.
        """
        options = (
            "listen_addresses=", f"unix_socket_directories={self.folder}", f"shared_buffers={SHARED_BUFFERS}",
            "max_wal_size=4GB", *self.settings,
        )  # fmt: skip
        told = [word for one in options for word in ("-c", one)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_tools() / "postgres", "-D", self.folder / "data", *told],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self.user, cwd=self.folder,
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with suppress(psycopg.OperationalError):
                psycopg.connect(f"postgresql://sepe@/postgres?host={self.folder}").close()
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(errors="replace")[-500:]
                raise SepeError(f"PostgreSQL does not start; the end of its log: {said}")
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT at once, as a crash does; SIGINT with a checkpoint, as `pg_ctl stop` does."""
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def native(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one statement, as the server's owner, in a transaction of its own."""
        with psycopg.connect(f"postgresql://sepe@/postgres?host={self.folder}", autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def promote(self) -> None:
        """Make a standby the server that is written to; returns when it takes writes."""
        self.native("SELECT pg_promote(true, 60)")


@contextmanager
def standby_of(primary: LabPostgres, name: str) -> Iterator[LabPostgres]:
    """A second server that follows the first as ``name``, ended and removed with the block.

    Raises:
        SepeError: it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="sepe-pg-"))
    server = LabPostgres(folder, primary.user)
    try:
        if server.user is not None:
            shutil.chown(folder, server.user)
        source = f"host={primary.folder} user=sepe application_name={name}"
        subprocess.run(
            [
                _tools() / "pg_basebackup", "-D", folder / "data", "-d", source, "-R", "-X", "stream",
                "-c", "fast", _UNSYNCED,
            ],
            check=True, capture_output=True, user=server.user, cwd=folder,
        )  # fmt: skip
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lab_postgres() -> Iterator[LabPostgres]:
    """A running server with an empty database, ended and removed with the block.

    Raises:
        InvalidInputError: PostgreSQL is not installed here.
    """
    tools = _tools()
    folder = Path(tempfile.mkdtemp(prefix="sepe-pg-"))
    user = _other_user() if os.geteuid() == 0 else None
    server = LabPostgres(folder, user)
    try:
        if user is not None:
            shutil.chown(folder, user)
        subprocess.run(
            [
                tools / "initdb", "-D", folder / "data", "-U", "sepe", "-A", "trust", "-E", "UTF8", "--locale=C",
                _UNSYNCED,
            ],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        server.start()
        with psycopg.connect(f"postgresql://sepe@/postgres?host={folder}", autocommit=True) as connection:
            connection.execute("CREATE DATABASE sepe")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _tools() -> Path:
    """The folder with ``initdb`` and ``postgres``. Debian keeps them out of PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not installed:
        raise InvalidInputError(
            "PostgreSQL is not installed here", field="--start-postgresql",
            hint="apt-get install postgresql, or give --postgresql URL of an empty database.",
        )  # fmt: skip
    return installed[-1]


def _other_user() -> str:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            pwd.getpwnam(name)
            return name
    raise InvalidInputError("PostgreSQL does not run as root", field="--start-postgresql", hint="Be another user.")
