"""docs/scale.md: from one office to the nation, by arithmetic on what was measured.

``python -m bench.scale`` writes the page. Its constants are the lines of docs/performance.md (so a new measurement
changes this page too), the published figures of `FACTS`, and the choices of `CHOICES`, each with its reason.
tests/unit/test_scale.py holds that the page is what this module makes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/scale.md"
MEASURED = ROOT / "docs/performance.md"
COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Constant:
    """One number with where it comes from."""

    value: float
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """One size of Sepe: how many offices report to it."""

    name: str
    offices: int


# Published figures; sources in the research behind Sepe, named in short.
FACTS = {
    "kecamatan": Constant(7_285, "7,285", "kecamatan in the nation (list of region codes)"),
    "regencies": Constant(514, "514", "regencies and cities"),
    "ntt": Constant(315, "315", "kecamatan in Nusa Tenggara Timur"),
    "tts": Constant(32, "32", "kecamatan in Timor Tengah Selatan (list of region codes)"),
    "tts_day": Constant(
        1_000, "1,000", "services on the busiest days in Timor Tengah Selatan (Pos Kupang, February 2024)"
    ),
    "printer_day": Constant(
        100, "100", "cards a day of a small printer before heat spoils blanks (several regencies)"
    ),
    "first_issue": Constant(
        0.25, "a quarter", "of cards at most are first issues, and only those bring biometrics (Spektrum NTT)"
    ),
    "biometrics": Constant(2e6, "2 MB", "biometric packet"),
    "slow_line": Constant(64_000, "64 kbit/s", "satellite or 2G office"),
}
CHOICES = {
    "events": Constant(
        4, "4", "events of a card: recorded, sent to the printer, printed, handed over (`node/printing/spool.py`)"
    ),
    "day_h": Constant(8, "8 h", "an office's day, 08.00 to 16.00"),
    "outage": Constant(7, "7 days", "the outage after which all come back at once"),
    "within": Constant(1, "1 h", "in which the hub shall have merged all of it"),
    "season": Constant(60, "60 days", "of an election's season at full load, for disks"),
    "machines": Constant(2, "2", "machines of an office: the desk's and a laptop"),
    "spare": Constant(2, "2", "times the cores and lines that the arithmetic gives: for a machine that is down"),
}
# Name here, the line of docs/performance.md, its column: 1 for the value, 4 for the reference's.
LINES = {
    "merge": ("merge", 1),
    "merge_core": ("merge, per second of one core", 1),
    "worker": ("merge, PostgreSQL, one worker", 1),
    "workers": ("merge, PostgreSQL, two workers that prove in themselves", 1),
    "wire": ("bytes on the wire per event", 1),
    "disk": ("hub.db", 1),
    "recording": ("durable recording: event, resident, print job, outbox; FULL sync", 1),
    "claims": ("claims decided and committed, 20 at once", 1),
    "cards": ("cards drawn with photo and QR", 1),
}


def measured(text: str) -> dict[str, float]:
    """The constants that docs/performance.md holds. Of several lines of one name the last counts: the whole way.

    Raises:
        SystemExit: a line is not there, or is no number; its name is in `LINES`.
    """
    table = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) >= COLUMNS:
            table[re.sub(r" of \d+ bytes$", "", cells[0])] = cells
    found = {}
    for name, (row, column) in LINES.items():
        try:
            found[name] = float(table[row][column].replace(",", ""))
        except (KeyError, ValueError):
            raise SystemExit(f"docs/performance.md has no figure {row!r}: see LINES in bench/scale.py") from None
    return found


def page(text: str) -> str:
    """The whole page, from the text of docs/performance.md."""
    figures = measured(text)
    fact = {name: one.value for name, one in FACTS.items()}
    choice = {name: one.value for name, one in CHOICES.items()}
    places = (
        Place("one office", 1),
        Place("a regency", round(fact["kecamatan"] / fact["regencies"])),
        Place("NTT", int(fact["ntt"])),
        Place("the nation", int(fact["kecamatan"])),
    )
    nation = places[-1]
    sums = {place.name: Sums.of(place, figures, fact, choice) for place in places}
    parts = [
        _HEAD,
        "## Constants\n",
        _table(("Constant", "Value", "From"), [
            *((name_of(name), f"{figures[name]:,.4g}" if figures[name] < 1000 else f"{figures[name]:,.0f}", f"`{row}` in [performance](performance.md)") for name, (row, _) in LINES.items()),
            *((one.why, one.text, "published") for one in FACTS.values()),
            *((one.why, one.text, "chosen") for one in CHOICES.values()),
        ]),
        "\n## From one office to the nation\n",
        f"Every office makes as many cards as a small printer stands: {fact['printer_day']:.0f} a day, each of {choice['events']:.0f} events. "
        f"That is {fact['printer_day'] * fact['tts'] / fact['tts_day']:.1f} times the busiest day that Timor Tengah Selatan "
        "reported, in all offices of the country on one day.\n",
        _table(("", *(place.name for place in places)), [
            (label, *(render(sums[place.name]) for place in places)) for label, render in _ROWS
        ]),
        _explained(sums[nation.name], figures, fact, choice),
        "\n## What gives way first\n",
        _gives_way(sums, figures, fact, choice),
        _COST.format(
            cores=_up(sums[nation.name].cores * choice["spare"]), events_disk=_bytes(sums[nation.name].disk_season),
            photo_disk=_bytes(sums[nation.name].photos_season), line=_bits(sums[nation.name].photo_bits * choice["spare"]),
            servers=3,
        ),
        _NOT_MEASURED,
    ]  # fmt: skip
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Sums:
    """The arithmetic for one place; bytes, bits a second, seconds."""

    offices: int
    cards: float
    events: float
    events_back: float
    wire_day: float
    photos_day: float
    disk_season: float
    photos_season: float
    photo_bits: float
    event_rate: float
    merge_s: float
    cores: float
    machines: float

    @classmethod
    def of(cls, place: Place, figures: dict[str, float], fact: dict[str, float], choice: dict[str, float]) -> Sums:
        cards = place.offices * fact["printer_day"]
        events = cards * choice["events"]
        back = events * choice["outage"]
        photos = cards * fact["first_issue"] * fact["biometrics"]
        day_s = choice["day_h"] * 3600
        return cls(
            offices=place.offices, cards=cards, events=events, events_back=back,
            wire_day=events * figures["wire"], photos_day=photos,
            disk_season=events * choice["season"] * figures["disk"], photos_season=photos * choice["season"],
            photo_bits=photos * 8 / day_s, event_rate=events / day_s, merge_s=back / figures["worker"],
            cores=back / (choice["within"] * 3600) / figures["merge_core"],
            machines=place.offices * choice["machines"],
        )  # fmt: skip


_ROWS: tuple[tuple[str, Callable[[Sums], str]], ...] = (
    ("offices", lambda s: f"{s.offices:,}"),
    ("cards a day", lambda s: f"{s.cards:,.0f}"),
    ("events a day", lambda s: f"{s.events:,.0f}"),
    ("events a second, over the day", lambda s: f"{s.event_rate:,.3g}"),
    ("events that come back after the outage", lambda s: f"{s.events_back:,.0f}"),
    ("their merge, one worker on PostgreSQL", lambda s: _seconds(s.merge_s)),
    ("cores to merge them within the hour", lambda s: f"{s.cores:.3g}"),
    ("events on the line a day", lambda s: _bytes(s.wire_day)),
    ("biometrics on the line a day", lambda s: _bytes(s.photos_day)),
    ("line for the biometrics, over the day", lambda s: _bits(s.photo_bits)),
    ("hub.db after the season", lambda s: _bytes(s.disk_season)),
    ("attachments after the season", lambda s: _bytes(s.photos_season)),
    ("office machines", lambda s: f"{s.machines:,.0f}"),
    ("their connections, NATS and gRPC", lambda s: f"{2 * s.machines:,.0f}"),
)


def name_of(constant: str) -> str:
    """What a measured constant is, in words."""
    return {
        "merge": "merge on SQLite, events/s", "merge_core": "the same, per second of one core",
        "worker": "merge on PostgreSQL, one worker, events/s", "workers": "the same, two workers on two cores",
        "wire": "bytes on the wire of an event", "disk": "bytes of an event in hub.db",
        "recording": "durable recordings at a desk, 1/s", "claims": "claims of a right committed, 1/s",
        "cards": "cards drawn with photo and QR, 1/s",
    }[constant]  # fmt: skip


def _explained(nation: Sums, figures: dict[str, float], fact: dict[str, float], choice: dict[str, float]) -> str:
    satellite_events = fact["slow_line"] / 8 * 3600 / figures["wire"]
    satellite_photos = fact["slow_line"] / 8 * 3600 / fact["biometrics"]
    return (
        f"\n- **One office** on {FACTS['slow_line'].text} carries {satellite_events:,.0f} events an hour, or {satellite_photos:.0f} biometric packets:"
        f" its day of events goes in {_seconds(fact['printer_day'] * choice['events'] / satellite_events * 3600)}, its"
        f" {fact['printer_day'] * fact['first_issue']:.0f} packets in {_seconds(fact['printer_day'] * fact['first_issue'] / satellite_photos * 3600)}. So events go first.\n"
        f"- **A desk** records {figures['recording']:,.0f} a second where people bring one every few minutes.\n"
        f"- **The nation's ordinary day** is {nation.event_rate:,.0f} events a second, {nation.event_rate / figures['worker']:.1%} of one worker."
        " The size of the hub follows from the return after an outage, not from the day.\n"
        f"- **All come back at once**: one worker merges the nation's {nation.events_back:,.0f} events in {_seconds(nation.merge_s)}, two in"
        f" {_seconds(nation.events_back / figures['workers'])}.\n"
    )


def _gives_way(
    sums: dict[str, Sums], figures: dict[str, float], fact: dict[str, float], choice: dict[str, float]
) -> str:
    nation, office = sums["the nation"], sums["one office"]
    slow_bytes_day = fact["slow_line"] / 8 * choice["day_h"] * 3600
    claims = nation.cards / (choice["day_h"] * 3600)
    rows = [
        ("the satellite office's line, events and biometrics", (office.wire_day + office.photos_day) / slow_bytes_day, "biometrics wait for the night (`bytes_per_hour_max`); events never wait behind them"),
        ("a small printer's heat", 1.0, "by definition of this load: the second printer, or cards moved to a neighbour (`hub dispatch plan`)"),
        ("1 Gbit/s into the hub, biometrics", nation.photo_bits / 1e9, "offices retry later by themselves; a hub for each province takes its own"),
        ("one worker, a week's return within the hour", nation.merge_s / (choice["within"] * 3600), "further workers"),
        ("claims of rights, every card asking", claims / figures["claims"], "an office holds its own roll's rights beforehand, so most cards ask nobody"),
        ("one worker, the ordinary day", nation.event_rate / figures["worker"], "nothing is needed"),
        ("a desk's disk, a recording a minute", 1 / 60 / figures["recording"], "nothing is needed"),
    ]  # fmt: skip
    rows.sort(key=lambda row: -row[1])
    table = _table(
        ("What", "Used, of what was measured or named", "Then"),
        [(what, f"{share:.1%}", then) for what, share, then in rows],
    )
    return (
        table
        + f"\n\nDisks fill before anything else breaks: biometrics are {nation.photos_season / nation.disk_season:,.0f} times the bytes of"
        " all events. They are the hub's only growth that must be planned.\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])] if len(head) > 3 else ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bytes(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g} B"


def _bits(rate: float) -> str:
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.3g} bit/s"


def _seconds(count: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count * 1000:.3g} ms"


def _up(count: float) -> int:
    return max(int(-(-count // 1)), 1)


_HEAD = """# How large

From one office to 7,285, by arithmetic. Made by `python -m bench.scale`; do not edit. Every figure follows from the
constants below, and those are measured (docs/performance.md), published, or chosen and named as such. The machine of the
measurements is a small one, two cores of a shared virtual machine; nothing here was run at the size of the nation.
"""
_COST = """
## What it costs

In what is bought, with the spare of the constants; multiply with your own prices, which this page does not know.

| For the nation | How much |
|---|---|
| cores that merge, beside PostgreSQL's | {cores} |
| machines for PostgreSQL and its standby | 2 |
| machines for nats-servers | {servers} |
| disk for events, each copy | {events_disk} |
| disk for biometrics, each copy | {photo_disk} |
| line into the centre | {line} |
| licences | none |

An office needs nothing but its PC and printers.
"""
_NOT_MEASURED = """
## What this page does not know

- How many connections one hub process holds. A frame costs it nothing beyond the merge, but each machine is a gRPC channel;
  beyond some thousands put a hub for each province, or a NATS in front, which is made for it.
- How fast attachments are taken in: their row is missing in the benchmarks.
- What an ordinary day's frame weighs: the bytes of an event are those of full frames, as after an outage. A frame of a
  single event carries a header and a signature of its own, some hundreds of bytes.
- The head of residents grows with the country: locality keeps a region's batch fast, random NIK do not (DESIGN of the
  merge, docs/adr/0004).
- Whether all offices really come within one minute. Retries are spread by chance, but a national line that returns is one
  moment for all.
"""


if __name__ == "__main__":
    PAGE.write_text(page(MEASURED.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}", file=sys.stderr)
