"""A result as text for a terminal: thresholds first, each ticked or crossed, then what a reader asks next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape

from surge.run.amounts import amount, seconds
from surge.run.compare import Change
from surge.run.result import FaultRow, Result, Threshold

WORST_OFFICES = 5


def text_of(result: Result, changes: list[Change] | None = None) -> str:
    """The whole account, with Rich's markup."""
    return "\n".join(_lines(result, changes))


def _lines(result: Result, changes: list[Change] | None) -> Iterator[str]:
    totals, run = result.totals, result.run
    scenario = result.scenario
    yield f"[bold]{escape(scenario.name)}[/]  {scenario.offices} machines, {run.faster:g} × real time"
    if run.was_interrupted:
        yield "[yellow]ended early; figures are up to then[/]"
    yield ""
    yield "[bold]thresholds[/]"
    width = max(len(one.title) for one in result.thresholds)
    for one in result.thresholds:
        mark = "[green]✓[/]" if one.passed else "[red]✗[/]"
        note = f"  [dim]({escape(one.note)})[/]" if one.note else ""
        yield f"  {mark} {escape(one.title):<{width}}  {_value(one)}{note}"
    yield ""
    yield (
        f"[bold]load[/]        offered {totals.offered:,}  accepted {totals.accepted:,}  "
        f"refused {totals.refused:,}"
    )
    yield (
        f"            events {totals.events:,}  at the hub {totals.acked:,}  unsent {totals.unsent:,}  "
        f"cards {totals.cards:,}"
    )
    yield (
        f"[bold]lines[/]       {totals.frames:,} frames, {totals.bytes_up:,} bytes up, "
        f"{totals.bytes_per_event:g} an event; {totals.sessions:,} sessions"
    )
    yield "[bold]commit to durable ack[/], on this machine's clock"
    for link in result.latency:
        yield (
            f"  {escape(link.link):<10} {link.offices:>5} machines  p50 {seconds(link.p50_s)}  "
            f"p95 {seconds(link.p95_s)}  p99 {seconds(link.p99_s)}  longest {seconds(link.max_s)}  "
            f"[dim]{escape(link.description)}[/]"
        )
    catch = result.catch_up
    if catch.offices:
        yield (
            f"[bold]catching up[/] {catch.offices} machines had {catch.waited:,} events waiting: "
            f"p50 {seconds(catch.p50_s)}, p95 {seconds(catch.p95_s)}, slowest {seconds(catch.max_s)}; "
            f"fairness {catch.fairness or 0:.2f} (1 is even)"
        )
    if result.printers is not None:
        day = result.printers
        busy = "" if day.busy_share is None else f", at work {day.busy_share:.0%} of the time with cards to make"
        yield f"[bold]printers[/]    {day.printers}: {sum(day.cards):,} cards{busy}"
    for name, use in (("hub", result.hub), ("broker", result.broker), ("generator", result.generator)):
        if use.cpu_s:
            yield (
                f"[bold]{name:<11}[/] {use.cores_mean:.2f} cores (most {use.cores_max:.2f}), "
                f"{use.memory_max_bytes / 2**20:,.0f} MiB"
            )
    for fault in result.faults:
        yield f"[bold]struck[/]      {fault_text(fault)}"
    worst = sorted(result.offices, key=lambda one: -one.oldest_unsent_s)[:WORST_OFFICES]
    yield "[bold]who waited longest[/]"
    for row in worst:
        yield (
            f"  {row.node:<10} {escape(row.name):<22.22} {row.link:<10} lag {row.worst_lag:>6,}  "
            f"oldest {seconds(row.oldest_unsent_s)}"
        )
    for note in result.notes:
        yield f"[dim]note: {escape(note)}[/]"
    if changes is not None:
        yield ""
        yield from _changed(changes)
    yield ""
    yield "[bold green]passed[/]" if result.passed else "[bold red]missed[/]"


def _changed(changes: list[Change]) -> Iterator[str]:
    yield "[bold]against the earlier run[/]"
    if not changes:
        yield "  nothing to compare"
    for one in changes:
        mark = {1: "[green]better[/]", -1: "[red]worse [/]", 0: "[dim]same  [/]"}[one.direction]
        yield f"  {mark} {escape(one.title)}: {one.before_text} → {one.after_text}{one.ratio_text}"


def fault_text(fault: FaultRow) -> str:
    """A fault in a line."""
    parts = [f"{fault.at_s / 3600:.1f} h", fault.what]
    parts += [fault.target] if fault.target else []
    parts += [f"for {fault.for_s / 60:g} min"] if fault.for_s else []
    parts += [] if fault.landed else ["(nothing there)"]
    return "  ".join(parts)


def _value(one: Threshold) -> str:
    found, limit = amount(one.value, one.unit), amount(one.limit, one.unit)
    colour = "green" if one.passed else "red"
    return f"[{colour}]{found}[/] {one.comparison} {limit}"
