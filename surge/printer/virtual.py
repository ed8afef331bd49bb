"""A card printer without the printer: a real IPP endpoint on loopback whose faults are method calls."""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from node.printing.ipp.codec import decode
from node.printing.ipp.registry import Operation
from sepe.errors import InvalidInputError, PeerProtocolError
from surge.printer.engine import COVER, JAM, Engine, Mechanics, Sheet, Tray
from surge.printer.http import HttpAnswer, HttpRequest, HttpServer
from surge.printer.notices import HOLD_S, Tells
from surge.printer.operations import PrinterIdentity, answer_ipp
from surge.printer.subscriptions import is_quiet

PATH = "/ipp/print"


class LineFault(StrEnum):
    """What goes wrong with one answer. The request itself is carried out, except under ``LOSE``."""

    HANG_UP = "hang-up"
    STALL = "stall"
    GARBAGE = "garbage"
    LOSE = "lose"


class MechanicsOptions(TypedDict, total=False):
    """The fields of ``Mechanics`` as keywords."""

    pace_s: float
    grip_fraction: float
    blanks: int | None
    ribbon: int | None
    heat_after: int | None
    heat_pause_s: float
    jobs_max: int


class VirtualPrinter:
    """``async with VirtualPrinter(pace_s=0.5) as printer: open_driver(printer.url)``

    ``tells``: what it knows of event subscriptions. ``requests`` counts what it was asked, by operation.
    ``tray_file`` gets one JSON line per physical sheet. Control methods take effect at once; ``until``
    waits for the machine instead of sleeping.
    """

    def __init__(
        self,
        mechanics: Mechanics | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "kartu",
        tray_file: Path | None = None,
        tls: ssl.SSLContext | None = None,
        tells: Tells = Tells.WAITS,
        **options: Unpack[MechanicsOptions],
    ) -> None:
        self._tray = Tray(tray_file)
        self._engine = Engine(mechanics or Mechanics(**options), self._tray)
        self._name = name
        self._tls = tls
        self._tells = tells
        self.requests: Counter[str] = Counter()
        self._http = HttpServer(self._handle, host=host, port=port, tls=tls)
        self._uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"sepe-virtual-printer:{name}"))
        self._faults: list[tuple[LineFault, Operation | None]] = []
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'ipps' if self._tls else 'ipp'}://{self._http.host}:{self._http.port}{PATH}"

    @property
    def http_url(self) -> str:
        """Where ``/control`` and ``/tray`` are."""
        return f"{'https' if self._tls else 'http'}://{self._http.host}:{self._http.port}"

    @property
    def tray(self) -> list[Sheet]:
        """Every sheet that came out, in order; restarts do not empty it."""
        return list(self._tray.sheets)

    @property
    def spoiled(self) -> list[Sheet]:
        return list(self._tray.spoiled)

    @property
    def engine(self) -> Engine:
        return self._engine

    async def start(self) -> None:
        self._engine.power_on()
        await self.plug()

    async def stop(self) -> None:
        for chore in tuple(self._chores):
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self.unplug()
        await self._engine.power_off()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until ``is_so`` holds; asked at each change of the machine."""
        await self._engine.until(is_so)

    def jam(self, *, abort: bool = False) -> None:
        """Jam: a gripped sheet is spoiled; with ``abort`` the printer gives the job up as well."""
        self._engine.stop(JAM, abort=abort)

    def clear_jam(self) -> None:
        self._engine.clear(JAM)

    def open_cover(self) -> None:
        self._engine.stop(COVER)

    def close_cover(self) -> None:
        self._engine.clear(COVER)

    def load(self, *, blanks: int | None = None, ribbon: int | None = None) -> None:
        """Set how many blanks and how much ribbon are left; 0 is the fault itself."""
        self._engine.load(blanks=blanks, ribbon=ribbon)

    def accept_jobs(self, is_accepting: bool) -> None:
        self._engine.is_accepting = is_accepting

    async def unplug(self) -> None:
        """Pull the cable: connections die, the machine goes on with what it has and remembers it."""
        await self._http.stop()

    async def plug(self) -> None:
        """Plug the cable in again, on the same port."""
        await self._http.start()

    async def restart(self, *, replay: int = 0) -> None:
        """Power cut and return: history forgotten, job ids and up-time from 1 again.

        ``replay``: so many of the last finished jobs are printed once more, as badly kept spoolers do.
        """
        old = [job for job in self._engine.jobs.values() if job.is_finished][-replay:] if replay else []
        await self._http.stop()
        await self._engine.power_off()
        self._engine.power_on()
        for job in old:
            again = self._engine.new_job(job.name, job.user, job.media)
            self._engine.start(again, sheets=job.sheets, octets=job.octets)
        await self._http.start()

    def break_next(self, fault: LineFault, operation: Operation | None = Operation.PRINT_JOB) -> None:
        """Spoil the answer to the next request of that operation (None: of any)."""
        self._faults.append((fault, operation))

    async def _handle(self, request: HttpRequest) -> HttpAnswer | None:
        if request.path in ("/control", "/tray"):
            return await self._handle_control(request)
        if request.method != "POST":
            return HttpAnswer(f"{self._name}: {', '.join(self._engine.reasons)}\n".encode(), "text/plain")
        if request.content_type.split(";")[0].strip() != "application/ipp":
            return HttpAnswer(b"application/ipp is spoken here\n", "text/plain", 400)
        return await self._handle_ipp(request)

    async def _handle_ipp(self, request: HttpRequest) -> HttpAnswer | None:
        operation = int.from_bytes(request.body[2:4], "big")
        self.requests[Operation(operation).name if operation in set(Operation) else "other"] += 1
        fault = self._take_fault(operation)
        if fault is LineFault.LOSE:
            return None
        identity = PrinterIdentity(
            self._name, self.url, self._uuid, is_tls=self._tls is not None, tells=self._tells
        )
        if operation == Operation.GET_NOTIFICATIONS and self._tells is Tells.WAITS:
            await self._hold(request.body)
        body = answer_ipp(request.body, self._engine, identity)
        match fault:
            case LineFault.HANG_UP:
                return None
            case LineFault.STALL:
                # Ends when the line is cut: by the client's deadline or by unplug().
                await asyncio.Event().wait()
            case LineFault.GARBAGE:
                return HttpAnswer(b"\x01\x01" + body[9:] + b"\xff")
        return HttpAnswer(body)

    async def _hold(self, body: bytes) -> None:
        """Keep the answer back until there is something to tell, or for long enough."""
        with suppress(PeerProtocolError, TimeoutError):
            request = decode(body)
            async with asyncio.timeout(HOLD_S):
                await self._engine.until(lambda: not is_quiet(request, self._engine))

    def _take_fault(self, operation: int) -> LineFault | None:
        for index, (fault, wanted) in enumerate(self._faults):
            if wanted is None or wanted == operation:
                del self._faults[index]
                return fault
        return None

    async def _handle_control(self, request: HttpRequest) -> HttpAnswer:
        if request.path == "/tray":
            sheets = [{"job_name": one.job_name, "media": one.media, "at": one.at_s} for one in self._tray.sheets]
            body = {"sheets": sheets, "spoiled": len(self._tray.spoiled)}
            return HttpAnswer(json.dumps(body).encode(), "application/json")
        try:
            await self.control(json.loads(request.body or b"null"))
        except (ValueError, InvalidInputError) as exc:
            return HttpAnswer(json.dumps({"error": str(exc)}).encode(), "application/json", 400)
        return HttpAnswer(json.dumps({"reasons": list(self._engine.reasons)}).encode(), "application/json")

    async def control(self, command: object) -> None:
        """Carry out ``{"do": NAME, …}``: jam, clear-jam, open-cover, close-cover, load, unplug, restart, break.

        ``load`` takes ``blanks`` and ``ribbon``; ``jam`` takes ``abort``; ``restart`` takes ``replay``;
        ``unplug`` takes ``seconds`` until it is plugged in again; ``break`` takes ``fault``.

        Raises:
            InvalidInputError: no such command or a wrong argument; nothing changed.
        """
        if not isinstance(command, dict) or not isinstance(command.get("do"), str):
            raise InvalidInputError('a command is {"do": NAME}', value=command)
        match command["do"]:
            case "jam":
                self.jam(abort=command.get("abort") is True)
            case "clear-jam":
                self.clear_jam()
            case "open-cover":
                self.open_cover()
            case "close-cover":
                self.close_cover()
            case "load":
                self.load(blanks=_count(command, "blanks"), ribbon=_count(command, "ribbon"))
            case "unplug":
                self._later(self._unplug_for(_count(command, "seconds") or 1))
            case "restart":
                self._later(self.restart(replay=_count(command, "replay") or 0))
            case "break" if command.get("fault") in list(LineFault):
                self.break_next(LineFault(command["fault"]))
            case other:
                raise InvalidInputError("no such command", field="do", value=other)

    def _later(self, chore: Coroutine[Any, Any, None]) -> None:
        """Do what cuts connections only after this request has had its answer."""

        async def after_the_answer() -> None:
            await asyncio.sleep(0.05)
            await chore

        task = asyncio.create_task(after_the_answer())
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _unplug_for(self, seconds: int) -> None:
        await self.unplug()
        await asyncio.sleep(seconds)
        await self.plug()


def _count(command: dict[str, Any], name: str) -> int | None:
    value = command.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise InvalidInputError("a count is a whole number from 0", field=name, value=value)
    return value
