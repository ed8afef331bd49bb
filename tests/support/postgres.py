"""A real PostgreSQL server for tests: one for each process of the test run, a fresh database for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
_numbers = count(1)


@dataclass
class PostgresServer:
    """A running server; it listens on a socket in its own folder, and on no port.

    Attributes:
        url: of one database, to be filled in by ``url.format(name)``.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    url: str
    names: list[str] = field(default_factory=list)

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"hub_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url.format("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.names.append(name)
        return self.url.format(name)


def emptied(url: str) -> str:
    """The database as it was before its first hub: much faster than a new one."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'sepe'").fetchall()
        names = [f"sepe.{name}" for (name,) in rows if name != "schema_step"]
        if names:
            connection.execute(f"TRUNCATE {', '.join(names)} RESTART IDENTITY")
    return url


def programs() -> Path:
    """The folder with ``initdb`` and ``postgres``. Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert newest, "PostgreSQL is not installed: apt-get install postgresql"
    return newest[-1]


@contextmanager
def serving(*settings: str) -> Iterator[PostgresServer]:
    """A server that ends with the block. ``settings``: as in postgresql.conf, ``name=value``.

    It does not sync its files: no test cuts the power of this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="sepe-pg-"))
    # The server refuses to run as root.
    user = None
    if os.geteuid() == 0:
        user = "postgres" if _is_user("postgres") else "nobody"
        shutil.chown(folder, user)
    data, tools = folder / "data", programs()
    try:
        subprocess.run(
            [tools / "initdb", "-D", data, "-U", "sepe", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        options = ("listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", *settings)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [tools / "postgres", "-D", data, *(part for option in options for part in ("-c", option))],
                stdout=log, stderr=log, user=user, cwd=folder,
            )  # fmt: skip
        try:
            url = f"postgresql://sepe@/{{}}?host={folder}"
            _await(url.format("postgres"), process, folder / "log")
            yield PostgresServer(folder, process, url)
        finally:
            # Immediate shutdown: nobody needs its data any more.
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None and time.monotonic() < until, log.read_text(errors="replace")
            time.sleep(0.02)
