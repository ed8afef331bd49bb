"""One HTTP/1.1 POST on a connection of its own: all of HTTP that an IPP client needs.

A fresh connection each time is deliberate. On a kept-alive one, a reset while sending may mean "the
printer had closed it long ago" or "it took the job and died"; the ledger would have to call both in doubt.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from contextlib import suppress
from dataclasses import dataclass

from sepe.errors import PeerProtocolError

HEAD_BYTES_MAX = 64 * 1024
# A completed-jobs list of CUPS (500 jobs, the three attributes we ask for) is about 60 KB.
BODY_BYTES_MAX = 8 * 1024 * 1024
CONTINUES_MAX = 8
CONNECT_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class PrinterAddress:
    """Where a printer listens.

    Attributes:
        fingerprint: SHA-256 of its certificate in hex, or None.
        socket: the path of a local server's socket, as CUPS has one; host and port then are only its name.
    """

    host: str
    port: int
    path: str
    is_tls: bool = False
    fingerprint: str | None = None
    socket: str = ""

    @property
    def uri(self) -> str:
        """The ``printer-uri`` of the operation attributes."""
        return f"{'ipps' if self.is_tls else 'ipp'}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class ExchangeError(Exception):
    """The exchange failed in the line or in HTTP.

    Attributes:
        was_sent: at least one byte of the request had been handed to the connection.
    """

    def __init__(self, detail: str, *, was_sent: bool) -> None:
        self.was_sent = was_sent
        super().__init__(detail)


async def post(address: PrinterAddress, body: bytes, *, deadline_s: float) -> tuple[int, bytes]:
    """Send ``body`` as ``application/ipp``; return the HTTP status and the answer's body.

    Raises:
        ExchangeError: no whole answer within the deadline.
    """
    was_sent = False
    try:
        async with asyncio.timeout(deadline_s):
            reader, writer = await _connect(address)
            try:
                was_sent = True
                await _send(writer, address, body)
                return await _answer(reader)
            finally:
                writer.transport.abort()
    except TimeoutError as exc:
        raise ExchangeError(f"no answer within {deadline_s:g} s", was_sent=was_sent) from exc
    except PeerProtocolError as exc:
        raise ExchangeError(str(exc), was_sent=was_sent) from exc
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OverflowError) as exc:
        # Whatever a peer sends: a line over the reader's limit is a ValueError, say.
        raise ExchangeError(f"{type(exc).__name__}: {exc}", was_sent=was_sent) from exc


async def _connect(address: PrinterAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    tls = _tls(address) if address.is_tls else None
    async with asyncio.timeout(CONNECT_S_MAX):
        if address.socket:
            return await asyncio.open_unix_connection(address.socket, limit=HEAD_BYTES_MAX)
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls, limit=HEAD_BYTES_MAX)
    if address.fingerprint is not None:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        if hashlib.sha256(certificate).hexdigest() != address.fingerprint:
            writer.transport.abort()
            raise PeerProtocolError("printer_certificate", "it is not the certificate of the fingerprint")
    return reader, writer


def _tls(address: PrinterAddress) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if address.fingerprint is not None:
        # The pin is stricter than a chain: it is compared before a byte of the job is sent.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _send(writer: asyncio.StreamWriter, address: PrinterAddress, body: bytes) -> None:
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.authority}\r\nContent-Type: application/ipp\r\n"
        f"Content-Length: {len(body)}\r\nUser-Agent: sepe\r\nConnection: close\r\n\r\n"
    )
    # A printer that refuses early answers and closes while we still write; its answer is worth reading.
    with suppress(ConnectionError):
        writer.write(head.encode() + body)
        await writer.drain()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    for _ in range(CONTINUES_MAX):
        status, headers = await _head(reader)
        if status >= 200:
            return status, await _body(reader, headers)
    raise PeerProtocolError("http_malformed", "only interim answers")


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as exc:
        raise PeerProtocolError("http_malformed", "the head is too long") from exc
    first, *lines = head.split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not (parts[1].isascii() and parts[1].isdigit()):
        raise PeerProtocolError("http_malformed", "no status line")
    headers = (line.partition(":") for line in lines if line)
    return int(parts[1]), {name.strip().lower(): value.strip() for name, _, value in headers}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    length = headers.get("content-length")
    if length is None:
        data = bytearray()
        while more := await reader.read(HEAD_BYTES_MAX):
            data += more
            _check_bound(len(data))
        return bytes(data)
    return await reader.readexactly(_size(length, base=10))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    data = bytearray()
    while True:
        line = await reader.readline()
        size = _size(line.split(b";")[0].strip().decode("latin-1"), base=16)
        if size == 0:
            return bytes(data)
        data += await reader.readexactly(size)
        _check_bound(len(data))
        await reader.readexactly(2)


def _size(text: str, *, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError as exc:
        raise PeerProtocolError("http_malformed", "a length that is no number") from exc
    if not 0 <= size <= BODY_BYTES_MAX:
        raise PeerProtocolError("http_malformed", f"a body of {size} bytes")
    return size


def _check_bound(size: int) -> None:
    if size > BODY_BYTES_MAX:
        raise PeerProtocolError("http_malformed", f"a body over {BODY_BYTES_MAX} bytes")
