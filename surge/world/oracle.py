"""What really happened in a world, whatever its offices and its hub believe: the checkers compare with this.

A fact may rightly be gone in one way only: a disaster erased its last copy. `office_disk_changed` and
`hub_disk_changed` work that out at the moment of the disaster: a fact that was on no other disk is *erased*; one
that only the hub still has is *at risk*, and erased if the hub's disk goes back as well. What a prune forgot is
neither: the office promised that the hub has it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from sepe.ids import HUB_NODE

if TYPE_CHECKING:
    from surge.world.disk import Job
    from surge.world.office import Office

Pair = tuple[int, int]


class Wish(NamedTuple):
    """Somebody asked for a card at a machine, of that name, from ``due_ms`` on."""

    machine: str
    nik: int
    issue: int
    name: str = ""
    due_ms: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """A piece of plastic that left a printer. ``ruined``: spoiled and destroyed. ``name``: what it says."""

    attempt: str
    nik: int
    issue: int
    serial: str
    machine: str
    fence: int
    override: bool
    ruined: bool
    name: str = ""


class Intent(NamedTuple):
    """A card was about to be made.

    Attributes:
        at_ms: when, by the one true clock; ``due_ms``: from when on it may be.
        verdict: what this machine knew then against a card of this name.
    """

    attempt: str
    machine: str
    nik: int
    at_ms: int
    due_ms: int
    verdict: str
    override: bool


class Gift(NamedTuple):
    """A card was given to its owner.

    Attributes:
        faults: what this machine knew then that spoke against it.
    """

    attempt: str
    machine: str
    nik: int
    faults: tuple[str, ...]


@dataclass(slots=True)
class Oracle:
    """The world's own memory.

    Attributes:
        fact_of: the fact that a body tells; no two events ever written have equal bodies.
        committed: every fact that an office's disk took.
        seen_hub: stamp of the hub's clock that the office knew when it wrote the fact.
        erased: facts whose last copy a disaster destroyed.
        intents: attempts whose intent was committed.
        unruly: machines whose disk was restored, replaced or cloned: their ledger forgot cards.
        hub_restores: how often the hub was put back from a backup.
        rights_forgotten: (nik, issue) of the rights whose last move a restored hub forgot.
        taken_away: (nik, issue) of those that an officer gave away although their holder was not gone.
        tries: cards that were about to be made. gifts: those that were given to their owners.
        destroyed: attempts whose cards were taken back. hands: by NIK the attempts whose cards its owner has.
        wishes: cards that were asked for, by the commits that took them.
        far_ahead: machines, of them the hub as `HUB_NODE`, whose clock was ever ahead by more than the margin.
        hasty_acks: words of the hub that named a watermark which its disk had not reached.
    """

    fact_of: dict[bytes, int] = field(default_factory=dict)
    committed: dict[int, str] = field(default_factory=dict)
    seen_hub: dict[int, int] = field(default_factory=dict)
    erased: set[int] = field(default_factory=set)
    at_risk: set[int] = field(default_factory=set)
    intents: set[str] = field(default_factory=set)
    cards: list[Card] = field(default_factory=list)
    unruly: set[str] = field(default_factory=set)
    rights_forgotten: set[Pair] = field(default_factory=set)
    hub_restores: int = 0
    taken_away: set[Pair] = field(default_factory=set)
    wishes: list[Wish] = field(default_factory=list)
    tries: list[Intent] = field(default_factory=list)
    gifts: list[Gift] = field(default_factory=list)
    destroyed: set[str] = field(default_factory=set)
    hands: dict[int, set[str]] = field(default_factory=dict)
    far_ahead: set[str] = field(default_factory=set)
    hub_clock_wrong: bool = False
    hasty_acks: int = 0
    blanks_received: dict[str, int] = field(default_factory=dict)
    blanks_given: dict[str, int] = field(default_factory=dict)
    blanks_under_way: int = 0
    refused_visits: int = 0
    last_fact: int = 0

    def new_fact(self) -> int:
        self.last_fact += 1
        return self.last_fact

    def intended(self, job: Job, office: Office) -> None:
        """A machine is about to make a card, whatever let it."""
        disk = office.disk
        verdict = disk.standing(job.nik).verdict(job.name, is_disputed=disk.is_disputed(job.nik))
        now_ms = office.world.loop.now_ms
        self.tries.append(Intent(job.attempt, office.name, job.nik, now_ms, job.due_ms, verdict, job.override))

    def take_back_wishes(self, machine: str, nik: int, name: str) -> None:
        """A machine's clerk said that nobody but who bears this name had asked there."""
        self.wishes = [one for one in self.wishes if (one.machine, one.nik) != (machine, nik) or one.name == name]

    def forgotten(self, machine: str, job: Job, known: Container[str]) -> Card | None:
        """A card of what this job asks for that lies at a machine and that its ledger does not know."""
        return next(
            (
                one for one in self.cards
                if (one.machine, one.nik, one.issue, one.name) == (machine, job.nik, job.issue, job.name)
                and not one.ruined and one.attempt not in self.destroyed and one.attempt not in known
            ),
            None,
        )  # fmt: skip

    def ruin(self, attempt: str) -> None:
        """A card that had come out was destroyed at its office."""
        self.cards = [replace(one, ruined=True) if one.attempt == attempt else one for one in self.cards]

    def wrote(self, body: bytes, fact: int, machine: str, seen_hub: int) -> None:
        """An office's disk took an event."""
        self.fact_of[body] = fact
        self.committed[fact] = machine
        self.seen_hub[fact] = seen_hub

    def facts(self, bodies: Iterable[bytes]) -> set[int]:
        """The facts among these bodies."""
        fact_of = self.fact_of
        return {fact_of[body] for body in bodies if body in fact_of}

    def office_disk_changed(self, gone: set[int], *, on_offices: set[int], at_hub: set[int]) -> None:
        """An office's disk lost ``gone`` through a disaster."""
        alone = gone - on_offices
        self.erased |= alone - at_hub
        self.at_risk |= alone & at_hub

    def office_took_back(self, facts: set[int]) -> None:
        """An office fetched its lost events from the hub."""
        self.at_risk -= facts
        self.erased -= facts

    def hub_disk_changed(self, gone: set[int], *, on_offices: set[int]) -> None:
        """The hub's disk lost ``gone``; the offices still have the rest and must bring it again."""
        self.hub_restores += 1
        self.erased |= (gone & self.at_risk) - on_offices

    def pruned_early(self, on_offices: set[int]) -> set[int]:
        """The facts that offices pruned before their time and a restored hub lost.

        The margin counts by the earlier of the office's clock and the hub's, so one wrong clock shortens nothing;
        two do, and what was pruned meanwhile is gone with a hub that is put back (docs/guarantees.md).
        """
        if not self.hub_restores or HUB_NODE not in self.far_ahead:
            return set()
        return {
            fact
            for fact, machine in self.committed.items()
            if machine in self.far_ahead and fact not in on_offices
        }  # fmt: skip
