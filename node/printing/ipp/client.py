"""The IPP driver: our jobs on any printer or CUPS queue that speaks IPP 1.1 or later."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import count

from node.printing.driver import (
    Document,
    DocumentRefusedError,
    JobOutcome,
    PrinterBusyError,
    PrinterRefusedError,
    PrinterReport,
    PrinterState,
    PrinterUnreachableError,
)
from node.printing.ipp.abilities import WANTED, Abilities
from node.printing.ipp.codec import Attribute, Group, Message, Tag, attribute, decode, encode
from node.printing.ipp.http import ExchangeError, PrinterAddress, post
from node.printing.ipp.notices import WANTED as NOTICES_WANTED
from node.printing.ipp.notices import Notices
from node.printing.ipp.registry import STATUS_OK_LAST, JobState, Operation, Status
from sepe.errors import PeerProtocolError

__all__ = ["IppDriver", "PrinterAddress"]

SUBMIT_S_MAX = 60.0
QUERY_S_MAX = 10.0
# Printer ids of recent jobs, so that a poll asks for one job instead of the printer's whole memory.
REMEMBERED_IDS_MAX = 512
REQUEST_ID_MAX = 2**31 - 1
# The last one is not for us: CUPS forgets the names of finished jobs when it unloads them, a second or so after
# they ended, and reads them from its disk again only for an attribute that it does not keep in memory.
JOB_ATTRIBUTES = ("job-id", "job-name", "job-state", "job-state-reasons", "job-media-sheets-completed")
# RFC 8011 5.3.8: the job is called cancelled, and something of it still happens in the machine.
TARGETS = frozenset({"job-id", "notify-subscription-id"})
STILL_STOPPING = "processing-to-stop-point"

OUTCOMES = {
    JobState.PENDING: JobOutcome.PENDING,
    JobState.HELD: JobOutcome.PENDING,
    JobState.PROCESSING: JobOutcome.PRINTING,
    JobState.STOPPED: JobOutcome.PRINTING,
    JobState.CANCELED: JobOutcome.CANCELED,
    JobState.ABORTED: JobOutcome.ABORTED,
    JobState.COMPLETED: JobOutcome.PRINTED,
}
# A restarted spooler may replay a job under its old name and a new id. The most final answer wins: if
# one copy was printed, the job was printed, whatever became of the other.
PRECEDENCE = (
    JobOutcome.UNKNOWN,
    JobOutcome.ABORTED,
    JobOutcome.CANCELED,
    JobOutcome.PENDING,
    JobOutcome.PRINTING,
    JobOutcome.PRINTED,
)
PRINTER_STATES = {3: PrinterState.IDLE, 4: PrinterState.PRINTING, 5: PrinterState.STOPPED}

# Refusals after which no job exists. What is neither here nor in DOUBTFUL is a refusal for good.
BUSY = frozenset(
    {
        Status.BUSY,
        Status.NOT_ACCEPTING_JOBS,
        Status.TEMPORARY_ERROR,
        Status.SERVICE_UNAVAILABLE,
        Status.PRINTER_IS_DEACTIVATED,
        Status.TOO_MANY_JOBS,
    }
)
# RFC 8011 B.1.4, PWG 5100.1: what is wrong is the document or what was asked for it, whichever printer gets it.
ABOUT_THE_DOCUMENT = frozenset({0x0408, 0x0409, 0x040A, 0x040B, 0x0410, 0x0411, 0x0412, 0x0418})
# RFC 8011 B.1.5: these may come after the job object was created.
DOUBTFUL = frozenset({Status.INTERNAL_ERROR, Status.DEVICE_ERROR, Status.JOB_CANCELED})
HTTP_BUSY = frozenset({429, 503})


class IppDriver:
    """``PrintDriver`` over IPP; see ``node.printing.driver`` for what each error means."""

    def __init__(
        self,
        address: PrinterAddress,
        *,
        user: str = "sepe",
        submit_s_max: float = SUBMIT_S_MAX,
        query_s_max: float = QUERY_S_MAX,
    ) -> None:
        self._address = address
        self._user = user
        self._submit_s_max = submit_s_max
        self._query_s_max = query_s_max
        self._request_ids = count(1)
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._abilities = Abilities()
        self._notices = Notices(self._exchange)

    async def submit(self, document: Document) -> None:
        await self._notices.subscribe()
        answer = await self._print_job(document)
        if answer.code == Status.ATTRIBUTES_NOT_SUPPORTED:
            # It made no job of it. Some refuse what they do not offer instead of doing without.
            self._abilities = await self._ask_abilities()
            answer = await self._print_job(document)
        if answer.code > STATUS_OK_LAST:
            raise _submit_error(answer)
        job_id = answer.group(Tag.JOB).integer("job-id")
        if job_id is not None:
            self._remember(document.job_name, job_id)

    async def _print_job(self, document: Document) -> Message:
        request = self._request(
            Operation.PRINT_JOB,
            attribute(Tag.NAME, "job-name", document.job_name),
            attribute(Tag.BOOLEAN, "ipp-attribute-fidelity", False),
            attribute(Tag.MIME, "document-format", "application/pdf"),
            groups=(Group(Tag.JOB, self._abilities.template(document)),),
            document=document.data,
        )
        return await self._ask(request, self._submit_s_max, is_submit=True)

    async def outcome(self, job_name: str) -> JobOutcome:
        job = await self._job_by_id(job_name)
        if job is not None:
            return _outcome(job)
        jobs = await self._jobs_by_name(job_name)
        return max((_outcome(one) for one in jobs), key=PRECEDENCE.index, default=JobOutcome.UNKNOWN)

    async def news(self, job_name: str, *, poll_s: float, quiet_s: float) -> bool:
        loop = asyncio.get_running_loop()
        job_id, began_s = self._ids.get(job_name), loop.time()
        if job_id is None or not self._notices.is_telling:
            await asyncio.sleep(poll_s)
            return False
        if not await self._notices.wait(job_id, quiet_s):
            await asyncio.sleep(max(poll_s - (loop.time() - began_s), 0))
        return self._notices.is_telling

    async def cancel(self, job_name: str) -> None:
        for job in await self._jobs_by_name(job_name, which=("not-completed",)):
            job_id = job.integer("job-id")
            if job_id is not None:
                request = self._request(Operation.CANCEL_JOB, attribute(Tag.INTEGER, "job-id", job_id))
                # ``not-possible`` and ``not-found`` say that it ended meanwhile, which is no error here.
                await self._ask(request, self._query_s_max)

    async def remembered(self) -> list[str]:
        return [name for job in await self._jobs() if (name := job.text("job-name")) is not None]

    async def report(self) -> PrinterReport:
        wanted = (
            "printer-state",
            "printer-state-reasons",
            "printer-up-time",
            "queued-job-count",
            "printer-is-accepting-jobs",
            *NOTICES_WANTED,
        )
        request = self._request(
            Operation.GET_PRINTER_ATTRIBUTES, attribute(Tag.KEYWORD, "requested-attributes", *wanted)
        )
        answer = await self._ask(request, self._query_s_max)
        printer = answer.group(Tag.PRINTER)
        self._notices.learn(printer)
        state = PRINTER_STATES.get(printer.integer("printer-state") or 0)
        if answer.code > STATUS_OK_LAST or state is None:
            raise PrinterUnreachableError(f"the printer does not tell its state (status {answer.code:#06x})")
        accepting = printer.boolean("printer-is-accepting-jobs")
        return PrinterReport(
            state=state,
            reasons=tuple(one for one in printer.texts("printer-state-reasons") if one != "none"),
            up_time_s=printer.integer("printer-up-time"),
            queued=max(0, printer.integer("queued-job-count") or 0),
            accepting=accepting if accepting is not None else state is not PrinterState.STOPPED,
        )

    async def close(self) -> None:
        await self._notices.cancel()
        self._ids.clear()

    async def _ask_abilities(self) -> Abilities:
        request = self._request(
            Operation.GET_PRINTER_ATTRIBUTES, attribute(Tag.KEYWORD, "requested-attributes", *WANTED)
        )
        answer = await self._ask(request, self._query_s_max)
        return Abilities.of(answer.group(Tag.PRINTER))

    async def _job_by_id(self, job_name: str) -> Group | None:
        """The job behind the id that the printer gave us, unless that id now means another job."""
        job_id = self._ids.get(job_name)
        if job_id is None:
            return None
        request = self._request(
            Operation.GET_JOB_ATTRIBUTES,
            attribute(Tag.INTEGER, "job-id", job_id),
            attribute(Tag.KEYWORD, "requested-attributes", *JOB_ATTRIBUTES),
        )
        answer = await self._ask(request, self._query_s_max)
        job = answer.group(Tag.JOB)
        if answer.code <= STATUS_OK_LAST and job.text("job-name") == job_name:
            return job
        del self._ids[job_name]
        return None

    async def _jobs_by_name(
        self, job_name: str, which: tuple[str, ...] = ("not-completed", "completed")
    ) -> tuple[Group, ...]:
        # Not-completed is asked first: a job that ends between the two questions is then seen in the
        # second, while the other order could miss it in both.
        return tuple(job for job in await self._jobs(which) if job.text("job-name") == job_name)

    async def _jobs(self, which: tuple[str, ...] = ("not-completed", "completed")) -> list[Group]:
        found: list[Group] = []
        for one in which:
            request = self._request(
                Operation.GET_JOBS,
                attribute(Tag.KEYWORD, "which-jobs", one),
                attribute(Tag.KEYWORD, "requested-attributes", *JOB_ATTRIBUTES),
            )
            answer = await self._ask(request, self._query_s_max)
            if answer.code > STATUS_OK_LAST and answer.code != Status.NOT_FOUND:
                raise PrinterUnreachableError(f"the printer does not list its jobs (status {answer.code:#06x})")
            found += answer.all_groups(Tag.JOB)
        return found

    def _remember(self, job_name: str, job_id: int) -> None:
        self._ids[job_name] = job_id
        while len(self._ids) > REMEMBERED_IDS_MAX:
            self._ids.popitem(last=False)

    def _request(
        self,
        operation: Operation,
        *attributes: Attribute,
        groups: tuple[Group, ...] = (),
        document: bytes = b"",
    ) -> Message:
        head = (
            attribute(Tag.CHARSET, "attributes-charset", "utf-8"),
            attribute(Tag.LANGUAGE, "attributes-natural-language", "en"),
            attribute(Tag.URI, "printer-uri", self._address.uri),
        )
        # RFC 8011 wants the target (printer-uri and an id) before the user's name.
        target = tuple(one for one in attributes if one.name in TARGETS)
        rest = tuple(one for one in attributes if one.name not in TARGETS)
        user = attribute(Tag.NAME, "requesting-user-name", self._user)
        every = (Group(Tag.OPERATION, (*head, *target, user, *rest)), *groups)
        request_id = next(self._request_ids) % REQUEST_ID_MAX or 1
        # Every IPP/2.x printer must answer 1.1, and the 1.1 printers answer nothing else.
        return Message(operation, request_id, every, version=(1, 1), document=document)

    async def _exchange(
        self, operation: Operation, attributes: tuple[Attribute, ...], groups: tuple[Group, ...], deadline_s: float
    ) -> Message:
        return await self._ask(self._request(operation, *attributes, groups=groups), deadline_s)

    async def _ask(self, request: Message, deadline_s: float, *, is_submit: bool = False) -> Message:
        """Exchange one message.

        Raises:
            PrinterUnreachableError, PrinterBusyError, PrinterRefusedError: see the module.
        """
        try:
            http_status, body = await post(self._address, encode(request), deadline_s=deadline_s)
        except ExchangeError as exc:
            doubt = is_submit and exc.was_sent
            raise PrinterUnreachableError(f"{self._address.uri}: {exc}", maybe_accepted=doubt) from exc
        if http_status != 200:
            raise self._http_error(http_status, is_submit=is_submit)
        try:
            answer = decode(body)
        except (PeerProtocolError, ValueError, IndexError, OverflowError, RecursionError) as exc:
            raise PrinterUnreachableError(f"{self._address.uri}: {exc}", maybe_accepted=is_submit) from exc
        if answer.request_id != request.request_id:
            raise PrinterUnreachableError(
                f"{self._address.uri}: an answer to another request", maybe_accepted=is_submit
            )
        return answer

    def _http_error(self, status: int, *, is_submit: bool) -> Exception:
        what = f"{self._address.uri} answered HTTP {status}"
        if status in HTTP_BUSY:
            return PrinterBusyError(what)
        if 300 <= status < 500:
            return PrinterRefusedError(
                "the printer takes no IPP at this address",
                field="printer",
                value=f"{self._address.uri} (HTTP {status})",
                hint="Check host, port, path and whether it wants ipps://",
            )
        return PrinterUnreachableError(what, maybe_accepted=is_submit)


def _outcome(job: Group) -> JobOutcome:
    state = job.integer("job-state")
    if state in (JobState.CANCELED, JobState.ABORTED) and STILL_STOPPING in job.texts("job-state-reasons"):
        return JobOutcome.PRINTING
    # ``unknown`` is a legal job-state for a printer that lost sight of its marker; so are later states.
    return OUTCOMES.get(JobState(state), JobOutcome.PRINTING) if state in set(JobState) else JobOutcome.PRINTING


def _submit_error(answer: Message) -> Exception:
    said = answer.group(Tag.OPERATION).text("status-message") or ""
    what = f"status {answer.code:#06x} {said[:200]}".strip()
    if answer.code in BUSY:
        return PrinterBusyError(what)
    if answer.code in DOUBTFUL:
        return PrinterUnreachableError(what, maybe_accepted=True)
    if answer.code in ABOUT_THE_DOCUMENT:
        return DocumentRefusedError("the printer refuses this document", value=what)
    return PrinterRefusedError("the printer refuses jobs", value=what)
