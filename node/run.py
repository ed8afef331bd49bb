"""A running office machine: relay, press and page, put together and taken apart.

Nothing here is needed to record or to print at the desk; those are commands of their own on the same database.
Each part lives on when another fails, and all of them live without a hub for as long as it takes.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from node.attach.start import uploader_of
from node.clock import now_ms
from node.desk.proof import last_proof
from node.desk.status import warnings
from node.figures import Condition
from node.http import application
from node.link.rights import GrpcRights
from node.outbox.office import open_office
from node.printing.keeper import keep_rights
from node.printing.ledger import Ledger
from node.printing.press import keep_pressing
from node.printing.printers import Printer, Printers
from node.printing.witness import Witness
from node.settings import DATABASE_NAME, RUN_LOCK_NAME, load_settings
from node.stock.supplies import supplies
from node.storage.store import NodeStore
from sepe.errors import SepeError, TransientError
from sepe.hlc import wall_ms_of
from sepe_io import supervisor
from sepe_io.address import AddressBusyError, join_address
from sepe_io.logs import logger
from sepe_io.process import stop_requests
from sepe_io.sqlite import DiskFailedError
from sepe_io.tasks import end_within
from sepe_io.web import HttpServer

HTTP_DEFAULT = ("127.0.0.1", 7490)
RESTART_S = 10.0
# A hub on a slow line answers a greeting within two; an office without a line loses so much at each start.
HEAR_S = 3.0
HEAR_POLL_S = 0.05
STOP_TIMEOUT_S = 3.0
# A line takes up to two seconds to be let go of (`sepe_io.channel.NATS_CLOSE_TIMEOUT_S`).
ORDERLY_S = 2.0

_log = logger("node.run")


class AlreadyRunningError(TransientError):
    """Another process relays from this directory."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What ``sepe node run`` was told; empty means what node.toml says.

    Attributes:
        printers: used from now on; none: those that were used before, or the one of node.toml.
        http: host and port of the page; port 0 is a free one; ``None``: `HTTP_DEFAULT`, or a free port when
            another program has it.
        hear_s: how long the printers wait at the start for the hub's first word, seconds.
    """

    folder: Path
    http: tuple[str, int] | None = None
    printers: tuple[str, ...] = ()
    hub: str = ""
    nats: str = ""
    software: str = ""
    hear_s: float = HEAR_S


# Called once when everything stands: with the node's name and the page's address, HOST:PORT.
OnReady = Callable[[str, str], None]


async def run_node(options: RunOptions, on_ready: OnReady) -> None:
    """Run until somebody asks this process to end.

    Raises:
        InvalidInputError: no node directory, no hub known, or a printer address that is none.
        AlreadyRunningError: another process relays from this directory.
        AddressBusyError: another program has the port that was asked for.
        DiskFailedError: the disk failed; start again when it is well, or let systemd try.
    """
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_requests())
        stack.callback(take_run_lock(options.folder).release)
        printers = _adopt(options)  # A typing mistake is told now, not by the press's log.
        office = await stack.enter_async_context(
            open_office(options.folder, hub=options.hub, nats=options.nats, software=options.software)
        )
        uploader = uploader_of(options.folder, office, hub=options.hub)
        server = HttpServer(
            application(office.relay.view, lambda: look(options.folder, office.settings.node), uploader.view)
        )
        address = await _listen(server, options.http)
        stack.push_async_callback(server.stop)
        tasks = [asyncio.create_task(_keep(part, name)) for part, name in (
            (office.relay.run, "relay"), (uploader.run, "attachments"),
        )]  # fmt: skip
        rights = GrpcRights(
            options.hub or office.settings.hub,
            office.settings.node,
            lambda: office.key.signer,
            skew_ms=lambda: _skew_ms(options.folder),
            trust=office.trust,
        )
        stack.push_async_callback(rights.close)
        press = partial(keep_pressing, options.folder, rights=rights, stop=stop, now_ms=now_ms)
        await_word = partial(_hear_first, lambda: office.is_informed, options.hear_s, press)
        tasks.append(asyncio.create_task(_keep(await_word, "press")))
        resume = partial(_resume_rights, options.folder, lambda: office.has_heard)
        tasks.append(asyncio.create_task(_keep(resume, "witness")))
        keeper = partial(keep_rights, options.folder, rights, now_ms)
        tasks.append(asyncio.create_task(_keep(keeper, "rights")))
        tasks.append(asyncio.create_task(supervisor.keep_alive()))
        on_ready(office.settings.node, address)
        supervisor.ready(f"{office.settings.node}, page at {address}")
        _log.info("node.started", node=office.settings.node, http=address, printers=len(printers))
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        supervisor.stopping()
        _log.info("node.stopping")
        await end_within([stopping, *tasks], orderly_s=ORDERLY_S, timeout_s=STOP_TIMEOUT_S)
        for task in done - {stopping}:
            task.result()  # Raises what ended it.


def take_run_lock(folder: Path) -> FileLock:
    """The lock that makes one relay of a node directory the only one, taken.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    load_settings(folder)
    lock = FileLock(folder / RUN_LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as exc:
        raise AlreadyRunningError(
            f"`sepe node run` or `node sync` is at work in {folder} already. End it first; recording, printing "
            "and status work beside it"
        ) from exc
    return lock


def _adopt(options: RunOptions) -> list[Printer]:
    """The printers that this run uses, remembered for the next."""
    store = NodeStore.open(options.folder)
    try:
        Witness(store).examine()
        return Printers(store).adopt(options.printers)
    finally:
        store.close()


def look(folder: Path, node: str) -> Condition:
    """How the machine is, read by a connection of its own."""
    try:
        disk_free_bytes = shutil.disk_usage(folder).free
    except OSError:
        disk_free_bytes = None
    try:
        store = NodeStore.open(folder)
    except SepeError as exc:
        return Condition(node, storage=str(exc), disk_free_bytes=disk_free_bytes)
    try:
        now = now_ms()
        position = store.position()
        waiting = store.page(position.durable_seq, 1)
        written_ms = wall_ms_of(waiting.columns.stamps[0]) if waiting else now
        proof = last_proof(store)
        return Condition(
            node,
            prints=tuple(sorted(Ledger(store).counts().items())),
            oldest_pending_s=max(now - written_ms, 0) // 1000,
            proof="" if proof is None else proof.indonesian(),
            supplies=supplies(store, now),
            printers=tuple(Printers(store).used()),
            clock_skew_ms=store.clock().skew_ms,
            disk_free_bytes=disk_free_bytes,
            database_bytes=(folder / DATABASE_NAME).stat().st_size,
            cautions=tuple(one.code for one in warnings(store, now)),
        )
    except (SepeError, OSError) as exc:
        return Condition(node, storage=str(exc), disk_free_bytes=disk_free_bytes)
    finally:
        store.close()


async def _listen(server: HttpServer, wanted: tuple[str, int] | None) -> str:
    host, port = wanted or HTTP_DEFAULT
    try:
        port = await server.start(host, port)
    except AddressBusyError:
        if wanted is not None:
            raise
        # A second node on one machine, as at a demonstration, shall not fail for its page.
        port = await server.start(host, 0)
    return join_address(host, port)


async def _keep(run: Callable[[], Awaitable[None]], name: str) -> None:
    """Run a part for as long as the node runs. What a part cannot mend by itself may be mended by a person.

    Raises:
        DiskFailedError: only a new start, which proves the disk, can use the database again.
    """
    while True:
        try:
            await run()
        except DiskFailedError:
            raise
        except Exception as exc:
            _log.error(f"{name}.failed", error=type(exc).__name__, detail=str(exc)[:300])
        await asyncio.sleep(RESTART_S)


async def _hear_first(
    is_informed: Callable[[], bool], seconds: float, press: Callable[[], Awaitable[None]]
) -> None:
    """Print once the hub was heard: a machine put back from a backup, or one that replaces another, learns from it
    what was printed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not is_informed():  # noqa: ASYNC110 - it looks at plain data
                await asyncio.sleep(HEAR_POLL_S)
    await press()


async def _resume_rights(folder: Path, has_heard: Callable[[], bool]) -> None:
    """What was suspended because the ledger is an older one counts again once the hub told what it knows."""
    while not has_heard():  # noqa: ASYNC110 - it looks at plain data
        await asyncio.sleep(HEAR_POLL_S * 10)
    await asyncio.to_thread(_heard, folder)


def _heard(folder: Path) -> None:
    store = NodeStore.open(folder)
    try:
        Witness(store).heard_hub()
    finally:
        store.close()


def _skew_ms(folder: Path) -> int:
    """Our clock minus the hub's, as last heard; 0 when it cannot be read."""
    with suppress(SepeError):
        store = NodeStore.open(folder)
        try:
            return store.clock().skew_ms
        finally:
            store.close()
    return 0
