"""What happens in the demo, decided beforehand from one seed: who comes when, where, and what breaks.

The people come in the product mix of the "Sepe Manise" month. Of those who come again, half go to another
office, as in life. The plot knows how many duplicates and conflicts the hub must find, so the verdict compares
with what was planned and not with what the hub says of itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from random import Random

from surge.people import NikSpace, Person, Populace
from surge.visits import other_name, retyped

OFFICES = (("537104", "Oebobo"), ("537105", "Kota Raja"), ("537101", "Alak"))
# Kota Raja is the one whose line is cut.
CUT_OFFICE = 1
VISITS_PER_SECOND = 8
REPEAT_SHARE = 0.10
CONFLICTS = 2

# Moments as shares of the playing time.
CUT_AT, PURGE_AT, HEAL_AT = 0.25, 0.45, 0.70


@dataclass(frozen=True, slots=True)
class Arrival:
    """One person at one desk. ``at_s``: seconds from the start. ``kind``: first, repeat or conflict."""

    at_s: float
    office: int
    kind: str
    person: Person


@dataclass(frozen=True, slots=True)
class Plot:
    """A whole demo. Arrivals are in the order of time."""

    seconds: float
    arrivals: tuple[Arrival, ...]

    @property
    def residents(self) -> int:
        """Distinct NIK the hub must end with."""
        return len({arrival.person.nik for arrival in self.arrivals})

    @property
    def duplicates(self) -> int:
        """Claims that agree with an earlier one of their NIK."""
        return len(self.arrivals) - len({(a.person.nik, a.person.identity) for a in self.arrivals})

    @property
    def conflicts(self) -> int:
        """NIK claimed under more than one identity."""
        claims = {(arrival.person.nik, arrival.person.identity) for arrival in self.arrivals}
        return sum(count > 1 for count in Counter(nik for nik, _ in claims).values())

    @property
    def products(self) -> Counter[str]:
        """Recordings by product."""
        return Counter(arrival.person.product for arrival in self.arrivals)


def write_plot(seed: int, seconds: float, today: date) -> Plot:
    """The demo of that seed: the same arrivals on every machine."""
    rng = Random(seed)
    space = NikSpace()
    populaces = [Populace(rng, kecamatan=code, today=today, space=space) for code, _ in OFFICES]
    count = max(int(seconds * VISITS_PER_SECOND), 30)
    repeats = round(count * REPEAT_SHARE)
    kinds = ["repeat"] * repeats + ["first"] * (count - repeats - CONFLICTS)
    rng.shuffle(kinds)
    # The first few are new, and the conflicts come after half time, when their NIK are long known.
    kinds = ["first"] * 5 + _without(kinds, "first", 5)
    for position in range(CONFLICTS):
        kinds.insert(count * (6 + position) // 10, "conflict")

    arrivals: list[Arrival] = []
    known: list[Arrival] = []
    for number, kind in enumerate(kinds):
        at_s = seconds * number / len(kinds)
        office = rng.randrange(len(OFFICES))
        if kind == "first":
            arrival = Arrival(at_s, office, kind, populaces[office].person())
            known.append(arrival)
        else:
            earlier = _pick(rng, known)
            there = (
                earlier.office if rng.random() < 0.5 and kind == "repeat" else (earlier.office + 1) % len(OFFICES)
            )
            person = retyped(earlier.person, rng) if kind == "repeat" else other_name(earlier.person, rng)
            if kind == "conflict":
                known.remove(earlier)
            arrival = Arrival(at_s, there, kind, person)
        arrivals.append(arrival)
    return Plot(seconds, tuple(arrivals))


def _pick(rng: Random, known: Sequence[Arrival]) -> Arrival:
    return known[int(rng.random() * len(known))]


def _without(kinds: list[str], kind: str, count: int) -> list[str]:
    """``kinds`` less the first ``count`` of that kind."""
    kept: list[str] = []
    for one in kinds:
        if one == kind and count:
            count -= 1
        else:
            kept.append(one)
    return kept
