"""The one place that makes gRPC channels, gRPC servers and NATS connections, set to notice a dead line.

A line at an office dies without a word: the modem drops the session and the socket stays "established" for a
quarter of an hour. So every connection here is probed, and a silent peer is given up within 30 seconds:
gRPC by HTTP/2 pings every 10 s that must be answered within 10 s, NATS by pings every 3 s of which two may be
outstanding (with nats-py's default of 120 s a frozen server went unnoticed for as long).

A NATS connection is used once and never reconnects by itself. nats-py's own reconnecting has three traps: it
buffers what is published meanwhile, so a caller believes a frame has left; it closes for good on any server
error it does not know; and an unexpected exception while reconnecting (a captive portal's HTML) ends the attempts
without a word. A shell that makes a new connection after a loss has none of them, and must subscribe anew anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import grpc
import grpc.aio
import nats.errors
from nats.aio.client import Client as NatsClient

from sepe.codec import FRAME_BYTES_MAX
from sepe.errors import InvalidInputError, TransientError

# A frame, its protobuf wrapping and room for fields that a newer contract adds.
MESSAGE_BYTES_MAX = FRAME_BYTES_MAX + 64 * 1024

GRPC_PING_EVERY_MS = 10_000
GRPC_PING_TIMEOUT_MS = 10_000
# A server cuts clients that ping more often than it allows; a proxy may bunch pings, so allow twice the rate.
GRPC_PING_ALLOWED_MS = GRPC_PING_EVERY_MS // 2

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


class AddressBusyError(TransientError):
    """Another program listens there already."""


def split_address(text: str, *, field: str = "address") -> tuple[str, int]:
    """HOST and PORT of ``HOST:PORT``; an IPv6 host stands in brackets.

    Raises:
        InvalidInputError: it is something else.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInputError("an address is HOST:PORT", field=field, value=text, hint="Example: 127.0.0.1:7443")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """``HOST:PORT``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def grpc_channel(address: str) -> grpc.aio.Channel:
    """A channel to ``HOST:PORT``. It connects at its first call and again, within 5 s, after each loss."""
    return grpc.aio.insecure_channel(
        address,
        options=[
            *_COMMON_OPTIONS,
            ("grpc.initial_reconnect_backoff_ms", 500),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            # Two channels of one process share a socket otherwise, and a new channel inherits a dead one.
            ("grpc.use_local_subchannel_pool", 1),
            # An office's proxy setting is for its browser; it must not swallow the line to the hub.
            ("grpc.enable_http_proxy", 0),
        ],
    )


def grpc_server() -> grpc.aio.Server:
    """A server without services or ports yet."""
    return grpc.aio.server(
        options=[
            *_COMMON_OPTIONS,
            ("grpc.http2.min_ping_interval_without_data_ms", GRPC_PING_ALLOWED_MS),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", GRPC_PING_ALLOWED_MS),
            ("grpc.http2.max_ping_strikes", 0),
            # Two programs on one port would each get half of the offices.
            ("grpc.so_reuseport", 0),
        ]
    )


def listen(server: grpc.aio.Server, host: str, port: int) -> int:
    """Bind ``server``; return the port (a free one for 0). Call before ``start``.

    Raises:
        AddressBusyError: another program has the port, or the host is not ours.
    """
    address = join_address(host, port)
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as exc:
        raise AddressBusyError(f"cannot listen on {address}: another program uses it") from exc
    if bound == 0:
        raise AddressBusyError(f"cannot listen on {address}: another program uses it")
    return bound


async def connect_nats(
    url: str,
    *,
    name: str,
    on_error: Callable[[Exception], None],
    on_down: Callable[[], None],
    timeout_s: float = NATS_OPEN_TIMEOUT_S,
) -> NatsClient:
    """An open NATS connection that is used until it breaks.

    Publishing on a broken one raises at once; nothing is kept back for later. Whether it is whole says
    ``is_connected``.

    Args:
        name: shown in the broker's monitoring; no personal data.
        on_error: hears what no call raises, above all a refused permission: to the publisher that looks like a
            time-out.
        on_down: called once when the connection is lost or closed. After a loss with unsent bytes it may be late:
            watch ``is_connected`` where that matters.

    Raises:
        TransientError: nobody answers like a NATS server in time.
    """
    client = NatsClient()
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
            )
    except (TimeoutError, OSError, ValueError, nats.errors.Error) as exc:
        await close_nats(client)
        cause = last[0] if last else exc
        raise TransientError(f"no NATS server answers at {url}: {type(cause).__name__}") from exc
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
