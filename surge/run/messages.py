"""What the processes of a run say to each other: one JSON document a line.

The player tells a worker on its standard input, the worker answers on its standard output. Each message has a
``kind``; a worker that reads the end of its input ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

# A worker's last word holds a row for each of its offices.
LINE_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to do; its first line.

    Attributes:
        scenario: name or path.
        options: the fields of `surge.run.cast.Options`.
        part, parts: of the cast's machines, every ``parts``-th from number ``part`` on.
        hub_dir: the hub's directory when it is on this machine, else ``""``.
        tokens: one-time tokens by node, where the hub's directory is not to be had.
        today: ISO day by which the desks judge ages.
    """

    scenario: str
    options: dict[str, Any]
    part: int
    parts: int
    folder: str
    grpc: str
    nats: str
    hub_dir: str
    tokens: dict[str, str]
    today: str
    interval_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """How a worker's offices stand at one moment; sums over them, ``oldest_s`` the greatest.

    Attributes:
        number: which interval this is the end of.
        early: events that the hub had acked and whose commit its database did not show at that moment.
        late_s: how far the worker fell behind its own clock at worst.
        is_level: everybody offered is recorded, and everything written is confirmed.
    """

    number: int
    offered: int = 0
    accepted: int = 0
    refused: int = 0
    acked: int = 0
    at_desks: int = 0
    lag: int = 0
    oldest_s: float = 0.0
    offices_down: int = 0
    catching_up: int = 0
    cards: int = 0
    printers: int = 0
    printers_busy: int = 0
    early: int = 0
    late_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    is_level: bool = False

    def joined(self, other: Sample) -> Sample:
        """Both workers' offices together."""
        mine, theirs = asdict(self), asdict(other)
        found = {name: value + theirs[name] for name, value in mine.items()}
        found.update(
            number=self.number,
            oldest_s=max(self.oldest_s, other.oldest_s),
            is_level=self.is_level and other.is_level,
        )
        return Sample(**found)


@dataclass(slots=True)
class Row:
    """One office's account at the end; times in machine seconds, ``worst_lag_at_s`` in scenario seconds.

    ``cards``: [hour of the run, cards, printer-seconds at work, printer-seconds with something to print].
    """

    node: str
    folder: str
    offered: int
    accepted: int
    refused: int
    acked_seq: int
    last_seq: int
    taken_back: int
    worst_lag: int
    worst_lag_at_s: float
    oldest_s: float
    catch_up_s: float | None
    catch_up_events: int
    is_catching_up: bool
    acks: list[list[int]]
    longest_s: float
    bytes_up: int
    bytes_down: int
    bytes_sent: int
    frames: int
    sessions: int
    cards: list[list[float]] = field(default_factory=list)
    print_states: dict[str, int] = field(default_factory=dict)
    valid_cards_max: int = 0


def line_of(kind: str, **what: Any) -> bytes:
    """A message as a line."""
    return json.dumps({"kind": kind, **what}, ensure_ascii=False).encode() + b"\n"
