"""What the virtual printer answers to each IPP operation, in the order of RFC 8011 section 4.1's checks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from node.printing.driver import COPIES_MAX, Media
from node.printing.ipp.codec import Attribute, Group, Message, Tag, attribute, decode, encode
from node.printing.ipp.registry import Operation, Status
from sepe.errors import PeerProtocolError
from surge.printer.attributes import (
    FORMATS,
    JOB_ATTRIBUTES_BY_DEFAULT,
    SIDES,
    chosen,
    job_attributes,
    job_uri,
    media_of,
    offered,
    printer_attributes,
)
from surge.printer.engine import Engine, Job
from surge.printer.notices import Tells
from surge.printer.subscriptions import ANSWERS, answer_subscription

PDF_PAGE = re.compile(rb"/Type\s*/Page\b")
SHEETS_MAX = 10_000
JOB_TARGET_URI = re.compile(r"^ipps?://[^/]+/.*?/(\d{1,9})$")
SNIFFED = "application/octet-stream"


class IppRefusal(Exception):
    """The operation ends with this status; ``unsupported`` names what was not understood."""

    def __init__(self, status: Status, why: str, unsupported: tuple[Attribute, ...] = ()) -> None:
        self.status = status
        self.why = why
        self.unsupported = unsupported
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a job asks for, and which of it this printer will not do."""

    media: Media
    copies: int
    is_two_sided: bool
    unsupported: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class PrinterIdentity:
    name: str
    uri: str
    uuid: str
    is_tls: bool
    tells: Tells = Tells.WAITS


Reply = tuple[Status, tuple[Group, ...]]


def answer_ipp(body: bytes, engine: Engine, identity: PrinterIdentity) -> bytes:
    """Carry the request out; the answer as bytes, whatever the request was."""
    try:
        request = decode(body)
    except PeerProtocolError as exc:
        return _refusal(Status.BAD_REQUEST, 1, (1, 1), exc.detail)
    version = request.version if request.version in ((1, 1), (2, 0)) else (1, 1)
    try:
        _check(request, identity)
        operation = Operation(request.code)
        told: tuple[Attribute, ...] = ()
        if operation in ANSWERS:
            status, told, groups = answer_subscription(operation, request, engine, identity.uri)
        else:
            status, groups = OPERATIONS[operation](_Call(request, engine, identity))
    except IppRefusal as exc:
        return _refusal(exc.status, request.request_id, version, exc.why, exc.unsupported)
    answer = Message(status, request.request_id, (_operation_group(status.name.lower(), told), *groups), version)
    return encode(answer)


@dataclass(frozen=True, slots=True)
class _Call:
    request: Message
    engine: Engine
    identity: PrinterIdentity

    @property
    def operation(self) -> Group:
        return self.request.group(Tag.OPERATION)

    def job(self) -> Job:
        """The job that ``job-id`` or ``job-uri`` points at."""
        job_id = self.operation.integer("job-id")
        if job_id is None:
            uri = JOB_TARGET_URI.match(self.operation.text("job-uri") or "")
            if uri is None:
                raise IppRefusal(Status.BAD_REQUEST, "no job-id")
            job_id = int(uri[1])
        if job_id not in self.engine.jobs:
            raise IppRefusal(Status.NOT_FOUND, "this printer knows no such job")
        return self.engine.jobs[job_id]

    def described(self, job: Job, wanted: tuple[str, ...], default: frozenset[str] | None = None) -> Group:
        every = job_attributes(job, self.engine, printer_uri=self.identity.uri)
        return Group(Tag.JOB, chosen(every, wanted, default=default))


def _print_job(call: _Call) -> Reply:
    ticket = _validated(call)
    _check_free(call.engine)
    job = _created(call, ticket)
    _start(call, job, ticket)
    return _job_reply(call, job, ticket.unsupported)


def _validate_job(call: _Call) -> Reply:
    ticket = _validated(call)
    return _ok(ticket.unsupported), _unsupported(ticket.unsupported)


def _create_job(call: _Call) -> Reply:
    # No check for a free place: the document takes it, and until it comes the job waits outside.
    ticket = _ticket(call.request)
    _check_accepting(call.engine)
    return _job_reply(call, _created(call, ticket), ticket.unsupported)


def _send_document(call: _Call) -> Reply:
    job = call.job()
    is_last = call.operation.boolean("last-document")
    if is_last is None:
        raise IppRefusal(Status.BAD_REQUEST, "no last-document")
    if not job.is_incoming or job.is_finished:
        raise IppRefusal(Status.NOT_POSSIBLE, "the job takes no further document")
    if call.request.document:
        _check_format(call)
        _check_free(call.engine)
        _start(call, job, _ticket(call.request))
    elif is_last:
        call.engine.cancel(job)
    return _job_reply(call, job, ())


def _cancel_job(call: _Call) -> Reply:
    if not call.engine.cancel(call.job()):
        raise IppRefusal(Status.NOT_POSSIBLE, "the job has ended")
    return Status.OK, ()


def _get_job_attributes(call: _Call) -> Reply:
    return Status.OK, (call.described(call.job(), call.operation.texts("requested-attributes")),)


def _get_jobs(call: _Call) -> Reply:
    which = call.operation.text("which-jobs") or "not-completed"
    if which not in ("completed", "not-completed", "all"):
        wrong = attribute(Tag.KEYWORD, "which-jobs", which)
        raise IppRefusal(Status.ATTRIBUTES_NOT_SUPPORTED, "which-jobs", (wrong,))
    jobs = [
        job for job in call.engine.jobs.values() if which == "all" or job.is_finished == (which == "completed")
    ]
    if call.operation.boolean("my-jobs"):
        jobs = [job for job in jobs if job.user == _user(call)]
    if which == "completed":
        jobs.reverse()
    limit = call.operation.integer("limit")
    wanted = call.operation.texts("requested-attributes")
    listed = jobs if limit is None else jobs[: max(0, limit)]
    return Status.OK, tuple(call.described(job, wanted, JOB_ATTRIBUTES_BY_DEFAULT) for job in listed)


def _get_printer_attributes(call: _Call) -> Reply:
    identity = call.identity
    every = printer_attributes(
        call.engine,
        name=identity.name,
        uri=identity.uri,
        uuid=identity.uuid,
        is_tls=identity.is_tls,
        tells=identity.tells,
    )
    wanted = call.operation.texts("requested-attributes") or ("all",)
    return Status.OK, (Group(Tag.PRINTER, chosen(every, wanted)),)


OPERATIONS: dict[Operation, Callable[[_Call], Reply]] = {
    Operation.PRINT_JOB: _print_job,
    Operation.VALIDATE_JOB: _validate_job,
    Operation.CREATE_JOB: _create_job,
    Operation.SEND_DOCUMENT: _send_document,
    Operation.CANCEL_JOB: _cancel_job,
    Operation.GET_JOB_ATTRIBUTES: _get_job_attributes,
    Operation.GET_JOBS: _get_jobs,
    Operation.GET_PRINTER_ATTRIBUTES: _get_printer_attributes,
}


def _check(request: Message, identity: PrinterIdentity) -> None:
    if request.version[0] not in (1, 2):
        raise IppRefusal(Status.VERSION_NOT_SUPPORTED, "IPP 1.1 and 2.0 are spoken here")
    if request.request_id < 1:
        raise IppRefusal(Status.BAD_REQUEST, "a request id is at least 1")
    attributes = request.group(Tag.OPERATION).attributes
    names = [one.name for one in attributes[:2]]
    if names != ["attributes-charset", "attributes-natural-language"]:
        raise IppRefusal(Status.BAD_REQUEST, "attributes-charset and attributes-natural-language come first")
    operation = request.group(Tag.OPERATION)
    charset = operation.text("attributes-charset")
    if charset not in ("utf-8", "us-ascii"):
        raise IppRefusal(Status.CHARSET_NOT_SUPPORTED, "utf-8 is spoken here", (attributes[0],))
    if request.code not in offered(identity.tells):
        raise IppRefusal(Status.OPERATION_NOT_SUPPORTED, f"operation {request.code:#06x}")
    if operation.text("printer-uri") is None and operation.text("job-uri") is None:
        raise IppRefusal(Status.BAD_REQUEST, "no printer-uri")


def _check_accepting(engine: Engine) -> None:
    if not engine.is_accepting:
        raise IppRefusal(Status.NOT_ACCEPTING_JOBS, "the printer takes no jobs")


def _check_free(engine: Engine) -> None:
    _check_accepting(engine)
    if engine.is_busy:
        raise IppRefusal(Status.BUSY, "the printer has a job")


def _check_format(call: _Call) -> None:
    compression = call.operation.text("compression") or "none"
    if compression != "none":
        wrong = attribute(Tag.KEYWORD, "compression", compression)
        raise IppRefusal(Status.COMPRESSION_NOT_SUPPORTED, "compression", (wrong,))
    claimed = call.operation.text("document-format") or SNIFFED
    if claimed not in FORMATS:
        wrong = attribute(Tag.MIME, "document-format", claimed)
        raise IppRefusal(Status.FORMAT_NOT_SUPPORTED, "document-format", (wrong,))
    document = call.request.document
    if claimed == "application/pdf" and document and not document.startswith(b"%PDF-"):
        raise IppRefusal(Status.FORMAT_ERROR, "the document is not a PDF")


def _validated(call: _Call) -> Ticket:
    _check_format(call)
    return _ticket(call.request)


def _ticket(request: Message) -> Ticket:
    job = request.group(Tag.JOB)
    unsupported: list[Attribute] = []
    media = _media(job, unsupported)
    copies = job.integer("copies") or 1
    if not 1 <= copies <= COPIES_MAX:
        unsupported.append(attribute(Tag.INTEGER, "copies", copies))
        copies = 1
    sides = job.text("sides") or SIDES[0]
    if sides not in SIDES:
        unsupported.append(attribute(Tag.KEYWORD, "sides", sides))
    if unsupported and request.group(Tag.OPERATION).boolean("ipp-attribute-fidelity"):
        raise IppRefusal(Status.ATTRIBUTES_NOT_SUPPORTED, "ipp-attribute-fidelity", tuple(unsupported))
    return Ticket(media, copies, sides in SIDES[1:], tuple(unsupported))


def _media(job: Group, unsupported: list[Attribute]) -> Media:
    keyword, column = job.text("media"), job.get("media-col")
    if column is not None:
        media = media_of(_media_size(column.first()))
        if media is None:
            unsupported.append(column)
        return media or Media.CARD
    if keyword is not None and keyword not in list(Media):
        unsupported.append(attribute(Tag.KEYWORD, "media", keyword))
        return Media.CARD
    return Media(keyword) if keyword else Media.CARD


def _media_size(members: object) -> tuple[int, int] | None:
    column = Group(Tag.JOB, members) if isinstance(members, tuple) else Group(Tag.JOB)
    size = column.get("media-size")
    inner = size.first() if size else None
    if not isinstance(inner, tuple):
        return None
    numbers = (Group(Tag.JOB, inner).integer("x-dimension"), Group(Tag.JOB, inner).integer("y-dimension"))
    return None if numbers[0] is None or numbers[1] is None else (numbers[0], numbers[1])


def _created(call: _Call, ticket: Ticket) -> Job:
    name = call.operation.text("job-name") or "untitled"
    job = call.engine.new_job(name, _user(call), ticket.media.value)
    job.copies = ticket.copies
    return job


def _start(call: _Call, job: Job, ticket: Ticket) -> None:
    document = call.request.document
    pages = len(PDF_PAGE.findall(document)) or 1
    sheets = -(-pages // 2) if ticket.is_two_sided else pages
    call.engine.start(job, sheets=min(SHEETS_MAX, sheets * job.copies), octets=len(document))


def _user(call: _Call) -> str:
    return call.operation.text("requesting-user-name") or "anonymous"


def _job_reply(call: _Call, job: Job, unsupported: tuple[Attribute, ...]) -> Reply:
    described = (
        attribute(Tag.URI, "job-uri", job_uri(job, call.identity.uri)),
        attribute(Tag.INTEGER, "job-id", job.id),
        attribute(Tag.ENUM, "job-state", int(job.state)),
        attribute(Tag.KEYWORD, "job-state-reasons", *job.reasons),
    )
    return _ok(unsupported), (*_unsupported(unsupported), Group(Tag.JOB, described))


def _ok(unsupported: tuple[Attribute, ...]) -> Status:
    return Status.OK_SUBSTITUTED if unsupported else Status.OK


def _unsupported(attributes: tuple[Attribute, ...]) -> tuple[Group, ...]:
    return (Group(Tag.UNSUPPORTED, attributes),) if attributes else ()


def _operation_group(message: str, told: tuple[Attribute, ...] = ()) -> Group:
    return Group(
        Tag.OPERATION,
        (
            attribute(Tag.CHARSET, "attributes-charset", "utf-8"),
            attribute(Tag.LANGUAGE, "attributes-natural-language", "en"),
            attribute(Tag.TEXT, "status-message", message[:255]),
            *told,
        ),
    )


def _refusal(
    status: Status, request_id: int, version: tuple[int, int], why: str, unsupported: tuple[Attribute, ...] = ()
) -> bytes:
    groups = (_operation_group(why), *_unsupported(unsupported))
    return encode(Message(status, request_id, groups, version))
