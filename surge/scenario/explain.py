"""A scenario in words and totals, for `sepe surge scenarios show`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from textwrap import fill
from typing import Any

from surge.scenario.model import Fault, LinkClass, Scenario, Span
from surge.scenario.offices import Office, offices_by_link, offices_of
from surge.scenario.visits import Visits

WIDTH = 100
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def summary(scenario: Scenario) -> dict[str, Any]:
    """Totals as one JSON document."""
    offices, visits = offices_of(scenario), Visits(scenario)
    by_day: Counter[str] = Counter()
    for office in offices:
        for day, (firsts, others) in visits.days_of(office).items():
            by_day[day.isoformat()] += firsts + others
    return {
        "name": scenario.name,
        "description": " ".join(scenario.description.split()),
        "offices": len(offices),
        "nodes": sum(office.machines for office in offices),
        "regencies": len({office.code[:4] for office in offices}),
        "provinces": len({office.code[:2] for office in offices}),
        "residents": _residents(offices, scenario),
        "first": scenario.calendar.first.isoformat(),
        "last": scenario.calendar.last.isoformat(),
        "open_days": len(scenario.calendar.open_days),
        "visits": scenario.demand.visits,
        "first_cards": scenario.demand.first_cards,
        "products": visits.products(),
        "visits_by_day": dict(by_day),
        "desks": sum(office.desks for office in offices),
        "printers": sum(len(office.printers) for office in offices),
        "blanks": sum(sum(office.blanks.values()) for office in offices),
        "offices_by_link": offices_by_link(offices),
        "faults": len(scenario.faults),
        "seed": scenario.seed,
        "faster": scenario.faster,
        "run_minutes": round(_run_minutes(scenario), 1),
        "figures": scenario.figures,
        "assumptions": scenario.assumptions,
    }


def explain(scenario: Scenario) -> str:
    """The scenario for a person, about a screen long."""
    return "\n".join(_lines(scenario, summary(scenario), offices_of(scenario)))


def _lines(scenario: Scenario, total: dict[str, Any], offices: tuple[Office, ...]) -> Iterator[str]:
    yield scenario.name
    yield ""
    yield fill(total["description"], WIDTH)
    yield ""
    place = f"{total['offices']:,} offices ({total['nodes']:,} machines) in {total['regencies']:,} regencies"
    provinces = f"{total['provinces']} province{'s' * (total['provinces'] > 1)}"
    yield f"Where     {place}, {provinces}, {total['residents']:,} residents"
    calendar = scenario.calendar
    vote = f", vote on {calendar.vote_day}" if calendar.vote_day else ""
    zone = "each office's own time" if calendar.zone == "local" else calendar.zone
    yield f"When      {calendar.first} to {calendar.last}, {total['open_days']} open days, {zone}{vote}"
    yield f"Printing  {span_text(calendar.printing)} on open days"
    yield ""
    yield "Visits by day"
    most = max(total["visits_by_day"].values())
    for day in calendar.open_days:
        count = total["visits_by_day"][day.isoformat()]
        bar = "#" * max(1 if count else 0, round(40 * count / most))
        yield f"  {_DAYS[day.weekday()]} {day}  {span_text(calendar.desk(day)):<14}{count:>10,}  {bar}"
    yield f"  {'together':<30}{total['visits']:>9,}"
    yield ""
    yield "What they come for"
    for product, count in total["products"].items():
        text = "KTP-el, the first" if product == "first" else "ktp-el, again" if product == "ktp-el" else product
        yield f"  {text:<22}{count:>10,}"
    yield ""
    printers = Counter(model.name for office in offices for model in office.printers)
    kinds = ", ".join(f"{count:,} {name}" for name, count in printers.most_common())
    yield f"Desks     {total['desks']:,}, {scenario.desks.record_s / 60:g} min for a recording"
    yield f"Printers  {kinds or 'none'}; {total['blanks']:,} blanks on the first morning"
    yield f"Check     {scenario.check.median_s / 60:g} min in the middle" + (
        "" if scenario.check.needs_line else ", not waited for without a line"
    )
    yield ""
    yield "Lines"
    for link in scenario.links:
        yield f"  {link.name:<12}{total['offices_by_link'].get(link.name, 0):>6,} offices  {link_text(link)}"
    if scenario.faults:
        yield ""
        yield "What breaks"
        yield from (f"  {fault_text(fault)}" for fault in scenario.faults)
    for head, lines in (("Published figures", scenario.figures), ("Assumed", scenario.assumptions)):
        if lines:
            yield ""
            yield head
            yield from (fill(line, WIDTH, initial_indent="  - ", subsequent_indent="    ") for line in lines)
    yield ""
    yield (
        f"Seed {scenario.seed}; `sepe surge run {scenario.name}` plays it {scenario.faster:g} times faster,"
        f" in about {total['run_minutes']:,.0f} minutes."
    )


def _run_minutes(scenario: Scenario) -> float:
    """How long `surge run` plays, nights and closed days included; making the offices and judging come on top."""
    days = (scenario.calendar.last - scenario.calendar.first).days + 1
    return days * 24 * 60 / scenario.faster


def span_text(span: Span | None) -> str:
    """``08:00-16:00``."""
    return "closed" if span is None else f"{_clock(span[0])}-{_clock(span[1])}"


def link_text(link: LinkClass) -> str:
    """A line in a few words."""
    if not link.kbit_s:
        return "no line at all"
    words = [f"{link.kbit_s:,g} kbit/s", f"{link.delay_ms:g} ms"]
    words += [f"{link.loss:.1%} lost"] if link.loss else []
    words += [f"only {span_text(link.sending)}"] if link.sending else []
    words += [f"{len(link.outages)} outage{'s' * (len(link.outages) > 1)}"] if link.outages else []
    return ", ".join(words)


def fault_text(fault: Fault) -> str:
    """A fault in a few words."""
    words = [f"{fault.when:%Y-%m-%d %H:%M}  {fault.blow} {fault.target}"]
    words += [f"of {fault.share:.0%}"] if fault.share < 1 else []
    words += [f"in {', '.join(fault.where)}"] if fault.where else []
    words += [f"for {_duration(fault.lasts_s)}"] if fault.lasts_s else []
    words += [f"(back over {_duration(fault.back_over_s)})"] if fault.back_over_s else []
    return " ".join(words)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 7200 else f"{seconds / 60:g} min"


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24 if minutes != 1440 else 24:02}:{minutes % 60:02}{'+1' if minutes > 1440 else ''}"


def _residents(offices: tuple[Office, ...], scenario: Scenario) -> int:
    if scenario.where.per == "regency":
        return sum({office.code[:4]: office.residents for office in offices}.values())
    return sum(office.residents for office in offices)
