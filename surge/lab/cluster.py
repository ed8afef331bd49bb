"""Three nats-servers on this machine, each a process that may be killed, frozen, or replaced by an empty one.

Every server has exactly the configuration that `sepe hub broker` writes. None is restarted by itself: what is down
stays down until somebody says so. All end with the process that made them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nats.aio.client import Client as NatsClient

from hub.broker_config import Seat, find_program, server_command, server_config
from sepe import subjects
from sepe.errors import SepeError, TransientError
from sepe_io.address import join_address
from sepe_io.channel import close_nats, connect_nats
from sepe_io.process import free_port

HOST = "127.0.0.1"
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Server:
    """One server. ``process`` is ``None`` until its first start."""

    seat: Seat
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    is_frozen: bool = False

    @property
    def name(self) -> str:
        return self.seat.name

    @property
    def url(self) -> str:
        return f"nats://{join_address(HOST, self.port)}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it where it stood; its store is what it left."""
        if self.is_running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats-server.conf"
        told = server_config(
            name=self.name, address=(HOST, self.port), store=self._store, seat=self.seat,
            pid_file=self.folder / "nats-server.pid", log_file=self.folder / "nats-server.log",
        )  # fmt: skip
        config.write_text(json.dumps(told, indent=1), encoding="utf-8")
        self.process = subprocess.Popen(
            server_command(find_program(), config),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.is_frozen = False

    def kill(self) -> None:
        """End it as a power cut of its machine would; it also ends while it is frozen."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT_S)

    def freeze(self) -> None:
        """Its connections stay open, and it says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.is_frozen = False

    def empty(self) -> None:
        """Throw its store away, as when its machine is replaced by a new one. It must not run."""
        assert not self.is_running
        shutil.rmtree(self._store, ignore_errors=True)

    @property
    def _store(self) -> Path:
        return self.folder / "jetstream"


@dataclass(slots=True)
class LabCluster:
    """The servers; `start` makes them run, `end` ends them by their ids."""

    folder: Path
    size: int = 3
    servers: list[Server] = field(default_factory=list)

    def __post_init__(self) -> None:
        routes = [(HOST, free_port(HOST)) for _ in range(self.size)]
        told = tuple(join_address(*route) for route in routes)
        self.servers = [
            Server(Seat(f"n{number}", route, told), free_port(HOST), self.folder / f"n{number}")
            for number, route in enumerate(routes, 1)
        ]

    @property
    def url(self) -> str:
        """All of them, as ``--nats`` takes it."""
        return ",".join(server.url for server in self.servers)

    def named(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)

    def start(self) -> None:
        for server in self.servers:
            server.start()

    def end(self) -> None:
        for server in self.servers:
            with suppress(subprocess.TimeoutExpired):
                server.kill()

    async def until_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns when a leader answers for the whole of JetStream.

        Raises:
            SepeError: it does not within the time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with suppress(TransientError, TimeoutError):
                async with asyncio.timeout(2):
                    client = await self.client()
                    try:
                        if "streams" in await asked(client, "$JS.API.INFO"):
                            return
                    finally:
                        await close_nats(client)
            if time.monotonic() > deadline:
                raise SepeError(f"no leader among the {self.size} servers within {timeout_s:.0f} s")
            await asyncio.sleep(0.05)

    async def client(self) -> NatsClient:
        """A connection to a server that answers; close it with `close_nats`. Raises TransientError."""
        alive = ",".join(server.url for server in self.servers if server.is_running and not server.is_frozen)
        return await connect_nats(alive, name="lab", on_error=lambda exc: None, on_down=lambda: None)

    async def leader(self, stream: str = subjects.STREAM) -> str:
        """The name of the stream's leader; ``""`` while there is none, or nobody answers."""
        with suppress(TransientError, TimeoutError):
            client = await self.client()
            try:
                found = await asked(client, f"$JS.API.STREAM.INFO.{stream}")
            finally:
                await close_nats(client)
            cluster = found.get("cluster")
            return str(cluster.get("leader") or "") if isinstance(cluster, dict) else ""
        return ""

    async def until_led(
        self, *, without: str = "", stream: str = subjects.STREAM, timeout_s: float = READY_TIMEOUT_S
    ) -> str:
        """The name of the stream's leader, once there is one other than ``without``."""
        deadline = time.monotonic() + timeout_s
        while not (found := await self.leader(stream)) or found == without:
            if time.monotonic() > deadline:
                raise SepeError(f"the stream has no new leader within {timeout_s:.0f} s")
            await asyncio.sleep(0.1)
        return found

    async def until_whole(self, stream: str = subjects.STREAM, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns when every replica of the stream holds what its leader holds."""
        deadline = time.monotonic() + timeout_s
        while True:
            with suppress(TransientError, TimeoutError):
                client = await self.client()
                try:
                    cluster = (await asked(client, f"$JS.API.STREAM.INFO.{stream}")).get("cluster")
                finally:
                    await close_nats(client)
                peers = cluster.get("replicas", []) if isinstance(cluster, dict) else []
                if len(peers) == self.size - 1 and all(one.get("current") for one in peers):
                    return
            if time.monotonic() > deadline:
                raise SepeError(f"a replica of the stream is not level within {timeout_s:.0f} s")
            await asyncio.sleep(0.1)


async def asked(client: NatsClient, subject: str, question: bytes = b"") -> dict[str, object]:
    """JetStream's answer to a request of its API; ``{}`` when nobody is there to answer."""
    from nats.errors import Error

    try:
        answer = await client.request(subject, question, timeout=2)
        found = json.loads(answer.data)
    except (Error, ValueError, TimeoutError):
        return {}
    return found if isinstance(found, dict) else {}
