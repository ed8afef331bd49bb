"""A real hub whose lines speak TLS, offices that know it by their token, and TLS servers that are something else."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from nats.aio.client import Client as NatsClient

from hub.merge.store import HubStore
from hub.tls import HubTls
from node.cli.setup import make_node
from node.link.token import CA_NAME
from node.settings import KEY_NAME, NodeSettings
from sepe import subjects
from sepe_io import keys
from sepe_io.address import split_address
from sepe_io.certificates import HUB_NAME, Issued, client_context, dates_of, with_authority
from sepe_io.channel import NatsIdentity, close_nats, connect_nats
from sepe_io.tasks import end_tasks
from tests.support.processes import hub_run
from tests.support.relay_rig import NODE, Hub
from tests.support.world import START_MS

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def secured_hub(directory: Path, *options: object, **keywords: Any) -> Iterator[Hub]:
    """A hub on this machine that speaks TLS, ended at the end."""
    hub = Hub(directory)
    HubStore.create(directory, now_ms=now_ms()).close()
    start_secured(hub, *options, **keywords)
    try:
        yield hub
    finally:
        hub.kill()


def start_secured(hub: Hub, *options: object, **keywords: Any) -> None:
    """Start it (again)."""
    hub.program = hub_run(hub.directory, "--tls", "on", *options, **keywords)


def long_token(hub: Hub, node: str = NODE) -> str:
    """A token that carries the hub's certificate."""
    return with_authority(hub.token(node), HubTls(hub.directory).ca_pem)


def secured_office(folder: Path, hub: Hub, node: str = NODE, *, address: str = "") -> Path:
    """A node directory with such a token, not enrolled yet: the relay does that."""
    settings = NodeSettings(node, address or hub.grpc)
    make_node(folder, settings, token=long_token(hub, node), blanks=0, now_ms=START_MS)
    return folder


def let_in(folder: Path, hub: Hub, node: str = NODE) -> keys.Signer:
    """Enrol a node directory at once, by hand; its key."""
    signer = keys.load(folder / KEY_NAME)
    with HubStore.open(hub.directory) as store:
        token = store.enrol_token(node, now_ms=now_ms())
        assert store.redeem(node, token, signer.public_key, now_ms=now_ms()) == (True, "")
    return signer


@asynccontextmanager
async def nats_as(
    hub: Hub, node: str, signer: keys.Signer, complaints: list[str] | None = None
) -> AsyncIterator[NatsClient]:
    """A connection to the hub's NATS as that office's."""
    heard = [] if complaints is None else complaints
    identity = NatsIdentity(HubTls(hub.directory).ca_pem, signer, subjects.inbox(node))
    client = await connect_nats(
        hub.nats, name=node, on_error=lambda exc: heard.append(str(exc)), on_down=lambda: None, identity=identity
    )
    try:
        yield client
    finally:
        await close_nats(client)


async def until_let_in(hub: Hub, node: str, signer: keys.Signer) -> None:
    """The broker hears of a new office within seconds."""
    async with asyncio.timeout(15):
        while True:
            try:
                async with nats_as(hub, node, signer):
                    return
            except Exception:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def overheard(address: str) -> AsyncIterator[tuple[str, bytearray]]:
    """A line to ``address`` with somebody on it: its near end, and every byte that passes."""
    host, port = split_address(address.rpartition("/")[2])
    heard = bytearray()
    tasks: set[asyncio.Task[None]] = set()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(1 << 16):
                heard.extend(chunk)
                sink.write(chunk)
                await sink.drain()
        sink.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        for one in (carry(reader, far_writer), carry(far_reader, writer)):
            tasks.add(asyncio.create_task(one))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname()), heard
    finally:
        server.close()
        await end_tasks(list(tasks))


async def shown_until_ms(hub: Hub, address: str) -> int:
    """When the certificate ends that the hub shows at ``address`` now."""
    host, port = split_address(address.rpartition("/")[2])
    context = client_context(HubTls(hub.directory).ca_pem)
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=HUB_NAME)
    try:
        return dates_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).until_ms
    finally:
        writer.close()


async def shown_later_than(hub: Hub, until_ms: int) -> None:
    """Returns when gRPC and NATS both show a certificate that ends later."""
    async with asyncio.timeout(15):
        for address in (hub.grpc, hub.nats):
            while await shown_until_ms(hub, address) <= until_ms:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.2)


@asynccontextmanager
async def answering(answer: Answering, certificate: Issued | None = None) -> AsyncIterator[str]:
    """Something that listens on this machine, by TLS when it has a certificate; its HOST:PORT."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        with NamedTemporaryFile() as file:
            file.write(certificate.key_pem + certificate.certificate_pem)
            file.flush()
            context.load_cert_chain(file.name)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


async def login_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A hotel's network: whatever is asked, on whatever port, it answers with its page."""
    await reader.read(1)
    page = b"<html><body>Welcome to Hotel Flobamora. Please log in.</body></html>"
    writer.write(b"HTTP/1.1 302 Found\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
    writer.close()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything, says nothing."""
    while await reader.read(1 << 16):
        pass
    writer.close()


def trust_only(folder: Path, ca_pem: bytes) -> None:
    """Let the office know its hub by this authority from now on."""
    (folder / CA_NAME).write_bytes(ca_pem)
