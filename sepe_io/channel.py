"""The one place that makes gRPC channels, gRPC servers and NATS connections, set to notice a dead line.

A line at an office dies without a word: the modem drops the session and the socket stays "established" for a
quarter of an hour. So every connection here is probed, and a silent peer is given up within 30 seconds:
gRPC by HTTP/2 pings every 10 s that must be answered within 10 s, NATS by pings every 3 s of which two may be
outstanding (with nats-py's default of 120 s a frozen server went unnoticed for as long).

A NATS connection is used once and never reconnects by itself. nats-py's own reconnecting has three traps: it
buffers what is published meanwhile, so a caller believes a frame has left; it closes for good on any server
error it does not know; and an unexpected exception while reconnecting (a captive portal's HTML) ends the attempts
without a word. A shell that makes a new connection after a loss has none of them, and must subscribe anew anyway.

What crosses a network is a resident's data, so every function here takes what it needs for TLS; without it the
line is plain, which is right on one machine only (`is_local`). `hub.tls` and `node.link.trust` decide that.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import nats.errors
from nats.aio.client import Client as NatsClient

from sepe.codec import FRAME_BYTES_MAX
from sepe.errors import TransientError
from sepe_io.address import AddressBusyError, join_address, split_urls
from sepe_io.certificates import HUB_NAME, believed_ms, client_context, date_fault, dates_of
from sepe_io.keys import Signer, nats_name

# A frame, its protobuf wrapping and room for fields that a newer contract adds.
MESSAGE_BYTES_MAX = FRAME_BYTES_MAX + 64 * 1024

GRPC_PING_EVERY_MS = 10_000
GRPC_PING_TIMEOUT_MS = 10_000
# A server cuts clients that ping more often than it allows; a proxy may bunch pings, so allow twice the rate.
GRPC_PING_ALLOWED_MS = GRPC_PING_EVERY_MS // 2

# A handshake takes four round trips, on a satellite line four seconds.
HANDSHAKE_TIMEOUT_MS = 15_000
# An office's connection always carries a call: its frames, or the wait for news.
IDLE_TIMEOUT_MS = 5 * 60_000

NATS_PING_EVERY_S = 3
NATS_PINGS_OUTSTANDING_MAX = 2
NATS_OPEN_TIMEOUT_S = 5.0
NATS_CLOSE_TIMEOUT_S = 2.0

_COMMON_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", GRPC_PING_EVERY_MS),
    ("grpc.keepalive_timeout_ms", GRPC_PING_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


def grpc_channel(address: str, ca_pem: bytes = b"") -> grpc.aio.Channel:
    """A channel to ``HOST:PORT``. It connects at its first call and again, within 5 s, after each loss.

    Args:
        ca_pem: the authority of the hub that must answer; without it the line is plain.
    """
    options = [
        *_COMMON_OPTIONS,
        ("grpc.initial_reconnect_backoff_ms", 500),
        ("grpc.min_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # Two channels of one process share a socket otherwise, and a new channel inherits a dead one.
        ("grpc.use_local_subchannel_pool", 1),
        # An office's proxy setting is for its browser; it must not swallow the line to the hub.
        ("grpc.enable_http_proxy", 0),
    ]
    if not ca_pem:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(
        address,
        grpc.ssl_channel_credentials(ca_pem),
        options=[*options, ("grpc.ssl_target_name_override", HUB_NAME)],
    )


def grpc_server(connections_max: int | None = None) -> grpc.aio.Server:
    """A server without services or ports yet.

    Args:
        connections_max: newcomers above it are refused, so that whoever comes by the hundred takes no file from
        the
            process itself; ``None``: no limit.
    """
    bound = [] if connections_max is None else [("grpc.max_allowed_incoming_connections", connections_max)]
    return grpc.aio.server(
        options=[
            *_COMMON_OPTIONS,
            *bound,
            # Whoever connects and does not finish the handshake, and whoever is in and calls nothing, makes room.
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
            ("grpc.max_connection_idle_ms", IDLE_TIMEOUT_MS),
            ("grpc.http2.min_ping_interval_without_data_ms", GRPC_PING_ALLOWED_MS),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", GRPC_PING_ALLOWED_MS),
            ("grpc.http2.max_ping_strikes", 0),
            # Windows that grow with the line's rate and delay would let each stream fill megabytes of our memory
            # before we read (531 MB instead of 335 in a flood); a frame is let in whole once somebody reads it.
            ("grpc.http2.bdp_probe", 0),
            # Two programs on one port would each get half of the offices.
            ("grpc.so_reuseport", 0),
        ]
    )


def server_credentials(pair: tuple[bytes, bytes]) -> grpc.ServerCredentials:
    """TLS for a server; a renewed certificate needs a fresh one.

    Clients are not asked for certificates: gRPC in Python can only demand one or ask for none, and who a client is
    its signature says. Not ``dynamic_ssl_server_credentials``, which would take a renewal up by itself: its
    handshake takes Python's lock in a thread of gRPC, and connections that say nothing and close end the process
    (grpcio 1.85.1: ``sync.cc Check failed``).

    Args:
        pair: (key, certificate) as PEM.
    """
    return grpc.ssl_server_credentials([pair])


def listen(
    server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None = None
) -> int:
    """Bind ``server``; return the port (a free one for 0). Call before ``start``.

    Raises:
        AddressBusyError: another program has the port, or the host is not ours.
    """
    address = join_address(host, port)
    try:
        if credentials is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as exc:
        raise AddressBusyError(f"cannot listen on {address}: another program uses it") from exc
    if bound == 0:
        raise AddressBusyError(f"cannot listen on {address}: another program uses it")
    return bound


@dataclass(frozen=True, slots=True)
class NatsIdentity:
    """How a client and a NATS server with TLS prove themselves to each other.

    The client has no certificate and no password: it signs the server's nonce with the key that it signs all else
    with, as NATS' own "nkeys" do.

    Attributes:
        ca_pem: the authority that must have signed the server's certificate.
        inbox: the prefix of the subjects that answers to this client go to.
        known_ms: the hub's clock as last heard, 0 for never; the server's dates are judged by it when our own
            clock cannot be right (see `certificates.believed_ms`).
    """

    ca_pem: bytes
    signer: Signer
    inbox: str
    known_ms: Callable[[], int] = lambda: 0

    def options(self) -> dict[str, Any]:
        """What `Client.connect` needs."""
        return {
            "tls": client_context(self.ca_pem, by_our_clock=False),
            "tls_hostname": HUB_NAME,
            # Without it the first line is plain, and whoever sits on the line could say "no TLS here".
            "tls_handshake_first": True,
            "signature_cb": self._sign,
            "inbox_prefix": self.inbox,
        }

    def check_dates(self, client: NatsClient) -> None:
        """Raises TransientError: the server's certificate has ended."""
        writer = getattr(getattr(client, "_transport", None), "_io_writer", None)
        tls = None if writer is None else writer.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        if not certificate:
            raise TransientError("the NATS server speaks without TLS")
        dates, now_ms, known_ms = dates_of(certificate), time.time_ns() // 1_000_000, self.known_ms()
        fault = date_fault(dates, now_ms=now_ms, known_ms=known_ms)
        if fault and date_fault(dates, now_ms=believed_ms(now_ms, known_ms), known_ms=known_ms):
            raise TransientError(f"the NATS server's certificate: {fault}")

    def _sign(self, nonce: str) -> bytes:
        # What we sign elsewhere begins with "sepe-…\0", so no server can pass such a text off as a nonce.
        if not _NONCE.fullmatch(nonce):
            raise ValueError("this is not a nonce")
        return base64.b64encode(self.signer.sign(nonce.encode("ascii")))


_NONCE = re.compile(r"[A-Za-z0-9_-]{1,64}")


async def connect_nats(
    url: str,
    *,
    name: str,
    on_error: Callable[[Exception], None],
    on_down: Callable[[], None],
    timeout_s: float = NATS_OPEN_TIMEOUT_S,
    identity: NatsIdentity | None = None,
) -> NatsClient:
    """An open NATS connection that is used until it breaks.

    Publishing on a broken one raises at once; nothing is kept back for later. Whether it is whole says
    ``is_connected``.

    Args:
        url: one server, or several of one cluster with commas between: they are tried in a random order, so that
            those who lost one spread over the others.
        name: shown in the broker's monitoring; no personal data.
        on_error: hears what no call raises, above all a refused permission: to the publisher that looks like a
            time-out.
        on_down: called once when the connection is lost or closed. After a loss with unsent bytes it may be late:
            watch ``is_connected`` where that matters.
        identity: for a server that speaks TLS; without it the line is plain.

    Raises:
        TransientError: nobody answers like a NATS server in time, or not like the one that ``identity`` expects.
    """
    urls = random.sample(found := split_urls(url), len(found))
    for rest in range(len(urls) - 1, 0, -1):
        with suppress(TransientError):
            return await _connect(
                urls[rest], name=name, on_error=on_error, on_down=on_down, timeout_s=timeout_s, identity=identity
            )
    return await _connect(
        urls[0], name=name, on_error=on_error, on_down=on_down, timeout_s=timeout_s, identity=identity
    )


async def _connect(
    url: str,
    *,
    name: str,
    on_error: Callable[[Exception], None],
    on_down: Callable[[], None],
    timeout_s: float,
    identity: NatsIdentity | None,
) -> NatsClient:
    """See `connect_nats`; one server."""
    client = NatsClient()
    options: dict[str, Any] = {}
    if identity is not None:
        options = identity.options()
        # nats-py would read a seed file for this, with one more package.
        client._public_nkey = nats_name(identity.signer.public_key)
    last: list[Exception] = []

    async def heard(exc: Exception) -> None:
        last[:] = [exc]
        if client.is_connected:
            on_error(exc)

    async def closed() -> None:
        on_down()

    try:
        async with asyncio.timeout(timeout_s):
            await client.connect(
                servers=[url],
                name=name,
                error_cb=heard,
                closed_cb=closed,
                allow_reconnect=False,
                # Two attempts, then NoServersError; 0 or less would try for ever inside this one call.
                max_reconnect_attempts=1,
                reconnect_time_wait=1,
                connect_timeout=max(1, int(timeout_s)),
                ping_interval=NATS_PING_EVERY_S,
                max_outstanding_pings=NATS_PINGS_OUTSTANDING_MAX,
                # Nothing is buffered for a connection that is not there.
                pending_size=0,
                flusher_queue_size=8192,
                **options,
            )
            if identity is not None:
                identity.check_dates(client)
    except TransientError:
        await close_nats(client)
        raise
    except (TimeoutError, OSError, ValueError, nats.errors.Error) as exc:
        await close_nats(client)
        cause = last[0] if last else exc
        # The library's own text for what the server said, as "Authorization Violation"; a bare class name else.
        word = str(cause) if type(cause) is nats.errors.Error else type(cause).__name__
        raise TransientError(f"no NATS server answers at {url}: {word}") from exc
    except BaseException:
        await close_nats(client)
        raise
    return client


async def close_nats(client: NatsClient) -> None:
    """Let go of a connection within `NATS_CLOSE_TIMEOUT_S`; never raises.

    An orderly close writes what is unsent and waits for it, for ever on a dead line; so it has a deadline and the
    socket is aborted after it.
    """
    # What nats-py raises while it tears down a broken connection is of no use to anybody.
    with suppress(Exception):
        async with asyncio.timeout(NATS_CLOSE_TIMEOUT_S):
            await client.close()
    with suppress(Exception):
        writer = getattr(getattr(client, "_transport", None), "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
