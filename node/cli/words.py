"""What operators read: Indonesian, or English with ``--lang en`` or ``SEPE_LANG=en``."""

from __future__ import annotations

import os

LANGUAGES = ("id", "en")

_language = "id"


def choose(language: str | None) -> None:
    """Set the language of this process; ``None`` takes ``SEPE_LANG``, else Indonesian."""
    global _language  # noqa: PLW0603 - one process speaks one language
    wanted = (language or os.environ.get("SEPE_LANG", "id")).lower()[:2]
    _language = wanted if wanted in LANGUAGES else "id"


def say(indonesian: str, english: str) -> str:
    """The text in the chosen language."""
    return indonesian if _language == "id" else english
