"""The kinds of line between the offices and the hub."""

from __future__ import annotations

from surge.scenario.model import Calendar, LinkClass, Outage
from surge.scenario.places import region_prefixes
from surge.scenario.reader import Table, clock_of, day_of


def read_links(root: Table, calendar: Calendar) -> tuple[LinkClass, ...]:
    """Every ``[[link]]``; a scenario without one has good lines everywhere."""
    found: list[LinkClass] = []
    for table in root.tables("link"):
        table.need("name", 'Write name = "2g"')
        name = table.text("name", f"link-{len(found)}")
        if name in {one.name for one in found}:
            table.wrong("name", "comes twice", name)
        at = region_prefixes(table, "offices")
        share = table.number("share", 0.0 if at else 1.0, 0.0, 1.0)
        found.append(
            LinkClass(
                name,
                share,
                at,
                table.number("kbit_s", 10_000.0, 0.0, 10_000_000, "kbit/s"),
                table.number("delay_ms", 20.0, 0.0, 10_000, "ms"),
                table.number("jitter_ms", 0.0, 0.0, 10_000, "ms"),
                table.number("loss", 0.0, 0.0, 0.9),
                _outages(table, calendar),
                table.span("sending", None),
            )
        )
        table.finish()
    if not found:
        return (LinkClass("fibre", 1.0),)
    total = sum(one.share for one in found)
    if total and not 0.999 <= total <= 1.001:
        root.wrong("link", f"the shares must add up to 1, they add up to {total:g}")
    return tuple(found)


def _outages(table: Table, calendar: Calendar) -> tuple[Outage, ...]:
    found = []
    for index, text in enumerate(table.texts("outages")):
        day_text, _, span_text = text.rpartition(" ")
        day = day_of(day_text) if day_text else None
        opens, _, closes = span_text.partition("-")
        try:
            begin, end = clock_of(opens), clock_of(closes)
        except ValueError as exc:
            table.wrong_at("outages", index, str(exc), text, 'Write "11:30-13:00", or "2024-11-25 09:00-10:30"')
            continue
        if (day_text and day is None) or (day is not None and not calendar.first <= day <= calendar.last):
            rule = f"must be a day from {calendar.first} to {calendar.last}"
            table.wrong_at("outages", index, rule, text)
        elif end <= begin:
            remedy = f'For a night write two: "{opens}-24:00" and "00:00-{closes}"'
            table.wrong_at("outages", index, "must end after it begins", text, remedy)
        else:
            found.append(Outage(begin, (end - begin) * 60.0, day))
    return tuple(found)
