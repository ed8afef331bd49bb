"""Serving the small web page of a hub or a node, beside what the process really does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from sepe_io.address import AddressBusyError, join_address

STOP_TIMEOUT_S = 1.0
BACKLOG = 128
# A browser asks at once; whoever connects and asks nothing makes room.
SILENT_TIMEOUT_S = 10.0
CONNECTIONS_MAX = 64


class HttpServer:
    """Serves an application until `stop`."""

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(
            app, http=_Bounded, log_config=None, access_log=False, lifespan="off", server_header=False
        )
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and serve; return the port (a free one for 0).

        Raises:
            AddressBusyError: another program has it.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as exc:
            raise AddressBusyError(
                f"cannot listen on {join_address(host, port)}: another program uses it"
            ) from exc
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """End within `STOP_TIMEOUT_S`, however slow a browser is."""
        if self._task is None:
            return
        self._server.should_exit = True
        done, _ = await asyncio.wait([self._task], timeout=STOP_TIMEOUT_S)
        if not done:
            self._server.force_exit = True
            self._task.cancel()
            await asyncio.wait([self._task], timeout=STOP_TIMEOUT_S)


class _Bounded(H11Protocol):
    """Refuses connections above `CONNECTIONS_MAX`, and ends those that ask nothing for `SILENT_TIMEOUT_S`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
            return
        self.loop.call_later(SILENT_TIMEOUT_S, self._end_if_silent)

    def _end_if_silent(self) -> None:
        # uvicorn's own time-out begins with the first answer.
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


class _QuietServer(uvicorn.Server):
    """uvicorn takes the process's signals to itself; ours end more than a web page."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def number(value: int) -> str:
    """Thousands with a full stop, as Indonesia writes them."""
    return f"{value:,}".replace(",", ".")
