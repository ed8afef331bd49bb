"""The CUPS driver: jobs handed to a queue of this machine's print system by its own program ``lp``.

``lp`` knows what an IPP client of ours cannot: which server this machine prints through, by which socket, as whom,
and which filters a queue needs. But ``lpstat`` shows neither a job's title nor whether it was printed or cancelled
(CUPS 2.4 says *processing-to-stop-point* of both). So the job is submitted with ``lp`` and asked for at the same
server over IPP, by the title that is our job name.

POSIX only: Windows has no ``lp``; there a printer is ``ipp://`` or ``folder:``.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from node.printing.driver import (
    Document,
    JobOutcome,
    Media,
    PrinterBusyError,
    PrinterRefusedError,
    PrinterReport,
    PrinterUnreachableError,
)
from node.printing.ipp.client import IppDriver
from node.printing.ipp.http import PrinterAddress
from sepe.errors import InvalidInputError

# CUPS shows a job's name to its owner alone, so submitting and asking are done by one name.
USER = "sepe"
SUBMIT_S_MAX = 60.0
ASK_S_MAX = 10.0
CUPS_PORT = 631
QUEUE = re.compile(r"[!-.0-~]{1,127}")
SIDES = {Media.CARD: "two-sided-short-edge", Media.A4: "one-sided"}
# What ``lp`` says in the C locale when the server certainly has no job of ours.
BUSY = ("not accepting jobs", "too many", "Too many")
# It says *does not exist* of every queue while its server does not answer, so that is no word for good.
NOT_THERE = ("does not exist", "scheduler not responding", "Connection refused", "Unable to connect")
REFUSED = ("Unsupported", "not allowed", "Forbidden", "Unauthorized", "unable to access")


@dataclass(frozen=True, slots=True)
class LpAddress:
    """A queue, and its server as ``HOST[:PORT]``; ``""`` for the one that this machine prints through."""

    queue: str
    server: str = ""


class LpDriver:
    """``PrintDriver`` over ``lp``; see the module."""

    def __init__(self, address: LpAddress) -> None:
        self._address = address
        self._ipp: IppDriver | None = None

    async def submit(self, document: Document) -> None:
        # ``lp`` reads a file that only this user can read; a pipe would leave it unknown how much was taken.
        with tempfile.TemporaryDirectory(prefix="sepe-lp-") as folder:
            path = Path(folder) / f"{document.job_name}.pdf"
            await asyncio.to_thread(path.write_bytes, document.data)
            code, said = await self._call(
                "lp", *self._server(), "-U", USER, "-d", self._address.queue, "-t", document.job_name,
                "-n", str(document.copies), "-o", f"media={document.media.value}",
                "-o", f"sides={SIDES[document.media]}", "-o", "print-scaling=none",
                "-o", "document-format=application/pdf", "--", str(path),
                deadline_s=SUBMIT_S_MAX, is_submit=True,
            )  # fmt: skip
        if code != 0:
            raise _submit_error(said)

    async def outcome(self, job_name: str) -> JobOutcome:
        return await (await self._asking()).outcome(job_name)

    async def news(self, job_name: str, *, poll_s: float, quiet_s: float) -> bool:
        # A CUPS server does not keep its answer back, so there is nothing to be told.
        await asyncio.sleep(poll_s)
        return False

    async def cancel(self, job_name: str) -> None:
        await (await self._asking()).cancel(job_name)

    async def remembered(self) -> list[str]:
        return await (await self._asking()).remembered()

    async def report(self) -> PrinterReport:
        return await (await self._asking()).report()

    async def close(self) -> None:
        if self._ipp is not None:
            await self._ipp.close()

    def _server(self) -> tuple[str, ...]:
        return ("-h", self._address.server) if self._address.server else ()

    async def _asking(self) -> IppDriver:
        """The way to ask the server about its jobs."""
        if self._ipp is None:
            server = self._address.server
            if not server:
                code, said = await self._call("lpstat", "-H", deadline_s=ASK_S_MAX)
                if code != 0:
                    raise PrinterUnreachableError(f"lpstat -H: {said}")
                server = said
            self._ipp = IppDriver(server_address(server, self._address.queue), user=USER)
        return self._ipp

    async def _call(
        self, program: str, *arguments: str, deadline_s: float, is_submit: bool = False
    ) -> tuple[int, str]:
        """Exit code and the first lines that the program said.

        Raises:
            PrinterUnreachableError: it cannot be started, or did not end in time.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                program, *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except OSError as exc:
            raise PrinterUnreachableError(f"{program} cannot be started: {exc.strerror}") from exc
        try:
            async with asyncio.timeout(deadline_s):
                said, _ = await process.communicate()
        except TimeoutError as exc:
            raise PrinterUnreachableError(f"{program} did not end", maybe_accepted=is_submit) from exc
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, said.decode(errors="replace").strip()[:300]


def open_lp(rest: str, url: str) -> LpDriver:
    """The driver for ``lp:QUEUE[@HOST[:PORT]]``.

    Raises:
        InvalidInputError: no queue's name, or a machine that has no ``lp``.
    """
    queue, _, server = rest.partition("@")
    if (
        not QUEUE.fullmatch(queue)
        or queue.startswith("-")
        or not re.fullmatch(r"[\w.:-]*|\[[\w:]+\](:\d+)?", server)
    ):
        raise InvalidInputError("a CUPS queue is lp:QUEUE or lp:QUEUE@HOST[:PORT]", field="printer", value=url)
    if os.name != "posix":
        raise InvalidInputError(
            "lp: is for machines that print through CUPS, not for Windows", field="printer", value=url,
            hint="Use ipp://HOST/ipp/print, or folder:PATH for the vendor's software",
        )  # fmt: skip
    if shutil.which("lp") is None or shutil.which("lpstat") is None:
        raise InvalidInputError(
            "this machine has no lp and lpstat", field="printer", value=url, hint="apt-get install cups-client"
        )
    return LpDriver(LpAddress(queue, server))


def server_address(server: str, queue: str) -> PrinterAddress:
    """Where a server answers, as ``lpstat -H`` names it: HOST, HOST:PORT or the path of a socket."""
    path = f"/printers/{queue}"
    if server.startswith("/"):
        return PrinterAddress("localhost", CUPS_PORT, path, socket=server)
    host, colon, port = server.rpartition(":")
    if not colon or "]" in port:
        host, port = server, str(CUPS_PORT)
    return PrinterAddress(host.strip("[]"), int(port), path)


def _submit_error(said: str) -> Exception:
    if any(word in said for word in BUSY):
        return PrinterBusyError(f"lp: {said}")
    if any(word in said for word in NOT_THERE):
        return PrinterUnreachableError(f"lp: {said}")
    if any(word in said for word in REFUSED):
        return PrinterRefusedError("CUPS refuses this job", field="printer", value=said)
    # It may have made the job before it failed.
    return PrinterUnreachableError(f"lp: {said}", maybe_accepted=True)
