"""What a scenario says: offices, days, people who come, what an office has, its line, and what must hold.

Times of day are minutes after local midnight; a span that ends the next morning ends above 1440. Rates, delays and
losses are of one office's line to the hub, each way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Where:
    """Which offices there are.

    Attributes:
        codes: every kecamatan of them, in the order of the region table.
        per: ``kecamatan``, or ``regency`` for one office in each regency.
        machines: nodes in each office.
        split: how people spread over the offices: ``population`` or ``equal``.
    """

    codes: tuple[str, ...]
    per: str = "kecamatan"
    machines: int = 1
    split: str = "population"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days and the hours.

    Attributes:
        zone: ``WIB``, ``WITA``, ``WIT`` for all, or ``local``: each office by its province.
        week: opening hours of the desks from Monday to Sunday, ``None`` when closed.
        special: days that differ, the voting day above all.
        printing: when printers are attended, on days on which the desks open.
    """

    first: date
    last: date
    zone: str
    week: tuple[Span | None, ...]
    special: Mapping[date, Span | None] = field(default_factory=dict)
    printing: Span = (480, 1260)
    vote_day: date | None = None

    @property
    def days(self) -> tuple[date, ...]:
        """Every day, open or not."""
        return tuple(self.first + timedelta(days=index) for index in range((self.last - self.first).days + 1))

    def desk(self, day: date) -> Span | None:
        """When the desks are open on that day."""
        return self.special[day] if day in self.special else self.week[day.weekday()]

    @property
    def open_days(self) -> tuple[date, ...]:
        """The days on which desks open."""
        return tuple(day for day in self.days if self.desk(day) is not None)


@dataclass(frozen=True, slots=True)
class Demand:
    """Who comes, over all days and offices.

    Attributes:
        first_cards: people without a card, who are recorded for their first one.
        other_visits: everybody else.
        mix: weights of the products of these others.
        reasons: weights of why these others want a KTP-el.
        by_hour: weight of each hour of the day.
        by_day: weight of each day; a day that is not named counts by its hours when none is named, else 0.
        not_due_share: of those recorded, who are not 17 yet: recorded ahead, printed later.
        repeat_share, conflict_share: visits that repeat, or contradict, an earlier one.
        ages: first and last age of those who come for a first card.
    """

    first_cards: int
    other_visits: int
    mix: Mapping[str, int]
    reasons: Mapping[str, float]
    by_hour: Mapping[int, float]
    by_day: Mapping[date, float] = field(default_factory=dict)
    not_due_share: float = 0.0
    repeat_share: float = 0.0
    conflict_share: float = 0.0
    ages: tuple[int, int] = (17, 75)

    @property
    def visits(self) -> int:
        """Everybody who comes."""
        return self.first_cards + self.other_visits


@dataclass(frozen=True, slots=True)
class Desks:
    """The people behind the counter of one office.

    Attributes:
        count: desks that are staffed.
        record_s: to record somebody with photo, fingers and iris.
        other_s: for anything else.
        hand_over_s: to hand a card over.
        spread: how much a service time varies, the standard deviation as a share of its mean.
    """

    count: int = 2
    record_s: float = 300.0
    other_s: float = 240.0
    hand_over_s: float = 60.0
    spread: float = 0.4


@dataclass(frozen=True, slots=True)
class Check:
    """The centre's uniqueness check, which comes before a first card may be printed.

    Attributes:
        median_s: how long it usually takes once the centre has the recording.
        spread: the ratio of its 90th percentile to the median, at least 1.
        needs_line: whether an office without a line waits for it.
        held_share: recordings that the check does not let through in the scenario's time.
        packet_kb: photo, fingers and iris of one recording, which the centre needs for it, kilobytes.
    """

    median_s: float = 480.0
    spread: float = 2.0
    needs_line: bool = True
    held_share: float = 0.0
    packet_kb: float = 2000.0


@dataclass(frozen=True, slots=True)
class PrinterModel:
    """One kind of card printer; the words are those of `sepe node printer`.

    Attributes:
        card_s: a card, both sides and chip.
        day_cards: a day before heat spoils blanks, 0 for no limit.
        run_cards: one after the other before it rests ``rest_s``, 0 for no limit.
        ribbon_cards: a new ribbon makes.
    """

    name: str
    card_s: float = 36.0
    day_cards: int = 0
    run_cards: int = 0
    rest_s: float = 0.0
    ribbon_cards: int = 500
    ribbon_change_s: float = 300.0


# A small unit makes about 100 cards a day before heat spoils blanks, a better one 250 to 300 (DOMAIN, several
# regencies). How they rest is not published: so that a working day of eight hours makes 94 cards and a shift to
# 21.00 the 275.
SMALL = PrinterModel("small", 36.0, 100, 10, 2700.0)
BETTER = PrinterModel("better", 30.0, 275, 25, 2700.0)
NO_PRINTER = PrinterModel("none", 1.0)
MODELS = {one.name: one for one in (SMALL, BETTER)}


@dataclass(frozen=True, slots=True)
class Delivery:
    """Blanks or ribbons that arrive at each office ``at`` (a region prefix, ``""`` for all), local wall time."""

    when: datetime
    what: str
    count: int
    at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stock:
    """What lies in the cupboard of each office on the first morning."""

    blanks: Mapping[str, int]
    ribbons: int = 2
    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class Outage:
    """No line from ``begins`` for ``lasts_s``; on every day when it has no date."""

    begins_min: int
    lasts_s: float
    day: date | None = None


@dataclass(frozen=True, slots=True)
class LinkClass:
    """One kind of line.

    Attributes:
        share: of the offices that are not named anywhere.
        at: region prefixes of the offices that have it in any case.
        kbit_s: each way; 0: no line at all.
        delay_ms, jitter_ms: one way.
        loss: share of chunks that must be sent again.
        sending: when it may be used, ``None`` for always.
    """

    name: str
    share: float
    at: tuple[str, ...] = ()
    kbit_s: float = 10_000.0
    delay_ms: float = 20.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    outages: tuple[Outage, ...] = ()
    sending: Span | None = None


class Blow(StrEnum):
    """What a fault does; the keys of ``[[fault]]``."""

    KILL = "kill"
    STOP = "stop"
    PURGE = "purge"
    DELETE = "delete"
    CUT = "cut"
    FREEZE = "freeze"
    SLOW = "slow"


# What each blow can strike. A stopped process hangs and is let go on; a frozen line passes nothing on.
TARGETS: dict[Blow, tuple[str, ...]] = {
    Blow.KILL: ("hub", "broker", "node"),
    Blow.STOP: ("hub", "broker", "node"),
    Blow.PURGE: ("broker",),
    Blow.DELETE: ("broker",),
    Blow.CUT: ("line",),
    Blow.FREEZE: ("line",),
    Blow.SLOW: ("line", "hub"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks.

    Attributes:
        when: wall time in the scenario's zone.
        lasts_s: until it is mended; 0: a killed process is started again at once.
        where: region prefixes or names of link classes, for nodes and lines; empty for all.
        share: of these, drawn by the seed.
        back_over_s: lines come back one by one over this time.
    """

    when: datetime
    blow: Blow
    target: str
    lasts_s: float = 0.0
    where: tuple[str, ...] = ()
    share: float = 1.0
    back_over_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a run must keep to, else its exit code is 99. ``None``: shown, not judged.

    Attributes:
        ack_p95_ms, ack_p99_ms: from an office's commit to the hub's durable ack, by link class, scenario time.
        catch_up_s: after a line came back, until the office has nothing unsent.
        oldest_unsent_s: age of the oldest unsent event at any time while the line is there.
        cards_per_hour_min: over the attended hours of all offices.
        printer_busy_min: share of attended time.
        dropped_share_max: visits that could not be offered in their time.
    """

    lost: int = 0
    doubled: int = 0
    digests_equal: bool = True
    cards_per_nik_max: int = 1
    ack_p95_ms: Mapping[str, float] = field(default_factory=dict)
    ack_p99_ms: Mapping[str, float] = field(default_factory=dict)
    catch_up_s: float | None = None
    oldest_unsent_s: float | None = None
    cards_per_hour_min: float | None = None
    printer_busy_min: float | None = None
    bytes_per_event_max: float | None = None
    hub_memory_mib_max: float | None = None
    hub_cpu_max: float | None = None
    dropped_share_max: float = 0.0


@dataclass(frozen=True, slots=True)
class Override:
    """An office, or all that begin with these digits, that differs. ``None``: as everywhere.

    Attributes:
        weight: its share of the people, times this.
    """

    at: tuple[str, ...]
    machines: int | None = None
    desks: int | None = None
    printers: tuple[tuple[PrinterModel, int], ...] | None = None
    blanks: Mapping[str, int] | None = None
    ribbons: int | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """An election week, or a day of one.

    Attributes:
        description, description_id: what is played, in English and in Indonesian.
        source: where the file stood, for messages.
        figures: which of its figures are published, and where.
        assumptions: which are not.
        faster: how many times quicker than real time `sepe surge run` plays it.
        printers: models in each office, with their numbers.
    """

    name: str
    description: str
    source: Path
    where: Where
    calendar: Calendar
    demand: Demand
    desks: Desks
    check: Check
    printers: tuple[tuple[PrinterModel, int], ...]
    stock: Stock
    links: tuple[LinkClass, ...]
    faults: tuple[Fault, ...]
    thresholds: Thresholds
    overrides: tuple[Override, ...] = ()
    description_id: str = ""
    figures: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    seed: int = 1
    faster: float = 1.0
