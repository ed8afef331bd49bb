"""A running hub: the parts put together, in the order in which they need each other, and taken apart in reverse.

`run_hub` is the whole hub. `run_worker` is one more merger on the same database that takes frames from NATS only;
give each worker partitions of its own, because frames of one office that two processes hold at once cost rewinds.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hub import endpoints
from hub.attach.service import AttachmentsService
from hub.attach.store import AttachmentStore
from hub.broker import Broker
from hub.ending import MovedError, either, leave, until_moved, until_stopped
from hub.endpoints import Endpoints
from hub.gate import Gate
from hub.http import Condition, Overview, application
from hub.ingest import partitions as setting
from hub.ingest.greetings import Greetings
from hub.ingest.grpc import GrpcIngest
from hub.ingest.leases import LeaseKeeper
from hub.ingest.merger import Merger
from hub.ingest.nats import NatsIngest
from hub.ingest.partitions import EVERYTHING, Share
from hub.ingest.policy import StreamPolicy, read_policy
from hub.ingest.writer import WriterThread
from hub.merge.ahead import Prover
from hub.merge.store import HubStore
from hub.metrics import Metrics
from hub.read import figures, status
from hub.tls import HubTls, open_tls, public_url
from hub.verify.watch import Times, keep_verifying
from sepe.errors import InvalidInputError, SepeError, TransientError
from sepe_io import handles, supervisor
from sepe_io.address import join_address
from sepe_io.channel import NatsIdentity
from sepe_io.logs import logger
from sepe_io.process import stop_requests
from sepe_io.sqlite import translated
from sepe_io.tasks import end_tasks
from sepe_io.web import HttpServer

EMBEDDED = "embedded"
GRPC_DEFAULT = ("127.0.0.1", 7443)
NATS_PORT_DEFAULT = 7422
HTTP_DEFAULT = ("127.0.0.1", 7480)
# Offices that come before JetStream is ready would find no stream; after this they take gRPC. An outside NATS may
# be down for a day, and gRPC serves meanwhile.
EMBEDDED_READY_TIMEOUT_S = 10.0
OUTSIDE_READY_TIMEOUT_S = 1.0
WRITER_STOP_TIMEOUT_S = 2.0
OVERVIEW_AGE_S_MAX = 3.0

_log = logger("hub.run")


class AlreadyRunningError(TransientError):
    """Another hub process works in this directory."""


@dataclass(frozen=True, slots=True)
class HubOptions:
    """What ``sepe hub run`` was told.

    Attributes:
        grpc: host and port; ``None`` is the address of last time, at first `GRPC_DEFAULT`; port 0 is the port of
            last time, at first a free one. The same holds for ``nats_port`` and ``http``.
        nats: ``embedded``, or the URL of an outside NATS.
        advertise: host under which offices reach this hub; ``""`` is the host of ``grpc``.
        partitions: which partitions this process takes from NATS; ``None``: by lease, shared with the workers.
        tls: ``auto``, ``on`` or ``off``; see `hub.tls.wants_tls`, also for ``insecure_lab``.
        verify: when everything is read back.
        provers: processes that prove frames beside the one that writes; ``None``: as many as there are cores.
    """

    directory: Path
    grpc: tuple[str, int] | None = None
    nats: str = EMBEDDED
    nats_port: int | None = None
    http: tuple[str, int] | None = None
    advertise: str = ""
    partitions: Share | None = None
    tls: str = "auto"
    insecure_lab: bool = False
    verify: Times = field(default_factory=Times)
    provers: int | None = None


OnReady = Callable[[Endpoints], None]


async def run_hub(options: HubOptions, on_ready: OnReady) -> None:
    """Run until somebody asks this process to end; ``on_ready`` is called once, when offices may come.

    When the data moves to another database (`hub copy`), the hub begins again there, on the same ports.

    Raises:
        InvalidInputError: there is no hub in the directory, or plain lines beyond this machine were asked for.
        AlreadyRunningError: another `run_hub` works there.
        AddressBusyError: another program has one of the ports.
    """
    while True:
        try:
            await _run_hub(options, on_ready)
            return
        except MovedError:
            _log.warning("hub.moved")
            on_ready = _tell_nobody


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What ``sepe hub worker`` was told.

    Attributes:
        nats: URL; ``""`` is the NATS of the hub in the directory.
        partitions: ``None``: by lease, shared with the hub and the other workers.
        name: in the table of leases, kept over restarts; ``""`` is one of its own for each start.
        http: host and port of its page for probes and Prometheus; ``None`` for none.
        provers: see `HubOptions`.
    """

    directory: Path
    nats: str = ""
    partitions: Share | None = None
    name: str = ""
    http: tuple[str, int] | None = None
    provers: int | None = None


async def run_worker(options: WorkerOptions, on_ready: OnReady) -> None:
    """Merge what NATS brings for some partitions, beside the hub that runs on the same database.

    Raises:
        InvalidInputError: there is no hub in the directory, or no NATS is known.
        AddressBusyError: another program has the page's port.
    """
    while True:
        try:
            await _run_worker(options, on_ready)
            return
        except MovedError:
            _log.warning("worker.moved")
            on_ready = _tell_nobody


def _tell_nobody(found: Endpoints) -> None:
    """Who waits for the ready line has it already."""


async def _run_hub(options: HubOptions, on_ready: OnReady) -> None:
    handles.use_all()
    lock = FileLock(options.directory / "hub.lock")
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_requests())
        store = HubStore.open(options.directory)
        stack.callback(store.close)
        _take(lock, options.directory)
        stack.callback(lock.release)
        parts = await _assemble(options, store, stack)
        endpoints.write(options.directory, parts.endpoints)
        with suppress(TimeoutError):
            timeout_s = EMBEDDED_READY_TIMEOUT_S if options.nats == EMBEDDED else OUTSIDE_READY_TIMEOUT_S
            async with asyncio.timeout(timeout_s):
                await either(parts.nats.ready, stop)
        if not stop.is_set():
            on_ready(parts.endpoints)
            supervisor.ready(f"gRPC at {parts.endpoints.grpc}, page at {parts.endpoints.http}")
            _log.info("hub.started", grpc=parts.endpoints.grpc, nats=parts.endpoints.nats)
        await until_stopped(stop, parts.tasks)
        _log.info("hub.stopping")


async def _run_worker(options: WorkerOptions, on_ready: OnReady) -> None:
    url = options.nats or endpoints.read(options.directory).nats
    if not url:
        raise InvalidInputError(
            "no NATS is known for this hub", field="--nats", hint="Start `sepe hub run` first, or give --nats URL."
        )
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_requests())
        store = HubStore.open(options.directory)
        stack.callback(store.close)
        parts = _Parts.around(store, stack, options.provers)
        name = options.name or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        nats = parts.add_nats(url, options.partitions, name="sepe-hub-worker", lease=f"worker-{name}")
        page = ""
        if options.http is not None:
            http = HttpServer(application(parts.metrics, parts.condition, _cached_overview(store)))
            stack.push_async_callback(http.stop)
            page = f"http://{join_address(options.http[0], await http.start(*options.http))}"
        with suppress(TimeoutError):
            async with asyncio.timeout(EMBEDDED_READY_TIMEOUT_S):
                await either(nats.ready, stop)
        if not stop.is_set():
            on_ready(Endpoints(nats=url, http=page))
            share = "by lease" if options.partitions is None else str(options.partitions)
            supervisor.ready(f"partitions {share}")
            _log.info("worker.started", partitions=share, name=name)
        await until_stopped(stop, parts.tasks)


class _Parts:
    """The parts that hub and worker share. Made by `around`, which also registers how they end."""

    nats: NatsIngest
    endpoints: Endpoints

    def __init__(self, store: HubStore, provers: int | None) -> None:
        self.store = store
        self.writer = WriterThread()
        self.metrics = Metrics()
        self.prover = Prover(store.reader, provers)
        self.merger = Merger(store, self.writer, self.metrics, self.prover)
        self.greetings = Greetings(store, self.writer, self.metrics, lambda: self.merger.held_ms)
        self.broker: Broker | None = None
        self.tasks: list[asyncio.Task[None]] = []

    @classmethod
    def around(cls, store: HubStore, stack: AsyncExitStack, provers: int | None) -> _Parts:
        parts = cls(store, provers)
        parts.spawn("place", until_moved(store))
        stack.push_async_callback(parts._close_writer)
        parts.spawn("merger", parts.merger.run())
        # A hub whose loop turns and whose writer is stuck acknowledges nothing: the watchdog asks both.
        parts.spawn("watchdog", supervisor.keep_alive(lambda: parts.writer.call(lambda: None)))
        stack.push_async_callback(parts._cancel_tasks)
        return parts

    def add_nats(self, url: str, partitions: Share | None, *, name: str, lease: str) -> NatsIngest:
        self.nats = NatsIngest(
            url, self.merger, self.greetings, self.metrics, share=EVERYTHING if partitions is None else partitions,
            leases=LeaseKeeper(lease) if partitions is None else None, read_settings=self._settings, name=name,
            identity=_identity(self.store, url),
        )  # fmt: skip
        self.merger.announce = self.nats.announce
        self.spawn("nats", self.nats.run())
        return self.nats

    def condition(self) -> Condition:
        """How this process is, for its page."""
        if self.broker is not None:
            self.metrics.broker_restarted(self.broker.restarts)
        return Condition(
            self.merger.trouble, "connected" if self.nats.connected else "down", self.merger.waiting_frames
        )

    async def _settings(self) -> tuple[int, StreamPolicy]:
        """The count of partitions and how the stream must be; may have been changed since the last look."""
        return await self.writer.call(_read_settings, self.store)

    def add_gate(self, tls: HubTls, broker: Broker | None) -> Gate:
        gate = Gate(self.store, tls, broker)
        self.spawn("gate", gate.run())
        return gate

    def add_attachments(self, stack: AsyncExitStack) -> AttachmentsService | None:
        """The service of attachments; ``None`` when their folder is damaged, for events must go on."""
        try:
            files = AttachmentStore.open(self.store)
        except SepeError as exc:
            _log.error("attachments.stopped", reason=str(exc))
            return None
        service = AttachmentsService(files, self.metrics.registry)
        stack.push_async_callback(service.close)
        self.spawn("attachments", service.run())
        return service

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Let a part work until the hub stops."""
        self.tasks.append(asyncio.create_task(work, name=name))

    async def _cancel_tasks(self) -> None:
        await end_tasks(self.tasks)

    async def _close_writer(self) -> None:
        """Wait for the batches that are being written and proven; not for ever."""

        def close() -> None:
            self.writer.close()
            self.prover.close()

        done, _ = await asyncio.wait(
            [asyncio.create_task(asyncio.to_thread(close))], timeout=WRITER_STOP_TIMEOUT_S
        )
        if not done:
            _log.warning("writer.abandoned")  # It waits for a lock, which Python cannot interrupt.
            leave()


async def _assemble(options: HubOptions, store: HubStore, stack: AsyncExitStack) -> _Parts:
    remembered = endpoints.read(options.directory)
    grpc_host, grpc_wanted = options.grpc or _address_of(remembered.grpc) or GRPC_DEFAULT
    http_host, http_wanted = options.http or _address_of(remembered.http) or HTTP_DEFAULT
    advertised = options.advertise or _advertised(grpc_host)
    tls = open_tls(
        options.directory, options.tls, host=grpc_host, advertised=advertised, nats=options.nats,
        insecure_lab=options.insecure_lab, was_on=remembered.tls, now_ms=time.time_ns() // 1_000_000,
    )  # fmt: skip

    nats_url = options.nats
    broker: Broker | None = None
    if options.nats == EMBEDDED:
        known = _address_of(remembered.nats)
        broker = Broker(options.directory / "nats", grpc_host, known[1] if known else NATS_PORT_DEFAULT)
        # First of all: the server of a hub that was killed may still sit on the port that offices know.
        await broker.end_orphan()
        if options.nats_port is not None:
            broker.port = endpoints.choose_port(grpc_host, options.nats_port, remembered.nats)
        # Registered first, so that a start that is cut short leaves no server behind.
        stack.push_async_callback(broker.stop)
        if tls is not None:
            broker.access = Gate(store, tls, broker).access()
        await broker.start()
        nats_url = broker.url

    parts = _Parts.around(store, stack, options.provers)
    parts.broker = broker
    attachments = parts.add_attachments(stack)
    gate = None if tls is None else parts.add_gate(tls, broker)
    grpc = GrpcIngest(
        store, parts.writer, parts.merger, parts.greetings,
        nats_url=f"{broker.scheme}://{join_address(advertised, broker.port)}" if broker else public_url(nats_url),
        pair=None if tls is None else tls.pair,
        on_change=(lambda: None) if gate is None else gate.look,
        attachments=attachments,
    )  # fmt: skip
    stack.push_async_callback(grpc.stop)
    grpc_port = await grpc.start(grpc_host, endpoints.choose_port(grpc_host, grpc_wanted, remembered.grpc))
    parts.spawn("certificate", grpc.follow())
    parts.add_nats(nats_url, options.partitions, name="sepe-hub", lease="hub")
    parts.spawn("verifier", keep_verifying(options.directory, parts.merger.announce, options.verify))

    parts.metrics.add_figures(figures.reader(store))
    http = HttpServer(application(parts.metrics, parts.condition, _cached_overview(store)))
    stack.push_async_callback(http.stop)
    http_port = await http.start(http_host, endpoints.choose_port(http_host, http_wanted, remembered.http))
    parts.endpoints = Endpoints(
        grpc=join_address(grpc_host, grpc_port), nats=nats_url,
        http=f"http://{join_address(http_host, http_port)}", tls=tls is not None,
    )  # fmt: skip
    return parts


def _identity(store: HubStore, url: str) -> NatsIdentity | None:
    """How the hub proves itself to a NATS with TLS: by its own key."""
    if not url.startswith("tls://"):
        return None
    return NatsIdentity(HubTls(store.directory).ca_pem, store.signer, "_INBOX")


def _read_settings(store: HubStore) -> tuple[int, StreamPolicy]:
    with translated():
        return setting.count(store.connection), read_policy(store.connection)


def _take(lock: FileLock, directory: Path) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout as exc:
        raise AlreadyRunningError(
            f"another `sepe hub run` works in {directory.name}: stop it first, or add a `sepe hub worker`"
        ) from exc


def _cached_overview(store: HubStore) -> Callable[[], Overview]:
    """Reads the counts by a connection of its own, at most every few seconds however many browsers look."""
    last: list[tuple[float, Overview]] = []

    def read() -> Overview:
        if last and time.monotonic() - last[0][0] < OVERVIEW_AGE_S_MAX:
            return last[0][1]
        now_ms = time.time_ns() // 1_000_000
        connection = store.reader()
        try:
            found = Overview(status.counts(connection), status.nodes(connection, now_ms=now_ms), now_ms)
        finally:
            connection.close()
        last[:] = [(time.monotonic(), found)]
        return found

    return read


def _address_of(remembered: str) -> tuple[str, int] | None:
    """Host and port of a remembered address or URL."""
    host, _, port = remembered.rpartition("/")[2].rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else None


def _advertised(host: str) -> str:
    """A name for this machine when it listens on all its addresses."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else host
