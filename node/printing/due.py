"""The office's proven day (`sepe.dueday`): kept in the database, carried on by each program that prints."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import date

from node.desk.day import day_of
from node.storage.store import NodeStore
from sepe import dueday
from sepe.dueday import NOTHING, Proven
from sepe.errors import InvalidInputError

# In meta: the proven moment and the wall clock then; and a supervisor's word on the date.
KEPT_KEY, CONFIRMED_KEY = "due_clock", "due_confirmed"
# So often what is proven is written down while a program runs.
KEEP_MS = 10 * 60_000
REASON_CHARS_MAX = 200


class DueClock:
    """Carries the proven moment on while one program runs."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._began_ms = _monotonic_ms()
        self._anchor: Proven | None = None

    def today(self, now_ms: int) -> date:
        """The proven day now, by this program's monotonic clock."""
        if self._anchor is None:
            self._began_ms = _monotonic_ms()
            self._anchor = dueday.after_start(kept(self._store), now_ms)
        proven = dueday.now(
            self._anchor, _monotonic_ms() - self._began_ms, wall_ms=now_ms, hub_ms=self._store.clock().hub_ms
        )
        before = kept(self._store)
        if proven.moment_ms - before.moment_ms > KEEP_MS:
            keep(self._store, proven)
        elif before.moment_ms > proven.moment_ms:
            # Another program heard the hub or a supervisor meanwhile.
            self._began_ms, self._anchor = _monotonic_ms(), before
            proven = before
        return day_of(proven.moment_ms, self._store.node)


def due_today(store: NodeStore, now_ms: int) -> date:
    """The proven day for a program that looks once."""
    return DueClock(store).today(now_ms)


def kept(store: NodeStore) -> Proven:
    """What was written down last."""
    text = store.get(KEPT_KEY)
    return NOTHING if text is None else Proven(*map(int, json.loads(text)))


def keep(store: NodeStore, proven: Proven) -> None:
    """Write down what is proven."""
    with store.transaction():
        store.put(KEPT_KEY, json.dumps(list(proven)))


def is_behind(store: NodeStore, now_ms: int) -> bool:
    """Whether this machine's clock shows a later day than the one that is proven: cards that are due then wait."""
    return bool(store.clock().hub_ms) and day_of(now_ms, store.node) > due_today(store, now_ms)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A supervisor's word that the clock is right."""

    day: str
    reason: str
    operator: str


def confirm_date(store: NodeStore, day: date, *, reason: str, operator: str, now_ms: int) -> None:
    """A supervisor says that this is the date; cards that become due by it say so to the centre.

    Raises:
        InvalidInputError: the clock shows another day, or no reason or name is given; nothing is changed.
    """
    if not reason.strip() or len(reason) > REASON_CHARS_MAX or not operator.strip():
        raise InvalidInputError(
            f"tulis nama supervisor (--operator) dan alasannya, paling banyak {REASON_CHARS_MAX} karakter",
            field="--reason", value=reason,
        )  # fmt: skip
    shown = day_of(now_ms, store.node)
    if day != shown:
        raise InvalidInputError(
            f"jam komputer ini menunjukkan {shown.isoformat()}", field="--date", value=day.isoformat(),
            hint="Betulkan dahulu jam komputernya, lalu pastikan tanggalnya.",
        )  # fmt: skip
    with store.transaction():
        store.put(CONFIRMED_KEY, json.dumps([day.isoformat(), reason.strip(), operator.strip()]))
        keep(store, Proven(now_ms, now_ms))


def confirmation(store: NodeStore, due_day: str) -> Confirmation | None:
    """The supervisor's word by which a card is due, where the hub's own word does not reach that day yet."""
    text = store.get(CONFIRMED_KEY)
    hub_ms = store.clock().hub_ms
    if text is None or not hub_ms or due_day <= day_of(hub_ms, store.node).isoformat():
        return None
    found = Confirmation(*json.loads(text))
    return found if due_day <= found.day else None


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
