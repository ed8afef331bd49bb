"""The embedded nats-server: a supervised child that the hub starts, watches, restarts and ends.

The broker is a pipe, never the record, so everything here may be lost: a store that keeps the server from starting
is moved aside and an empty one takes its place, and the offices send again what the hub has not acknowledged.

No orphan stays behind. On Linux the kernel ends the child when the hub dies, however it dies. Elsewhere, and as a
second net, the next hub on the same directory recognises an old server by the name it answers with (a random one
per directory) and ends it; the process id comes from the file which that very server wrote, so a reused id is
never hit.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hub.broker_access import BrokerAccess
from hub.broker_config import Seat, find_program, server_command, server_config
from hub.broker_leaf import Leaf, LeafAccess
from sepe.errors import SepeError
from sepe_io.address import AddressBusyError, join_address
from sepe_io.files import replace_file
from sepe_io.logs import logger
from sepe_io.process import end_child, port_is_free
from sepe_io.tasks import end_tasks

START_TIMEOUT_S = 15.0
PROBE_EVERY_S = 5.0
PROBE_TIMEOUT_S = 5.0
# A server that accepts connections and says nothing this often is frozen and gets killed.
PROBES_FAILED_MAX = 3
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 5.0
# So many starts in a row that fail: it is the store. JetStream's own recovery has had its chances.
STARTS_FAILED_MAX = 5
# A store that held frames for the hub is worth a look by a person, ten of them are not.
BROKEN_STORES_MAX = 2

_log = logger("hub.broker")


@dataclass(slots=True)
class Broker:
    """One nats-server in ``directory``, with JetStream unless it is a leaf.

    Attributes:
        restarts: how often it was started again since `start`.
        access: certificate and users; ``None`` for a plain server that is open to all on this machine.
        seat: its place in a cluster, or below one; ``None`` for a server alone.
    """

    directory: Path
    host: str
    port: int
    restarts: int = 0
    access: BrokerAccess | LeafAccess | None = None
    seat: Seat | Leaf | None = None
    _name: str = ""
    _program: Path = field(default_factory=Path)
    _child: asyncio.subprocess.Process | None = None
    _keeper: asyncio.Task[None] | None = None
    _is_up: bool = False
    _is_outdated: bool = False

    @property
    def scheme(self) -> str:
        return "nats" if self.access is None else "tls"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{join_address(_reachable(self.host), self.port)}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._child is None or self._child.returncode is not None else self._child.pid

    async def start(self) -> None:
        """Start the server and watch over it until `stop`.

        Raises:
            AddressBusyError: another program has the port.
            SepeError: the server does not start, with the end of its log.
        """
        self._program = find_program()
        await self.end_orphan()
        if not port_is_free(self.host, self.port):
            raise AddressBusyError(
                f"cannot listen on {join_address(self.host, self.port)}: another program uses it"
            )
        self._write_config()
        for attempt in range(STARTS_FAILED_MAX + 1):
            if await self._spawn():
                break
            if attempt == STARTS_FAILED_MAX - 1:
                self._set_store_aside()
        else:
            raise SepeError(f"nats-server does not start; the end of its log: {self._log_end()}")
        self._keeper = asyncio.create_task(self._keep(), name="broker")

    def admit(self, access: BrokerAccess | LeafAccess) -> None:
        """Another certificate or other users. Connections of those that stay are not touched."""
        self.access = access
        self._write_config()
        self._is_outdated = True
        self._reload()

    async def stop(self) -> None:
        """End the server."""
        if self._keeper is not None:
            await end_tasks([self._keeper])
        if self._child is not None:
            await end_child(self._child)

    async def _keep(self) -> None:
        failed_starts = 0
        while True:
            await self._until_dead()
            self._is_up = False
            _log.warning("broker.died", code=self._child.returncode if self._child else None)
            self.restarts += 1
            backoff_s = min(BACKOFF_S_MIN * 2**failed_starts, BACKOFF_S_MAX)
            await asyncio.sleep(backoff_s)
            if await self._spawn():
                _log.info("broker.restarted", restarts=self.restarts)
                failed_starts = 0
                continue
            failed_starts += 1
            if failed_starts == STARTS_FAILED_MAX:
                self._set_store_aside()

    async def _until_dead(self) -> None:
        """Returns when the child has ended, by itself or because it was frozen."""
        assert self._child is not None
        failed = 0
        while self._child.returncode is None:
            try:
                async with asyncio.timeout(PROBE_EVERY_S):
                    await self._child.wait()
            except TimeoutError:
                failed = 0 if await self._is_ours(PROBE_TIMEOUT_S) else failed + 1
                if failed >= PROBES_FAILED_MAX:
                    _log.warning("broker.frozen", probes=failed)
                    with suppress(ProcessLookupError):
                        self._child.kill()
                    await self._child.wait()

    async def _spawn(self) -> bool:
        """Start the child once; whether it answers, with JetStream ready where it has one."""
        self._child = await asyncio.create_subprocess_exec(
            *server_command(self._program, self._config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        try:
            while asyncio.get_running_loop().time() < deadline and self._child.returncode is None:
                if await self._is_ours(1.0):
                    self._is_up = True
                    self._reload()
                    return True
                await asyncio.sleep(0.02)
        except BaseException:
            await end_child(self._child)
            raise
        await end_child(self._child)
        _log.warning("broker.start_failed", log=self._log_end())
        return False

    def _reload(self) -> None:
        """Make the server read its configuration again; not while it starts, when the signal would end it."""
        if not (self._is_up and self._is_outdated and self._child is not None):
            return
        self._is_outdated = False
        with suppress(ProcessLookupError):
            if sys.platform == "win32":
                self._child.kill()  # There is no such signal there; the keeper starts it anew.
            else:
                self._child.send_signal(signal.SIGHUP)

    async def _is_ours(self, timeout_s: float, *, either_way: bool = False) -> bool:
        """Whether our server answers, with its JetStream ready; ``either_way``: whether or not it speaks TLS."""
        ways = (True, False) if either_way else (self.access is not None,)
        for by_tls in ways:
            if await self._greeted_name(timeout_s, by_tls=by_tls) == self._name:
                return True
        return False

    async def _greeted_name(self, timeout_s: float, *, by_tls: bool) -> str:
        """The server's name from the INFO line it greets with; "" when it is silent or JetStream is not ready."""
        context = None
        if by_tls:
            # Only its name is asked, and nothing is told: whose certificate it is does not matter here.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(_reachable(self.host), self.port, ssl=context)
                try:
                    line = await reader.readline()
                finally:
                    writer.close()
            info = json.loads(line.removeprefix(b"INFO "))
        except (OSError, TimeoutError, ValueError):
            return ""
        is_whole = isinstance(info, dict) and (isinstance(self.seat, Leaf) or info.get("jetstream"))
        return str(info.get("server_name", "")) if is_whole else ""

    async def end_orphan(self) -> None:
        """End the server of an earlier hub of this directory that was killed, if it still listens at `port`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._name = self._own_name()
        if port_is_free(self.host, self.port) or not await self._is_ours(2.0, either_way=True):
            return
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            _log.warning("broker.orphan_ended", pid=pid)
            os.kill(pid, signal.SIGTERM)
        for _ in range(250):
            if port_is_free(self.host, self.port):
                return
            await asyncio.sleep(0.02)

    def _own_name(self) -> str:
        if self.seat is not None:
            return self.seat.name
        path = self.directory / "name"
        with suppress(OSError):
            if found := path.read_text(encoding="ascii").strip():
                return found
        name = f"sepe-hub-{secrets.token_hex(8)}"
        path.write_text(name, encoding="ascii")
        return name

    def _write_config(self) -> None:
        config = server_config(
            name=self._name, address=(self.host, self.port), store=self._store, pid_file=self._pid_file,
            log_file=self._log_file, access=self.access, seat=self.seat,
        )  # fmt: skip
        replace_file(self._config, json.dumps(config, indent=1).encode())

    def _set_store_aside(self) -> None:
        for number in range(1, BROKEN_STORES_MAX + 1):
            aside = self.directory / f"jetstream.broken-{number}"
            if not aside.exists():
                break
        else:
            shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            self._store.rename(aside)
            _log.error("broker.store_set_aside", aside=aside.name)

    def _log_end(self) -> str:
        try:
            lines = self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return " | ".join(lines[-3:])

    @property
    def _config(self) -> Path:
        return self.directory / "nats-server.conf"

    @property
    def _pid_file(self) -> Path:
        return self.directory / "nats-server.pid"

    @property
    def _log_file(self) -> Path:
        return self.directory / "nats-server.log"

    @property
    def _store(self) -> Path:
        return self.directory / "jetstream"


def _reachable(host: str) -> str:
    """Where to connect to on this machine when a server listens at ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
