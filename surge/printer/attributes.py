"""How the virtual printer describes itself and its jobs (RFC 8011 sections 5.3 and 5.4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from node.printing.driver import Media
from node.printing.ipp.codec import (
    Attribute,
    IntegerRange,
    Resolution,
    Tag,
    attribute,
    collection,
)
from node.printing.ipp.registry import Operation, PrinterState
from surge.printer.engine import Engine, Job
from surge.printer.notices import Tells
from surge.printer.subscriptions import ANSWERS, printer_capabilities

# Width and length in hundredths of a millimetre.
SIZES = {Media.CARD: (5398, 8560), Media.A4: (21000, 29700)}
# A printer that matches sizes exactly would refuse the rounded 54 x 86 mm that some systems send.
SIZE_TOLERANCE = 50
FORMATS = ("application/pdf", "image/jpeg", "application/octet-stream")
SIDES = ("one-sided", "two-sided-short-edge", "two-sided-long-edge")
DOTS = Resolution(300, 300)
INT_MAX = 2**31 - 1

PRINTER_STATE_OF = {True: PrinterState.PROCESSING, False: PrinterState.IDLE}

JOB_TEMPLATE = frozenset(
    f"{name}-{kind}"
    for name in ("copies", "media", "media-col", "sides", "orientation-requested", "print-quality",
                 "printer-resolution", "print-scaling", "finishings", "print-color-mode", "output-bin")
    for kind in ("default", "supported", "ready", "database")
)  # fmt: skip
JOB_ATTRIBUTES_BY_DEFAULT = frozenset({"job-id", "job-uri"})


def media_of(size: tuple[int, int] | None) -> Media | None:
    """The medium of these dimensions, either way round."""
    if size is None:
        return None
    short, long = sorted(size)
    for media, (width, length) in SIZES.items():
        if abs(short - width) <= SIZE_TOLERANCE and abs(long - length) <= SIZE_TOLERANCE:
            return media
    return None


def offered(tells: Tells) -> frozenset[Operation]:
    """The operations of a printer that knows so much of events."""
    return frozenset(Operation) if tells is not Tells.NEVER else frozenset(Operation) - ANSWERS.keys()


def printer_attributes(
    engine: Engine, *, name: str, uri: str, uuid: str, is_tls: bool, tells: Tells = Tells.WAITS
) -> tuple[Attribute, ...]:
    return (
        *_state(engine),
        *_identity(name, uri, uuid, is_tls=is_tls),
        attribute(Tag.ENUM, "operations-supported", *sorted(int(one) for one in offered(tells))),
        *(printer_capabilities() if tells is not Tells.NEVER else ()),
        *_capabilities(),
        *_defaults(),
    )


def job_attributes(job: Job, engine: Engine, *, printer_uri: str) -> tuple[Attribute, ...]:
    ahead = [one for one in engine.unfinished if one.id < job.id]
    return (
        attribute(Tag.INTEGER, "job-id", job.id),
        attribute(Tag.URI, "job-uri", job_uri(job, printer_uri)),
        attribute(Tag.URI, "job-printer-uri", printer_uri),
        attribute(Tag.NAME, "job-name", job.name),
        attribute(Tag.NAME, "job-originating-user-name", job.user),
        attribute(Tag.ENUM, "job-state", int(job.state)),
        attribute(Tag.KEYWORD, "job-state-reasons", *job.reasons),
        attribute(Tag.TEXT, "job-state-message", job.state.name.lower()),
        attribute(Tag.INTEGER, "job-printer-up-time", engine.up_time_s),
        attribute(Tag.INTEGER, "time-at-creation", job.created_s),
        _time("time-at-processing", job.processing_s),
        _time("time-at-completed", job.completed_s),
        attribute(Tag.INTEGER, "number-of-documents", 0 if job.is_incoming else 1),
        attribute(Tag.INTEGER, "number-of-intervening-jobs", 0 if job.is_finished else len(ahead)),
        attribute(Tag.INTEGER, "job-k-octets", -(-job.octets // 1024)),
        attribute(Tag.INTEGER, "job-media-sheets", job.sheets),
        attribute(Tag.INTEGER, "job-media-sheets-completed", job.sheets_done),
        attribute(Tag.KEYWORD, "media", job.media),
        attribute(Tag.CHARSET, "attributes-charset", "utf-8"),
        attribute(Tag.LANGUAGE, "attributes-natural-language", "en"),
    )


def job_uri(job: Job, printer_uri: str) -> str:
    return f"{printer_uri}/{job.id}"


def chosen(
    attributes: Iterable[Attribute], wanted: tuple[str, ...], *, default: frozenset[str] | None = None
) -> tuple[Attribute, ...]:
    """The attributes that ``requested-attributes`` asks for; ``default`` when it asks for nothing."""
    every = tuple(attributes)
    if not wanted:
        return every if default is None else tuple(one for one in every if one.name in default)
    names = set(wanted)
    if "all" in names:
        return tuple(one for one in every if one.name != "media-col-database" or one.name in names)
    is_template, is_description = "job-template" in names, bool(names & {"printer-description", "job-description"})
    return tuple(
        one
        for one in every
        if one.name in names
        or (is_template and one.name in JOB_TEMPLATE)
        or (is_description and one.name not in JOB_TEMPLATE)
    )


def _state(engine: Engine) -> tuple[Attribute, ...]:
    is_printing = engine.current is not None
    state = PrinterState.STOPPED if engine.stoppers else PRINTER_STATE_OF[is_printing]
    now = datetime.now(UTC)
    return (
        attribute(Tag.ENUM, "printer-state", int(state)),
        attribute(Tag.KEYWORD, "printer-state-reasons", *engine.reasons),
        attribute(Tag.TEXT, "printer-state-message", ", ".join(engine.reasons)),
        attribute(Tag.BOOLEAN, "printer-is-accepting-jobs", engine.is_accepting),
        attribute(Tag.INTEGER, "printer-up-time", engine.up_time_s),
        attribute(Tag.DATE_TIME, "printer-current-time", _date_time(now)),
        attribute(Tag.INTEGER, "printer-state-change-time", 1),
        attribute(Tag.DATE_TIME, "printer-state-change-date-time",
                  _date_time(now - timedelta(seconds=engine.up_time_s - 1))),
        attribute(Tag.INTEGER, "queued-job-count", len(engine.unfinished)),
        attribute(Tag.NAME, "marker-names", "ribbon"),
        attribute(Tag.KEYWORD, "marker-types", "ribbonWax"),
        attribute(Tag.NAME, "marker-colors", "#00FFFF#FF00FF#FFFF00#000000"),
        attribute(Tag.INTEGER, "marker-levels", -2 if engine.ribbon is None else min(100, engine.ribbon)),
    )  # fmt: skip


def _identity(name: str, uri: str, uuid: str, *, is_tls: bool) -> tuple[Attribute, ...]:
    web = uri.replace("ipps://", "https://").replace("ipp://", "http://")
    return (
        attribute(Tag.NAME, "printer-name", name),
        attribute(Tag.TEXT, "printer-info", f"Virtual card printer {name}"),
        attribute(Tag.TEXT, "printer-location", "Kota Kupang"),
        attribute(Tag.TEXT, "printer-make-and-model", "Sepe Virtual Card Printer"),
        attribute(Tag.TEXT, "printer-device-id", "MFG:Sepe;MDL:Virtual Card Printer;CMD:PDF;"),
        attribute(Tag.URI, "printer-more-info", web),
        attribute(Tag.URI, "printer-icons", f"{web}/icon.png"),
        attribute(Tag.URI, "printer-supply-info-uri", f"{web}/supplies"),
        attribute(Tag.URI, "printer-uuid", f"urn:uuid:{uuid}"),
        attribute(Tag.URI, "printer-uri-supported", uri),
        attribute(Tag.KEYWORD, "uri-security-supported", "tls" if is_tls else "none"),
        attribute(Tag.KEYWORD, "uri-authentication-supported", "requesting-user-name"),
        attribute(Tag.CHARSET, "charset-configured", "utf-8"),
        attribute(Tag.CHARSET, "charset-supported", "utf-8"),
        attribute(Tag.LANGUAGE, "natural-language-configured", "en"),
        attribute(Tag.LANGUAGE, "generated-natural-language-supported", "en"),
    )


def _capabilities() -> tuple[Attribute, ...]:
    sizes = [_size_members(media) for media in SIZES]
    return (
        attribute(Tag.KEYWORD, "ipp-versions-supported", "1.1", "2.0"),
        attribute(Tag.KEYWORD, "ipp-features-supported", "none"),
        attribute(Tag.MIME, "document-format-supported", *FORMATS),
        attribute(Tag.KEYWORD, "compression-supported", "none"),
        attribute(Tag.KEYWORD, "pdl-override-supported", "attempted"),
        attribute(Tag.KEYWORD, "which-jobs-supported", "completed", "not-completed", "all"),
        attribute(Tag.KEYWORD, "job-creation-attributes-supported", "copies", "job-name", "media", "media-col",
                  "sides", "print-scaling", "ipp-attribute-fidelity"),
        attribute(Tag.BOOLEAN, "multiple-document-jobs-supported", False),
        attribute(Tag.INTEGER, "multiple-operation-time-out", 120),
        attribute(Tag.KEYWORD, "multiple-operation-time-out-action", "abort-job"),
        attribute(Tag.BOOLEAN, "job-ids-supported", False),
        attribute(Tag.BOOLEAN, "preferred-attributes-supported", False),
        attribute(Tag.KEYWORD, "identify-actions-supported", "display"),
        attribute(Tag.RANGE, "copies-supported", IntegerRange(1, 99)),
        attribute(Tag.RANGE, "job-k-octets-supported", IntegerRange(1, 65_536)),
        attribute(Tag.KEYWORD, "media-supported", *(one.value for one in SIZES)),
        attribute(Tag.KEYWORD, "media-ready", *(one.value for one in SIZES)),
        attribute(Tag.KEYWORD, "media-col-supported", "media-size", "media-size-name"),
        collection("media-col-ready", *((collection("media-size", one),) for one in sizes)),
        collection("media-col-database", *((collection("media-size", one),) for one in sizes)),
        collection("media-size-supported", *sizes),
        attribute(Tag.KEYWORD, "sides-supported", *SIDES),
        attribute(Tag.KEYWORD, "print-scaling-supported", "none", "auto", "fit"),
        attribute(Tag.ENUM, "print-quality-supported", 4),
        attribute(Tag.ENUM, "orientation-requested-supported", 3, 4),
        attribute(Tag.ENUM, "finishings-supported", 3),
        attribute(Tag.KEYWORD, "print-color-mode-supported", "color", "auto"),
        attribute(Tag.KEYWORD, "output-bin-supported", "face-up"),
        attribute(Tag.RESOLUTION, "printer-resolution-supported", DOTS),
        attribute(Tag.BOOLEAN, "color-supported", True),
        attribute(Tag.BOOLEAN, "page-ranges-supported", False),
        attribute(Tag.INTEGER, "pages-per-minute", 2),
        attribute(Tag.INTEGER, "pages-per-minute-color", 2),
    )  # fmt: skip


def _defaults() -> tuple[Attribute, ...]:
    return (
        attribute(Tag.MIME, "document-format-default", "application/pdf"),
        attribute(Tag.INTEGER, "copies-default", 1),
        attribute(Tag.KEYWORD, "media-default", Media.CARD.value),
        collection("media-col-default", (collection("media-size", _size_members(Media.CARD)),)),
        attribute(Tag.KEYWORD, "sides-default", "one-sided"),
        attribute(Tag.KEYWORD, "print-scaling-default", "auto"),
        attribute(Tag.ENUM, "print-quality-default", 4),
        attribute(Tag.ENUM, "orientation-requested-default", 3),
        attribute(Tag.ENUM, "finishings-default", 3),
        attribute(Tag.KEYWORD, "print-color-mode-default", "auto"),
        attribute(Tag.KEYWORD, "output-bin-default", "face-up"),
        attribute(Tag.KEYWORD, "identify-actions-default", "display"),
        attribute(Tag.RESOLUTION, "printer-resolution-default", DOTS),
    )


def _size_members(media: Media) -> tuple[Attribute, ...]:
    width, length = SIZES[media]
    return (
        attribute(Tag.INTEGER, "x-dimension", width),
        attribute(Tag.INTEGER, "y-dimension", length),
    )


def _time(name: str, seconds: int | None) -> Attribute:
    return attribute(Tag.NO_VALUE, name, None) if seconds is None else attribute(Tag.INTEGER, name, seconds)


def _date_time(at: datetime) -> bytes:
    """RFC 2579 DateAndTime, always UTC."""
    parts = bytes((at.month, at.day, at.hour, at.minute, at.second, 0))
    return at.year.to_bytes(2, "big") + parts + b"+\x00\x00"
