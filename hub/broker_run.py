"""One nats-server of a cluster, kept alive and kept told who may send: ``sepe hub broker``.

The same supervision as the embedded server has, on a machine where no hub need run. It reads the hub's database
for the keys of the offices, so that enrolling and revoking reach every server of the cluster within seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from hub.broker import Broker
from hub.broker_config import Seat
from hub.ending import until_stopped
from hub.gate import Gate
from hub.merge.store import HubStore
from hub.tls import HubTls, wants_tls
from sepe_io import supervisor
from sepe_io.logs import logger
from sepe_io.process import stop_requests
from sepe_io.tasks import end_tasks

_log = logger("hub.broker")


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """What ``sepe hub broker`` was told.

    Attributes:
        directory: the hub's, or a copy of it: its key, its certificates and the way to its database.
        listen: where hub and offices reach this server.
        store: where frames lie; ``None`` is a folder of its own in the directory.
        tls: ``auto``, ``on`` or ``off``; see `hub.tls.wants_tls`, also for ``insecure_lab``.
    """

    directory: Path
    seat: Seat
    listen: tuple[str, int]
    store: Path | None = None
    tls: str = "auto"
    insecure_lab: bool = False


async def run_broker(options: BrokerOptions, on_ready: Callable[[str], None]) -> None:
    """Run until somebody asks this process to end; ``on_ready`` is called once, with the server's URL.

    Raises:
        InvalidInputError: plain lines beyond this machine were asked for, or there is no hub in the directory.
        AddressBusyError: another program has the port.
        SepeError: the server does not start.
    """
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_requests())
        folder = options.store or options.directory / f"nats-{options.seat.name}"
        broker = Broker(folder, *options.listen, seat=options.seat)
        tasks: list[asyncio.Task[None]] = []
        # Registered first, so that a start that is cut short leaves no server behind.
        stack.push_async_callback(broker.stop)
        leaves = options.seat.leaves
        hosts = [options.listen[0], options.seat.listen[0], *([leaves.listen[0]] if leaves else [])]
        if wants_tls(options.tls, hosts, insecure_lab=options.insecure_lab, was_on=False):
            store = HubStore.open(options.directory)
            stack.callback(store.close)
            tls = HubTls(options.directory)
            names = [host for host in hosts if host not in ("0.0.0.0", "::")]
            tls.ensure(names, now_ms=time.time_ns() // 1_000_000)
            gate = Gate(store, tls, broker)
            broker.access = gate.access()
            tasks.append(asyncio.create_task(gate.run(), name="gate"))
        await broker.start()
        # The keeper inside starts a dead or frozen server again; what is watched from outside is this program.
        tasks.append(asyncio.create_task(supervisor.keep_alive(), name="watchdog"))
        stack.push_async_callback(end_tasks, tasks)
        on_ready(broker.url)
        supervisor.ready(f"{options.seat.name} at {broker.url}")
        _log.info("broker.started", server=options.seat.name, url=broker.url)
        await until_stopped(stop, tasks)
        _log.info("broker.stopping")
