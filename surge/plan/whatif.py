"""What if: a scenario with more printers, blanks, ribbons or desks, or a longer shift."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from sepe.errors import InvalidInputError
from surge.scenario.model import SMALL, LinkClass, PrinterModel, Scenario
from surge.scenario.reader import clock_of

COUNT_MAX = 1_000_000
_CHANGE = re.compile(r"([+-]?)(\d{1,7})\Z")

T = TypeVar("T")
Kit = tuple[tuple[PrinterModel, int], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """``+2`` more, ``-1`` fewer, or ``4`` exactly, in each office."""

    sign: str
    count: int

    def of(self, now: int, least: int = 0) -> int:
        """What there is after it."""
        wanted = self.count if not self.sign else now + int(f"{self.sign}{self.count}")
        return max(least, wanted)

    def __str__(self) -> str:
        return f"{self.sign}{self.count}"


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What is to be otherwise; ``None`` leaves it.

    Attributes:
        blanks: of KTP-el, on the first morning.
        printing_until_min: minutes after midnight.
        good_lines: every office has a line that never fails.
    """

    printers: Change | None = None
    blanks: Change | None = None
    ribbons: Change | None = None
    desks: Change | None = None
    printing_until_min: int | None = None
    good_lines: bool = False

    def __bool__(self) -> bool:
        return self != WhatIf()


def change_of(text: str, field: str, *, high: int = COUNT_MAX) -> Change:
    """The change that ``text`` means.

    Raises:
        InvalidInputError: neither ``+2`` nor ``-1`` nor ``4``.
    """
    found = _CHANGE.match(text.strip())
    if found is None or int(found[2]) > high:
        raise InvalidInputError(
            f"must be a change as +2 or -1, or a number as 4, up to {high:,}", field=field, value=text,
            hint=f"{field} +2 gives each office two more",
        )  # fmt: skip
    return Change(found[1], int(found[2]))


def shift_of(text: str, scenario: Scenario) -> int:
    """Until when printers are attended.

    Raises:
        InvalidInputError: no time of day, or none after the printers' opening.
    """
    opens = scenario.calendar.printing[0]
    try:
        until = clock_of(text.removesuffix("+1")) + text.endswith("+1") * 1440
    except ValueError as exc:
        raise InvalidInputError(str(exc), field="--shift", value=text, hint="As --shift 21:00") from exc
    if not opens < until <= opens + 1440:
        raise InvalidInputError(
            f"must be after the printers' opening at {opens // 60:02}:{opens % 60:02}, within 24 hours",
            field="--shift", value=text, hint="As --shift 21:00, or --shift 02:00+1 into the next day",
        )  # fmt: skip
    return until


def changed(scenario: Scenario, change: WhatIf) -> Scenario:
    """The scenario as the what-if has it; chance and people stay as they are."""
    calendar, stock, desks = scenario.calendar, scenario.stock, scenario.desks
    if change.printing_until_min is not None:
        calendar = replace(calendar, printing=(calendar.printing[0], change.printing_until_min))
    overrides = tuple(
        replace(
            one,
            printers=_map(one.printers, lambda kit: kit_after(kit, change.printers, scenario.printers)),
            blanks=_map(one.blanks, lambda blanks: _more_blanks(blanks, change.blanks)),
            ribbons=_map(one.ribbons, lambda count: _after(count, change.ribbons)),
            desks=_map(one.desks, lambda count: _after(count, change.desks, 1)),
        )
        for one in scenario.overrides
    )
    return replace(
        scenario,
        calendar=calendar,
        desks=replace(desks, count=_after(desks.count, change.desks, 1)),
        printers=kit_after(scenario.printers, change.printers, scenario.printers),
        stock=replace(
            stock, blanks=_more_blanks(stock.blanks, change.blanks), ribbons=_after(stock.ribbons, change.ribbons)
        ),
        overrides=overrides,
        links=tuple(_good(link) for link in scenario.links) if change.good_lines else scenario.links,
        faults=() if change.good_lines else scenario.faults,
    )


def kit_after(kit: Kit, change: Change | None, usual: Kit) -> Kit:
    """The printers after a change: more of the office's first model, fewer of its last."""
    if change is None:
        return kit
    wanted = change.of(sum(count for _, count in kit))
    model = (kit or usual or ((SMALL, 1),))[0][0]
    left, found = wanted, []
    for one, count in kit:
        found.append((one, min(count, left)))
        left -= found[-1][1]
    if left:
        found = [(one, count + left) if one is model else (one, count) for one, count in found] or [(model, left)]
    return tuple((one, count) for one, count in found if count)


def _more_blanks(blanks: Mapping[str, int], change: Change | None) -> dict[str, int]:
    return {**blanks, "ktp-el": _after(blanks.get("ktp-el", 0), change)}


def _after(now: int, change: Change | None, least: int = 0) -> int:
    return now if change is None else change.of(now, least)


def _map(value: T | None, change: Callable[[T], T]) -> T | None:
    return None if value is None else change(value)


def _good(link: LinkClass) -> LinkClass:
    return LinkClass(link.name, link.share, link.at)
