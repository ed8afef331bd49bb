"""A result of `sepe surge run` as one HTML file for people: no network, printable, any colour vision."""

from __future__ import annotations

from surge.report.page import page
from surge.report.words import words_of
from surge.run.result import Result


def html_of(result: Result, before: Result | None = None, *, language: str | None = None) -> str:
    """The report.

    Args:
        before: an earlier result, to show what got better or worse since.
        language: ``id`` or ``en``; ``None`` takes SEPE_LANG, else Indonesian.
    """
    return page(result, words_of(language), before)
