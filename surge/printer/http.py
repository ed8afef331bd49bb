"""The HTTP/1.1 server under the virtual printer: fixed and chunked bodies, ``Expect``, keep-alive.

A request handler returns an answer, or None to hang up without one: the fault that leaves a client in
doubt.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large"}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    path: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    body: bytes
    content_type: str = "application/ipp"
    status: int = 200


Handler = Callable[[HttpRequest], Awaitable[HttpAnswer | None]]


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class HttpServer:
    """Listens on ``host``; port 0 takes a free one, and ``port`` keeps it over a stop and a start."""

    def __init__(self, handler: Handler, *, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, limit=HEAD_BYTES_MAX, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection, answered or not, as a pulled plug does."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()
        tasks = [one for one in self._tasks if one is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection stays open."""
        try:
            first, headers = _parsed((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await _read_body(reader, headers)
        except _Refused as exc:
            writer.write(_head(exc.status, "text/plain", 0, keep=False))
            await writer.drain()
            return False
        request = HttpRequest(first[0], first[1], headers.get("content-type", ""), body)
        answer = await self._handler(request)
        if answer is None:
            writer.transport.abort()
            return False
        keep = headers.get("connection", "").lower() != "close" and first[2] == "HTTP/1.1"
        writer.write(_head(answer.status, answer.content_type, len(answer.body), keep=keep) + answer.body)
        await writer.drain()
        return keep


def _parsed(head: str) -> tuple[list[str], dict[str, str]]:
    lines = head.split("\r\n")
    first = lines[0].split(" ")
    if len(first) != 3:
        raise _Refused(400)
    pairs = (line.partition(":") for line in lines[1:] if line)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        return await reader.readexactly(_size(headers.get("content-length", "0"), base=10))
    data = bytearray()
    while size := _size((await reader.readline()).split(b";")[0].strip().decode("latin-1"), base=16):
        data += await reader.readexactly(size)
        await reader.readexactly(2)
        _size(str(len(data)), base=10)
    while (await reader.readline()).strip():
        pass
    return bytes(data)


def _size(text: str, *, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError:
        raise _Refused(400) from None
    if not 0 <= size <= BODY_BYTES_MAX:
        raise _Refused(413)
    return size


def _head(status: int, content_type: str, length: int, *, keep: bool) -> bytes:
    return (
        f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nServer: sepe-virtual-printer\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    ).encode()
