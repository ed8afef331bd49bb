"""Typed reading of a parsed TOML document that says everything that is wrong with it, each with its line.

A `Table` hands out its values one by one, checked; what is wrong is noted in the `Problems` of the document and a
harmless value given back, so that one reading finds all mistakes. What nobody asked for is an unknown key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from sepe.errors import InvalidInputError, shown
from surge.scenario.lines import Path, line_at, lines_of

PROBLEMS_SHOWN_MAX = 12
MINUTES_A_DAY = 1440
_CLOCK = re.compile(r"(\d\d):(\d\d)\Z")
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)\Z")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        line: in the file, from 1.
        field: dotted path of the key, ``link[0].rate_kbit``.
        value: as it may be shown, ``""`` for a missing one.
        rule: what would have been right.
        remedy: what to write instead; may be ``""``.
    """

    line: int
    field: str
    value: str
    rule: str
    remedy: str = ""

    def __str__(self) -> str:
        got = f" (got {self.value})" if self.value else ""
        return f"line {self.line}: {self.field}: {self.rule}{got}{'. ' + self.remedy if self.remedy else ''}"


class ScenarioError(InvalidInputError):
    """A scenario that cannot be played as it stands; nothing was started.

    Attributes:
        problems: everything that is wrong, by line.
    """

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda one: one.line))
        first = self.problems[0]
        text = "\n".join(f"  {one}" for one in self.problems[:PROBLEMS_SHOWN_MAX])
        if len(self.problems) > PROBLEMS_SHOWN_MAX:
            text += f"\n  … and {len(self.problems) - PROBLEMS_SHOWN_MAX} more"
        super().__init__(first.rule, field=first.field, hint=first.remedy)
        self.args = (f"{source}: the scenario cannot be played\n{text}",)


def near_miss(wrong: str, known: Iterable[str]) -> str:
    """A sentence that names what was probably meant, or all there is when nothing is near."""
    names = sorted(known)
    near = get_close_matches(wrong.lower(), names, n=2, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known here: {', '.join(names)}" if names else ""


@dataclass(slots=True)
class Problems:
    """What is wrong with one document so far."""

    lines: Mapping[Path, int]
    found: list[Problem] = field(default_factory=list)

    def add(self, path: Path, rule: str, value: object = None, remedy: str = "") -> None:
        line = line_at(dict(self.lines), path)
        self.found.append(Problem(line, _dotted(path), "" if value is None else shown(value), rule, remedy))


class Table:
    """One table of the document.

    Args:
        values: as `tomllib` gives it.
        path: where it stands.
    """

    def __init__(self, values: Mapping[str, Any], path: Path, problems: Problems) -> None:
        self._values, self._path, self._problems = values, path, problems
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def wrong(self, key: str, rule: str, value: object = None, remedy: str = "") -> None:
        """Note a mistake at ``key``."""
        self._problems.add((*self._path, key), rule, value, remedy)

    def wrong_here(self, rule: str, remedy: str = "") -> None:
        """Note a mistake of the table as a whole."""
        self._problems.add(self._path, rule, None, remedy)

    def wrong_at(self, key: str, index: int, rule: str, value: object = None, remedy: str = "") -> None:
        """Note a mistake in one element of an array."""
        self._problems.add((*self._path, key, index), rule, value, remedy)

    def __iter__(self) -> Iterator[str]:
        """Every key that stands in the file."""
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def take(self, key: str) -> Any:
        """The raw value, or ``None``."""
        self._asked.add(key)
        return self._values.get(key)

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                self.wrong(key, "unknown key", None, near_miss(key, self._asked))

    def need(self, key: str, remedy: str) -> bool:
        """Note it when ``key`` is missing."""
        if key not in self._values:
            self._problems.add((*self._path, key), "missing", None, remedy)
        return key in self._values

    def text(self, key: str, default: str = "", *, of: Iterable[str] = ()) -> str:
        """A string, one ``of`` these when any are named."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.wrong(key, "must be text in quotes", value)
            return default
        choices = tuple(of)
        if choices and value not in choices:
            self.wrong(key, "is none of the known ones", value, near_miss(value, choices))
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; numbers in it are a common slip and are named."""
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(key, 'must be a list, such as ["537104", "537105"]', value)
            return ()
        for index, one in enumerate(value):
            if not isinstance(one, str):
                self.wrong_at(key, index, "must be text in quotes", one)
        return tuple(one for one in value if isinstance(one, str))

    def number(self, key: str, default: float, low: float, high: float, unit: str = "") -> float:
        """A number from ``low`` to ``high``."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.wrong(key, f"must be a number from {low:g} to {high:g}{' ' + unit if unit else ''}", value)
            return default
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int, unit: str = "") -> int:
        """A whole number from ``low`` to ``high``."""
        value = self.take(key)
        if value is None:
            return default
        if type(value) is not int or not low <= value <= high:
            self.wrong(key, f"must be a whole number from {low:,} to {high:,}{' ' + unit if unit else ''}", value)
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, "must be true or false", value)
            return default
        return value

    def day(self, key: str, default: date) -> date:
        """A calendar day, in quotes or not."""
        value = self.take(key)
        if value is None:
            return default
        found = day_of(value)
        if found is None:
            self.wrong(key, "must be a day that exists, as 2024-11-27", value)
        return found or default

    def span(self, key: str, default: tuple[int, int] | None) -> tuple[int, int] | None:
        """Hours: minutes after midnight, the second over 1440 when they end the next morning; or closed."""
        value = self.take(key)
        if value is None:
            return default
        try:
            return span_of(value)
        except ValueError as exc:
            self.wrong(key, str(exc), value, 'Write "08:00-16:00", "18:00-06:00+1" into the next day, or "closed"')
            return default

    def duration_s(self, key: str, default: float, *, high_s: float = 400 * 86_400) -> float:
        """A time such as ``"90 s"``, ``"8 min"``, ``"2 h"`` or ``"14 d"``, in seconds."""
        value = self.take(key)
        if value is None:
            return default
        found = _DURATION.match(value) if isinstance(value, str) else None
        seconds = float(found[1]) * _SECONDS[found[2]] if found else -1.0
        if not 0 <= seconds <= high_s:
            self.wrong(key, 'must be a time with its unit: "90 s", "8 min", "2 h" or "14 d"', value)
            return default
        return seconds

    def table(self, key: str) -> Table:
        """The table under ``key``, an empty one when there is none."""
        value = self.take(key)
        if value is not None and not isinstance(value, Mapping):
            self.wrong(key, f"must be a table: [{key}]", value)
            value = None
        return Table(value or {}, (*self._path, key), self._problems)

    def tables(self, key: str) -> list[Table]:
        """The tables of an array of tables."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            self.wrong(key, f"must be tables: [[{key}]]", value)
            return []
        return [Table(one, (*self._path, key, index), self._problems) for index, one in enumerate(value)]


def document(text: str, source: str) -> tuple[Table, Problems]:
    """The root table of a TOML text.

    Raises:
        ScenarioError: it is no TOML.
    """
    try:
        values = tomllib.loads(text)
    except ValueError as exc:
        found = re.search(r"\(at line (\d+), column \d+\)", str(exc))
        line = int(found[1]) if found else text.count("\n") + 1
        rule = re.sub(r" \(at .*\)$", "", str(exc))
        raise ScenarioError(source, [Problem(line, "TOML", "", rule)]) from exc
    problems = Problems(lines_of(text))
    return Table(values, (), problems), problems


def day_of(value: object) -> date | None:
    """A TOML date or one in quotes; ``None`` for anything else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def clock_of(text: str, *, last_min: int = MINUTES_A_DAY) -> int:
    """Minutes after midnight of ``"08:30"``.

    Raises:
        ValueError: no such time of day.
    """
    found = _CLOCK.match(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else -1
    if not 0 <= minutes <= last_min:
        raise ValueError(f"{text!r} is no time of day, 00:00 to 24:00")
    return minutes


def span_of(value: object) -> tuple[int, int] | None:
    """Minutes after midnight from when to when; ``None`` for ``"closed"``.

    Raises:
        ValueError: with the rule.
    """
    if value == "closed":
        return None
    opens, dash, closes = value.partition("-") if isinstance(value, str) else ("", "", "")
    if not dash:
        raise ValueError("must be hours such as 08:00-16:00")
    is_next_day = closes.endswith("+1")
    begin, end = clock_of(opens), clock_of(closes.removesuffix("+1")) + is_next_day * MINUTES_A_DAY
    if begin >= end or end - begin > MINUTES_A_DAY:
        raise ValueError("must close after it opens, and within 24 hours")
    return begin, end


def moment_of(value: object, first_day: date) -> datetime | None:
    """Local wall time of ``"10:00"`` (the first day), ``"2024-11-25 10:00"`` or a TOML datetime without zone."""
    if isinstance(value, datetime):
        return value if value.tzinfo is None else None
    if not isinstance(value, str):
        return None
    day_text, _, clock = value.rpartition(" ")
    day = date.fromisoformat(day_text) if day_of(day_text) else None if day_text else first_day
    try:
        minutes = clock_of(clock)
    except ValueError:
        return None
    return None if day is None else datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "scenario"
