"""One nats-server of a cluster or below it, kept alive and kept told who may send: ``sepe hub broker``.

The same supervision as the embedded server has, on a machine where no hub need run. A server of the cluster reads
the hub's database for the keys of the offices, so that enrolling and revoking reach each of them within seconds. A
leaf stands in a province and has no way to that database: it looks at a file (`hub.broker_leaf`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from hub.broker import Broker
from hub.broker_config import Seat
from hub.broker_leaf import Leaf, LeafFolder, follow
from hub.ending import until_stopped
from hub.gate import Gate
from hub.merge.store import HubStore
from hub.tls import HubTls, wants_tls
from sepe_io import supervisor
from sepe_io.logs import logger
from sepe_io.process import stop_requests
from sepe_io.tasks import end_tasks

# Lets the server know, until cancelled, who may send from now on.
Telling = Coroutine[None, None, None]

_log = logger("hub.broker")


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """What ``sepe hub broker`` was told.

    Attributes:
        directory: the hub's, or a copy of it: its key, its certificates and the way to its database. Of a leaf:
            the folder that `sepe hub leaf` made.
        listen: where hub and offices reach this server.
        store: where frames lie; ``None`` is a folder of its own in the directory.
        tls: ``auto``, ``on`` or ``off``; see `hub.tls.wants_tls`, also for ``insecure_lab``. A leaf has no choice.
    """

    directory: Path
    seat: Seat | Leaf
    listen: tuple[str, int]
    store: Path | None = None
    tls: str = "auto"
    insecure_lab: bool = False


async def run_broker(options: BrokerOptions, on_ready: Callable[[str], None]) -> None:
    """Run until somebody asks this process to end; ``on_ready`` is called once, with the server's URL.

    Raises:
        InvalidInputError: plain lines beyond this machine were asked for, or there is no hub in the directory;
            of a leaf: a file of its folder is missing or is something else.
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
        if isinstance(options.seat, Leaf):
            telling: Telling | None = _told_by_file(options.directory, broker)
        else:
            telling = _told_by_database(options, options.seat, broker, stack)
        if telling is not None:
            tasks.append(asyncio.create_task(telling, name="gate"))
        await broker.start()
        # The keeper inside starts a dead or frozen server again; what is watched from outside is this program.
        tasks.append(asyncio.create_task(supervisor.keep_alive(), name="watchdog"))
        stack.push_async_callback(end_tasks, tasks)
        on_ready(broker.url)
        supervisor.ready(f"{options.seat.name} at {broker.url}")
        _log.info("broker.started", server=options.seat.name, url=broker.url)
        await until_stopped(stop, tasks)
        _log.info("broker.stopping")


def _told_by_file(directory: Path, broker: Broker) -> Telling:
    folder = LeafFolder(directory)
    broker.access = access = folder.access()
    return follow(folder, access, broker.admit)


def _told_by_database(options: BrokerOptions, seat: Seat, broker: Broker, stack: AsyncExitStack) -> Telling | None:
    """``None`` for plain lines, which let everybody in."""
    hosts = [options.listen[0], seat.listen[0], *([seat.leaves.listen[0]] if seat.leaves else [])]
    if not wants_tls(options.tls, hosts, insecure_lab=options.insecure_lab, was_on=False):
        return None
    store = HubStore.open(options.directory)
    stack.callback(store.close)
    tls = HubTls(options.directory)
    names = [host for host in hosts if host not in ("0.0.0.0", "::")]
    tls.ensure(names, now_ms=time.time_ns() // 1_000_000)
    gate = Gate(store, tls, broker)
    broker.access = gate.access()
    return gate.run()
