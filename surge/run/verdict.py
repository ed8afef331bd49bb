"""The verdict: what was found against what must hold, one line each, in the manner of k6. Pure.

Limits on time stand in the scenario in scenario time. What is measured of programs is machine time: `--faster`
makes the week pass quicker and no program. So a limit is divided by ``faster``, but never made shorter than
`FLOOR_S`, which is what the programs' own time-outs take: an attempt over each kind of line (five seconds to
open, eight to be greeted) and the pauses between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from surge.run.meter import Histogram
from surge.run.result import Threshold
from surge.scenario.model import Thresholds

FLOOR_S = 20.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """What thresholds are held against; times in machine seconds, ``None``: could not be found out.

    Attributes:
        unsent: events that were still unconfirmed at the end.
        taken_back: events that the hub had acked and did not hold later.
        early: events that the hub had acked and whose commit its database did not show at that moment.
        differing: offices whose digest the hub does not share, and 1 more when a rebuild differs.
        is_whole: the run was not ended early, so nothing may be left over.
    """

    offered: int
    dropped: int
    refused: int
    unsent: int
    lost: int | None
    doubled: int | None
    taken_back: int
    early: int | None
    differing: int | None
    acks: dict[str, Histogram]
    catch_up_s: float | None
    is_catching_up: int
    oldest_s: float
    cards_per_hour: float | None
    printer_busy: float | None
    valid_cards_max: int | None
    bytes_per_event: float | None
    hub_memory_bytes: int
    hub_cores: float
    is_whole: bool


def lines(limits: Thresholds, found: Found, faster: float) -> list[Threshold]:
    """Every threshold of a scenario, those that always hold first.

    Of a run that was ended early those are left out whose figure had not come about yet.
    """
    every = [*_always(limits, found), *_times(limits, found, faster), *_means(limits, found)]
    return [one for one in every if found.is_whole or one.value is not None]


def _always(limits: Thresholds, found: Found) -> Iterator[Threshold]:
    yield _line("lost", "events that an office was told are safe and the hub does not hold", found.lost, "<=",
                limits.lost, "events")  # fmt: skip
    yield _line("doubled", "events that count more than once, or that no office wrote", found.doubled, "<=",
                limits.doubled, "events")  # fmt: skip
    if limits.digests_equal:
        yield _line("digests", "offices whose digest the hub does not share", found.differing, "<=", 0, "")
    yield _line("taken_back", "events that the hub acknowledged and did not hold later", found.taken_back, "<=", 0,
                "events")  # fmt: skip
    if found.early is not None:
        yield _line("acked_early", "events acknowledged before the hub's database held them", found.early, "<=", 0,
                    "events")  # fmt: skip
    if found.is_whole:
        yield _line("unsent", "events that had not reached the hub at the end", found.unsent, "<=", 0, "events")
    yield _line("dropped", "people offered and not served", found.dropped / max(found.offered, 1), "<=",
                limits.dropped_share_max, "share")  # fmt: skip
    yield _line("refused", "people whom a desk refused", found.refused, "<=", 0, "")
    if found.valid_cards_max is not None:
        yield _line("valid_cards", "most valid cards of one NIK and issue", found.valid_cards_max, "<=",
                    limits.cards_per_nik_max, "cards")  # fmt: skip


def _times(limits: Thresholds, found: Found, faster: float) -> Iterator[Threshold]:
    for key, share, wanted in (("ack_p95_s", 0.95, limits.ack_p95_ms), ("ack_p99_s", 0.99, limits.ack_p99_ms)):
        for link, limit_ms in wanted.items():
            if link in found.acks:
                title = f"commit to durable ack, {share * 100:.0f} of 100, {link}"
                yield _time(
                    f"{key}:{link}", title, found.acks[link].quantile(share), limit_ms / 1000, faster=faster
                )
    if limits.catch_up_s is not None:
        # Nothing ever waited for a line: level at once. Somebody still is not level: that is no time at all.
        value = None if found.is_catching_up and found.is_whole else found.catch_up_s or 0.0
        note = f"{found.is_catching_up} offices never came level" if found.is_catching_up else ""
        yield _time("catch_up_s", "slowest office to come level after its line returned", value, limits.catch_up_s,
                    faster=faster, note=note)  # fmt: skip
    if limits.oldest_unsent_s is not None:
        yield _time(
            "oldest_unsent_s", "longest that an event waited", found.oldest_s, limits.oldest_unsent_s,
            faster=faster,
        )  # fmt: skip


def _means(limits: Thresholds, found: Found) -> Iterator[Threshold]:
    if limits.cards_per_hour_min is not None:
        yield _line("cards_per_hour", "cards an hour while printers were attended", found.cards_per_hour, ">=",
                    limits.cards_per_hour_min, "cards")  # fmt: skip
    if limits.printer_busy_min is not None:
        yield _line("printers_busy", "printers at work while cards waited", found.printer_busy, ">=",
                    limits.printer_busy_min, "share")  # fmt: skip
    if limits.bytes_per_event_max is not None:
        yield _line("bytes_per_event", "bytes on the line per event", found.bytes_per_event, "<=",
                    limits.bytes_per_event_max, "bytes/event")  # fmt: skip
    if limits.hub_memory_mib_max is not None:
        yield _line("hub_memory", "most memory of the hub", found.hub_memory_bytes or None, "<=",
                    limits.hub_memory_mib_max * MIB, "bytes")  # fmt: skip
    if limits.hub_cpu_max is not None:
        yield _line("hub_cpu", "CPU of the hub, mean", found.hub_cores, "<=", limits.hub_cpu_max, "cores")


def _time(
    key: str, title: str, value: float | None, limit_s: float, *, faster: float, note: str = ""
) -> Threshold:
    scaled = limit_s / faster
    said = f"{limit_s:g} s of the scenario"
    if scaled < FLOOR_S and faster > 1:
        said += f", {scaled:.2g} s here; held to {FLOOR_S:g} s, what the programs' own time-outs take"
        scaled = FLOOR_S
    return _line(
        key, title, value, "<=", scaled, "s", "; ".join(one for one in (note, said if faster != 1 else "") if one)
    )


def _line(  # noqa: PLR0917 - a row of the table that a verdict is
    key: str, title: str, value: float | None, comparison: str, limit: float, unit: str, note: str = ""
) -> Threshold:
    found = None if value is None else float(value)
    return Threshold(key, title, found, comparison, float(limit), unit, _holds(found, comparison, limit), note)


def _holds(value: float | None, comparison: str, limit: float) -> bool:
    """What could not be found out is missed: a verdict is no place for benefit of the doubt."""
    if value is None:
        return False
    match comparison:
        case "<=":
            return value <= limit
        case ">=":
            return value >= limit
    return value == limit


def has_passed(verdict: Sequence[Threshold]) -> bool:
    """Whether every threshold held."""
    return all(one.passed for one in verdict)
