"""The hub of a run: one that is given, or one that is started here as a real process of its own."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from grpc import aio

from hub import endpoints
from hub.merge.registry import add_key
from hub.merge.store import HubStore, is_hub
from node.link.link import GREET_TIMEOUT_S, OPEN_TIMEOUT_S
from node.link.trouble import diagnose
from node.link.trust import HubTrust
from sepe.errors import InvalidInputError, TransientError
from sepe.rpc.v1 import sync_pb2 as rpc
from sepe.rpc.v1.sync_pb2_grpc import SyncStub
from sepe.sync.centre import CONTRACT
from sepe.wire.v1 import sync_pb2
from sepe_io.address import split_address
from sepe_io.frames import sign_hello
from sepe_io.keys import Signer
from sepe_io.sqlite import transaction
from surge.chaos.blows import freeze, strike_broker, strike_stream
from surge.chaos.cast import Kept, broker_pid, sepe
from surge.demo.parts import run_sepe
from surge.run.office import Addresses

HUB_READY_S = 60.0
SLOW_STEP_S = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class HubSide:
    """The hub as the player sees it.

    Attributes:
        directory: where its database is, ``None`` for a hub on another machine.
        kept: its process when it was started here.
    """

    addresses: Addresses
    directory: Path | None = None
    kept: Kept | None = None
    cpu_s: dict[str, float] = field(default_factory=dict)
    _ended_s: dict[str, float] = field(default_factory=dict)
    _pids: dict[str, int] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether faults may strike it and its processes are measured."""
        return self.kept is not None

    # Faults

    async def strike(self, blow: str, target: str, for_s: float) -> bool:
        """Do it to the real process; whether there was something to hit. Returns when it is over.

        Args:
            for_s: machine seconds that a stop or a death lasts; a killed process comes back by itself.
        """
        if blow in ("purge", "delete"):
            return await strike_stream(f"nats://{self.addresses.nats}", delete=blow == "delete")
        if self.kept is None:
            return False
        if target == "broker":
            return await strike_broker(self.kept, freeze_s=None if blow == "kill" else for_s)
        if blow == "slow":
            return await _slow(self.kept, for_s)
        if blow == "kill":
            landed = self.kept.send(signal.SIGKILL)
            if for_s:  # Dead for a while: whoever watches over it starts it again only then.
                await self.kept.stop()
                await asyncio.sleep(for_s)
                self.kept.start()
            return landed
        return await freeze(self.kept, for_s)

    async def is_up(self) -> bool:
        """Whether something answers at its gRPC port."""
        host, port = split_address(self.addresses.grpc)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
        return False

    # Measures

    def use(self, part: str) -> tuple[float, int]:
        """(CPU seconds so far over all its starts, resident bytes now) of ``hub`` or ``broker``; 0 if unknown."""
        pid = self._pid(part)
        found = None if pid is None else _use_of(pid)
        if found is None or pid is None:
            return self.cpu_s.get(part, 0.0), 0
        if self._pids.get(part) != pid:
            self._ended_s[part], self._pids[part] = self.cpu_s.get(part, 0.0), pid
        self.cpu_s[part] = self._ended_s[part] + found[0]
        return self.cpu_s[part], found[1]

    def _pid(self, part: str) -> int | None:
        if self.kept is None or self.kept.child is None or self.kept.child.returncode is not None:
            return None
        return self.kept.child.pid if part == "hub" else broker_pid(self.kept)

    # Letting offices in

    def let_in(self, keys: Mapping[str, str]) -> None:
        """Make the offices' keys known in the hub's own database; blocking."""
        assert self.directory is not None
        now_ms = time.time_ns() // 1_000_000
        with HubStore.open(self.directory) as store, transaction(store.connection):
            for node, key in keys.items():
                add_key(store.connection, node, bytes.fromhex(key), now_ms=now_ms)

    async def stop(self) -> None:
        """End what was started here."""
        if self.kept is not None:
            self.kept.send(signal.SIGCONT)
            await self.kept.stop()


async def start_hub(
    folder: Path, *, database: str = "", command: Callable[[Sequence[object]], list[str]] = sepe
) -> HubSide:
    """A fresh hub with its nats-server; ``command`` builds its command line (tests plant bugs there).

    Raises:
        TransientError: it did not come up; the end of its log is told.
    """
    directory = folder / "hub"
    await run_sepe("hub", "init", directory, *(("--db", database) if database else ()))
    log = folder / "hub.log"
    kept = Kept("hub", command((
        "hub", "run", directory, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--nats-port", 0,
    )), log)  # fmt: skip
    kept.start()
    try:
        await kept.until_ready(HUB_READY_S)
    except TimeoutError as exc:
        await kept.stop()
        said = log.read_text(errors="replace")[-1500:]
        raise TransientError(
            f"the hub did not start within {HUB_READY_S:g} s; its log ends with:\n{said}"
        ) from exc
    nats, http = urlsplit(kept.ready["nats"]), urlsplit(kept.ready["http"])
    # Whenever it comes back, it is where the offices know it.
    kept.command = command((
        "hub", "run", directory, "--grpc", kept.ready["grpc"], "--http", http.netloc, "--nats-port", nats.port,
    ))  # fmt: skip
    return HubSide(Addresses(kept.ready["grpc"], nats.netloc), directory, kept)


async def given_hub(where: str) -> HubSide:
    """The hub at ``HOST:PORT``, or the one that runs from a directory on this machine.

    Raises:
        InvalidInputError: no address and no hub's directory.
        TransientError: nobody is there, it is no hub, or it speaks another contract.
    """
    path = Path(where)
    if path.is_dir():
        if not is_hub(path):
            raise InvalidInputError(
                "no hub was ever made here", field="--hub", value=where,
                hint="Give the directory of `sepe hub init`, or HOST:PORT.",
            )  # fmt: skip
        found = endpoints.read(path)
        if not found.grpc:
            raise TransientError(f"the hub in {where} does not run: sepe hub run {where}")
        await probe(found.grpc)
        return HubSide(Addresses(found.grpc, urlsplit(found.nats).netloc), path)
    split_address(where, field="--hub")
    await probe(where)
    return HubSide(Addresses(where, ""))


async def probe(address: str) -> None:
    """Greet as a stranger: whatever refuses a stranger by our contract is a hub of our version.

    Raises:
        TransientError: see `given_hub`.
    """
    hello = sync_pb2.Hello(node="000000-1", epoch=bytes(16), contract=CONTRACT, software="sepe surge")
    signed = sign_hello(hello, Signer.generate())
    async with aio.insecure_channel(address) as channel:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await channel.channel_ready()
            answer = await SyncStub(channel).Hello(rpc.HelloRequest(hello=signed), timeout=GREET_TIMEOUT_S)
        except (TimeoutError, aio.AioRpcError) as exc:
            if isinstance(exc, aio.AioRpcError) and exc.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise TransientError(
                    f"{address} speaks gRPC but is no hub of this version: it does not know sepe.rpc.v1.Sync"
                ) from exc
            trouble = await diagnose(address, HubTrust())
            why = "nobody answers" if trouble is None else trouble.english
            raise TransientError(
                f"no hub at {address}: {why}. Start one (sepe hub run DIR) or leave --hub out to have one started"
            ) from exc
    if answer.ack.verdict != sync_pb2.VERDICT_REFUSED or not answer.ack.reason.startswith(("unknown", "bad")):
        raise TransientError(
            f"the hub at {address} answers a stranger with {answer.ack.reason or answer.ack.verdict!r}: it is of "
            "another version. Use the sepe of the same release on both sides"
        )


def check_handles(wanted: int) -> None:
    """Whether this machine gives a process so many open files.

    Raises:
        InvalidInputError: it does not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise InvalidInputError(
            f"each machine needs some {HANDLES_EACH} open files, and a process may have {hard} here",
            field="--nodes", value=wanted // HANDLES_EACH,
            hint=f"Take --nodes {hard // HANDLES_EACH} or fewer, more --workers, or raise `ulimit -Hn`.",
        )  # fmt: skip


# Two connections to the database with their log, two listening ends, and three sockets for each line that stands.
HANDLES_EACH = 16


async def _slow(hub: Kept, for_s: float) -> bool:
    """Let it have a fifth of the time, as a machine does that something else has taken hold of."""
    ends, landed = time.monotonic() + for_s, False
    while time.monotonic() < ends:
        landed |= hub.send(signal.SIGSTOP)
        await asyncio.sleep(SLOW_STEP_S * 4)
        hub.send(signal.SIGCONT)
        await asyncio.sleep(SLOW_STEP_S)
    return landed


def _use_of(pid: int) -> tuple[float, int] | None:
    """(CPU seconds, resident bytes) of a process, ``None`` when that cannot be told."""
    with suppress(OSError, ValueError, IndexError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _TICKS, int(words[21]) * resource.getpagesize()
    return None
