"""Indonesian words for coded values and dates."""

from __future__ import annotations

from datetime import date

MONTHS = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni",
    "Juli", "Agustus", "September", "Oktober", "November", "Desember",
)  # fmt: skip
SEX = {"L": "LAKI-LAKI", "P": "PEREMPUAN"}


def sex_word(code: str) -> str:
    return SEX.get(code, code)


def parsed_date(text: str) -> date | None:
    """An ISO date, or None: documents print what they were given rather than fail."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def short_date(text: str) -> str:
    """``1990-01-31`` as ``31-01-1990``; other text unchanged."""
    day = parsed_date(text)
    return text if day is None else f"{day:%d-%m-%Y}"


def long_date(day: date) -> str:
    """``31 Januari 1990``."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def long_date_of(text: str) -> str:
    day = parsed_date(text)
    return text if day is None else long_date(day)
