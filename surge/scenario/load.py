"""From a scenario file to a `Scenario`, or to everything that is wrong with the file.

A reader function for each table, in the order of the page docs/reference/scenarios.md. Nothing is started and
nothing outside the file and the region table is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sepe.errors import InvalidInputError
from sepe.products import PRODUCTS, REASONS
from sepe_io.regions import region_table
from surge.people import REASON_WEIGHTS, SEPE_MANISE_MIX
from surge.scenario import model
from surge.scenario.links import read_links
from surge.scenario.places import read_where, region_prefixes
from surge.scenario.reader import (
    ScenarioError,
    Table,
    day_of,
    document,
    moment_of,
    near_miss,
)
from surge.scenario.verdicts import read_faults, read_thresholds

FOLDER = Path(__file__).parent / "files"
DAYS_MAX = 120
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DESK_HOURS = (480, 960)
# People come early: the queue of Soe stands at eight and is served to the last at five.
BY_HOUR = {7: 0.6, 8: 1.6, 9: 1.8, 10: 1.6, 11: 1.2, 12: 0.6, 13: 0.9, 14: 0.8, 15: 0.5}
BLANKS = ("ktp-el", "kia")


def names() -> tuple[str, ...]:
    """The scenarios that ship."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name_or_path: str) -> model.Scenario:
    """A scenario that ships, by its name, or any file.

    Raises:
        ScenarioError: what the file says cannot be played.
        InvalidInputError: there is no such scenario, or the file cannot be read.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and "/" not in name_or_path:
        if name_or_path not in names():
            raise InvalidInputError(
                "no such scenario", field="SCENARIO", value=name_or_path, hint=near_miss(name_or_path, names())
            )
        path = FOLDER / f"{name_or_path}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInputError(
            "the scenario file cannot be read", field="SCENARIO", value=str(path),
            hint="`sepe surge scenarios` lists those that ship",
        ) from exc  # fmt: skip
    return parse(text, path)


def parse(text: str, source: Path) -> model.Scenario:
    """A scenario from its text.

    Raises:
        ScenarioError: with every mistake, each by its line.
    """
    root, problems = document(text, str(source))
    root.need("name", 'Write name = "my-week"')
    name = root.text("name", source.stem)
    description, description_id = root.text("description").strip(), root.text("description_id").strip()
    figures, assumptions = root.texts("figures"), root.texts("assumptions")
    seed, faster = root.whole("seed", 1, 0, 2**53), root.number("faster", 1.0, 0.01, 100_000)
    root.need("offices", 'Write [offices] and kecamatan = ["530201"], or province = ["53"]')
    root.need("calendar", "Write [calendar] with first = 2024-11-25")
    root.need("demand", "Write [demand] with first_cards = 695")
    where = read_where(root.table("offices"))
    calendar = _calendar(root.table("calendar"))
    demand = _demand(root.table("demand"), calendar)
    links = read_links(root, calendar)
    made = _printer_models(root)
    scenario = model.Scenario(
        name,
        description,
        source,
        where,
        calendar,
        demand,
        desks=_desks(root.table("desks")),
        check=_check(root.table("check")),
        printers=_printers(root, made, "printers", ((model.SMALL, 1),)),
        stock=_stock(root.table("stock"), calendar),
        links=links,
        faults=read_faults(root, calendar, links),
        thresholds=read_thresholds(root.table("thresholds"), links),
        overrides=_overrides(root, made, where),
        description_id=description_id,
        figures=figures,
        assumptions=assumptions,
        seed=seed,
        faster=faster,
    )
    root.finish()
    if problems.found:
        raise ScenarioError(str(source), problems.found)
    return scenario


def _calendar(table: Table) -> model.Calendar:
    if table:
        table.need("first", "Write first = 2024-11-25")
    first = table.day("first", date(2024, 11, 25))
    last = table.day("last", first)
    if last < first or (last - first).days >= DAYS_MAX:
        table.wrong("last", f"must be the first day or up to {DAYS_MAX - 1} days after it", str(last))
        last = first
    zone = table.text("zone", "local", of=("local", "WIB", "WITA", "WIT"))
    week = [table.span("weekdays", DESK_HOURS)] * 5 + [table.span("saturdays", None), table.span("sundays", None)]
    for index, day_name in enumerate(WEEKDAYS):
        if day_name in table:
            week[index] = table.span(day_name, week[index])
    days = table.table("days")
    special = {}
    for key in days:
        day = day_of(key)
        if day is None or not first <= day <= last:
            days.wrong(key, f"must be a day from {first} to {last}", key)
        special[day or first] = days.span(key, None)
    vote_day = table.day("vote_day", first) if "vote_day" in table else None
    printing = table.span("printing", None) or _covering(week, special)
    table.finish()
    calendar = model.Calendar(first, last, zone, tuple(week), special, printing, vote_day)
    if not calendar.open_days:
        table.wrong_here("no day is open", 'Give weekdays, saturdays or [calendar.days] hours, as "08:00-16:00"')
        return replace(calendar, special={first: DESK_HOURS})
    return calendar


def _covering(week: list[model.Span | None], special: Mapping[date, model.Span | None]) -> model.Span:
    """Printers attended while any desk is open, when nothing else is said."""
    spans = [span for span in (*week, *special.values()) if span] or [DESK_HOURS]
    return min(span[0] for span in spans), max(span[1] for span in spans)


def _demand(table: Table, calendar: model.Calendar) -> model.Demand:
    if table:
        table.need("first_cards", "Write how many people without a card come, 0 for none")
    first_cards = table.whole("first_cards", 0, 0, 300_000_000)
    others = table.whole("other_visits", 0, 0, 300_000_000)
    if table and first_cards + others == 0:
        table.wrong("first_cards", "somebody must come: first_cards or other_visits above 0", 0)
    mix = _weights(table, "mix", PRODUCTS, SEPE_MANISE_MIX)
    reprints = {reason: weight for reason, weight in REASON_WEIGHTS["ktp-el"] if reason != "new"}
    reasons = _weights(table, "reasons", REASONS, reprints)
    by_hour = _by_hour(table, calendar)
    ages = _ages(table)
    not_due = table.number("not_due_share", 0.0, 0.0, 1.0)
    repeat, conflict = table.number("repeat_share", 0.0, 0.0, 0.5), table.number("conflict_share", 0.0, 0.0, 0.4)
    days = table.table("by_day")
    by_day: dict[date, float] = {}
    for key in days:
        day = day_of(key)
        if day is None or day not in calendar.open_days:
            days.wrong(key, "must be a day on which the desks are open", key)
        by_day[day or calendar.first] = days.number(key, 1.0, 0.0, 1e9)
    if by_day and not sum(by_day.values()):
        table.wrong("by_day", "some day must have a weight above 0")
        by_day = {}
    table.finish()
    return model.Demand(
        first_cards, others, {key: int(weight) for key, weight in mix.items()}, reasons, by_hour, by_day, not_due,
        repeat, conflict, ages,
    )  # fmt: skip


def _weights(table: Table, key: str, known: Any, default: Mapping[str, float]) -> dict[str, float]:
    inner = table.table(key)
    if not inner:
        return dict(default)
    found: dict[str, float] = {}
    for name in inner:
        if name not in known:
            inner.take(name)
            inner.wrong(name, "unknown", name, near_miss(name, known))
        else:
            found[name] = inner.number(name, 0.0, 0.0, 1e9)
    if not sum(found.values()):
        table.wrong(key, "some weight must be above 0")
        return dict(default)
    return found


def _by_hour(table: Table, calendar: model.Calendar) -> dict[int, float]:
    inner = table.table("by_hour")
    found: dict[int, float] = {}
    for key in inner:
        hour = int(key) if key.isascii() and key.isdigit() and len(key) == 2 else -1
        if not 0 <= hour <= 23:
            inner.take(key)
            inner.wrong(key, 'must be an hour from "00" to "23"', key)
        else:
            found[hour] = inner.number(key, 0.0, 0.0, 1e9)
    found = found or {hour: weight for hour, weight in BY_HOUR.items()}
    for day in calendar.open_days:
        span = calendar.desk(day)
        assert span is not None
        if not any(found.get(hour % 24) for hour in range(span[0] // 60, -(-span[1] // 60))):
            table.wrong("by_hour", f"no weight falls within the desks' hours of {day}")
            return dict.fromkeys(range(24), 1.0)
    return found


def _ages(table: Table) -> tuple[int, int]:
    value = table.take("ages")
    if value is None:
        return 17, 75
    if isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value):
        youngest, oldest = value
        if 15 <= youngest <= oldest <= 110:
            return youngest, oldest
    table.wrong("ages", "must be the first and the last age of those recorded, 15 to 110, as [16, 17]", value)
    return 17, 75


def _desks(table: Table) -> model.Desks:
    default = model.Desks()
    desks = model.Desks(
        table.whole("count", default.count, 1, 200, "desks"),
        table.duration_s("record", default.record_s, high_s=7200),
        table.duration_s("other", default.other_s, high_s=7200),
        table.duration_s("hand_over", default.hand_over_s, high_s=7200),
        table.number("spread", default.spread, 0.0, 3.0),
    )
    table.finish()
    return desks


def _check(table: Table) -> model.Check:
    default = model.Check()
    check = model.Check(
        table.duration_s("median", default.median_s, high_s=30 * 86_400),
        table.number("spread", default.spread, 1.0, 100.0),
        table.flag("needs_line", default.needs_line),
        table.number("held_share", default.held_share, 0.0, 1.0),
        table.number("packet_kb", default.packet_kb, 1.0, 100_000.0, "kilobytes"),
    )
    table.finish()
    return check


def _printer_models(root: Table) -> dict[str, model.PrinterModel]:
    made = dict(model.MODELS)
    for table in root.tables("printer_model"):
        table.need("name", 'Write name = "our-model"')
        base = model.PrinterModel(table.text("name", "model"))
        made[base.name] = model.PrinterModel(
            base.name,
            table.duration_s("card", base.card_s, high_s=3600) or base.card_s,
            table.whole("day_cards", base.day_cards, 0, 100_000, "cards"),
            table.whole("run_cards", base.run_cards, 0, 100_000, "cards"),
            table.duration_s("rest", base.rest_s, high_s=86_400),
            table.whole("ribbon_cards", base.ribbon_cards, 1, 100_000, "cards"),
            table.duration_s("ribbon_change", base.ribbon_change_s, high_s=86_400),
        )
        table.finish()
    return made


def _printers(
    table: Table,
    made: Mapping[str, model.PrinterModel],
    key: str,
    default: tuple[tuple[model.PrinterModel, int], ...],
) -> tuple[tuple[model.PrinterModel, int], ...]:
    inner = table.table(key)
    if not inner:
        return default
    found = []
    for name in inner:
        count = inner.whole(name, 0, 0, 500, "printers")
        if name not in made:
            inner.wrong(name, "unknown printer model", name, near_miss(name, made))
        elif count:
            found.append((made[name], count))
    return tuple(found)


def _stock(table: Table, calendar: model.Calendar) -> model.Stock:
    default = model.Stock({"ktp-el": 500, "kia": 200})
    blanks = _blanks(table, "blanks") or dict(default.blanks)
    deliveries = []
    for one in table.tables("delivery"):
        one.need("at", "Write when it arrives: at = 2024-11-25T07:30:00")
        when = moment_of(one.take("at"), calendar.first)
        if when is None or not calendar.first <= when.date() <= calendar.last:
            one.wrong("at", f"must be a time from {calendar.first} to {calendar.last}, as 2024-11-25T07:30:00")
            when = moment_of("08:00", calendar.first)
        assert when is not None
        what = one.text("what", "ktp-el", of=(*BLANKS, "ribbon"))
        deliveries.append(
            model.Delivery(when, what, one.whole("count", 0, 1, 1_000_000), region_prefixes(one, "offices"))
        )
        one.need("count", "Write how many come to each office")
        one.finish()
    stock = model.Stock(blanks, table.whole("ribbons", default.ribbons, 0, 10_000), tuple(deliveries))
    table.finish()
    return stock


def _blanks(table: Table, key: str) -> dict[str, int]:
    inner = table.table(key)
    found: dict[str, int] = {}
    for name in inner:
        count = inner.whole(name, 0, 0, 10_000_000, "blanks")
        if name not in BLANKS:
            inner.wrong(name, "no product with numbered blanks", name, near_miss(name, BLANKS))
        else:
            found[name] = count
    return found


def _overrides(
    root: Table, made: Mapping[str, model.PrinterModel], where: model.Where
) -> tuple[model.Override, ...]:
    found = []
    for table in root.tables("override"):
        table.need("offices", 'Write offices = ["530201"]')
        at = region_prefixes(table, "offices")
        for index, prefix in enumerate(at):
            if where.codes and not any(code.startswith(prefix) for code in where.codes):
                place = region_table().regency(prefix) or region_table().province(prefix) or ""
                table.wrong_at("offices", index, f"no office of this scenario is in {place or prefix}", prefix)
        found.append(
            model.Override(
                at,
                table.whole("machines", 1, 1, 50) if "machines" in table else None,
                table.whole("desks", 2, 1, 200) if "desks" in table else None,
                _printers(table, made, "printers", ()) if "printers" in table else None,
                _blanks(table, "blanks") if "blanks" in table else None,
                table.whole("ribbons", 2, 0, 10_000) if "ribbons" in table else None,
                table.number("weight", 1.0, 0.0, 1000.0),
            )
        )
        table.finish()
    return tuple(found)


def with_days(scenario: model.Scenario, days: int) -> model.Scenario:
    """The first ``days`` days of it, with the people who come in them left as they are spread."""
    last = min(scenario.calendar.last, scenario.calendar.first + timedelta(days=days - 1))
    return replace(scenario, calendar=replace(scenario.calendar, last=last))
