"""The virtual printer's subscriptions and the events that it keeps for them: RFC 3995, pulled by RFC 3996."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from node.printing.ipp.registry import JobState

# RFC 3996 wants at least 15; beyond so many the oldest are dropped, as in CUPS.
EVENT_LIFE_S = 60
EVENTS_MAX = 100
SUBSCRIPTIONS_MAX = 100
LEASE_S_DEFAULT, LEASE_S_MAX = 3_600, 604_800
# How long an answer is kept back while nothing happens.
HOLD_S = 30.0

JOB_EVENTS = ("job-completed", "job-stopped", "job-created", "job-state-changed")
PRINTER_EVENTS = ("printer-stopped", "printer-restarted", "printer-state-changed", "printer-config-changed")
EVENTS = (*JOB_EVENTS, *PRINTER_EVENTS)


class Tells(StrEnum):
    """What a printer knows of events: keeps answers back, answers at once as CUPS does, knows none."""

    WAITS = "waits"
    AT_ONCE = "at-once"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Event:
    """``job``: its id, state and the reasons for it; ``None`` for an event of the printer."""

    sequence: int
    name: str
    at_s: float
    up_time_s: int
    job: tuple[int, JobState, tuple[str, ...]] | None


@dataclass(slots=True)
class Subscription:
    id: int
    user: str
    names: frozenset[str]
    lease_s: int
    expires_s: float
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    last_sequence: int = 0


class EventLog:
    """Everything that a power cut forgets: who listens, and what happened since."""

    def __init__(self) -> None:
        self._subscriptions: dict[int, Subscription] = {}
        self._last_id = 0

    def subscribe(self, user: str, names: Iterable[str], lease_s: int | None) -> Subscription | None:
        """A new one; ``None`` when there are too many. A lease of 0 means for ever."""
        self._drop_expired()
        if len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
            return None
        self._last_id += 1
        made = Subscription(self._last_id, user, frozenset(names), 0, 0.0)
        self.renew(made, lease_s)
        self._subscriptions[made.id] = made
        return made

    def renew(self, subscription: Subscription, lease_s: int | None) -> None:
        wanted_s = LEASE_S_DEFAULT if lease_s is None else min(lease_s, LEASE_S_MAX)
        subscription.lease_s = wanted_s
        subscription.expires_s = time.monotonic() + wanted_s if wanted_s else float("inf")

    def get(self, id_: int) -> Subscription | None:
        self._drop_expired()
        return self._subscriptions.get(id_)

    def all(self) -> list[Subscription]:
        self._drop_expired()
        return list(self._subscriptions.values())

    def cancel(self, id_: int) -> bool:
        return self._subscriptions.pop(id_, None) is not None

    def emit(
        self, names: Iterable[str], up_time_s: int, job: tuple[int, JobState, tuple[str, ...]] | None = None
    ) -> None:
        """Something happened that goes by these names, the most telling first; each listener hears it once."""
        for one in self._subscriptions.values():
            name = next((name for name in names if name in one.names), None)
            if name is not None:
                one.last_sequence += 1
                one.events.append(Event(one.last_sequence, name, time.monotonic(), up_time_s, job))

    def since(self, id_: int, sequence: int) -> list[Event]:
        """The events of a subscription from that number on which are not too old."""
        found = self.get(id_)
        oldest_s = time.monotonic() - EVENT_LIFE_S
        return [one for one in found.events if one.sequence >= sequence and one.at_s >= oldest_s] if found else []

    def _drop_expired(self) -> None:
        now_s = time.monotonic()
        for id_ in [one.id for one in self._subscriptions.values() if one.expires_s <= now_s]:
            del self._subscriptions[id_]
