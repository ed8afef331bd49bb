"""The faults and the thresholds of a scenario file."""

from __future__ import annotations

from collections.abc import Sequence

from sepe_io.regions import region_table
from surge.scenario.model import TARGETS, Blow, Calendar, Fault, LinkClass, Thresholds
from surge.scenario.reader import Table, moment_of, near_miss


def read_faults(root: Table, calendar: Calendar, links: Sequence[LinkClass]) -> tuple[Fault, ...]:
    """Every ``[[fault]]``, in the order of time."""
    found = [fault for table in root.tables("fault") if (fault := _fault(table, calendar, links)) is not None]
    return tuple(sorted(found, key=lambda one: one.when))


def _fault(table: Table, calendar: Calendar, links: Sequence[LinkClass]) -> Fault | None:
    table.need("at", 'Write at = "10:00", or at = "2024-11-25 10:00"')
    value = table.take("at")
    when = moment_of(value, calendar.first)
    if value is not None and (when is None or not calendar.first <= when.date() <= calendar.last):
        table.wrong(
            "at",
            f'must be a time from {calendar.first} to {calendar.last}, as "{calendar.last} 10:00"',
            value,
        )
        when = None
    said = [blow for blow in Blow if blow in table]
    targets = {blow: table.text(blow, TARGETS[blow][0], of=TARGETS[blow]) for blow in Blow}
    lasts_s, back_over_s = table.duration_s("for", 0.0), table.duration_s("back_over", 0.0)
    share = table.number("share", 1.0, 0.0, 1.0)
    where = table.texts("where")
    for index, one in enumerate(where):
        is_region = one.isdigit() and any(code.startswith(one) for code in region_table().codes())
        if not is_region and one not in {link.name for link in links}:
            near = near_miss(one, [link.name for link in links])
            table.wrong_at("where", index, "is neither a region code nor a link of this scenario", one, near)
    table.finish()
    if len(said) != 1:
        table.wrong_here(f"must say one of {', '.join(Blow)}", 'As kill = "hub", or cut = "line" with for = "2 h"')
        return None
    blow = said[0]
    if not lasts_s and blow in (Blow.STOP, Blow.CUT, Blow.FREEZE, Blow.SLOW):
        table.wrong(blow, "needs to end some time", None, 'Add for = "10 min"')
    return None if when is None else Fault(when, blow, targets[blow], lasts_s, where, share, back_over_s)


def read_thresholds(table: Table, links: Sequence[LinkClass]) -> Thresholds:
    """The table ``[thresholds]``; a threshold that is not named is not judged, but nothing lost or doubled."""
    default = Thresholds()

    def by_link(key: str) -> dict[str, float]:
        inner, found = table.table(key), {}
        for name in inner:
            found[name] = inner.duration_s(name, 0.0) * 1000
            if name not in {link.name for link in links}:
                inner.wrong(name, "no link of this scenario", name, near_miss(name, [link.name for link in links]))
        return found

    def seconds(key: str) -> float | None:
        return table.duration_s(key, 0.0) if key in table else None

    def number(key: str, high: float, unit: str) -> float | None:
        return table.number(key, 0.0, 0.0, high, unit) if key in table else None

    thresholds = Thresholds(
        table.whole("lost", default.lost, 0, 10**9),
        table.whole("doubled", default.doubled, 0, 10**9),
        table.flag("digests_equal", default.digests_equal),
        table.whole("cards_per_nik_max", default.cards_per_nik_max, 1, 10),
        by_link("ack_p95"),
        by_link("ack_p99"),
        seconds("catch_up"),
        seconds("oldest_unsent"),
        number("cards_per_hour_min", 1e7, "cards an hour"),
        number("printer_busy_min", 1.0, "of the time"),
        number("bytes_per_event_max", 1e6, "bytes"),
        number("hub_memory_mib_max", 1e6, "MiB"),
        number("hub_cpu_max", 1000, "cores"),
        table.number("dropped_share_max", default.dropped_share_max, 0.0, 1.0),
    )
    table.finish()
    return thresholds
