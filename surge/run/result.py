"""What a run came to: everything that the verdict, the report, `--json` and `--compare` know.

Two clocks. *Scenario time* is what the people of the scenario live by: seconds since the scenario began, so 3,600
is an hour after its first minute whatever `--faster` was. *Machine time* is what passed on this machine; whatever
was measured of the real programs (latency, catch-up, memory, CPU) is in it. A name says which: ``at_s``,
``…_at_s`` and what its docstring says are scenario time, every other ``…_s`` is machine time. At ``faster`` 1 the
two are one.

A recording is *offered* when its resident comes to the desk and *accepted* when the office's own commit of it is
done. An event is *acked* when the office has stored the hub's word that its database holds it. Offered minus
accepted waits at a desk; events minus acked is the *lag*. A card that comes out writes further events: they are in
``events`` and ``lag`` but were offered by nobody.

`surge.run.result_json` makes one JSON document of it, reads it back, and gives its JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass

# Raised when a field changes its meaning or goes away; fields that are added do not raise it.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ScenarioInfo:
    """The scenario as it was played, after ``--nodes`` and ``--events``.

    Attributes:
        starts: local time of the first office, ``2024-11-18T07:00``; ``at_s`` 0 of every series.
        zone: of ``starts``: ``WIB``, ``WITA`` or ``WIT``.
        lasts_s: scenario seconds in which residents come.
        events: recordings that the scenario offers.
        source: how its figures came about, in a sentence or more, with their sources.
        title, title_id: what is played, in English and in Indonesian; ``""``: the scenario does not say.
    """

    name: str
    title: str
    source: str
    starts: str
    zone: str
    lasts_s: float
    events: int
    offices: int
    title_id: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it ran: generator and, when it was started here, hub."""

    system: str
    processor: str
    cores: int
    memory_bytes: int
    python: str
    sqlite: str


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How it was run.

    Attributes:
        started_ms: milliseconds since 1970.
        wall_s: from the first offer until the last office had settled, machine time.
        prepared_s: making, enrolling and connecting the offices before that.
        hub: ``started here`` or the address that was given.
        storage: ``sqlite``, ``postgresql``, or ``""`` where the hub does not tell.
        desk: ``live`` (each recording goes through the desk when its resident comes) or ``ahead`` (the desks
            recorded before the clock started, and the relays see the recordings when their residents come).
        was_interrupted: Ctrl-C; figures are up to then, and what was still to come is not held against anybody.
        scaled, unscaled: what ``faster`` changes of the offices and their lines, and what it leaves, in sentences.
        command: as it was typed.
    """

    version: str
    commit: str
    started_ms: int
    wall_s: float
    prepared_s: float
    seed: int
    faster: float
    workers: int
    hub: str
    storage: str
    desk: str
    was_interrupted: bool
    scaled: tuple[str, ...]
    unscaled: tuple[str, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts at the end.

    Attributes:
        offered: recordings whose resident came.
        accepted: of those, committed by their office.
        refused: of those, answered with an error by the desk.
        dropped: offered and neither accepted nor refused at the end: the generator or a disk did not keep up.
        events: written by the offices altogether: recordings, cards, blanks.
        acked: of those, known to be in the hub's database.
        unsent: events minus acked.
        lost: events that an office was told are in the hub and that the hub does not hold.
        doubled: events that the hub counts more than once, or that no office wrote.
        residents: that the hub holds; ``None`` where it does not tell.
        frames, bytes_up, bytes_down: over the lines, both transports, headers of TCP not counted.
        bytes_per_event: ``bytes_up`` over acked events.
        sessions: connections that came about; more than offices means that lines were lost.
    """

    offered: int
    accepted: int
    refused: int
    dropped: int
    events: int
    acked: int
    unsent: int
    lost: int
    doubled: int
    residents: int | None
    frames: int
    bytes_up: int
    bytes_down: int
    bytes_per_event: float
    sessions: int
    cards: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """One line of the verdict.

    Attributes:
        key: stable, such as ``lost`` or ``ack_p99_s:satellite``; `--compare` goes by it.
        title: for people.
        value: what was found; ``None`` when it could not be found out, which counts as missed.
        comparison: ``<=``, ``>=`` or ``==``.
        unit: ``s``, ``events``, ``cards``, ``bytes``, ``bytes/event``, ``share`` (0 to 1), ``cores`` or ``""``.
        note: what a reader needs to judge it, or ``""``.
    """

    key: str
    title: str
    value: float | None
    comparison: str
    limit: float
    unit: str
    passed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """The run over time; all tuples are equally long, one entry per interval, cumulative where it says so.

    Attributes:
        at_s: scenario time of the entry.
        offered, accepted, acked, cards: so far.
        at_desks: offered and not yet accepted at this moment.
        lag: events committed by offices and not known to be at the hub at this moment.
        oldest_s: age of the oldest of them over all offices.
        offices_down: offices whose line was cut or shut at this moment.
        hub_cores, broker_cores, generator_cores: CPU used in the interval, in cores; 0 where unknown.
        hub_bytes, broker_bytes: resident memory.
        printers_busy: share of printers that were making a card at this moment.
    """

    interval_s: float
    at_s: tuple[float, ...] = ()
    offered: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()
    acked: tuple[int, ...] = ()
    cards: tuple[int, ...] = ()
    at_desks: tuple[int, ...] = ()
    lag: tuple[int, ...] = ()
    oldest_s: tuple[float, ...] = ()
    offices_down: tuple[int, ...] = ()
    hub_cores: tuple[float, ...] = ()
    hub_bytes: tuple[int, ...] = ()
    broker_cores: tuple[float, ...] = ()
    broker_bytes: tuple[int, ...] = ()
    generator_cores: tuple[float, ...] = ()
    printers_busy: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class OfficeRow:
    """One virtual office.

    Attributes:
        code: kecamatan code; ``code[:4]`` is the regency's.
        node: ``531105-1``.
        link: link class, a key of `Result.latency`.
        worst_lag: most events that waited at once.
        worst_lag_at_s: scenario time of that.
        oldest_unsent_s: longest that an event waited, machine time, whether or not it was acked at last.
        ack_p95_s: from commit to durable ack; ``None`` when nothing was acked.
        catch_up_s: from the return of its line, or of the hub, to the ack of all that waited then; the longest
            of the run. ``None`` when nothing ever waited so.
        unsent: events that the hub had not confirmed at the end.
        lost, doubled: of this office, as in `Totals`.
        cards: that came out here.
        printers_busy: share of its opening hours that its printers were at work; ``None`` without printers.
        digest_agrees: the hub's digest of its history is the office's own; ``None``: nothing could be compared.
    """

    code: str
    name: str
    regency: str
    node: str
    link: str
    offered: int
    accepted: int
    acked: int
    lost: int
    doubled: int
    unsent: int
    worst_lag: int
    worst_lag_at_s: float
    oldest_unsent_s: float
    ack_p95_s: float | None
    catch_up_s: float | None
    bytes_up: int
    sessions: int
    cards: int
    printers: int
    printers_busy: float | None
    digest_agrees: bool | None


@dataclass(frozen=True, slots=True)
class LinkLatency:
    """Commit to durable ack over one class of line, machine time, each event counted.

    Attributes:
        description: the line in words: ``64 kbit/s, 300 ms each way, 2 % loss``.
        bucket_s: upper edges, rising; ``counts`` is as long. A bucket is at most 12 % wide.
        p50_s, p95_s, p99_s, max_s: ``None`` when nothing was acked.
    """

    link: str
    description: str
    offices: int
    events: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None
    bucket_s: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CatchUp:
    """How offices came level again after their line, or the hub, had been away.

    Attributes:
        offices: that had something to catch up; each counts with its longest.
        waited: events that waited at those moments.
        fairness: Jain's index of events received per second over those offices, 1 when all were served alike,
            1/offices when one had everything; ``None`` without offices.
    """

    offices: int
    waited: int
    p50_s: float | None
    p95_s: float | None
    max_s: float | None
    fairness: float | None


@dataclass(frozen=True, slots=True)
class PrintersDay:
    """The printers of the offices that print, from their ledgers.

    Attributes:
        kind: how the printers are made, in a sentence.
        pace_s: scenario seconds that a card takes.
        hour_at_s: scenario time at which each hour of ``cards`` and ``busy`` begins.
        cards: that came out in that hour.
        busy: share of that hour that the printers of open offices were at work.
        busy_share: over the hours in which offices had cards to print.
        waiting: cards that were wanted and not out at the end, by state of the ledger.
        valid_cards_per_nik_max: the most valid cards that one NIK has for one issue.
        in_doubt: cards of which nobody knows whether they came out.
    """

    kind: str
    printers: int
    pace_s: float
    hour_at_s: tuple[float, ...]
    cards: tuple[int, ...]
    busy: tuple[float, ...]
    busy_share: float | None
    waiting: dict[str, int]
    valid_cards_per_nik_max: int
    in_doubt: int


@dataclass(frozen=True, slots=True)
class Use:
    """What a program used over the run; 0 where it does not run on this machine."""

    cpu_s: float
    cores_mean: float
    cores_max: float
    memory_max_bytes: int


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One blow that the scenario dealt, on the timeline.

    Attributes:
        what: as the scenario names it: ``kill hub``, ``purge stream``, ``cut lines``.
        target: what it hit in particular, ``""`` for the whole.
        for_s: scenario seconds that it lasted; 0 for a moment.
        landed: whether there was something to hit.
    """

    at_s: float
    what: str
    target: str
    for_s: float
    landed: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One run. ``passed`` is the verdict: every threshold held."""

    format: int
    passed: bool
    scenario: ScenarioInfo
    machine: Machine
    run: RunInfo
    totals: Totals
    thresholds: tuple[Threshold, ...]
    series: Series
    offices: tuple[OfficeRow, ...]
    latency: tuple[LinkLatency, ...]
    catch_up: CatchUp
    printers: PrintersDay | None
    hub: Use
    broker: Use
    generator: Use
    faults: tuple[FaultRow, ...]
    notes: tuple[str, ...] = ()
