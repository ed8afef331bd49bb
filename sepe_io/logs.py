"""Logs: a dotted noun and past verb, then fields, as JSON lines on stderr (or for people, on a terminal)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Without a module that is not loaded yet: who imports it meanwhile finds that it is not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


# structlog would load Rich, a tenth of a second of every start, for tracebacks that must never be shown here: they
# print local variables, and those hold names and numbers of residents.
with _hidden("rich"):
    import structlog


def _to_stderr(*_: object) -> structlog.PrintLogger:
    """Whatever stderr is at that moment: a test's own, which is closed after it, too."""
    return structlog.PrintLogger(sys.stderr)


# Before `set_up` too: stdout belongs to the commands' data.
structlog.configure(logger_factory=_to_stderr)


def set_up(level: str = "INFO", *, as_json: bool | None = None) -> None:
    """Send all logs to stderr: JSON unless stderr is a terminal."""
    json_wanted = not sys.stderr.isatty() if as_json is None else as_json
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json_wanted
        # The pretty traceback prints local variables, and those hold names and numbers of residents.
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )
    # Libraries speak through the standard module; their INFO is noise to an operator.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one module."""
    result: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return result
