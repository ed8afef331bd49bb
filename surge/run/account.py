"""From what the processes of a run said to its `Result`. Pure but for the look at this machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from surge.run.audit import Account, HubState
from surge.run.cast import Cast, Seat, link_words
from surge.run.messages import Row, Sample
from surge.run.meter import EDGES, Histogram, fairness
from surge.run.result import (
    FORMAT,
    CatchUp,
    FaultRow,
    LinkLatency,
    Machine,
    OfficeRow,
    PrintersDay,
    Result,
    RunInfo,
    ScenarioInfo,
    Series,
    Totals,
    Use,
)
from surge.run.verdict import Found, has_passed, lines

PRINTER_WORDS = (
    "simulated in the generator by the drivers' protocol; queue, rights, blanks and ledger are the product's, the "
    "cards are not drawn"
)
SCALED = (
    "people, opening hours, outages, sending hours, faults and printers pass that much faster",
    "a line carries that many times its bytes a second: in a day of the scenario what it carries in a day",
    "the office's pause between attempts to connect, but never under a second",
)
UNSCALED = (
    "delay, jitter and loss of lines",
    "the programs, their commits and time-outs; latencies and catch-up times are of this machine's clock",
)


@dataclass(slots=True)
class Measured:
    """What was noted while it ran; ``uses``: for each sample (hub CPU, hub bytes, broker CPU, broker bytes, CPU of
    the player), CPU in seconds so far."""

    samples: list[Sample] = field(default_factory=list)
    uses: list[tuple[float, int, float, int, float]] = field(default_factory=list)
    faults: list[FaultRow] = field(default_factory=list)
    interval_s: float = 1.0
    wall_s: float = 0.0
    prepared_s: float = 0.0
    started_ms: int = 0
    was_interrupted: bool = False


def result_of(  # noqa: PLR0917 - everything that a run knows
    cast: Cast,
    info: RunInfo,
    measured: Measured,
    rows: Sequence[Row],
    accounts: Sequence[Account],
    state: HubState | None,
    notes: Sequence[str],
) -> Result:
    """The result with its verdict."""
    by_node = {one.node: one for one in accounts}
    seats = {seat.node: seat for seat in cast.seats}
    acks = _acks(rows, seats)
    totals = _totals(rows, accounts, state)
    generator = _use([(sample.cpu_s + use[4], sample.memory_bytes) for sample, use in _pairs(measured)], measured)
    hub = _use([(use[0], use[1]) for use in measured.uses], measured)
    broker = _use([(use[2], use[3]) for use in measured.uses], measured)
    catch_up = _catch_up(rows)
    printers = _printers(cast, rows)
    found = _found(measured, rows, accounts, state, totals, acks, catch_up, printers, hub)
    verdict = lines(cast.scenario.thresholds, found, cast.faster)
    return Result(
        FORMAT,
        has_passed(verdict),
        _scenario(cast),
        _machine(),
        info,
        totals,
        tuple(verdict),
        _series(cast, measured),
        tuple(_office(seats[row.node], row, by_node.get(row.node)) for row in rows),
        tuple(_latency(cast, link, histogram) for link, histogram in acks.items()),
        catch_up,
        printers,
        hub,
        broker,
        generator,
        tuple(measured.faults),
        tuple(notes),
    )


def _scenario(cast: Cast) -> ScenarioInfo:
    scenario = cast.scenario
    zone = {420: "WIB", 480: "WITA", 540: "WIT"}[cast.offset_min]
    return ScenarioInfo(
        scenario.name, " ".join(scenario.description.split()), "; ".join(scenario.figures),
        cast.start.isoformat(timespec="minutes"), zone, cast.lasts_s, cast.events, len(cast.seats),
        " ".join(scenario.description_id.split()),
    )  # fmt: skip


def _machine() -> Machine:
    import pysqlite3

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        f"{platform.system()} {platform.release()}", _processor(), os.cpu_count() or 1, memory,
        platform.python_version(), pysqlite3.dbapi2.sqlite_version,
    )  # fmt: skip


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _acks(rows: Sequence[Row], seats: dict[str, Seat]) -> dict[str, Histogram]:
    found: dict[str, Histogram] = {}
    for row in rows:
        link = seats[row.node].office.link.name
        found.setdefault(link, Histogram()).join(Histogram.unpacked(row.acks, row.longest_s))
    return found


def _totals(rows: Sequence[Row], accounts: Sequence[Account], state: HubState | None) -> Totals:
    offered, accepted = sum(row.offered for row in rows), sum(row.accepted for row in rows)
    refused = sum(row.refused for row in rows)
    events, acked = sum(row.last_seq for row in rows), sum(row.acked_seq for row in rows)
    up = sum(row.bytes_up for row in rows)
    return Totals(
        offered, accepted, refused, offered - accepted - refused, events, acked, max(events - acked, 0),
        sum(one.lost for one in accounts), sum(one.doubled for one in accounts),
        None if state is None else state.counts.residents, sum(row.frames for row in rows), up,
        sum(row.bytes_down for row in rows), round(up / acked, 2) if acked else 0.0,
        sum(row.sessions for row in rows), sum(int(hour[1]) for row in rows for hour in row.cards),
    )  # fmt: skip


def _catch_up(rows: Sequence[Row]) -> CatchUp:
    times = sorted(row.catch_up_s for row in rows if row.catch_up_s is not None)
    rates = [row.catch_up_events / max(row.catch_up_s, 1e-3) for row in rows if row.catch_up_s is not None]

    def at(share: float) -> float | None:
        return times[min(int(len(times) * share), len(times) - 1)] if times else None

    index = fairness(rates)
    return CatchUp(
        len(times), sum(row.catch_up_events for row in rows), at(0.5), at(0.95), times[-1] if times else None,
        None if index is None else round(index, 4),
    )  # fmt: skip


def _printers(cast: Cast, rows: Sequence[Row]) -> PrintersDay | None:
    seats = [seat for seat in cast.seats if seat.printers]
    if not seats:
        return None
    hours: dict[int, list[float]] = {}
    for row in rows:
        for hour, cards, busy_s, wanted_s in row.cards:
            total = hours.setdefault(int(hour), [0.0, 0.0, 0.0])
            for place, value in enumerate((cards, busy_s, wanted_s)):
                total[place] += value
    last = max(hours, default=-1)
    table = [hours.get(hour, [0.0, 0.0, 0.0]) for hour in range(last + 1)]
    busy, wanted = sum(one[1] for one in table), sum(one[2] for one in table)
    states: dict[str, int] = {}
    for row in rows:
        for state, count in row.print_states.items():
            if state not in ("printed", "handed_over"):
                states[state] = states.get(state, 0) + count
    models = [model for seat in seats for model in seat.printers]
    return PrintersDay(
        PRINTER_WORDS, len(models), round(fmean(model.card_s for model in models), 1),
        tuple(hour * 3600.0 for hour in range(last + 1)), tuple(int(one[0]) for one in table),
        tuple(round(one[1] / one[2], 4) if one[2] else 0.0 for one in table),
        round(busy / wanted, 4) if wanted else None,
        states, max((row.valid_cards_max for row in rows), default=0), states.get("in_doubt", 0),
    )  # fmt: skip


def _found(  # noqa: PLR0917 - the parts of one account
    measured: Measured,
    rows: Sequence[Row],
    accounts: Sequence[Account],
    state: HubState | None,
    totals: Totals,
    acks: dict[str, Histogram],
    catch_up: CatchUp,
    printers: PrintersDay | None,
    hub: Use,
) -> Found:
    is_whole = not measured.was_interrupted
    unasked = any(one.agrees is None for one in accounts) or len(accounts) < len(rows)
    differing = sum(one.agrees is False for one in accounts) + (state is not None and not state.is_rebuilt_alike)
    hours = [cards for cards in printers.cards if cards] if printers else []
    last = measured.samples[-1] if measured.samples else Sample(0)
    return Found(
        totals.offered, totals.dropped if is_whole else 0, totals.refused, totals.unsent,
        None if unasked else totals.lost, None if unasked else totals.doubled,
        sum(row.taken_back for row in rows), None if state is None else last.early, None if unasked else differing,
        acks, catch_up.max_s, sum(row.is_catching_up for row in rows),
        max((row.oldest_s for row in rows), default=0.0),
        sum(hours) / len(hours) if hours else None, None if printers is None else printers.busy_share,
        None if printers is None else printers.valid_cards_per_nik_max, totals.bytes_per_event or None,
        hub.memory_max_bytes, hub.cores_mean, is_whole,
    )  # fmt: skip


def _office(seat: Seat, row: Row, account: Account | None) -> OfficeRow:
    p95 = Histogram.unpacked(row.acks, row.longest_s).quantile(0.95)
    busy, wanted = sum(hour[2] for hour in row.cards), sum(hour[3] for hour in row.cards)
    return OfficeRow(
        seat.office.code, seat.office.name, seat.office.regency, row.node, seat.office.link.name, row.offered,
        row.accepted, row.acked_seq,
        0 if account is None else account.lost, 0 if account is None else account.doubled,
        max(row.last_seq - row.acked_seq, 0), row.worst_lag, round(row.worst_lag_at_s, 1), round(row.oldest_s, 3),
        None if p95 is None else round(p95, 4), None if row.catch_up_s is None else round(row.catch_up_s, 3),
        row.bytes_up, row.sessions, int(sum(hour[1] for hour in row.cards)), len(seat.printers),
        round(busy / wanted, 4) if wanted else None, None if account is None else account.agrees,
    )  # fmt: skip


def _latency(cast: Cast, link: str, histogram: Histogram) -> LinkLatency:
    offices = [seat for seat in cast.seats if seat.office.link.name == link]
    last = max((index for index, count in enumerate(histogram.counts) if count), default=-1)
    p50, p95, p99 = (histogram.quantile(share) for share in (0.5, 0.95, 0.99))
    return LinkLatency(
        link, link_words(offices[0].office.link), len(offices), histogram.total, p50, p95, p99,
        histogram.longest_s if histogram.total else None, EDGES[: last + 1], tuple(histogram.counts[: last + 1]),
    )  # fmt: skip


def _pairs(measured: Measured) -> list[tuple[Sample, tuple[float, int, float, int, float]]]:
    return list(zip(measured.samples, measured.uses, strict=True))


def _use(values: Sequence[tuple[float, int]], measured: Measured) -> Use:
    cores = _cores([cpu for cpu, _ in values], measured.interval_s)
    if not values:
        return Use(0.0, 0.0, 0.0, 0)
    used = values[-1][0] - values[0][0]
    span = measured.interval_s * max(len(values) - 1, 1)
    return Use(round(values[-1][0], 2), round(used / span, 3), max(cores), max(memory for _, memory in values))


def _cores(cpu_s: Sequence[float], interval_s: float) -> tuple[float, ...]:
    """Cores used in each interval; the first has nothing before it."""
    if not cpu_s:
        return ()
    steps = [max(after - before, 0.0) / interval_s for before, after in pairwise(cpu_s)]
    return (0.0, *(round(step, 3) for step in steps))


def _series(cast: Cast, measured: Measured) -> Series:
    samples, uses, step = measured.samples, measured.uses, measured.interval_s
    return Series(
        round(step * cast.faster, 3),
        tuple(round(one.number * step * cast.faster, 1) for one in samples),
        tuple(one.offered for one in samples), tuple(one.accepted for one in samples),
        tuple(one.acked for one in samples), tuple(one.cards for one in samples),
        tuple(one.at_desks for one in samples), tuple(one.lag for one in samples),
        tuple(round(one.oldest_s, 3) for one in samples), tuple(one.offices_down for one in samples),
        _cores([one[0] for one in uses], step), tuple(one[1] for one in uses),
        _cores([one[2] for one in uses], step), tuple(one[3] for one in uses),
        _cores([sample.cpu_s + use[4] for sample, use in _pairs(measured)], step),
        tuple(round(one.printers_busy / one.printers, 3) if one.printers else 0.0 for one in samples),
    )  # fmt: skip
